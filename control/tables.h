// SPDX-License-Identifier: BSD-2-Clause
//
// Makes the tables, or finds them: for XDP as pinned BPF maps (bpffs_dir/maps/NAME)
// which it maps into memory; for DPDK as one file (run_dir/tables); and allocated, for
// tests. Sizes come from the limits.
#pragma once

#include "control/err.h"
#include "control/settings.h"
#include "dataplane/native/native.h"

// What only the file of the DPDK dataplane has; NULL elsewhere. Sizes: LB_FILE_TABLES.
struct tables_file_rows {
#define TABLES_POINTER(name, type, rows) type *name;
	LB_FILE_TABLES(TABLES_POINTER)
#undef TABLES_POINTER
};

struct tables {
	struct lb_tables rows; // pointers to the mapped rows
	struct tables_file_rows file;
	bool is_adopted; // found pinned, not made now
	// One descriptor per table in the order of LB_TABLES; -1 where there is no map.
	int fds[32];
	size_t lens[32]; // bytes mapped
	size_t n;
	// The file, whole: its descriptor (-1: none), and where it is mapped.
	int file_fd;
	void *file_start;
	size_t file_len;
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

// ---- the file of the DPDK dataplane ----
//
// run_dir/tables, or a link of that name to a file on hugetlbfs. Either process may end and start
// again at any time. lb-dpdk holds a lock on it while it runs, which goes with it however it ends.

#define TABLES_FILE_NAME "tables"

// For lbd: opens the file, or makes it; refuses what tables_open() refuses. *ret_note (@note_len
// bytes): why it is not on huge pages, or "".
int tables_open_file(const struct settings *s, const uint64_t hash_key[2], struct tables **ret,
		     char *ret_note, size_t note_len, struct err *e);
// For lb-dpdk: maps the file at @path. -ENOENT: there is none, or none that is in use (yet);
// -EINVAL: it is of another layout, in words.
int tables_map_file(const char *path, struct tables **ret, struct err *e);
// Says "retired" in the file and removes it: whoever has it mapped is to look for another.
void tables_remove_file(const struct settings *s);
// Takes the lock of lb-dpdk, until the file is closed. False: another process has it.
bool tables_lock_file(struct tables *t);
bool tables_is_file_locked(const struct tables *t); // by another process
