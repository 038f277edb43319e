// SPDX-License-Identifier: BSD-2-Clause
//
// tables_hash FILE: "TABLE HASH" a line, of the tables of the DPDK dataplane that lbd
// writes, and of the connections; counters and heartbeats move with every packet.
#include <stdio.h>
#include <string.h>

#include "control/map.h"
#include "control/tables.h"

static void print(const char *name, const void *rows, size_t len)
{
	if (!strstr(name, "_counters"))
		printf("%s %016llx\n", name,
		       (unsigned long long)map_hash(MAP_HASH_START, rows, len));
}

int main(int argc, char **argv)
{
	const struct lb_meta *m;
	struct err e = {};
	struct tables *t;

	if (argc != 2 || tables_map_file(argv[1], &t, &e)) {
		fprintf(stderr, "tables_hash: %s: %s\n", argc == 2 ? argv[1] : "FILE is missing",
			e.text);
		return 1;
	}
	m = t->rows.meta;
#define PRINT(table, type, rows_n) print(#table, t->rows.table, sizeof(type) * (size_t)(rows_n));
	LB_TABLES(PRINT)
#undef PRINT
	tables_close(t);
	return 0;
}
