// SPDX-License-Identifier: BSD-2-Clause
//
// control/maglev.c: what a ring must be. Balance, weights, small disruption, and
// the same ring whatever the order of the input. Times are printed, not asserted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/maglev.h"

#define RING 65537
#define BACKENDS_MAX 1000

static const uint64_t key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};

// 10.1.x.y:8080, values 1 to n.
static void make_backends(struct maglev_backend *b, uint32_t n)
{
	memset(b, 0, n * sizeof(*b));
	for (uint32_t i = 0; i < n; i++) {
		b[i].address.bytes[10] = b[i].address.bytes[11] = 0xff;
		b[i].address.bytes[12] = 10;
		b[i].address.bytes[13] = 1;
		b[i].address.bytes[14] = (uint8_t)(i >> 8);
		b[i].address.bytes[15] = (uint8_t)i;
		b[i].port = 8080;
		b[i].weight = 100;
		b[i].value = i + 1;
	}
}

static uint32_t *ring_new(uint32_t n)
{
	uint32_t *slots = calloc(n, sizeof(*slots));

	assert_non_null(slots);
	return slots;
}

// How many slots each value has; counts[0] too.
static void count(const uint32_t *slots, uint32_t slots_n, uint32_t *counts, uint32_t backends_n)
{
	memset(counts, 0, (backends_n + 1) * sizeof(*counts));
	for (uint32_t i = 0; i < slots_n; i++) {
		assert_in_range(slots[i], 0, backends_n);
		counts[slots[i]]++;
	}
}

// The share of the slots that @value has neither before nor after, and that moved.
static double moved_of_others(const uint32_t *before, const uint32_t *after, uint32_t slots_n,
			      uint32_t value)
{
	uint32_t others = 0, moved = 0;

	for (uint32_t i = 0; i < slots_n; i++) {
		if (before[i] == value || after[i] == value)
			continue;
		others++;
		moved += before[i] != after[i];
	}
	return (double)moved / others;
}

static void equal_weights_differ_by_one_slot_at_most(void **state)
{
	static const uint32_t rings[] = {3, 5, 251, 16381, RING};
	static const uint32_t ns[] = {1, 2, 3, 7, 100, 999, 1000};
	static struct maglev_backend b[BACKENDS_MAX];
	static uint32_t counts[BACKENDS_MAX + 1];

	for (size_t r = 0; r < sizeof(rings) / sizeof(*rings); r++) {
		uint32_t *slots = ring_new(rings[r]);

		for (size_t j = 0; j < sizeof(ns) / sizeof(*ns); j++) {
			uint32_t floor = rings[r] / ns[j];

			make_backends(b, ns[j]);
			assert_int_equal(maglev_build(b, ns[j], key, slots, rings[r]), 0);
			count(slots, rings[r], counts, ns[j]);
			assert_int_equal(counts[0], 0);
			for (uint32_t i = 1; i <= ns[j]; i++)
				assert_in_range(counts[i], floor, floor + 1);
		}
		free(slots);
	}
}

static void one_of_a_hundred_leaves_and_few_others_move(void **state)
{
	static struct maglev_backend b[100];
	uint32_t *before = ring_new(RING), *after = ring_new(RING);
	double worst = 0;

	make_backends(b, 100);
	assert_int_equal(maglev_build(b, 100, key, before, RING), 0);
	for (uint32_t i = 0; i < 100; i++) {
		struct maglev_backend gone = b[i];
		double moved;

		b[i] = b[99];
		assert_int_equal(maglev_build(b, 99, key, after, RING), 0);
		b[i] = gone;
		moved = moved_of_others(before, after, RING, gone.value);
		worst = moved > worst ? moved : worst;
	}
	print_message("one of 100 leaves a ring of %d: at worst %.2f %% of other slots move\n",
		      RING, worst * 100);
	assert_true(worst > 0 && worst <= 0.01);
	free(before);
	free(after);
}

