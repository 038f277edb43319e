// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The tables as a process sees them that has them in its memory: lbd (which maps
// the pinned BPF maps), the tests (which allocate them) and `explain`.
#pragma once

#include "dataplane/core/tables.h"

// Pointers to the first row of each table; sizes are in *meta. Borrowed.
struct lb_tables {
#define LB_TABLES_POINTER(name, type, rows) type *name;
	LB_TABLES(LB_TABLES_POINTER)
#undef LB_TABLES_POINTER
};
