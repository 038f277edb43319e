// SPDX-License-Identifier: BSD-2-Clause
//
// bench-dpdk: what a packet costs in the walk, in memory, without ports. For each row
// and number of flows, headers are written into a few mbufs, which then go through the
// walk as a burst; only that is timed, and what the timing itself costs (an empty walk)
// is taken off. The staged walk and the plain one take turns; of each the best stretch
// of packets counts, for whatever else the machine does only adds.
//
//   bench-dpdk ROUNDS [TEXT]     rows whose name contains TEXT; a line a figure:
//                                row, flows, ns staged, ns plain (tab separated)
//   bench-dpdk ROUNDS --flood    SYNs, and whether a byte of the connections changed; ns a SYN,
//                                ns an ACK
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/dpdk/walk.h"
#include "tools/bench.d/dpdk/bench.h"
#include "xdp/traffic_write.h"

#define MBUFS_N 63
#define PKTS_MIN (1u << 18)
#define CHUNK_PKTS (1u << 11)
#define FLOOD_PKTS (1u << 22)

#define STEADY .tracking = LB_TRACK_ADAPTIVE
#define SMALL .backends_n = 10, .ring = 16381
#define LARGE .backends_n = 4096, .ring = 655373

static const struct bench_row rows[] = {
	{"nat ipv4", 4, LB_MODE_NAT, STEADY, SMALL},
	{"nat ipv6", 6, LB_MODE_NAT, STEADY, SMALL},
	{"l2 ipv4", 4, LB_MODE_L2, STEADY, SMALL},
	{"l2 ipv6", 6, LB_MODE_L2, STEADY, SMALL},
	{"ipip ipv4", 4, LB_MODE_IPIP, STEADY, SMALL},
	{"ipip ipv6", 6, LB_MODE_IPIP, STEADY, SMALL},
	{"gue ipv4", 4, LB_MODE_GUE, STEADY, SMALL},
	{"gue ipv6", 6, LB_MODE_GUE, STEADY, SMALL},
	{"nat ipv4 reply", 4, LB_MODE_NAT, STEADY, SMALL, .is_reply = true},
	{"nat ipv6 reply", 6, LB_MODE_NAT, STEADY, SMALL, .is_reply = true},
	{"nat ipv4, 16 VIPs in turn", 4, LB_MODE_NAT, STEADY, SMALL, .vips_n = 16},
	{"nat ipv4, 4096 backends", 4, LB_MODE_NAT, STEADY, LARGE},
	{"nat ipv4, in transition", 4, LB_MODE_NAT, STEADY, SMALL, .is_in_transition = true},
	{"nat ipv4 udp, always tracked", 4, LB_MODE_NAT, LB_TRACK_ALWAYS, SMALL, .is_udp = true},
};
static const uint32_t flow_numbers[] = {1, 1 << 10, 1 << 16, 1 << 20, 1 << 22};

typedef void walk_fn(struct walk *w, struct rte_mbuf **pkts, unsigned int n,
		     struct walk_result *ret);

#define IPV4_DESTINATION_LAST 33 // byte of the frame

static struct rte_mempool *pool;
static struct walk walk;
static uint32_t vips_n, vips_turn; // of the row

static __rte_noinline void walk_nothing(struct walk *w, struct rte_mbuf **pkts, unsigned int n,
					struct walk_result *ret)
{
	memcpy(ret->send, pkts, n * sizeof(pkts[0]));
	ret->send_n = n;
	ret->kernel_n = 0;
}

// ---- packets ----

static void write_packet(const struct traffic_shape *shape, struct traffic_turn *turn,
			 uint32_t size, struct rte_mbuf *m)
{
	struct traffic_flow flow;
	uint8_t *frame;

	rte_pktmbuf_reset_headroom(m);
	m->data_len = (uint16_t)size;
	m->pkt_len = size;
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	traffic_pick(shape, turn, &flow);
	if (shape->family == 4)
		traffic_write4(shape, frame, &flow);
	else
		traffic_write6(shape, frame, &flow);
	// Its checksums are wrong then, which no walk asks.
	if (vips_n)
		frame[IPV4_DESTINATION_LAST] += vips_turn++ % vips_n;
}

// Cycles of CHUNK_PKTS packets in @fn. Ends the process where one is not sent on.
static uint64_t run_chunk(walk_fn *fn, const struct traffic_shape *shape, uint32_t size,
			  struct traffic_turn *turn, struct rte_mbuf **pkts)
{
	struct walk_result result;
	uint64_t cycles = 0, start;

	for (uint32_t i = 0; i < CHUNK_PKTS; i += WALK_BURST_MAX) {
		for (unsigned int j = 0; j < WALK_BURST_MAX; j++)
			write_packet(shape, turn, size, pkts[j]);
		start = rte_rdtsc_precise();
		fn(&walk, pkts, WALK_BURST_MAX, &result);
		cycles += rte_rdtsc_precise() - start;
		if (result.send_n != WALK_BURST_MAX) {
			fprintf(stderr, "bench-dpdk: only %u of %d packets were sent on\n",
				result.send_n, WALK_BURST_MAX);
			exit(1);
		}
		memcpy(pkts, result.send, WALK_BURST_MAX * sizeof(pkts[0]));
	}
	return cycles;
}

