// SPDX-License-Identifier: BSD-2-Clause
//
// Random numbers that follow from a seed, the same on every host (SplitMix64: Steele,
// Lea, Flood, Fast Splittable Pseudorandom Number Generators, 2014). Not for secrets.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

// 0 to @n - 1.
static inline uint32_t random_below(struct random *r, uint32_t n)
{
	return (uint32_t)((random_next(r) >> 32) * n >> 32);
}

static inline bool random_is(struct random *r, uint32_t percent)
{
	return random_below(r, 100) < percent;
}

// One of an array's.
#define RANDOM_OF(r, array) ((array)[random_below((r), sizeof(array) / sizeof((array)[0]))])
