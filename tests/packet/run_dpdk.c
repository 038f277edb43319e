// SPDX-License-Identifier: BSD-2-Clause
//
// The DPDK dataplane's walk, on mbufs, in a process that has the EAL without huge pages
// and without devices. One executor hands it each frame as one segment; the other in
// small ones, cut at places that differ from packet to packet.
#include <rte_eal.h>
#include <rte_lcore.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "control/tables.h"
#include "dataplane/dpdk/walk.h"
#include "tests/packet/answers.h"
#include "tests/packet/copy.h"
#include "tests/packet/run_dpdk.h"

struct rte_mempool *run_dpdk_pool;
static unsigned int users_n; // of the EAL

struct dpdk {
	struct tables *tables;
	struct walk walk;
	unsigned int cuts;	  // packets so far; where the next one is cut follows from it
	struct walk_trace *trace; // NULL: it is not traced
};
static struct dpdk whole, segments, bursts, traced;

// Both lcores are threads on this core.
const char *run_dpdk_start_eal(void)
{
	static char lcores[32];
	static char *arguments[] = {"test_packet",    "--no-pci", "--no-huge", "--no-shconf",
				    "--no-telemetry", "-m",	  "64",	       "--log-level",
				    "error",	      "--lcores", lcores};

	if (!run_dpdk_pool) {
		snprintf(lcores, sizeof(lcores), "0@%d,1@%d", sched_getcpu(), sched_getcpu());
		if (rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
			return "the EAL does not start";
		run_dpdk_pool = rte_pktmbuf_pool_create("packets", RUN_MBUFS_N, 0, 0,
							CASE_FRAME_MAX + 512, 0);
		if (!run_dpdk_pool)
			return "no memory for mbufs";
	}
	users_n++;
	return NULL;
}

void run_dpdk_stop_eal(void)
{
	if (--users_n)
		return;
	rte_mempool_free(run_dpdk_pool);
	run_dpdk_pool = NULL;
	rte_eal_cleanup();
}

// The case says it.
static void answer(const void *routes, const struct lb_route_query *query,
		   struct lb_route_answer *ret)
{
	*ret = ((const struct case_facts *)routes)->answer;
}

static void answer_by_rules(const void *routes, const struct lb_route_query *query,
			    struct lb_route_answer *ret)
{
	answers_lookup(query, ((const struct case_facts *)routes)->forwarding, ret);
}

static const char *start(struct dpdk *d, const struct lb_meta *meta, uint32_t now_s,
			 struct lb_tables **ret)
{
	const char *why = run_dpdk_start_eal();
	struct err e;

	if (why)
		return why;
	if (tables_alloc(meta, &d->tables, &e))
		return "no memory";
	d->walk.env.now_s = now_s;
	d->walk.env.route = answer;
	*ret = &d->tables->rows;
	return NULL;
}

static void stop(struct dpdk *d)
{
	if (!d->tables)
		return;
	tables_close(d->tables);
	d->tables = NULL;
	run_dpdk_stop_eal();
}

static void append(struct rte_mbuf *m, const uint8_t *bytes, size_t n)
{
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), bytes, n);
}

// The first segment has at most a byte more than each cut before: from none on.
static struct rte_mbuf *make_segments(struct dpdk *d, const uint8_t *frame, size_t len)
{
	size_t first = d->cuts++ % 128, at = first < len ? first : len;
	struct rte_mbuf *head = rte_pktmbuf_alloc(run_dpdk_pool);

	append(head, frame, at);
	while (at < len) {
		size_t n = 1 + (at + d->cuts) % 61;
		struct rte_mbuf *m = rte_pktmbuf_alloc(run_dpdk_pool);

		n = n < len - at ? n : len - at;
		append(m, frame + at, n);
		rte_pktmbuf_chain(head, m);
		at += n;
	}
	return head;
}

void run_dpdk_read(struct rte_mbuf *m, struct run_result *ret)
{
	const void *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, ret->out);

	ret->out_len = m->pkt_len;
	if (bytes != ret->out)
		memcpy(ret->out, bytes, ret->out_len);
	if (rte_mbuf_check(m, 1, &ret->complaint) == 0)
		ret->complaint = NULL;
}

// What became of @m: in one of the lists, or dropped.
static void find_result(const struct walk_result *walked, struct rte_mbuf *m,
			const struct case_facts *facts, struct run_result *ret)
{
	*ret = (struct run_result){.verdict = LB_DROP, .out_len = facts->in_len};
	memcpy(ret->out, facts->in, facts->in_len);
	for (unsigned int i = 0; i < walked->send_n; i++)
		if (walked->send[i] == m) {
			ret->verdict = LB_TRANSMIT;
			ret->ifindex = walked->ifindex[i];
			run_dpdk_read(m, ret);
		}
	for (unsigned int i = 0; i < walked->back_n; i++)
		if (walked->back[i] == m) {
			ret->verdict = LB_TRANSMIT;
			ret->ifindex = RUN_IFINDEX;
			run_dpdk_read(m, ret);
		}
	for (unsigned int i = 0; i < walked->kernel_n; i++)
		if (walked->kernel[i] == m) {
			ret->verdict = LB_PASS;
			run_dpdk_read(m, ret);
		}
}

