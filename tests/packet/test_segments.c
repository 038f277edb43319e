// SPDX-License-Identifier: BSD-2-Clause
//
// Every case of cases.txt through the DPDK walk again, as chains of segments: what
// becomes of a chain, and each byte of the tables afterwards, must be what became of
// the same frame in one segment (which test_packet.c judges). The first segment ends at
// every offset that the walk may read (every seventh of a long payload), so in and between
// all headers, those of a quoted packet too; behind it come one segment, or empty and very small
// ones. It has just the room that the walk asks for (walk.h), in front and behind. With less than
// that behind a packet may be read as one that is cut, but it must be counted, and stay sound.
//
//   test_segments CASES.TXT
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>

#include "control/tables.h"
#include "dataplane/core/decide_rest.h"
#include "dataplane/dpdk/walk.h"
#include "tests/packet/run_dpdk.h"

#define NOW_S 10000000 // world.py: NOW
// What the walk reads of a frame, and what it needs for an answer. Cuts behind the first are all
// one.
#define READ_MAX LB_PARSE_BYTES_MAX
#define ANSWERED_MAX WALK_CONTIGUOUS_MAX
#define CUTS_MAX (READ_MAX + 2)
#define LONG_HEADERS 200 // as long as those of a frame of more than CUTS_MAX
#define ONES_MAX 800	 // of segments of one byte

// What comes behind the first segment.
enum behind { REST, UNEVEN, ONES, BEHIND_N };
static const char *const behind_names[BEHIND_N] = {"the rest", "0, 1 and 2 bytes and the rest",
						   "single bytes"};

struct shape {
	size_t headroom, first, tailroom; // bytes: of the first segment
	enum behind behind;
};

static struct cases cases;
static uint32_t cpu;
static struct lb_tables *tables;      // those that are walked
static struct tables *before, *after; // as the case has them; as the frame in one segment left them
static struct case_facts facts;
static struct run_result must, is;

// ---- chains ----

static size_t next_len(enum behind behind, size_t i, size_t left)
{
	if (behind == UNEVEN && i < 3)
		return i < left ? i : left;
	return behind == ONES && i < ONES_MAX ? 1 : left;
}

static struct rte_mbuf *make_chain(const struct shape *s)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(run_dpdk_pool);
	size_t at = s->first;

	head->data_off = (uint16_t)s->headroom;
	memcpy(rte_pktmbuf_append(head, (uint16_t)s->first), facts.in, s->first);
	for (size_t i = 0; at < facts.in_len; i++) {
		size_t len = next_len(s->behind, i, facts.in_len - at);

		rte_pktmbuf_chain(head, run_dpdk_make(facts.in + at, len));
		at += len;
	}
	head->buf_len = (uint16_t)(s->headroom + s->first + s->tailroom);
	return head;
}

static void copy_tables(const struct lb_tables *from, struct lb_tables *to)
{
	const struct lb_meta *m = from->meta;

#define COPY(table, type, number) memcpy(to->table, from->table, sizeof(type) * (number));
	LB_TABLES(COPY)
#undef COPY
}

static void walk(const struct shape *s, struct run_result *ret)
{
	struct rte_mbuf *head;
	uint16_t buf_len;

	copy_tables(&before->rows, tables);
	head = rte_pktmbuf_alloc(run_dpdk_pool);
	buf_len = head->buf_len;
	rte_pktmbuf_free(head);
	head = make_chain(s);
	run_dpdk_walk(head, &facts, cpu, ret);
	head->buf_len = buf_len; // it is in the pool again
}

// ---- judging ----

// The name of a table that is not as it must be; NULL: they all are.
static const char *find_other_table(void)
{
	const struct lb_meta *m = before->rows.meta;
	const char *name = NULL;

#define COMPARE(table, type, number)                                                               \
	if (memcmp(tables->table, after->rows.table, sizeof(type) * (number)) != 0)                \
		name = #table;
	LB_TABLES(COMPARE)
#undef COMPARE
	return name;
}

// How @is differs from what became of the frame in one segment, in words; NULL: not at all.
static const char *find_difference(void)
{
	if (is.complaint)
		return is.complaint;
	if (is.verdict != must.verdict)
		return "another verdict";
	if (is.ifindex != must.ifindex)
		return "another interface";
	if (is.out_len != must.out_len || memcmp(is.out, must.out, is.out_len) != 0)
		return "other bytes";
	return find_other_table();
}

static uint64_t counted_n(const struct lb_tables *t)
{
	uint64_t n = 0;

	for (size_t i = 0; i < LB_REASON_N; i++)
		n += t->reason_counters[cpu * LB_REASON_LINES + i / LB_REASONS_PER_LINE]
			     .pkts[i % LB_REASONS_PER_LINE];
	return n;
}

