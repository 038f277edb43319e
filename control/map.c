// SPDX-License-Identifier: BSD-2-Clause
//
// Open addressing with linear probing, at most half full; a deletion moves what
// follows it back (Knuth, TAOCP 3, 6.4, algorithm R), so there are no tombstones.
#include "control/map.h"

#include <errno.h>
#include <stdlib.h>

int map_init(struct map *m, uint32_t max_n)
{
	uint32_t size = 16;

	while (size < 2ull * max_n)
		size *= 2;
	m->cells = calloc(size, sizeof(*m->cells));
	if (!m->cells)
		return -ENOMEM;
	m->mask = size - 1;
	return 0;
}

void map_fini(struct map *m)
{
	free(m->cells);
	m->cells = NULL;
}

// FNV's low bits are weak for keys that differ in their last byte only.
static uint32_t home(const struct map *m, uint64_t hash)
{
	return (uint32_t)(hash * 0x9e3779b97f4a7c15ull >> 32) & m->mask;
}

void map_add(struct map *m, uint64_t hash, uint32_t value)
{
	uint32_t i = home(m, hash);

	while (m->cells[i].value)
		i = (i + 1) & m->mask;
	m->cells[i] = (struct map_cell){.hash = hash, .value = value};
}

void map_del(struct map *m, uint64_t hash, uint32_t value)
{
	uint32_t hole = home(m, hash);

	while (m->cells[hole].value != value || m->cells[hole].hash != hash) {
		if (!m->cells[hole].value)
			return;
		hole = (hole + 1) & m->mask;
	}
	for (uint32_t i = (hole + 1) & m->mask; m->cells[i].value; i = (i + 1) & m->mask) {
		uint32_t from_home = (i - home(m, m->cells[i].hash)) & m->mask;

		// It may move to the hole only if the hole is not ahead of its home.
		if (from_home < ((i - hole) & m->mask))
			continue;
		m->cells[hole] = m->cells[i];
		hole = i;
	}
	m->cells[hole].value = 0;
}

uint32_t map_next(const struct map *m, uint64_t hash, uint32_t *cursor)
{
	uint32_t start = home(m, hash);

	for (;;) {
		const struct map_cell *c = &m->cells[(start + *cursor) & m->mask];

		if (!c->value)
			return 0;
		++*cursor;
		if (c->hash == hash)
			return c->value;
	}
}

uint64_t map_hash(uint64_t start, const void *key, size_t key_len)
{
	const uint8_t *bytes = key;
	uint64_t hash = start;

	for (size_t i = 0; i < key_len; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ull;
	return hash;
}
