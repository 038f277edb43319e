// SPDX-License-Identifier: BSD-2-Clause
//
// The program names a flat table's map where it means the table's first byte (xdp/flat.h), and
// libbpf makes of that a load of the map itself. So before the kernel sees the program, each
// of these instructions is told to load the address of the map's row: as libbpf does it for
// variables. (Variables they are not, for libbpf 1.1 maps a section of them where its few bytes
// in the object were mapped, and by the size of the map, over whatever lies behind.)
#include "control/xdp_tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint64_t rows_n; // at least
} flat_tables[] = {
#define FLAT_TABLE(table, rows) {.name = #table, .rows_n = (rows)},
	LB_FLAT_TABLES(FLAT_TABLE)
#undef FLAT_TABLE
};
#define FLAT_N (sizeof(flat_tables) / sizeof(flat_tables[0]))

// Of the object in hand: libbpf asks for a program to be prepared and does not say of which.
static int flat_fds[FLAT_N];

static size_t find_flat(const char *name)
{
	size_t i = 0;

	while (i < FLAT_N && strcmp(flat_tables[i].name, name) != 0)
		i++;
	return i;
}

struct xdp_map_shape xdp_tables_shape(const char *name, size_t row_bytes, uint64_t rows_n)
{
	size_t flat = find_flat(name);

	if (flat == FLAT_N)
		return (struct xdp_map_shape){.row_bytes = row_bytes, .rows_n = rows_n};
	if (rows_n < flat_tables[flat].rows_n)
		rows_n = flat_tables[flat].rows_n;
	return (struct xdp_map_shape){.row_bytes = row_bytes * rows_n, .rows_n = 1};
}

struct lb_flat_sizes xdp_tables_sizes(const struct lb_meta *meta)
{
	return (struct lb_flat_sizes){
		.service_shift = meta->service_shift,
		.reverse_shift = meta->reverse_shift,
		.slot_n = meta->slot_n,
		.hop_n = meta->hop_n,
	};
}

static bool is_flat_fd(int fd)
{
	for (size_t i = 0; i < FLAT_N; i++)
		if (flat_fds[i] == fd)
			return true;
	return false;
}

// Called by libbpf for each program whose references to maps are resolved.
static int take_addresses(struct bpf_program *program, struct bpf_prog_load_opts *opts, long cookie)
{
	size_t n = bpf_program__insn_cnt(program);
	struct bpf_insn *insns = calloc(n, sizeof(*insns));
	int status;

	(void)opts;
	(void)cookie;
	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(program), n * sizeof(*insns));
	for (size_t i = 0; i + 1 < n; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD && is_flat_fd(insns[i].imm)) {
			insns[i].src_reg = BPF_PSEUDO_MAP_VALUE;
			insns[i + 1].imm = 0; // the first byte
		}
		i++; // its second half
	}
	status = bpf_program__set_insns(program, insns, n);
	free(insns);
	return status;
}

int xdp_tables_register(void)
{
	static bool is_registered;
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = take_addresses);
	int status;

	if (is_registered)
		return 0;
	status = libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &opts);
	is_registered = status >= 0;
	return status < 0 ? status : 0;
}

int xdp_tables_give(struct bpf_object *object, const int *fds, struct err *e)
{
#define TABLE_NAME(table, type, rows) #table,
	static const char *const names[] = { LB_TABLES(TABLE_NAME) };
#undef TABLE_NAME

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, names[i]);
		int status = map ? bpf_map__reuse_fd(map, fds[i]) : -ENOENT;
		size_t flat = find_flat(names[i]);

		if (status)
			return err_set(e, status, "table %s: the program cannot use it: %s",
				       names[i], strerror(-status));
		if (flat < FLAT_N)
			flat_fds[flat] = bpf_map__fd(map);
	}
	return 0;
}
