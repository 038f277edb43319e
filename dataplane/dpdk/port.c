// SPDX-License-Identifier: BSD-2-Clause
//
// The ports: every one that the EAL has found is a data port. Each gets as many queues
// as there are workers, or as it has; queue after queue goes to worker after worker.
// RSS spreads flows over the receive queues, by what of IP, TCP and UDP the driver
// offers, with a key under which both directions of a flow come to one queue. No
// offload is used that changes bytes: the core mends checksums itself.
#include <errno.h>
#include <net/if.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf_pool_ops.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb_dpdk.h"

#define DESCRIPTORS 2048
#define MBUF_CACHE 256
// In rings, outboxes and caches, beside what a port's queues hold.
#define MBUFS_SPARE 4096
#define RSS_KEY_MAX 64

_Static_assert(RTE_MBUF_DEFAULT_DATAROOM >= WALK_CONTIGUOUS_MAX, "the walk has no room to gather");

// ---- queues ----

static uint16_t min3(unsigned int a, unsigned int b, unsigned int c)
{
	return (uint16_t)RTE_MIN(RTE_MIN(a, b), c);
}

static unsigned int worker_of(const struct lb_dpdk *d, const struct port *p, uint16_t queue)
{
	return (p->first_worker + queue) % d->workers_n;
}

static int make_ring(const char *kind, const struct port *p, unsigned int i, struct rte_ring **ret,
		     struct err *e)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u_%u", kind, p->id, i);
	*ret = rte_ring_create(name, RING_SIZE, rte_eth_dev_socket_id(p->id), RING_F_SC_DEQ);
	return *ret ? 0
		    : err_set(e, -ENOMEM, "port %s: no memory for a ring: give the EAL more (-m)",
			      p->name);
}

static int make_rings(struct port *p, struct err *e)
{
	int status = make_ring("kernel", p, 0, &p->to_kernel, e);

	for (unsigned int i = 0; i < p->tx_n && !status; i++)
		status = make_ring("way", p, i, &p->ways[i].ring, e);
	return status;
}

// The memory of net_af_xdp's packets is known to the kernel as one stretch, of so many packets one
// behind the other. A pool keeps them from crossing pages, and leaves gaps, unless it is told that
// no device reads its memory: what lies behind the stretch's end then could be neither received
// into nor sent, in silence. NULL: no memory.
static struct rte_mempool *make_dense_pool(const char *name, unsigned int n, int socket)
{
	struct rte_mempool *pool = rte_mempool_create_empty(
		name, n, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, MBUF_CACHE,
		sizeof(struct rte_pktmbuf_pool_private), socket, RTE_MEMPOOL_F_NO_IOVA_CONTIG);

	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, NULL);
	if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) ||
	    rte_mempool_populate_default(pool) < 0 || pool->nb_mem_chunks != 1) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}

// What came in here stays in a queue that it was sent to until that sends more, with many drivers:
// were all of it in the send queues, of every port, nothing could come in that moves it on. A
// receive queue's worth and MBUFS_SPARE are left, also where there are more than two ports.
static int make_pool(const struct lb_dpdk *d, struct port *p, const char *driver, uint16_t rx_len,
		     uint16_t tx_len, struct err *e)
{
	unsigned int ports_n = rte_eth_dev_count_avail();
	unsigned int further_n =
		ports_n > 2 ? (ports_n - 2) * RTE_MIN(d->workers_n, QUEUES_MAX) : 0;
	unsigned int n = p->rx_n * rx_len + (p->tx_n + further_n) * tx_len + MBUFS_SPARE;
	int socket = rte_eth_dev_socket_id(p->id);
	char name[RTE_MEMPOOL_NAMESIZE];

	snprintf(name, sizeof(name), "port%u", p->id);
	if (!strcmp(driver, "net_af_xdp"))
		p->pool = make_dense_pool(name, n, socket);
	else
		p->pool = rte_pktmbuf_pool_create(name, n, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
						  socket);
	if (p->pool)
		return 0;
	return err_set(e, -ENOMEM,
		       "port %s: no memory for %u packets, %u MB: reserve more huge pages (`sysctl "
		       "vm.nr_hugepages`), or give more with -m",
		       p->name, n, n * RTE_MBUF_DEFAULT_BUF_SIZE / 1000000);
}

// What goes to @w: receive queues and send queues of its own, and its ways out of each port.
static void give_queues(struct lb_dpdk *d, struct worker *w)
{
	for (unsigned int i = 0; i < d->ports_n; i++) {
		struct port *p = &d->ports[i];
		uint16_t way = (uint16_t)(w->index % p->tx_n);

		for (uint16_t q = 0; q < p->rx_n; q++)
			if (worker_of(d, p, q) == w->index)
				w->rx[w->rx_n++] = (struct queue){.port = i, .queue = q};
		for (uint16_t q = 0; q < p->tx_n; q++) {
			if (p->ways[q].owner != w->index)
				continue;
			w->tx[w->tx_n++] = (struct queue){.port = i, .queue = q};
			way = q;
		}
		w->out[i].queue = way;
		w->out[i].ring = p->ways[way].owner == w->index ? NULL : p->ways[way].ring;
	}
}

