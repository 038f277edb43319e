// SPDX-License-Identifier: BSD-2-Clause
//
// The exception path: what is not balanced goes to the kernel and comes from it by a
// TAP per port, so that addresses, ARP, neighbour discovery, BGP and ssh are the
// kernel's. lbd makes the TAPs, and tells in the tables which stands for which port.
// Read and written by the main lcore alone; rings lead from and to the workers.
#include <errno.h>
#include <net/if.h>
#include <rte_mbuf.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "control/tap.h"
#include "lb_dpdk.h"

#define BURST 32
#define SEGMENTS_MAX 64
#define FRAME_MAX 65536

static void close_tap(struct port *p)
{
	if (p->tap_fd >= 0)
		close(p->tap_fd);
	p->tap_fd = -1;
	p->tap_ifindex = 0;
	p->has_frames = false;
}

void exception_follow(struct lb_dpdk *d)
{
	if (!d->tables)
		return;
	for (unsigned int i = 0; i < d->ports_n; i++) {
		struct port *p = &d->ports[i];
		uint32_t ifindex =
			__atomic_load_n(&d->tables->file.ports[i].ifindex, __ATOMIC_ACQUIRE);
		char name[IF_NAMESIZE];
		struct err e = {};

		if (ifindex == p->tap_ifindex && (p->tap_fd >= 0 || !ifindex))
			continue;
		close_tap(p);
		if (!ifindex || !if_indextoname(ifindex, name))
			continue;
		if (tap_open(name, &p->tap_fd, &e)) {
			say("port %s: %s", p->name, e.text);
			continue;
		}
		p->tap_ifindex = ifindex;
		d->are_links_stale = true;
		say("port %s is %s to the kernel", p->name, name);
	}
}

// ---- to the kernel ----

static void write_frame(struct port *p, const struct rte_mbuf *m)
{
	struct iovec parts[SEGMENTS_MAX];
	int n = 0;

	for (; m && n < SEGMENTS_MAX; m = m->next)
		parts[n++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *),
					    .iov_len = m->data_len};
	// It may be down (EIO), or deleted (EBADFD): then it is opened anew.
	if (writev(p->tap_fd, parts, n) < 0 && errno == EBADFD)
		close_tap(p);
}

static unsigned int carry_to_kernel(struct port *p)
{
	struct rte_mbuf *pkts[BURST];
	unsigned int n = rte_ring_sc_dequeue_burst(p->to_kernel, (void **)pkts, BURST, NULL);

	for (unsigned int i = 0; i < n && p->tap_fd >= 0; i++)
		write_frame(p, pkts[i]);
	rte_pktmbuf_free_bulk(pkts, n);
	return n;
}

// ---- from the kernel ----

// A frame as a chain of mbufs. NULL: there are none left.
static struct rte_mbuf *make_frame(const struct port *p, const uint8_t *bytes, size_t len)
{
	struct rte_mbuf *first = rte_pktmbuf_alloc(p->pool), *last = first;

	while (last) {
		uint16_t take = RTE_MIN(len, (size_t)rte_pktmbuf_tailroom(last));

		memcpy(rte_pktmbuf_append(first, take), bytes, take);
		bytes += take;
		len -= take;
		if (!len)
			return first;
		last = rte_pktmbuf_alloc(p->pool);
		if (last)
			rte_pktmbuf_chain(first, last);
	}
	rte_pktmbuf_free(first);
	return NULL;
}

static unsigned int carry_from_kernel(struct port *p)
{
	static uint8_t frame[FRAME_MAX];
	unsigned int n;

	for (n = 0; n < BURST && p->has_frames; n++) {
		ssize_t len = read(p->tap_fd, frame, sizeof(frame));
		struct rte_mbuf *m;

		if (len <= 0) {
			p->has_frames = false;
			if (len < 0 && errno == EBADFD)
				close_tap(p);
			break;
		}
		m = make_frame(p, frame, len);
		// The kernel sends again what matters.
		if (m && rte_ring_mp_enqueue(p->ways[0].ring, m))
			rte_pktmbuf_free(m);
	}
	return n;
}

bool exception_carry(struct lb_dpdk *d)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < d->ports_n; i++) {
		n += carry_to_kernel(&d->ports[i]);
		n += carry_from_kernel(&d->ports[i]);
	}
	return n;
}

void exception_close(struct lb_dpdk *d)
{
	for (unsigned int i = 0; i < d->ports_n; i++)
		close_tap(&d->ports[i]);
}