static void a_weight_changes_and_few_others_move(void **state)
{
	static const uint32_t weights[] = {0, 1, 50, 99, 101, 200, 1000};
	static struct maglev_backend b[100];
	uint32_t *before = ring_new(RING), *after = ring_new(RING);

	make_backends(b, 100);
	assert_int_equal(maglev_build(b, 100, key, before, RING), 0);
	for (size_t w = 0; w < sizeof(weights) / sizeof(*weights); w++) {
		double worst = 0;

		for (uint32_t i = 0; i < 100; i += 9) {
			double moved;

			b[i].weight = weights[w];
			assert_int_equal(maglev_build(b, 100, key, after, RING), 0);
			b[i].weight = 100;
			moved = moved_of_others(before, after, RING, b[i].value);
			worst = moved > worst ? moved : worst;
		}
		print_message(
			"weight 100 -> %u of one of 100: at worst %.2f %% of other slots move\n",
			weights[w], worst * 100);
		assert_true(worst <= 0.015);
	}
	free(before);
	free(after);
}

static void order_and_values_do_not_matter(void **state)
{
	static struct maglev_backend b[100];
	uint32_t *one = ring_new(16381), *other = ring_new(16381);
	uint32_t new_value[101];

	make_backends(b, 100);
	for (uint32_t i = 0; i < 100; i++)
		b[i].weight = 1 + i * 7 % 13;
	assert_int_equal(maglev_build(b, 100, key, one, 16381), 0);
	srand(1);
	for (uint32_t i = 99; i > 0; i--) {
		uint32_t j = (uint32_t)rand() % (i + 1);
		struct maglev_backend t = b[i];

		b[i] = b[j];
		b[j] = t;
	}
	// Values by the new order.
	for (uint32_t i = 0; i < 100; i++) {
		new_value[b[i].value] = 5000 + i;
		b[i].value = 5000 + i;
	}
	assert_int_equal(maglev_build(b, 100, key, other, 16381), 0);
	for (uint32_t i = 0; i < 16381; i++)
		assert_int_equal(new_value[one[i]], other[i]);
	free(one);
	free(other);
}

static void key_address_and_port_matter(void **state)
{
	const uint64_t other_key[2] = {key[0], key[1] + 1};
	struct maglev_backend b[10];
	uint32_t *one = ring_new(16381), *other = ring_new(16381);

	make_backends(b, 10);
	assert_int_equal(maglev_build(b, 10, key, one, 16381), 0);
	assert_int_equal(maglev_build(b, 10, other_key, other, 16381), 0);
	// Two rings of 10 that know nothing of each other agree in a tenth of the slots.
	assert_true(moved_of_others(one, other, 16381, 0) > 0.85);
	for (int i = 0; i < 10; i++)
		b[i].port = 8081;
	assert_int_equal(maglev_build(b, 10, key, other, 16381), 0);
	assert_true(moved_of_others(one, other, 16381, 0) > 0.85);
	free(one);
	free(other);
}

static void weights_are_honoured_within_two_percent(void **state)
{
	static struct maglev_backend b[100];
	static uint32_t counts[101];
	uint32_t *slots = ring_new(RING);

	srand(2);
	for (int round = 0; round < 20; round++) {
		uint64_t sum = 0;

		make_backends(b, 100);
		for (uint32_t i = 0; i < 100; i++)
			sum += b[i].weight = i < 5 ? 0 : 100 + (uint32_t)rand() % 901;
		assert_int_equal(maglev_build(b, 100, key, slots, RING), 0);
		count(slots, RING, counts, 100);
		for (uint32_t i = 0; i < 100; i++) {
			double want = (double)RING * b[i].weight / (double)sum;

			if (i < 5)
				assert_int_equal(counts[i + 1], 0);
			else
				assert_true(counts[i + 1] > want * 0.98 &&
					    counts[i + 1] < want * 1.02);
		}
	}
	free(slots);
}

