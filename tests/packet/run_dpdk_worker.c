// SPDX-License-Identifier: BSD-2-Clause
//
// A worker of lb-dpdk, its own loop on an lcore, between rings: what a test puts into
// the first port's receive ring comes out of a port's send ring, of the ring for the
// kernel, or is dropped. There is a port for every interface that the cases name. The
// worker has been through a packet when it has begun two more turns.
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "control/tables.h"
#include "dataplane/dpdk/lb_dpdk.h"
#include "tests/packet/answers.h"
#include "tests/packet/run_dpdk.h"

#define LCORE 1
#define RING 64

// The first is where packets come in.
static const uint32_t ifindexes[] = {RUN_IFINDEX, 7, 8, 9, 10};
#define PORTS_N (sizeof(ifindexes) / sizeof(ifindexes[0]))

static struct tables *tables;
static struct lb_worker worker_rows[RTE_MAX_LCORE];
static struct lb_port port_rows[LB_PORT_MAX];
static struct rte_ring *in, *out[PORTS_N];
static struct queue rx = {0, 0};
static struct worker worker;
static struct lb_dpdk all;

// In place of routes.c. @routes: the facts of the packet, or of the first of a burst.
static bool is_by_rules;
void routes_lookup(const void *routes, const struct lb_route_query *query,
		   struct lb_route_answer *ret)
{
	const struct case_facts *facts = *(const struct case_facts *const *)routes;

	if (is_by_rules)
		answers_lookup(query, facts->forwarding, ret);
	else
		*ret = facts->answer;
}
static const struct case_facts *facts_now;

static const char *open_port(size_t i)
{
	static const struct rte_eth_conf conf;
	char name[32];
	int id;

	snprintf(name, sizeof(name), "out%zu", i);
	out[i] = rte_ring_create(name, RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (i == 0)
		in = rte_ring_create("in", RING, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!out[i] || !in)
		return "no memory for rings";
	snprintf(name, sizeof(name), "port%zu", i);
	// The others receive nothing: their receive ring is that of what they sent, never asked.
	id = rte_eth_from_rings(name, i ? &out[i] : &in, 1, &out[i], 1, 0);
	if (id < 0 || rte_eth_dev_configure((uint16_t)id, 1, 1, &conf) ||
	    rte_eth_rx_queue_setup((uint16_t)id, 0, RING, 0, NULL, run_dpdk_pool) ||
	    rte_eth_tx_queue_setup((uint16_t)id, 0, RING, 0, NULL) ||
	    rte_eth_dev_start((uint16_t)id))
		return "no port over rings";
	all.ports[i].id = (uint16_t)id;
	port_rows[i].ifindex = ifindexes[i];
	port_rows[i].state = LB_PORT_PROBED;
	return NULL;
}

static const char *start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	const char *why = run_dpdk_start_eal();
	struct err e;

	for (size_t i = 0; i < PORTS_N && !why; i++)
		why = open_port(i);
	if (why)
		return why;
	all.ports[0].to_kernel = rte_ring_create("to_kernel", RING, 0, 0);
	if (!all.ports[0].to_kernel || tables_alloc(meta, &tables, &e))
		return "no memory";
	tables->file.workers = worker_rows;
	tables->file.ports = port_rows;
	all.ports_n = PORTS_N;
	all.idle_sleep_us = 1; // it shares the core with this thread
	all.routes = (struct routes *)&facts_now;
	all.fixed_now_s = now_s;
	worker = (struct worker){.index = (unsigned int)sched_getcpu(),
				 .lcore = LCORE,
				 .all = &all,
				 .rx = &rx,
				 .rx_n = 1,
				 .tables = tables};
	if (rte_eal_remote_launch(worker_run, &worker, LCORE))
		return "the worker does not start";
	*ret = &tables->rows;
	return NULL;
}

static void stop(void)
{
	if (!tables)
		return;
	__atomic_store_n(&all.is_stopping, true, __ATOMIC_RELAXED);
	rte_eal_wait_lcore(LCORE);
	for (size_t i = 0; i < PORTS_N; i++) {
		rte_eth_dev_stop(all.ports[i].id);
		rte_eth_dev_close(all.ports[i].id);
	}
	tables_close(tables);
	tables = NULL;
	run_dpdk_stop_eal();
}

static void await_turns(void)
{
	const __u64 *loops = &worker_rows[worker.index].loops;
	__u64 start = __atomic_load_n(loops, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(loops, __ATOMIC_ACQUIRE) < start + 2)
		sched_yield();
}

// All that lies in @ring: of the packets @pkts, by their place.
static void collect(struct rte_ring *ring, struct rte_mbuf *const *pkts, size_t n,
		    enum lb_verdict verdict, uint32_t ifindex, struct run_result *ret)
{
	struct rte_mbuf *m;

	while (rte_ring_dequeue(ring, (void **)&m) == 0)
		for (size_t i = 0; i < n; i++)
			if (pkts[i] == m) {
				ret[i].verdict = verdict;
				ret[i].ifindex = ifindex;
				run_dpdk_read(m, &ret[i]);
				rte_pktmbuf_free(m);
			}
}

static void run_burst(const struct case_facts *facts, size_t n, uint32_t cpu,
		      struct run_result *ret)
{
	struct rte_mbuf *pkts[WALK_BURST_MAX];

	for (size_t i = 0; i < n; i++) {
		pkts[i] = run_dpdk_make(facts[i].in, facts[i].in_len);
		ret[i] = (struct run_result){.verdict = LB_DROP, .out_len = facts[i].in_len};
		memcpy(ret[i].out, facts[i].in, facts[i].in_len);
	}
	facts_now = facts;
	rte_ring_enqueue_bulk(in, (void **)pkts, (unsigned int)n, NULL);
	await_turns();
	for (size_t i = 0; i < PORTS_N; i++)
		collect(out[i], pkts, n, LB_TRANSMIT, ifindexes[i], ret);
	collect(all.ports[0].to_kernel, pkts, n, LB_PASS, 0, ret);
	if (rte_ring_count(in))
		ret->complaint = "the worker left packets in its queue";
	if (worker_rows[worker.index].unsent_pkts || worker_rows[worker.index].unheard_pkts)
		ret->complaint = "the worker could not send what it decided to";
}

static void run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	is_by_rules = false;
	run_burst(facts, 1, cpu, ret);
}

static void run_bursts(const struct case_facts *facts, size_t n, uint32_t cpu,
		       struct run_result *ret)
{
	is_by_rules = true;
	run_burst(facts, n, cpu, ret);
}

const struct run_executor run_dpdk_worker = {"dpdk, a worker", start, run, stop};
const struct run_executor run_dpdk_worker_bursts = {"dpdk, a worker, in bursts", start, NULL, stop,
						    run_bursts};
