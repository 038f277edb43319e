// SPDX-License-Identifier: BSD-2-Clause
//
// The differential run: random frames on random tables through every executor that
// this host can run. Verdict, interface, bytes, and every byte of the tables must be
// the same; after each packet, and for an executor that takes bursts after each burst.
// The seed is printed; a seed gives the same packets everywhere.
//
//   differential [--packets N] [--seed N]      the run
//   differential --seed N --only PACKET        that packet again: all that is known of it
//
// Another executor (run.h) is another line of `executors`. The first one, the reference, is
// what the others are compared with.
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/reasons.h"
#include "control/tables.h"
#include "dataplane/core/decide_rest.h"
#include "tests/packet/differential/world.h"
#include "tests/packet/run.h"

#define WORLD_PKTS 256 // then the tables are made anew
#define BURST_MAX 32
#define NOW_S (LB_ENTRY_TIME_MASK + 1000u) // an entry's time wraps just before
#define SKIPPED 77

static const struct run_executor *const executors[] = {
	&run_reference,	    &run_native,      &run_xdp,		&run_xdp_traced,	 &run_dpdk,
	&run_dpdk_segments, &run_dpdk_traced, &run_dpdk_bursts, &run_dpdk_worker_bursts,
};
#define EXECUTORS_N (sizeof(executors) / sizeof(executors[0]))

struct side {
	const struct run_executor *executor;
	struct lb_tables *tables;
	struct run_result results[BURST_MAX];
};

static struct {
	uint64_t seed;
	uint64_t packets_n;
	int64_t only; // -1: all
	uint32_t cpu;
	struct side sides[EXECUTORS_N];
	size_t sides_n;
	struct tables *made; // a world's tables, before any packet
	struct world world;
	struct case_facts facts[BURST_MAX];
	uint64_t verdicts[LB_VERDICT_N];
	uint64_t reasons[LB_REASON_N];
} run;

// ---- what is said ----