static void a_tiny_weight_gets_its_share_or_a_slot_less(void **state)
{
	static struct maglev_backend b[3];
	static uint32_t counts[4];
	uint32_t *slots = ring_new(RING);

	make_backends(b, 3);
	b[0].weight = b[1].weight = 1000;
	b[2].weight = 1;
	assert_int_equal(maglev_build(b, 3, key, slots, RING), 0);
	count(slots, RING, counts, 3);
	assert_in_range(counts[3], RING / 2001, RING / 2001 + 1);
	free(slots);
}

static void no_weight_no_backend_no_prime(void **state)
{
	struct maglev_backend b[2];
	uint32_t slots[7];

	make_backends(b, 2);
	b[0].weight = b[1].weight = 0;
	for (size_t n = 0; n <= 2; n += 2) {
		memset(slots, 0xff, sizeof(slots));
		assert_int_equal(maglev_build(b, n, key, slots, 7), 0);
		for (int i = 0; i < 7; i++)
			assert_int_equal(slots[i], 0);
	}
	b[0].weight = 1;
	assert_int_equal(maglev_build(b, 2, key, slots, 6), -EINVAL);
	assert_int_equal(maglev_build(b, 2, key, slots, 1), -EINVAL);
	assert_int_equal(maglev_build(b, 2, key, slots, 0), -EINVAL);
	assert_int_equal(maglev_build(b, 2, key, slots, 2), 0);
	assert_int_equal(slots[0], 1);
	assert_int_equal(slots[1], 1);
}

static void primes_are_told(void **state)
{
	static const uint32_t primes[] = {2, 3, 5, 16381, RING, 655373, 16777213, 4294967291u};
	static const uint32_t others[] = {0,	 1,	   4,		9,	    16383,
					  65535, 16777215, 4294967295u, 4294836225u};

	for (size_t i = 0; i < sizeof(primes) / sizeof(*primes); i++)
		assert_true(maglev_is_prime(primes[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_false(maglev_is_prime(others[i]));
}

static double build_ms(struct maglev_backend *b, uint32_t n, uint32_t *slots)
{
	struct timespec t0, t1;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(maglev_build(b, n, key, slots, RING), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	return (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
}

static void times_are_told(void **state)
{
	static struct maglev_backend b[BACKENDS_MAX];
	uint32_t *slots = ring_new(RING);
	double equal = 1e9, skewed = 1e9, mixed = 1e9;

	for (int round = 0; round < 20; round++) {
		double ms;

		make_backends(b, BACKENDS_MAX);
		ms = build_ms(b, BACKENDS_MAX, slots);
		equal = ms < equal ? ms : equal;
		for (uint32_t i = 0; i < BACKENDS_MAX; i++)
			b[i].weight = i ? 1 : 1000;
		ms = build_ms(b, BACKENDS_MAX, slots);
		skewed = ms < skewed ? ms : skewed;
		for (uint32_t i = 0; i < BACKENDS_MAX; i++)
			b[i].weight = i + 1;
		ms = build_ms(b, BACKENDS_MAX, slots);
		mixed = ms < mixed ? ms : mixed;
	}
	print_message("ring of %d, 1000 backends: %.2f ms (equal weights), %.2f ms (1000 and 999 "
		      "times 1), %.2f ms (1 to 1000)\n",
		      RING, equal, skewed, mixed);
	free(slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_weights_differ_by_one_slot_at_most),
		cmocka_unit_test(one_of_a_hundred_leaves_and_few_others_move),
		cmocka_unit_test(a_weight_changes_and_few_others_move),
		cmocka_unit_test(order_and_values_do_not_matter),
		cmocka_unit_test(key_address_and_port_matter),
		cmocka_unit_test(weights_are_honoured_within_two_percent),
		cmocka_unit_test(a_tiny_weight_gets_its_share_or_a_slot_less),
		cmocka_unit_test(no_weight_no_backend_no_prime),
		cmocka_unit_test(primes_are_told),
		cmocka_unit_test(times_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