static int share_queues(struct lb_dpdk *d, struct err *e)
{
	for (unsigned int i = 0; i < d->workers_n; i++) {
		struct worker *w = &d->workers[i];

		w->rx = rte_calloc("rx", LB_PORT_MAX * QUEUES_MAX, sizeof(*w->rx), 0);
		w->tx = rte_calloc("tx", LB_PORT_MAX * QUEUES_MAX, sizeof(*w->tx), 0);
		if (!w->rx || !w->tx)
			return err_set(e, -ENOMEM, "no memory for queues");
		give_queues(d, w);
		if (!w->rx_n)
			say("the worker on lcore %u has no receive queue: the ports offer fewer "
			    "than there are workers",
			    w->lcore);
	}
	return 0;
}

// ---- one port ----

static int fail(const struct port *p, const char *what, int status, struct err *e)
{
	return err_set(e, status, "port %s: %s: %s", p->name, what, rte_strerror(-status));
}

// A flow and its replies have one hash under a key of one repeated word (Woo and Park, "Scalable
// TCP Session Monitoring with Symmetric Receive-side Scaling", 2012).
static void set_rss(const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	static uint8_t key[RSS_KEY_MAX];

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = i % 2 ? 0x5a : 0x6d;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf =
		info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	if (!conf->rx_adv_conf.rss_conf.rss_hf) {
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
	} else if (info->hash_key_size && info->hash_key_size <= sizeof(key)) {
		conf->rx_adv_conf.rss_conf.rss_key = key;
		conf->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
	}
}

static int set_up_queues(const struct lb_dpdk *d, struct port *p,
			 const struct rte_eth_dev_info *info, struct err *e)
{
	uint16_t rx_len = DESCRIPTORS, tx_len = DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(p->id);
	int status = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_len, &tx_len);

	if (status)
		return fail(p, "has no such queues", status, e);
	status = make_pool(d, p, info->driver_name, rx_len, tx_len, e);
	for (uint16_t q = 0; q < p->rx_n && !status; q++) {
		status = rte_eth_rx_queue_setup(p->id, q, rx_len, socket, NULL, p->pool);
		if (status)
			fail(p, "cannot set up a receive queue", status, e);
	}
	for (uint16_t q = 0; q < p->tx_n && !status; q++) {
		status = rte_eth_tx_queue_setup(p->id, q, tx_len, socket, NULL);
		if (status)
			fail(p, "cannot set up a send queue", status, e);
	}
	return status;
}

// The biggest that it takes: of what does not fit into one mbuf only where the driver takes chains
// of them, in both directions.
static uint16_t find_mtu_max(const struct rte_eth_dev_info *info)
{
	const uint32_t one = RTE_MBUF_DEFAULT_DATAROOM - RTE_ETHER_HDR_LEN - 2 * RTE_VLAN_HLEN;
	bool has_chains = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER &&
			  info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	uint32_t mtu = RTE_MIN(info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN,
			       (uint32_t)info->max_mtu);

	return (uint16_t)(has_chains ? mtu : RTE_MIN(mtu, one));
}

static int configure(struct lb_dpdk *d, struct port *p, struct err *e)
{
	struct rte_eth_conf conf = {};
	struct rte_eth_dev_info info;
	int status = rte_eth_dev_info_get(p->id, &info);

	if (status)
		return fail(p, "says nothing of itself", status, e);
	p->rx_n = min3(d->workers_n, info.max_rx_queues, QUEUES_MAX);
	p->tx_n = min3(d->workers_n, info.max_tx_queues, QUEUES_MAX);
	p->mtu_max = find_mtu_max(&info);
	if (!p->rx_n || !p->tx_n)
		return err_set(e, -EINVAL, "port %s: the driver %s offers no queues", p->name,
			       info.driver_name);
	if (p->rx_n > 1)
		set_rss(&info, &conf);
	conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	status = rte_eth_dev_configure(p->id, p->rx_n, p->tx_n, &conf);
	if (status)
		return fail(p, "cannot be configured", status, e);
	status = set_up_queues(d, p, &info, e);
	return status ? status : make_rings(p, e);
}

