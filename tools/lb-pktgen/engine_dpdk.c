// SPDX-License-Identifier: BSD-2-Clause
//
// The DPDK engine: one device (net_memif, net_ring, net_af_xdp, ...) by its driver's
// name and arguments, one queue each way, on the core that lb-pktgen runs on. The same
// packets as the XDP engine's (xdp/traffic_write.h). It counts, and drops, what arrives
// at the same device while it sends: a device that has no room makes it wait.
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tools/lb-pktgen/pktgen.h"
#include "xdp/traffic_write.h"

#define BURST 32
#define DESCRIPTORS 1024
#define MBUFS_N 8191
#define LINK_WAIT_S 10 // for the other end
#define STUCK_WAIT_S 2 // the device takes nothing

struct dpdk_engine {
	struct engine engine;
	struct rte_mempool *pool;
	struct traffic_shape shape;
	struct traffic_turn turn;
	struct traffic_counters received;
	uint32_t size;
	uint16_t port;
};

static uint64_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

static int start_eal(const char *vdev, struct err *e)
{
	static char lcore[16];
	char *arguments[] = {"lb-pktgen",      "--no-pci", "--no-huge", "--no-shconf",
			     "--no-telemetry", "-m",	   "128",	"--log-level",
			     "error",	       "--lcores", lcore,	"--vdev",
			     (char *)vdev};

	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	if (rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
		return err_set(e, -EINVAL, "--vdev %s: DPDK does not start with it: %s", vdev,
			       rte_strerror(rte_errno));
	if (rte_eth_dev_count_avail() != 1)
		return err_set(e, -ENODEV, "--vdev %s: makes no port, or more than one", vdev);
	return 0;
}

static int start_port(struct dpdk_engine *g, struct err *e)
{
	static const struct rte_eth_conf conf;
	int code = rte_eth_dev_configure(g->port, 1, 1, &conf);

	if (!code)
		code = rte_eth_rx_queue_setup(g->port, 0, DESCRIPTORS, 0, NULL, g->pool);
	if (!code)
		code = rte_eth_tx_queue_setup(g->port, 0, DESCRIPTORS, 0, NULL);
	if (!code)
		code = rte_eth_dev_start(g->port);
	return code ? err_set(e, code, "--vdev: the port does not start: %s", strerror(-code)) : 0;
}

static int await_link(const struct dpdk_engine *g, struct err *e)
{
	const struct timespec moment = {.tv_nsec = 1000000};
	uint64_t end = now_s() + LINK_WAIT_S;
	struct rte_eth_link link;

	while (rte_eth_link_get_nowait(g->port, &link) || !link.link_status) {
		if (now_s() > end)
			return err_set(e, -ENOLINK,
				       "--vdev: no link after %d s; is its other end there?",
				       LINK_WAIT_S);
		nanosleep(&moment, NULL);
	}
	return 0;
}

static void dpdk_close(struct engine *engine)
{
	struct dpdk_engine *g = (struct dpdk_engine *)engine;

	if (!g)
		return;
	rte_eth_dev_stop(g->port);
	rte_eth_dev_close(g->port);
	rte_mempool_free(g->pool);
	rte_eal_cleanup();
	free(g);
}

static int dpdk_open(struct options *o, struct engine **ret, struct err *e)
{
	struct dpdk_engine *g = calloc(1, sizeof(*g));
	struct rte_ether_addr mac;
	int code;

	if (!g)
		return err_set(e, -ENOMEM, "out of memory");
	g->engine.kind = &engine_dpdk;
	code = start_eal(o->vdev, e);
	if (code) {
		free(g);
		return code;
	}
	g->port = (uint16_t)rte_eth_find_next(0);
	g->pool = rte_pktmbuf_pool_create("packets", MBUFS_N, 256, 0,
					  SHAPE_SIZE_MAX + RTE_PKTMBUF_HEADROOM, 0);
	if (!g->pool)
		code = err_set(e, -ENOMEM, "no memory for %d packets", MBUFS_N);
	if (!code)
		code = start_port(g, e);
	if (!code)
		code = await_link(g, e);
	if (!code && rte_eth_macaddr_get(g->port, &mac))
		code = err_set(e, -ENODEV, "--vdev: the port has no MAC address");
	if (!code)
		code = shape_build(o, 0, mac.addr_bytes, &g->shape, e);
	if (code) {
		dpdk_close(&g->engine);
		return code;
	}
	g->size = o->size;
	o->sink = o->vdev;
	*ret = &g->engine;
	return 0;
}

// Counts what has arrived. Returns how many packets of any kind.
static unsigned int receive(struct dpdk_engine *g)
{
	struct rte_mbuf *pkts[BURST];
	unsigned int n = rte_eth_rx_burst(g->port, 0, pkts, BURST);

	for (unsigned int i = 0; i < n; i++) {
		if (pkts[i]->data_len < TRAFFIC_KIND_BYTES ||
		    !traffic_is_ours(rte_pktmbuf_mtod(pkts[i], const __u8 *)))
			continue;
		g->received.pkts++;
		g->received.bytes += pkts[i]->pkt_len;
	}
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

static void write_packet(struct dpdk_engine *g, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	struct traffic_flow flow;

	m->data_len = (uint16_t)g->size;
	m->pkt_len = g->size;
	traffic_pick(&g->shape, &g->turn, &flow);
	if (g->shape.family == 4)
		traffic_write4(&g->shape, frame, &flow);
	else
		traffic_write6(&g->shape, frame, &flow);
}

// All of them, however long the device has no room; but not for ever.
static int send_burst(struct dpdk_engine *g, struct rte_mbuf **pkts, unsigned int n, struct err *e)
{
	unsigned int sent = rte_eth_tx_burst(g->port, 0, pkts, (uint16_t)n);
	uint64_t end = sent < n ? now_s() + STUCK_WAIT_S : 0;

	while (sent < n) {
		unsigned int more;

		receive(g);
		more = rte_eth_tx_burst(g->port, 0, pkts + sent, (uint16_t)(n - sent));
		sent += more;
		if (more)
			end = now_s() + STUCK_WAIT_S;
		if (now_s() > end) {
			rte_pktmbuf_free_bulk(pkts + sent, n - sent);
			return err_set(e, -EIO, "--vdev: takes no packets since %d s",
				       STUCK_WAIT_S);
		}
	}
	return 0;
}

static int dpdk_send(struct engine *engine, uint32_t pkts_n, struct err *e)
{
	struct dpdk_engine *g = (struct dpdk_engine *)engine;
	struct rte_mbuf *pkts[BURST];
	int code = 0;

	while (pkts_n && !code) {
		unsigned int n = RTE_MIN(pkts_n, (unsigned int)BURST);

		if (rte_pktmbuf_alloc_bulk(g->pool, pkts, n))
			return err_set(e, -ENOBUFS, "--vdev: the device keeps all packets");
		for (unsigned int i = 0; i < n; i++)
			write_packet(g, pkts[i]);
		code = send_burst(g, pkts, n, e);
		receive(g);
		pkts_n -= n;
	}
	return code;
}

static void dpdk_get_received(struct engine *engine, struct traffic_counters *ret)
{
	struct dpdk_engine *g = (struct dpdk_engine *)engine;

	while (receive(g))
		;
	*ret = g->received;
}

const struct engine_kind engine_dpdk = {dpdk_open, dpdk_close, dpdk_send, dpdk_get_received};
