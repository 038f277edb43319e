// SPDX-License-Identifier: BSD-2-Clause
//
// The tables as the maps of the XDP program: what shape each has, and how the program gets
// them. For tables_pin.c, which makes the maps, and for xdp_load.c and the tests, which load.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "control/err.h"
#include "xdp/flat.h"

struct bpf_object;

// A map of a table: an array with BPF_F_MMAPABLE. It may be longer than the table.
struct xdp_map_shape {
	size_t row_bytes;
	uint64_t rows_n;
};

// Of table @name, which has @rows_n rows of @row_bytes.
struct xdp_map_shape xdp_tables_shape(const char *name, size_t row_bytes, uint64_t rows_n);

// What the program's `lb_flat_sizes` must say before it is loaded.
struct lb_flat_sizes xdp_tables_sizes(const struct lb_meta *meta);

// To be called before the object is opened. 0, or a negative errno.
int xdp_tables_register(void);

// Gives @object, opened and not loaded, its maps: @fds, in the order of LB_TABLES. The object is to
// be loaded before another is given any.
int xdp_tables_give(struct bpf_object *object, const int *fds, struct err *e);