static int open_port(struct lb_dpdk *d, uint16_t id, struct err *e)
{
	struct port *p = &d->ports[d->ports_n];
	struct rte_ether_addr mac;
	char name[RTE_ETH_NAME_MAX_LEN];
	int status;

	if (d->ports_n == LB_PORT_MAX)
		return err_set(e, -E2BIG, "there are more than %d ports: allow fewer (-a)",
			       LB_PORT_MAX);
	*p = (struct port){.id = id, .tap_fd = -1};
	rte_eth_dev_get_name_by_port(id, name);
	snprintf(p->name, sizeof(p->name), "%.*s", (int)sizeof(p->name) - 1, name);
	// Ports with one queue each spread over the workers.
	p->first_worker = d->ports_n % d->workers_n;
	status = configure(d, p, e);
	if (status)
		return status;
	if (p->rx_n == d->workers_n)
		p->first_worker = 0;
	for (uint16_t q = 0; q < p->tx_n; q++)
		p->ways[q].owner = worker_of(d, p, q);
	rte_eth_macaddr_get(id, &mac);
	memcpy(p->mac, mac.addr_bytes, sizeof(p->mac));
	rte_eth_dev_get_mtu(id, &p->mtu_now);
	d->ports_n++;
	return 0;
}

static int start_port(struct port *p, struct err *e)
{
	int status = rte_eth_dev_start(p->id);

	if (status)
		return fail(p, "cannot be started", status, e);
	// Neighbour discovery comes by multicast. What cannot filter takes all of it anyway.
	rte_eth_allmulticast_enable(p->id);
	return 0;
}

int ports_open(struct lb_dpdk *d, struct err *e)
{
	int status = 0;
	uint16_t id;

	RTE_ETH_FOREACH_DEV(id)
	{
		status = open_port(d, id, e);
		if (status)
			return status;
	}
	if (!d->ports_n)
		return err_set(
			e, -ENODEV,
			"there is no port: bind a NIC to vfio-pci (`dpdk-devbind.py -b "
			"vfio-pci 0000:03:00.0`) and allow it (-a 0000:03:00.0), or name one "
			"that stays with the kernel (--vdev net_af_xdp0,iface=eth1)");
	status = share_queues(d, e);
	for (unsigned int i = 0; i < d->ports_n && !status; i++)
		status = start_port(&d->ports[i], e);
	return status;
}

void ports_close(struct lb_dpdk *d)
{
	for (unsigned int i = 0; i < d->ports_n; i++) {
		rte_eth_dev_stop(d->ports[i].id);
		rte_eth_dev_close(d->ports[i].id);
	}
}

// ---- shown, and followed ----

void ports_show(struct lb_dpdk *d)
{
	for (unsigned int i = 0; i < LB_PORT_MAX; i++) {
		struct lb_port *row = &d->tables->file.ports[i];
		const struct port *p = i < d->ports_n ? &d->ports[i] : NULL;

		__atomic_store_n(&row->state, LB_PORT_NONE, __ATOMIC_RELEASE);
		// Where lbd does not run, the interface of this port is that of the last time.
		if (!p || strcmp(row->name, p->name) != 0)
			row->ifindex = 0;
		if (!p)
			continue;
		memcpy(row->name, p->name, sizeof(row->name));
		memcpy(row->mac, p->mac, sizeof(row->mac));
		row->mtu = p->mtu_max;
		__atomic_store_n(&row->state, LB_PORT_PROBED, __ATOMIC_RELEASE);
	}
}

static uint16_t interface_mtu(uint32_t ifindex)
{
	struct ifreq r = {};
	int fd;

	if (!ifindex || !if_indextoname(ifindex, r.ifr_name))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &r))
		r.ifr_mtu = 0;
	if (fd >= 0)
		close(fd);
	return (uint16_t)RTE_MIN(r.ifr_mtu, UINT16_MAX);
}

// The operator sets the interface's MTU; the port follows, or the interface must come down to it.
static void follow_mtu(struct port *p, struct lb_port *row)
{
	uint16_t mtu = interface_mtu(p->tap_ifindex);
	int status;

	// What is too much lbd lowers at once.
	if (!mtu || mtu == p->mtu_now || mtu > p->mtu_max)
		return;
	status = rte_eth_dev_set_mtu(p->id, mtu);
	if (!status) {
		p->mtu_now = mtu;
		return;
	}
	if (mtu > p->mtu_now && row->mtu != p->mtu_now) {
		say("port %s: takes no MTU of %u (%s): its interface gets %u", p->name, mtu,
		    rte_strerror(-status), p->mtu_now);
		row->mtu = p->mtu_now;
	}
}

void ports_follow_mtus(struct lb_dpdk *d)
{
	if (!d->tables || !d->are_links_stale)
		return;
	d->are_links_stale = false;
	for (unsigned int i = 0; i < d->ports_n; i++)
		follow_mtu(&d->ports[i], &d->tables->file.ports[i]);
}

void ports_follow(struct lb_dpdk *d)
{
	struct rte_eth_link link;

	if (!d->tables)
		return;
	for (unsigned int i = 0; i < d->ports_n; i++)
		if (!rte_eth_link_get_nowait(d->ports[i].id, &link))
			d->tables->file.ports[i].is_up = link.link_status;
}