// The same where the walk had room to read the packet, but not to answer it: it may be dropped.
static const char *find_wrong_answer(void)
{
	if (is.verdict != LB_DROP || must.verdict != LB_TRANSMIT || must.ifindex != RUN_IFINDEX)
		return find_difference();
	return is.complaint;
}

// What is wrong where it had less.
static const char *find_unsound(void)
{
	if (is.complaint)
		return is.complaint;
	if (counted_n(tables) != counted_n(&before->rows) + 1)
		return "it is not counted once";
	if (is.verdict == LB_PASS &&
	    (is.out_len != facts.in_len || memcmp(is.out, facts.in, is.out_len) != 0))
		return "it is the kernel's with other bytes";
	return NULL;
}

static void check(size_t headroom, size_t first, size_t tailroom, enum behind behind,
		  const char *judge(void))
{
	const struct shape s = {headroom, first, tailroom, behind};
	const char *text;

	walk(&s, &is);
	text = judge();
	if (text)
		fail_msg("%zu of %zu bytes, then %s; room for %zu in front, %zu behind: %s", first,
			 facts.in_len, behind_names[behind], headroom, tailroom, text);
}

// ---- the cuts ----

// Just the room behind the first segment's @first bytes so that it may have @len of the frame's.
static size_t room_for(size_t first, size_t len)
{
	len = len < facts.in_len ? len : facts.in_len;
	return len > first ? len - first : 0;
}

static void run_linear(size_t headroom)
{
	const struct shape s = {headroom, facts.in_len, 0, REST};

	walk(&s, &must);
	assert_null(must.complaint);
	copy_tables(tables, &after->rows);
}

static size_t next_cut(size_t first)
{
	return first + (facts.in_len > CUTS_MAX && first > LONG_HEADERS ? 7 : 1);
}

static void run_cuts(size_t headroom)
{
	const size_t end = facts.in_len < CUTS_MAX ? facts.in_len : CUTS_MAX;

	for (size_t first = 0; first < end; first = next_cut(first)) {
		size_t room = room_for(first, READ_MAX), more = room_for(first, ANSWERED_MAX);

		check(headroom, first, more, REST, find_difference);
		check(headroom, first, more, UNEVEN, find_difference);
		if (more > room)
			check(headroom, first, room, REST, find_wrong_answer);
		if (room)
			check(headroom, first, room - 1, UNEVEN, find_unsound);
		check(headroom, first, 0, REST, find_unsound);
	}
	check(headroom, 0, room_for(0, ANSWERED_MAX), ONES, find_difference);
	check(headroom, 1, room_for(1, ANSWERED_MAX), ONES, find_difference);
}

static void run_case(void **state)
{
	// What outer headers and those of answers take, and less: even, as NICs have it.
	static const size_t headrooms[] = {0, 18, 20, 26, 28, 38, 40, 46, 48};

	cases_fill(&cases, *state, false, cpu, &before->rows, &facts);
	run_linear(RTE_PKTMBUF_HEADROOM);
	run_cuts(RTE_PKTMBUF_HEADROOM);
	for (size_t i = 0; i < sizeof(headrooms) / sizeof(headrooms[0]); i++) {
		run_linear(headrooms[i]);
		for (size_t first = 1; first < facts.in_len; first += first)
			check(headrooms[i], first, room_for(first, ANSWERED_MAX), UNEVEN,
			      find_difference);
	}
}

// The counters are rows per CPU, so stay on one.
static void stay_on_cpu(void)
{
	cpu_set_t set;

	cpu = (uint32_t)sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	struct CMUnitTest *tests;
	const char *why_not;
	struct lb_meta meta;
	struct err e;
	int failed_n;

	if (argc != 2) {
		fprintf(stderr, "usage: test_segments CASES.TXT\n");
		return 2;
	}
	cases_read(argv[1], &cases);
	stay_on_cpu();
	cases_size(cpu + 1, &meta);
	why_not = run_dpdk.start(&meta, NOW_S, &tables);
	if (why_not) {
		printf("skipped: %s\n", why_not);
		return 77;
	}
	if (tables_alloc(&meta, &before, &e) || tables_alloc(&meta, &after, &e))
		return 1;
	tests = calloc(cases.n, sizeof(*tests));
	for (size_t i = 0; i < cases.n; i++)
		tests[i] = (struct CMUnitTest){cases.all[i].sentence, run_case, NULL, NULL,
					       &cases.all[i]};
	failed_n = _cmocka_run_group_tests("segments", tests, cases.n, NULL, NULL);
	run_dpdk.stop();
	free(tests);
	tables_close(before);
	tables_close(after);
	cases_free(&cases);
	return failed_n != 0;
}
