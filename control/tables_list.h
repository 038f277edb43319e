// SPDX-License-Identifier: BSD-2-Clause
//
// The list of tables as data, for the files that make them (tables.c in plain memory,
// tables_pin.c as BPF maps, tables_file.c as a file). Not for anybody else.
#pragma once

#include "control/tables.h"

#define TABLES_COUNT_ONE(name, type, rows) +1
#define TABLES_N (0 LB_TABLES(TABLES_COUNT_ONE))

struct table_shape {
	const char *name;
	size_t row_bytes;
	uint64_t rows_n;
};

// The shape of each table for the sizes in @m, in the order of LB_TABLES.
void tables_list(const struct lb_meta *m, struct table_shape ret_shapes[TABLES_N]);
// Sets the pointer of the @i-th table.
void tables_set_rows(struct tables *t, size_t i, void *rows);
// Without any table yet. NULL: out of memory.
struct tables *tables_new(void);
// Whether @found is what @wanted says. 0, or -EINVAL with the difference and its mend.
int tables_check_meta(const struct lb_meta *found, const struct lb_meta *wanted, struct err *e);
