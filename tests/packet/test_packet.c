// SPDX-License-Identifier: BSD-2-Clause
//
// Runs every case of cases.txt (made by make_cases.py) through every executor: the
// verdict, the reason, the bytes that leave, and each byte of the tables afterwards
// must be what the case says. So executors that pass leave equal tables.
//
//   test_packet CASES.TXT
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>

#include "control/tables.h"
#include "dataplane/core/decide_rest.h"
#include "tests/packet/run.h"

#define NOW_S 10000000 // world.py: NOW

struct test {
	const struct run_executor *executor;
	const char *why_not; // it cannot run here; NULL: it can
	struct lb_tables *tables;
	const struct packet_case *pc;
};

static struct cases cases;
static struct tables *after; // what a case must leave
static uint32_t cpu;

static void print_bytes(const char *what, const uint8_t *bytes, size_t n)
{
	fprintf(stderr, "%s (%zu bytes): ", what, n);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%02x", bytes[i]);
	fprintf(stderr, "\n");
}

static void check_table(const char *name, const void *is, const void *must, size_t len)
{
	const uint8_t *a = is, *b = must;

	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i])
			fail_msg("table %s differs at byte %zu: is %02x, must be %02x", name, i,
				 a[i], b[i]);
}

static void run_case(void **state)
{
	const struct test *t = *state;
	static struct case_facts facts;
	static struct run_result result;
	const struct lb_meta *m = after->rows.meta;
	enum lb_verdict verdict;

	if (t->why_not) {
		print_message("skipped: %s\n", t->why_not);
		skip();
	}
	cases_fill(&cases, t->pc, false, cpu, t->tables, &facts);
	t->executor->run(&facts, cpu, &result);
	cases_fill(&cases, t->pc, true, cpu, &after->rows, &facts);
	assert_int_equal(facts.now_s, NOW_S);
	if (result.complaint)
		fail_msg("%s", result.complaint);
	verdict = lb_reason_verdict(facts.reason);
	if (verdict == LB_ANSWER) { // sent, where it came from
		verdict = LB_TRANSMIT;
		facts.ifindex = RUN_IFINDEX;
	}
	assert_int_equal(result.verdict, verdict);
	if (result.reason != LB_REASON_NONE)
		assert_int_equal(result.reason, facts.reason);
	if (result.verdict == LB_TRANSMIT && (result.ifindex || facts.ifindex == RUN_IFINDEX))
		assert_int_equal(result.ifindex, facts.ifindex);
	if (!facts.out_len) { // unchanged
		memcpy(facts.out, facts.in, facts.in_len);
		facts.out_len = facts.in_len;
	}
	if (result.out_len != facts.out_len || memcmp(result.out, facts.out, facts.out_len) != 0) {
		print_bytes("is  ", result.out, result.out_len);
		print_bytes("must", facts.out, facts.out_len);
		fail_msg("other bytes leave");
	}
#define CHECK(table, type, number)                                                                 \
	check_table(#table, t->tables->table, after->rows.table, sizeof(type) * (number));
	LB_TABLES(CHECK)
#undef CHECK
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
	static const struct run_executor *const executors[] = {
		&run_reference, &run_native,	  &run_xdp,	   &run_xdp_traced,
		&run_dpdk,	&run_dpdk_traced, &run_dpdk_worker};
	const size_t executors_n = sizeof(executors) / sizeof(executors[0]);
	struct CMUnitTest *tests;
	struct lb_meta meta;
	struct test *states;
	size_t n = 0;
	struct err e;
	int failed_n;

	if (argc != 2) {
		fprintf(stderr, "usage: test_packet CASES.TXT\n");
		return 2;
	}
	cases_read(argv[1], &cases);
	stay_on_cpu();
	cases_size(cpu + 1, &meta);
	if (tables_alloc(&meta, &after, &e))
		return 1;
	tests = calloc(executors_n * cases.n, sizeof(*tests));
	states = calloc(executors_n * cases.n, sizeof(*states));
	for (size_t x = 0; x < executors_n; x++) {
		struct lb_tables *rows = NULL;
		const char *why_not = executors[x]->start(&meta, NOW_S, &rows);

		for (size_t i = 0; i < cases.n; i++, n++) {
			char *name = NULL;

			if (asprintf(&name, "%s: %s", executors[x]->name, cases.all[i].sentence) <
			    0)
				return 1;
			states[n] = (struct test){executors[x], why_not, rows, &cases.all[i]};
			tests[n] = (struct CMUnitTest){name, run_case, NULL, NULL, &states[n]};
		}
	}
	failed_n = _cmocka_run_group_tests("packet", tests, n, NULL, NULL);
	for (size_t x = 0; x < executors_n; x++)
		executors[x]->stop();
	for (size_t i = 0; i < n; i++)
		free((char *)tests[i].name);
	free(tests);
	free(states);
	tables_close(after);
	cases_free(&cases);
	return failed_n != 0;
}