// The best chunk of a round, in which each flow has its turn at least once.
static uint64_t run_round(walk_fn *fn, const struct traffic_shape *shape, uint32_t size,
			  struct traffic_turn *turn)
{
	struct rte_mbuf *pkts[WALK_BURST_MAX];
	uint64_t best = UINT64_MAX;

	if (rte_pktmbuf_alloc_bulk(pool, pkts, WALK_BURST_MAX))
		exit(1);
	for (uint32_t i = 0; i < RTE_MAX(shape->flows, PKTS_MIN); i += CHUNK_PKTS) {
		uint64_t cycles = run_chunk(fn, shape, size, turn, pkts);

		best = RTE_MIN(best, cycles);
	}
	rte_pktmbuf_free_bulk(pkts, WALK_BURST_MAX);
	return best;
}

// The best of @rounds in turns: ret_ns[i] of fns[i].
static void measure(walk_fn *const *fns, const struct traffic_shape *const *shapes, size_t fns_n,
		    uint32_t size, uint32_t rounds, double *ret_ns)
{
	static const struct traffic_shape one_flow = {.flows = 1, .family = 4};
	uint64_t nothing = UINT64_MAX, best[2] = {UINT64_MAX, UINT64_MAX}, cycles;
	// Each has its own place among the flows.
	struct traffic_turn turns[2] = {{0}}, turn = {0};

	for (uint32_t round = 0; round < rounds; round++) {
		cycles = run_round(walk_nothing, &one_flow, size, &turn);
		nothing = RTE_MIN(nothing, cycles);
		for (size_t i = 0; i < fns_n; i++) {
			cycles = run_round(fns[i], shapes[i], size, &turns[i]);
			best[i] = RTE_MIN(best[i], cycles);
		}
	}
	for (size_t i = 0; i < fns_n; i++)
		ret_ns[i] =
			(double)(best[i] - nothing) / CHUNK_PKTS * 1e9 / (double)rte_get_tsc_hz();
}

// ---- rows ----

static void fail(const struct bench_row *row, const struct err *e)
{
	fprintf(stderr, "bench-dpdk: %s: %s\n", row->name, e->text);
	exit(1);
}

static struct lb_tables *make_tables(const struct bench_row *row)
{
	struct lb_tables *t;
	struct err e;

	if (bench_tables(row, &t, &e))
		fail(row, &e);
	lb_env_init(&walk.env, t, 0);
	walk.env.now_s = BENCH_NOW_S;
	return t;
}

static void make_shape(const struct bench_row *row, uint32_t flows, struct traffic_shape *ret,
		       uint32_t *ret_size)
{
	struct err e;

	if (bench_shape(row, flows, ret, ret_size, &e))
		fail(row, &e);
}

static void run_row(const struct bench_row *row, uint32_t rounds)
{
	walk_fn *const fns[] = {walk_burst, walk_plain};

	make_tables(row);
	vips_n = row->vips_n;
	for (size_t i = 0; i < RTE_DIM(flow_numbers); i++) {
		struct traffic_shape shape;
		const struct traffic_shape *shapes[] = {&shape, &shape};
		uint32_t size;
		double ns[2];

		make_shape(row, flow_numbers[i], &shape, &size);
		measure(fns, shapes, 2, size, rounds, ns);
		printf("%s\t%u\t%.3f\t%.3f\n", row->name, flow_numbers[i], ns[0], ns[1]);
		fflush(stdout);
	}
}

static void run_flood(uint32_t rounds)
{
	walk_fn *const fns[] = {walk_burst, walk_burst};
	struct traffic_shape syns, acks;
	const struct traffic_shape *shapes[] = {&syns, &acks};
	struct bench_row row = rows[0];
	struct lb_tables *t = make_tables(&row);
	uint64_t bytes = bench_connections_bytes(t);
	void *before = malloc(bytes);
	uint32_t size;
	double ns[2];

	if (!before)
		exit(1);
	memcpy(before, t->connections, bytes);
	make_shape(&row, FLOOD_PKTS, &acks, &size);
	row.syn_percent = 100;
	make_shape(&row, FLOOD_PKTS, &syns, &size);
	measure(fns, shapes, 2, size, rounds, ns);
	printf("%u\t%llu\t%d\t%.3f\t%.3f\n", FLOOD_PKTS * rounds, (unsigned long long)bytes,
	       memcmp(before, t->connections, bytes) != 0, ns[0], ns[1]);
	free(before);
}

static int start_eal(void)
{
	static char lcore[16];
	static char *arguments[] = {"bench-dpdk",     "--no-pci", "--no-huge", "--no-shconf",
				    "--no-telemetry", "-m",	  "64",	       "--log-level",
				    "error",	      "--lcores", lcore};

	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	if (rte_eal_init(RTE_DIM(arguments), arguments) < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("packets", MBUFS_N, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	return pool ? 0 : -1;
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	const char *only = argc > 2 ? argv[2] : "";

	if (!rounds || argc > 3) {
		fprintf(stderr, "usage: bench-dpdk ROUNDS [TEXT | --flood]\n");
		return 2;
	}
	if (start_eal()) {
		fprintf(stderr, "bench-dpdk: the EAL does not start\n");
		return 1;
	}
	if (strcmp(only, "--flood") == 0)
		run_flood(rounds);
	else
		for (size_t i = 0; i < RTE_DIM(rows); i++)
			if (strstr(rows[i].name, only))
				run_row(&rows[i], rounds);
	rte_eal_cleanup();
	return 0;
}