static void print_bytes(const char *what, const uint8_t *bytes, size_t n)
{
	printf("  %-20s %4zu bytes: ", what, n);
	for (size_t i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	printf("\n");
}

// @with_bursts: those that take bursts have taken this one.
static void print_packet(size_t i, bool with_bursts)
{
	print_bytes("in", run.facts[i].in, run.facts[i].in_len);
	for (size_t x = 0; x < run.sides_n; x++) {
		const struct run_result *r = &run.sides[x].results[i];

		if (run.sides[x].executor->run_burst && !with_bursts)
			continue;
		printf("  %-20s %s%s%s, interface %u%s%s\n", run.sides[x].executor->name,
		       verdict_name(r->verdict), r->reason ? ", " : "",
		       r->reason ? reason_label(r->reason) : "", r->ifindex,
		       r->complaint ? ": " : "", r->complaint ? r->complaint : "");
		print_bytes("  out", r->out, r->out_len);
	}
}

// ---- comparing ----

// How @b differs from @a, in words; NULL: not at all.
static const char *compare_results(const struct run_result *a, const struct run_result *b)
{
	if (b->complaint)
		return b->complaint;
	if (a->verdict != b->verdict)
		return "another verdict";
	if (a->reason && b->reason && a->reason != b->reason)
		return "another reason";
	if (a->verdict == LB_TRANSMIT && a->ifindex && b->ifindex && a->ifindex != b->ifindex)
		return "another interface";
	if (a->out_len != b->out_len)
		return "another length";
	return memcmp(a->out, b->out, a->out_len) ? "other bytes" : NULL;
}

static const char *compare_table(const char *name, const void *must, const void *is, size_t len,
				 size_t row_bytes)
{
	static char text[200];
	const uint8_t *a = must, *b = is;
	size_t at = 0;

	if (memcmp(a, b, len) == 0)
		return NULL;
	while (a[at] == b[at])
		at++;
	at -= at % 4;
	snprintf(text, sizeof(text),
		 "table %s differs in row %zu, byte %zu: %02x%02x%02x%02x, "
		 "must be %02x%02x%02x%02x",
		 name, at / row_bytes, at % row_bytes, b[at], b[at + 1], b[at + 2], b[at + 3],
		 a[at], a[at + 1], a[at + 2], a[at + 3]);
	return text;
}

static const char *compare_tables(const struct lb_tables *must, const struct lb_tables *is)
{
	const struct lb_meta *m = must->meta;
	const char *text = NULL;

#define COMPARE(table, type, number)                                                               \
	if (!text)                                                                                 \
		text = compare_table(#table, must->table, is->table, sizeof(type) * (number),      \
				     sizeof(type));
	LB_TABLES(COMPARE)
#undef COMPARE
	return text;
}

// Whether side @x did the same as the first one with packets @from to @to of the burst; @number is
// the first one's.
static bool is_same(size_t x, size_t from, size_t to, uint64_t number)
{
	const char *text = NULL;
	size_t i = from;

	while (!text && i < to) {
		text = compare_results(&run.sides[0].results[i], &run.sides[x].results[i]);
		i += !text;
	}
	if (!text)
		text = compare_tables(run.sides[0].tables, run.sides[x].tables);
	if (!text)
		return true;
	i = i < to ? i : to - 1;
	printf("packet %llu: %s is not as %s: %s\n", (unsigned long long)(number + i),
	       run.sides[x].executor->name, run.sides[0].executor->name, text);
	if (to - from > 1)
		printf("(the last of a burst of %zu)\n", to - from);
	print_packet(i, run.sides[x].executor->run_burst);
	printf("again: differential --seed %llu --only %llu\n", (unsigned long long)run.seed,
	       (unsigned long long)(number + i));
	return false;
}

// ---- running ----

static void start_world(uint64_t number)
{
	const struct lb_meta *m = run.made->rows.meta;
	struct random mix = {run.seed ^ number << 32};

	world_fill(&run.world, random_next(&mix), NOW_S, &run.made->rows);
	for (size_t x = 0; x < run.sides_n; x++) {
#define COPY(table, type, number)                                                                  \
	memcpy(run.sides[x].tables->table, run.made->rows.table, sizeof(type) * (number));
		LB_TABLES(COPY)
#undef COPY
	}
}

static bool run_single(size_t i, uint64_t number)
{
	for (size_t x = 0; x < run.sides_n; x++) {
		struct side *s = &run.sides[x];

		if (s->executor->run_burst)
			continue;
		s->executor->run(&run.facts[i], run.cpu, &s->results[i]);
		if (!is_same(x, i, i + 1, number - i))
			return false;
	}
	run.verdicts[run.sides[0].results[i].verdict]++;
	run.reasons[run.sides[0].results[i].reason]++;
	return true;
}

// @number: the burst's first packet.
static bool run_burst(size_t n, uint64_t number)
{
	for (size_t i = 0; i < n; i++) {
		frame_make(&run.world, &run.facts[i]);
		if (!run_single(i, number + i))
			return false;
	}
	for (size_t x = 0; x < run.sides_n; x++) {
		struct side *s = &run.sides[x];

		if (!s->executor->run_burst)
			continue;
		s->executor->run_burst(run.facts, n, run.cpu, s->results);
		if (!is_same(x, 0, n, number))
			return false;
	}
	if (run.only >= 0 && (uint64_t)run.only - number < n)
		print_packet((uint64_t)run.only - number, true);
	return true;
}

static bool run_all(void)
{
	uint64_t number = 0, end = run.packets_n;

	if (run.only >= 0) {
		number = (uint64_t)run.only / WORLD_PKTS * WORLD_PKTS;
		end = (uint64_t)run.only + 1;
	}
	while (number < end) {
		uint64_t left = WORLD_PKTS - number % WORLD_PKTS;
		size_t n;

		if (left == WORLD_PKTS)
			start_world(number / WORLD_PKTS);
		n = run.world.has_rates ? 1 : 1 + random_below(&run.world.random, BURST_MAX);
		n = n < left ? n : left;
		if (!run_burst(n, number))
			return false;
		number += n;
	}
	return true;
}

// ---- start and end ----

static void start_sides(void)
{
	struct lb_meta meta;
	struct err e;

	world_size(run.cpu + 1, &meta);
	if (tables_alloc(&meta, &run.made, &e))
		exit(1);
	for (size_t i = 0; i < EXECUTORS_N; i++) {
		struct side *s = &run.sides[run.sides_n];
		const char *why_not = executors[i]->start(&meta, NOW_S, &s->tables);

		s->executor = executors[i];
		if (why_not)
			printf("without %s: %s\n", executors[i]->name, why_not);
		else
			run.sides_n++;
	}
}

static void stop_sides(void)
{
	for (size_t x = 0; x < run.sides_n; x++)
		run.sides[x].executor->stop();
	tables_close(run.made);
}

static void print_totals(void)
{
	printf("%llu packets the same through", (unsigned long long)run.packets_n);
	for (size_t x = 0; x < run.sides_n; x++)
		printf("%s %s", x ? ";" : "", run.sides[x].executor->name);
	printf("\nsent on %llu, the kernel's %llu, dropped %llu; not met:",
	       (unsigned long long)run.verdicts[LB_TRANSMIT],
	       (unsigned long long)run.verdicts[LB_PASS],
	       (unsigned long long)run.verdicts[LB_DROP]);
	for (size_t i = 1; i < LB_REASON_N; i++)
		if (!run.reasons[i])
			printf(" %s", reason_label((enum lb_reason)i));
	printf("\n");
}

// The counters are rows per CPU, so stay on one.
static void stay_on_cpu(void)
{
	cpu_set_t set;

	run.cpu = (uint32_t)sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET(run.cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void read_arguments(int argc, char **argv)
{
	static const struct option options[] = {{"packets", required_argument, NULL, 'p'},
						{"seed", required_argument, NULL, 's'},
						{"only", required_argument, NULL, 'o'},
						{0}};
	int option;

	run.seed = (uint64_t)time(NULL);
	run.packets_n = 1000000;
	run.only = -1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p') {
			run.packets_n = strtoull(optarg, NULL, 0);
		} else if (option == 's') {
			run.seed = strtoull(optarg, NULL, 0);
		} else if (option == 'o') {
			run.only = strtoll(optarg, NULL, 0);
		} else {
			fprintf(stderr,
				"usage: differential [--packets N] [--seed N] [--only N]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	bool is_done;

	read_arguments(argc, argv);
	printf("seed %llu\n", (unsigned long long)run.seed);
	fflush(stdout); // whatever happens
	stay_on_cpu();
	start_sides();
	if (run.sides_n < 2) {
		printf("skipped: one executor alone has none to be compared with\n");
		stop_sides();
		return SKIPPED;
	}
	is_done = run_all();
	if (is_done && run.only < 0)
		print_totals();
	stop_sides();
	return !is_done;
}
