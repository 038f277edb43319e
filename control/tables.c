// SPDX-License-Identifier: BSD-2-Clause
//
// How big each table is, and tables in plain memory. The sizes follow from the
// limits of lbd.yaml and from nothing else, so that a restarted lbd computes the
// same ones and can tell whether pinned tables are what it would make. The tests and
// benches use tables_alloc(); the daemon's pinned maps are in tables_pin.c.
#include "control/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/tables_list.h"
#include "dataplane/core/hash.h"

static uint32_t round_up_pow2(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p <<= 1;
	return p;
}

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

// Of an index of at least @lines_n lines.
static uint32_t index_shift(uint32_t lines_n)
{
	uint32_t shift = 32 - 4;

	while (LB_INDEX_LINES(shift) < lines_n)
		shift--;
	return shift;
}

void tables_size(const struct settings *s, const uint64_t hash_key[2], uint32_t cpus_n,
		 struct lb_meta *ret_meta)
{
	struct lb_meta m = {.magic = LB_MAGIC, .layout_version = LB_LAYOUT_VERSION};

	// A service with VIPs of both families has two rows; row 0 is not used.
	m.service_n = s->limits.services * 2 + 1;
	m.backend_n = s->limits.backends + 1;
	m.slot_n =
		(s->limits.slots + LB_SLOTS_PER_LINE - 1) / LB_SLOTS_PER_LINE * LB_SLOTS_PER_LINE;
	// Each backend may have a next hop of its own, its row's copy may be of another, and all
	// may change at once while the old rows wait for their grace period; so may the hops of all
	// sets of routes.
	m.hop_n = m.backend_n * 3 + LB_ROUTE_SETS * LB_ROUTE_MAX * 2;
	m.cpu_n = cpus_n;
	// Two entries a line. A service has an entry a VIP, and a VIP one for itself: room for four
	// VIPs a service at a quarter full, so that probes stay short.
	m.service_shift = index_shift(s->limits.services * 16);
	m.reverse_shift = index_shift(s->limits.backends * 2);
	m.connection_mask =
		round_up_pow2(max_u32(s->limits.connections / LB_ENTRIES_PER_LINE, 1)) - 1;
	m.fragment_mask = LB_FRAGMENT_LINES - 1;
	memcpy(m.hash_key, hash_key, sizeof(m.hash_key));
	lb_hash_expand_key(m.hash_key, m.flow_keys);
	*ret_meta = m;
}

void tables_list(const struct lb_meta *m, struct table_shape ret_shapes[TABLES_N])
{
	size_t i = 0;

#define TABLE_SHAPE(table, type, expression)                                                       \
	ret_shapes[i].name = #table;                                                               \
	ret_shapes[i].row_bytes = sizeof(type);                                                    \
	ret_shapes[i].rows_n = (expression);                                                       \
	i++;
	LB_TABLES(TABLE_SHAPE)
#undef TABLE_SHAPE
}

void tables_set_rows(struct tables *t, size_t i, void *rows)
{
	size_t at = 0;

#define TABLE_POINTER(table, type, expression)                                                     \
	if (at++ == i)                                                                             \
		t->rows.table = rows;
	LB_TABLES(TABLE_POINTER)
#undef TABLE_POINTER
}

static void *table_rows(const struct tables *t, size_t i)
{
	size_t at = 0;

#define TABLE_POINTER(table, type, expression)                                                     \
	if (at++ == i)                                                                             \
		return t->rows.table;
	LB_TABLES(TABLE_POINTER)
#undef TABLE_POINTER
	return NULL;
}

struct tables *tables_new(void)
{
	struct tables *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->n = TABLES_N;
	for (size_t i = 0; i < sizeof(t->fds) / sizeof(t->fds[0]); i++)
		t->fds[i] = -1;
	t->file_fd = -1;
	return t;
}

int tables_alloc(const struct lb_meta *meta, struct tables **ret, struct err *e)
{
	struct table_shape shapes[TABLES_N];
	struct tables *t = tables_new();

	if (!t)
		return err_set(e, -ENOMEM, "tables: out of memory");
	tables_list(meta, shapes);
	for (size_t i = 0; i < t->n; i++) {
		size_t len = shapes[i].row_bytes * shapes[i].rows_n;
		void *rows = mmap(NULL, len, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (rows == MAP_FAILED) {
			tables_close(t);
			return err_set(e, -ENOMEM, "table %s: no memory for %zu bytes",
				       shapes[i].name, len);
		}
		t->lens[i] = len;
		tables_set_rows(t, i, rows);
	}
	*t->rows.meta = *meta;
	t->rows.meta->state = LB_META_LIVE;
	*ret = t;
	return 0;
}

void tables_close(struct tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n; i++) {
		if (t->lens[i])
			munmap(table_rows(t, i), t->lens[i]);
		if (t->fds[i] >= 0)
			close(t->fds[i]);
	}
	if (t->file_start)
		munmap(t->file_start, t->file_len);
	if (t->file_fd >= 0)
		close(t->file_fd);
	free(t);
}
