// SPDX-License-Identifier: BSD-2-Clause
//
// Makes the tables, or finds them: for XDP as pinned BPF maps (bpffs_dir/maps/NAME)
// which it maps into memory; and allocated, for tests. Sizes come from the limits.
#pragma once

#include "control/err.h"
#include "control/settings.h"
#include "dataplane/native/native.h"

struct tables {
	struct lb_tables rows; // pointers to the mapped rows
	bool is_adopted;       // found pinned, not made now
	// One descriptor per table in the order of LB_TABLES; -1 where there is no map.
	int fds[32];
	size_t lens[32]; // bytes mapped
	size_t n;
};

// Fills the sizes of *ret_meta (and magic, version; state stays LB_META_EMPTY) from limits.
void tables_size(const struct settings *s, const uint64_t hash_key[2], uint32_t cpus_n,
		 struct lb_meta *ret_meta);

// Opens the pinned maps, or makes and pins all of them. Refuses, in words and with the mend (lbd
// --detach): another layout version, other limits, another hash key, another count of CPUs, maps
// missing or of another kind. On failure nothing that it made stays behind.
int tables_open(const struct settings *s, const uint64_t hash_key[2], struct tables **ret,
		struct err *e);
// In memory, for tests and benches. No settings but @meta's sizes.
int tables_alloc(const struct lb_meta *meta, struct tables **ret, struct err *e);
void tables_close(struct tables *t);
