// SPDX-License-Identifier: BSD-2-Clause
//
// dataplane/dpdk/trace_ring.h: records come out as they went in, whatever their lengths and
// wherever the ring's end is; a full ring counts and keeps what it has; and whatever the other
// side has written into the shared words, neither side leaves the ring.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dpdk/trace_ring.h"

// Fences on both sides of it.
static struct {
	uint8_t before[LB_TRACE_PAGE];
	struct lb_trace_ring ring;
	uint8_t after[LB_TRACE_PAGE];
} * area;
static struct lb_trace_ring *ring;

static int set_up(void **state)
{
	area = calloc(1, sizeof(*area));
	ring = &area->ring;
	return area ? 0 : -1;
}

static int tear_down(void **state)
{
	free(area);
	return 0;
}

static void assert_fences(void)
{
	for (size_t i = 0; i < LB_TRACE_PAGE; i++)
		assert_int_equal(area->before[i] | area->after[i], 0);
}

static uint8_t byte_of(uint32_t number, uint32_t i)
{
	return (uint8_t)(number * 31 + i);
}

static void put(uint32_t number, uint32_t before_snap, uint32_t after_snap)
{
	struct lb_trace_record r = {
		.time_ns = number, .before_snap = before_snap, .after_snap = after_snap};
	uint8_t bytes[2 * LB_TRACE_SNAP_MAX];

	for (uint32_t i = 0; i < before_snap + after_snap; i++)
		bytes[i] = byte_of(number, i);
	lb_trace_ring_put(ring, &r, bytes, bytes + before_snap);
}

static bool get(uint32_t number)
{
	uint8_t bytes[2 * LB_TRACE_SNAP_MAX];
	struct lb_trace_record r;

	if (!lb_trace_ring_get(ring, &r, bytes))
		return false;
	assert_int_equal(r.time_ns, number);
	for (uint32_t i = 0; i < r.before_snap + r.after_snap; i++)
		assert_int_equal(bytes[i], byte_of(number, i));
	return true;
}

// Many times round, and over the place where 32 bits wrap.
static void test_round(void **state)
{
	ring->head = ring->tail = UINT32_MAX - 3 * (uint64_t)LB_TRACE_RING_BYTES - 7;
	for (uint32_t i = 0; i < 4096; i++) {
		put(i, i % (LB_TRACE_SNAP_MAX + 1), i * 7 % (LB_TRACE_SNAP_MAX + 1));
		put(~i, i % 3, LB_TRACE_SNAP_MAX);
		assert_true(get(i));
		assert_true(get(~i));
		assert_false(get(0));
	}
	assert_true(ring->head > (uint64_t)UINT32_MAX + LB_TRACE_RING_BYTES);
	assert_int_equal(ring->counts.lost, 0);
	assert_fences();
}

static void test_full(void **state)
{
	uint32_t in_n = 0, out_n = 0;

	while (!ring->counts.lost)
		put(in_n++, 1000, 1000);
	in_n--;
	assert_int_equal(in_n, LB_TRACE_RING_BYTES / (sizeof(struct lb_trace_record) + 2000));
	put(in_n, 1000, 1000);
	assert_int_equal(ring->counts.lost, 2);
	while (get(out_n))
		out_n++;
	assert_int_equal(out_n, in_n);
	put(out_n, 1000, 1000);
	assert_true(get(out_n));
	assert_int_equal(ring->counts.lost, 2);
	assert_fences();
}

// The worker: the reader's word may be anything.
static void test_tail_is_wrong(void **state)
{
	const uint64_t tails[] = {1, 1ull << 63, UINT64_MAX - LB_TRACE_RING_BYTES};

	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		ring->tail = tails[i];
		ring->head = 0;
		put(1, LB_TRACE_SNAP_MAX, LB_TRACE_SNAP_MAX);
		assert_int_equal(ring->head, 0);
		assert_int_equal(ring->counts.lost, i + 1);
	}
	assert_fences();
}

// lbd: so may the writer's word, and the records.
static void test_head_is_wrong(void **state)
{
	const uint64_t heads[] = {1, 8, UINT64_MAX, 1ull << 63, LB_TRACE_RING_BYTES + 8};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		ring->tail = 0;
		ring->head = heads[i];
		assert_false(get(0));
		// It goes on behind.
		assert_true(ring->tail == heads[i]);
		put(5, 100, 20);
		assert_true(get(5));
	}
	assert_fences();
}

static void test_record_is_wrong(void **state)
{
	const struct lb_trace_record wrong[] = {
		{.before_snap = LB_TRACE_SNAP_MAX + 1},
		{.after_snap = LB_TRACE_SNAP_MAX + 1},
		{.before_snap = UINT32_MAX, .after_snap = 64},
		{.before_snap = 2000, .after_snap = 2000}, // longer than what was written
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put(1, 40, 40);
		lb_trace_ring_write(ring, ring->tail, &wrong[i], sizeof(wrong[i]));
		assert_false(get(0));
		put(2, 40, 40);
		assert_true(get(2));
	}
	assert_fences();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tail_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_head_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_record_is_wrong, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
