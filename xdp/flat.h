// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Which tables the BPF program reads by their address, and what the verifier must know of
// them: for the program (platform_impl.h) and for who makes the maps and loads it
// (control/xdp_tables.h).
#pragma once

#include "dataplane/core/tables.h"

#define LB_CPU_MAX 4096

// X(name, rows). The map of such a table has one row: all of the table, or as many of its rows, if
// that is more: where the program asks for no bound but these.
#define LB_FLAT_TABLES(X)                                                                          \
	X(meta, 1)                                                                                 \
	X(routes, 1)                                                                               \
	X(service_index, 1)                                                                        \
	X(slots, 1)                                                                                \
	X(backends, LB_BACKEND_MAX + 1)                                                            \
	X(hops, 1)                                                                                 \
	X(reverse_index, 1)                                                                        \
	X(reason_counters, LB_CPU_MAX *LB_REASON_LINES)

// As in struct lb_meta.
struct lb_flat_sizes {
	__u32 service_shift;
	__u32 reverse_shift;
	__u32 slot_n;
	__u32 hop_n;
};