static void run(struct dpdk *d, struct rte_mbuf **pkts, size_t n, const struct case_facts *facts,
		uint32_t cpu, struct run_result *ret)
{
	struct walk_result walked;

	lb_env_init(&d->walk.env, &d->tables->rows, cpu);
	d->walk.env.routes = facts;
	if (d->trace)
		walk_traced(&d->walk, d->trace, RUN_IFINDEX, pkts, (unsigned int)n, &walked);
	else
		walk_burst(&d->walk, pkts, (unsigned int)n, &walked);
	for (size_t i = 0; i < n; i++)
		find_result(&walked, pkts[i], &facts[i], &ret[i]);
	rte_pktmbuf_free_bulk(walked.send, walked.send_n);
	rte_pktmbuf_free_bulk(walked.kernel, walked.kernel_n);
	rte_pktmbuf_free_bulk(walked.back, walked.back_n);
	if (rte_mempool_avail_count(run_dpdk_pool) != RUN_MBUFS_N)
		ret->complaint = "mbufs were lost";
}

struct rte_mbuf *run_dpdk_make(const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(run_dpdk_pool);

	append(m, frame, len);
	return m;
}

static const char *whole_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	return start(&whole, meta, now_s, ret);
}

static void whole_stop(void)
{
	stop(&whole);
}

void run_dpdk_walk(struct rte_mbuf *m, const struct case_facts *facts, uint32_t cpu,
		   struct run_result *ret)
{
	run(&whole, &m, 1, facts, cpu, ret);
}

static void whole_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	run_dpdk_walk(run_dpdk_make(facts->in, facts->in_len), facts, cpu, ret);
}

static const char *segments_start(const struct lb_meta *meta, uint32_t now_s,
				  struct lb_tables **ret)
{
	return start(&segments, meta, now_s, ret);
}

static void segments_stop(void)
{
	stop(&segments);
}

static void segments_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	struct rte_mbuf *m = make_segments(&segments, facts->in, facts->in_len);

	run(&segments, &m, 1, facts, cpu, ret);
}

// ---- traced ----

static struct lb_trace_ring ring; // goes round many times
static __u64 window;

static const char *traced_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	static struct walk_trace trace = {.filter = {.reasons = LB_TRACE_REASONS_ALL,
						     .protocol = LB_TRACE_ANY_PROTOCOL,
						     .snap = LB_TRACE_SNAP_MAX,
						     .rate = UINT32_MAX},
					  .window = &window,
					  .ring = &ring};

	traced.trace = &trace;
	return start(&traced, meta, now_s, ret);
}

static void traced_stop(void)
{
	stop(&traced);
}

static void traced_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	struct rte_mbuf *m = make_segments(&traced, facts->in, facts->in_len);
	struct copy copy = {.n = 0};

	run(&traced, &m, 1, facts, cpu, ret);
	while (lb_trace_ring_get(&ring, &copy.record, copy.bytes))
		copy.n++;
	if (!ret->complaint)
		ret->complaint = copy_judge(&copy, facts, ret);
	if (ring.counts.lost || ring.counts.left_out)
		ret->complaint = "a copy was lost";
}

// ---- bursts ----

static const char *bursts_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	const char *why = start(&bursts, meta, now_s, ret);

	bursts.walk.env.route = answer_by_rules;
	return why;
}

static void bursts_stop(void)
{
	stop(&bursts);
}

static void bursts_run(const struct case_facts *facts, size_t n, uint32_t cpu,
		       struct run_result *ret)
{
	struct rte_mbuf *pkts[WALK_BURST_MAX];

	for (size_t i = 0; i < n; i++)
		pkts[i] = run_dpdk_make(facts[i].in, facts[i].in_len);
	run(&bursts, pkts, n, facts, cpu, ret);
}

const struct run_executor run_dpdk = {"dpdk", whole_start, whole_run, whole_stop};
const struct run_executor run_dpdk_segments = {"dpdk, in segments", segments_start, segments_run,
					       segments_stop};
const struct run_executor run_dpdk_traced = {"dpdk, traced", traced_start, traced_run, traced_stop};
const struct run_executor run_dpdk_bursts = {"dpdk, in bursts", bursts_start, NULL, bursts_stop,
					     bursts_run};
