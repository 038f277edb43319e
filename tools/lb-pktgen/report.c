// SPDX-License-Identifier: BSD-2-Clause
//
// Paces the engine and says what happened: a line a second, then the totals; or, with
// --json, the totals as one document. Packets are sent in runs short enough that a
// second's line is on time and a rate is smooth.
#include "tools/lb-pktgen/pktgen.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define RUN_PKTS 65536	     // at full speed
#define TICK_NS 1000000ull   // at a rate
#define QUIET_NS 20000000ull // the sink has counted nothing for so long: all is there
#define QUIET_TRIES 50

static volatile sig_atomic_t is_interrupted;

static void on_signal(int signal)
{
	is_interrupted = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec time = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

	nanosleep(&time, NULL);
}

struct progress {
	uint64_t start_ns, sent;
	// As of the last line.
	uint64_t line_ns, line_sent, line_received;
};

static void print_line(const struct options *o, struct engine *g, struct progress *p)
{
	struct traffic_counters received;
	uint64_t now = now_ns();
	double us = (now - p->line_ns) / 1e3;

	g->kind->get_received(g, &received);
	printf("%4llu s  sent %7.3f Mpps", (unsigned long long)((now - p->start_ns) / NS_PER_S),
	       (p->sent - p->line_sent) / us);
	if (o->sink)
		printf("  received %7.3f Mpps", (received.pkts - p->line_received) / us);
	putchar('\n');
	fflush(stdout);
	p->line_ns = now;
	p->line_sent = p->sent;
	p->line_received = received.pkts;
}

// How many packets are due now; 0: none yet.
static uint32_t get_due(const struct options *o, const struct progress *p, uint64_t now)
{
	uint64_t due = RUN_PKTS;

	if (o->rate)
		due = (double)(now - p->start_ns) / NS_PER_S * o->rate - p->sent;
	if (o->packets && due > o->packets - p->sent)
		due = o->packets - p->sent;
	return due < RUN_PKTS ? due : RUN_PKTS;
}

static bool is_done(const struct options *o, const struct progress *p, uint64_t now)
{
	return is_interrupted || (o->packets && p->sent >= o->packets) ||
	       (o->seconds && now - p->start_ns >= o->seconds * NS_PER_S);
}

// Waits until the sink has counted what is on its way.
static void await_quiet(const struct options *o, struct engine *g, const struct progress *p,
			struct traffic_counters *ret)
{
	uint64_t before;

	g->kind->get_received(g, ret);
	if (!o->sink)
		return;
	for (int i = 0; i < QUIET_TRIES && ret->pkts < p->sent; i++) {
		before = ret->pkts;
		sleep_ns(QUIET_NS);
		g->kind->get_received(g, ret);
		if (ret->pkts == before)
			return;
	}
}

static void print_totals(const struct options *o, const struct progress *p, uint64_t spent_ns,
			 const struct traffic_counters *received)
{
	double us = spent_ns / 1e3;
	json_int_t lost = (json_int_t)(p->sent - received->pkts);
	json_t *root;

	if (!o->is_json && !o->sink) {
		printf("sent %llu in %.2f s, %.3f Mpps\n", (unsigned long long)p->sent, us / 1e6,
		       p->sent / us);
		return;
	}
	if (!o->is_json) {
		printf("sent %llu in %.2f s, %.3f Mpps; received %llu (%.3f Mpps), lost %lld\n",
		       (unsigned long long)p->sent, us / 1e6, p->sent / us,
		       (unsigned long long)received->pkts, received->pkts / us, (long long)lost);
		return;
	}
	root = json_pack("{sIsfsf}", "sent", (json_int_t)p->sent, "seconds", us / 1e6, "sent_mpps",
			 p->sent / us);
	if (root && o->sink) {
		json_object_set_new(root, "received", json_integer(received->pkts));
		json_object_set_new(root, "received_bytes", json_integer(received->bytes));
		json_object_set_new(root, "lost", json_integer(lost));
		json_object_set_new(root, "received_mpps", json_real(received->pkts / us));
	}
	json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(root);
}

int report_run(const struct options *o, struct engine *g, struct err *e)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct traffic_counters received;
	struct progress p = {0};
	uint64_t now;
	int code = 0;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	p.start_ns = p.line_ns = now = now_ns();
	while (!code && !is_done(o, &p, now)) {
		uint32_t due = get_due(o, &p, now);

		if (due)
			code = g->kind->send(g, due, e);
		else
			sleep_ns(TICK_NS);
		p.sent += code ? 0 : due;
		now = now_ns();
		if (!o->is_json && now - p.line_ns >= NS_PER_S)
			print_line(o, g, &p);
	}
	if (code)
		return code;
	await_quiet(o, g, &p, &received);
	print_totals(o, &p, now - p.start_ns, &received);
	return 0;
}
