// SPDX-License-Identifier: BSD-2-Clause
//
// The walk, one packet after the other: what the stages (walk.c) are compared with, and what
// packets take while somebody traces them.
#include <rte_prefetch.h>
#include <string.h>
#include <time.h>

#include "walk_end.h"

void walk_plain(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (unsigned int i = 0; i < n; i++)
		end_whole(&w->env, pkts[i], ret, &dropped);
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}

// ---- traced ----

// A packet that may be wanted.
struct copy {
	struct lb_trace_tuple tuple;
	struct lb_trace_record record;
	__u8 before[LB_TRACE_SNAP_MAX];
};

// The frame's first bytes, at most @max, into @buf; returns how many.
static __u32 snap(struct rte_mbuf *m, __u32 max, __u8 *buf)
{
	const __u32 n = RTE_MIN(m->pkt_len, max);
	const void *bytes = rte_pktmbuf_read(m, 0, n, buf);

	if (!bytes)
		return 0;
	if (bytes != buf)
		memcpy(buf, bytes, n);
	return n;
}

// The packet as it leaves is in @m.
static void tell(struct walk_trace *t, struct rte_mbuf *m, struct copy *c)
{
	__u8 after[LB_TRACE_SNAP_MAX];
	struct timespec now;

	if (!lb_trace_is_wanted(&t->filter, &c->tuple, &c->record))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!lb_trace_take(t->window, t->filter.rate, (__u32)now.tv_sec)) {
		t->ring->counts.left_out++;
		return;
	}
	c->record.time_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	if (c->record.out_ifindex) {
		c->record.after_len = m->pkt_len;
		c->record.after_snap = snap(m, t->filter.snap, after);
	}
	lb_trace_ring_put(t->ring, &c->record, c->before, after);
}

void walk_traced(struct walk *w, struct walk_trace *t, __u32 ifindex, struct rte_mbuf **pkts,
		 unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n; i++) {
		const unsigned int send_n = ret->send_n, back_n = ret->back_n;
		struct rte_mbuf *m = pkts[i];
		struct lb_decision d;
		struct lb_packet p;
		__u8 *start, *end;
		struct copy c;

		find_frame(m, &start, &end);
		c.tuple = (struct lb_trace_tuple){};
		c.record =
			(struct lb_trace_record){.in_ifindex = ifindex, .before_len = m->pkt_len};
		c.record.before_snap = snap(m, t->filter.snap, c.before);
		lb_decide(&w->env, start, end, m->pkt_len, &p, &d);
		end_packet(&w->env, m, 0, &p, &d, ret, &dropped);
		lb_trace_note_packet(&c.tuple, &p);
		lb_trace_note_decision(&c.record, &d);
		if (ret->send_n > send_n)
			c.record.out_ifindex = ret->ifindex[send_n];
		else if (ret->back_n > back_n)
			c.record.out_ifindex = ifindex;
		tell(t, m, &c);
	}
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}
