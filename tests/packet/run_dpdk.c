// SPDX-License-Identifier: BSD-2-Clause
//
// The DPDK dataplane's walk, on mbufs, in a process that has the EAL without huge pages
// and without devices. One executor hands it each frame as one segment; the other in
// small ones, cut at places that differ from packet to packet.
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "control/tables.h"
#include "dataplane/dpdk/walk.h"
#include "tests/packet/run.h"

#define MBUFS_N 1023

static struct rte_mempool *pool;

struct dpdk {
	struct tables *tables;
	struct walk walk;
	unsigned int cuts; // packets so far; where the next one is cut follows from it
};
static struct dpdk whole, segments;

// Once in a process; what holds for it holds for both executors.
static const char *start_eal(void)
{
	static char lcore[16];
	static char *arguments[] = {"test_packet",    "--no-pci", "--no-huge", "--no-shconf",
				    "--no-telemetry", "-m",	  "64",	       "--log-level",
				    "error",	      "--lcores", lcore};

	if (pool)
		return NULL;
	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	if (rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
		return "the EAL does not start";
	pool = rte_pktmbuf_pool_create("packets", MBUFS_N, 0, 0, CASE_FRAME_MAX + 512, 0);
	return pool ? NULL : "no memory for mbufs";
}

static void answer(const void *routes, const struct lb_route_query *query,
		   struct lb_route_answer *ret)
{
	*ret = *(const struct lb_route_answer *)routes;
}

static const char *start(struct dpdk *d, const struct lb_meta *meta, uint32_t now_s,
			 struct lb_tables **ret)
{
	const char *why = start_eal();
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
	tables_close(d->tables);
	d->tables = NULL;
	if (whole.tables || segments.tables || !pool)
		return;
	rte_mempool_free(pool);
	pool = NULL;
	rte_eal_cleanup();
}

static void append(struct rte_mbuf *m, const uint8_t *bytes, size_t n)
{
	memcpy(rte_pktmbuf_append(m, (uint16_t)n), bytes, n);
}

// The first segment has at most a byte more than each cut before: from none on.
static struct rte_mbuf *make_segments(struct dpdk *d, const uint8_t *frame, size_t len)
{
	size_t first = d->cuts++ % 128, at = first < len ? first : len;
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);

	append(head, frame, at);
	while (at < len) {
		size_t n = 1 + (at + d->cuts) % 61;
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

		n = n < len - at ? n : len - at;
		append(m, frame + at, n);
		rte_pktmbuf_chain(head, m);
		at += n;
	}
	return head;
}

static void read_frame(struct rte_mbuf *m, struct run_result *ret)
{
	const void *bytes = rte_pktmbuf_read(m, 0, m->pkt_len, ret->out);

	ret->out_len = m->pkt_len;
	if (bytes != ret->out)
		memcpy(ret->out, bytes, ret->out_len);
	if (rte_mbuf_check(m, 1, &ret->complaint) == 0)
		ret->complaint = NULL;
	rte_pktmbuf_free(m);
}

static void run(struct dpdk *d, struct rte_mbuf *m, const struct case_facts *facts, uint32_t cpu,
		struct run_result *ret)
{
	struct walk_result result;

	*ret = (struct run_result){.verdict = LB_DROP, .out_len = facts->in_len};
	memcpy(ret->out, facts->in, facts->in_len);
	lb_env_init(&d->walk.env, &d->tables->rows, cpu);
	d->walk.env.routes = &facts->answer;
	walk_burst(&d->walk, &m, 1, &result);
	if (result.send_n) {
		ret->verdict = LB_TRANSMIT;
		ret->ifindex = result.ifindex[0];
		read_frame(result.send[0], ret);
	} else if (result.kernel_n) {
		ret->verdict = LB_PASS;
		read_frame(result.kernel[0], ret);
	}
	if (result.send_n + result.kernel_n > 1)
		ret->complaint = "more packets came out than went in";
	if (rte_mempool_avail_count(pool) != MBUFS_N)
		ret->complaint = "mbufs were lost";
}

static const char *whole_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	return start(&whole, meta, now_s, ret);
}

static void whole_stop(void)
{
	stop(&whole);
}

static void whole_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	append(m, facts->in, facts->in_len);
	run(&whole, m, facts, cpu, ret);
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
	run(&segments, make_segments(&segments, facts->in, facts->in_len), facts, cpu, ret);
}

const struct run_executor run_dpdk = {"dpdk", whole_start, whole_run, whole_stop};
const struct run_executor run_dpdk_segments = {"dpdk, in segments", segments_start, segments_run,
					       segments_stop};
