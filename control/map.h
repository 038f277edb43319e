// SPDX-License-Identifier: BSD-2-Clause
//
// A map from a key's 64-bit hash to row numbers, for the publisher: open addressing
// in one array, made once at its greatest size, so that no change of the tables can
// fail by memory. Keys are not kept: the caller compares the rows that a look-up
// yields. Several rows may share a hash (all backends of one address). Pure.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map_cell {
	uint64_t hash;
	uint32_t value; // 0: empty
};

struct map {
	struct map_cell *cells;
	uint32_t mask;
};

// Room for @max_n values. 0 or -ENOMEM.
int map_init(struct map *m, uint32_t max_n);
void map_fini(struct map *m);

// @value is not 0.
void map_add(struct map *m, uint64_t hash, uint32_t value);
// No such pair is no error.
void map_del(struct map *m, uint64_t hash, uint32_t value);

// Yields the values of @hash one by one, 0 at the end. *cursor is 0 at first. The map must not
// change between two calls with the same cursor.
uint32_t map_next(const struct map *m, uint64_t hash, uint32_t *cursor);

// FNV-1a, 64 bits; start from MAP_HASH_START, or from another hash to go on.
#define MAP_HASH_START 0xcbf29ce484222325ull
uint64_t map_hash(uint64_t start, const void *key, size_t key_len);
