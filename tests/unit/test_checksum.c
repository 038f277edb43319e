// SPDX-License-Identifier: BSD-2-Clause
//
// dataplane/core/checksum.h: a mended checksum is what a whole computation over the
// changed header gives (RFC 1071, the plain loop below), for every value of a word;
// and one that was wrong stays wrong by as much.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/core/checksum.h"

#define WORDS_N 20

// 16-bit words as they lie in memory, their complement's sum with carry, complemented.
static uint16_t whole(const uint16_t *words, size_t words_n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < words_n; i++) {
		sum += words[i];
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return (uint16_t)~sum;
}

static void fill(uint16_t *words, uint32_t seed)
{
	for (size_t i = 0; i < WORDS_N; i++) {
		seed = seed * 1664525 + 1013904223;
		words[i] = (uint16_t)(seed >> 16);
	}
}

static uint32_t word32(const uint16_t *words)
{
	uint32_t w;

	memcpy(&w, words, sizeof(w));
	return w;
}

// Each of the 65,536 values in the place of some, and back.
static void test_every_word(void **state)
{
	static const uint16_t olds[] = {0, 1, 0x00ff, 0x7fff, 0x8000, 0xff00, 0xfffe, 0xffff};
	uint16_t words[WORDS_N];

	fill(words, 1);
	for (size_t i = 0; i < sizeof(olds) / sizeof(olds[0]); i++) {
		for (uint32_t v = 0; v <= 0xffff; v++) {
			uint16_t before, after;

			words[3] = olds[i];
			before = whole(words, WORDS_N);
			words[3] = (uint16_t)v;
			after = whole(words, WORDS_N);
			assert_int_equal(lb_checksum_mend(before, lb_checksum_replace16(
									  0, olds[i], (uint16_t)v)),
					 after);
			assert_int_equal(lb_checksum_mend(after, lb_checksum_replace16(
									 0, (uint16_t)v, olds[i])),
					 before);
		}
	}
}

// Each of the 65,536 checksums that a packet may come with: right after, if it was right; else
// wrong by as much (in one's complement, where 0 and ffff are one number).
static void test_every_checksum(void **state)
{
	uint16_t words[WORDS_N];
	uint16_t right, right_after;
	uint64_t sum;

	fill(words, 2);
	right = whole(words, WORDS_N);
	sum = lb_checksum_replace16(0, words[5], 0x1234);
	sum = lb_checksum_replace32(sum, word32(&words[8]), 0xfedcba98);
	words[5] = 0x1234;
	memcpy(&words[8], &(uint32_t){0xfedcba98}, 4);
	right_after = whole(words, WORDS_N);
	for (uint32_t v = 0; v <= 0xffff; v++) {
		uint16_t mended = lb_checksum_mend((uint16_t)v, sum);
		uint32_t wrong_by = (v + 0xffff - right) % 0xffff;
		uint32_t wrong_by_after = (mended + 0xffffu - right_after) % 0xffff;

		assert_int_equal(wrong_by, wrong_by_after);
	}
	assert_int_equal(lb_checksum_mend(right, sum), right_after);
}

// A whole change as nat makes it: an address of 16 bytes, one of 4, a port.
static void test_addresses(void **state)
{
	for (uint32_t seed = 0; seed < 20000; seed++) {
		uint16_t words[WORDS_N], to[WORDS_N];
		struct lb_address from_address, to_address;
		uint64_t sum;
		uint16_t before;

		fill(words, seed);
		fill(to, seed ^ 0x5a5a5a5a);
		if (seed % 5 == 0)
			memset(to, seed % 2 ? 0 : 0xff, sizeof(to));
		before = whole(words, WORDS_N);
		memcpy(&from_address, &words[2], 16);
		memcpy(&to_address, &to[2], 16);
		sum = lb_checksum_replace_address(0, &from_address, &to_address);
		sum = lb_checksum_replace32(sum, word32(&words[12]), word32(&to[12]));
		sum = lb_checksum_replace16(sum, words[16], to[16]);
		memcpy(&words[2], &to[2], 16);
		memcpy(&words[12], &to[12], 4);
		words[16] = to[16];
		assert_int_equal(lb_checksum_mend(before, sum), whole(words, WORDS_N));
	}
}

// By a folded sum: the same in fewer steps.
static void test_folded(void **state)
{
	const uint16_t sums[] = {0, 1, 0x7fff, 0x8000, 0xfffd, 0xfffe, 0xffff};

	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		for (uint32_t v = 0; v <= 0xffff; v++)
			assert_int_equal(lb_checksum_mend16((uint16_t)v, sums[i]),
					 lb_checksum_mend((uint16_t)v, sums[i]));
}

static void test_fold(void **state)
{
	assert_int_equal(lb_checksum_fold(0), 0);
	assert_int_equal(lb_checksum_fold(0xffff), 0xffff);
	assert_int_equal(lb_checksum_fold(0x10000), 1);
	assert_int_equal(lb_checksum_fold(0xffffffffffffffffull), 0xffff);
	assert_int_equal(lb_checksum_fold(0xfffffffe00000001ull), 0xffff);
	for (uint64_t v = 1; v < 1ull << 62; v = v * 3 + 1)
		assert_int_equal(lb_checksum_fold(v) % 0xffff, v % 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_word), cmocka_unit_test(test_every_checksum),
		cmocka_unit_test(test_addresses),  cmocka_unit_test(test_folded),
		cmocka_unit_test(test_fold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
