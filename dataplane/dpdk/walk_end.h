// SPDX-License-Identifier: BSD-2-Clause
//
// A packet's frame in its mbuf, and the end of its way: room is made, it is counted, written, and
// sorted. What the walk in stages (walk.c) and the one packet after packet (walk_one.c) share.
#pragma once

#include <rte_branch_prediction.h>

#include "walk.h"

#include "dataplane/core/answer.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"

// So much of a frame lies in its first segment, where there is as much: all that the core reads;
// and where it is answered, all that an answer quotes.
#define CONTIGUOUS_BYTES LB_PARSE_BYTES_MAX
#define CONTIGUOUS_ANSWERED_BYTES WALK_CONTIGUOUS_MAX

// Moves bytes from the segments behind into the first one, until it has @bytes, as far as it has
// room.
static __noinline void gather(struct rte_mbuf *m, int bytes)
{
	while (m->next && m->data_len < bytes) {
		struct rte_mbuf *next = m->next;
		__u16 take = RTE_MIN(bytes - m->data_len, (int)next->data_len);

		take = RTE_MIN(take, rte_pktmbuf_tailroom(m));
		if (take == 0 && next->data_len)
			return;
		memcpy(rte_pktmbuf_mtod_offset(m, __u8 *, m->data_len),
		       rte_pktmbuf_mtod(next, __u8 *), take);
		m->data_len += take;
		next->data_off += take;
		next->data_len -= take;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
}

static __always_inline void find_frame(struct rte_mbuf *m, __u8 **ret_start, __u8 **ret_end)
{
	if (unlikely(m->nb_segs > 1 && m->data_len < CONTIGUOUS_BYTES))
		gather(m, CONTIGUOUS_BYTES);
	*ret_start = rte_pktmbuf_mtod(m, __u8 *);
	*ret_end = *ret_start + m->data_len;
}

struct dropped {
	unsigned int n;
	struct rte_mbuf *pkts[WALK_BURST_MAX];
};

// The frame's first @len bytes, which lie in its first segment, and no more.
static bool cut(struct rte_mbuf *m, __u16 len)
{
	if (len > m->data_len)
		return false;
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->data_len = len;
	m->pkt_len = len;
	return true;
}

// Makes the packet its own answer, to be decided as it was: parsed anew, for what a call is given
// lies in memory all along a packet's way. @vip: from whom an answer to a backend comes; NULL: it
// is none. Returns false where there was no room.
static __noinline bool answer(struct rte_mbuf *m, enum lb_reason reason, __u32 mtu,
			      const struct lb_address *vip)
{
	struct lb_answer a = {};
	struct lb_packet p;
	__u8 *start, *end;

	find_frame(m, &start, &end);
	lb_parse(start, end, m->pkt_len, &p);
	if (!lb_parse_locate(start, end, p.family, &p))
		return false;
	if (m->next)
		gather(m, CONTIGUOUS_ANSWERED_BYTES);
	lb_answer_of(&p, reason, mtu, vip, &a);
	if (a.grow)
		start = (__u8 *)rte_pktmbuf_prepend(m, a.grow);
	if (!start || (a.len != m->pkt_len && !cut(m, a.len)))
		return false;
	return lb_answer_write(start, start + m->data_len, &a);
}

// Makes room, counts, writes the headers, sorts.
static __always_inline void end_packet(struct lb_env *env, struct rte_mbuf *m, int is_plain,
				       const struct lb_packet *p, struct lb_decision *d,
				       struct walk_result *ret, struct dropped *dropped)
{
	__u32 grow = d->verdict == LB_TRANSMIT ? lb_decision_grow(d) : 0;
	__u8 *start = p->start;

	if (grow) {
		start = (__u8 *)rte_pktmbuf_prepend(m, (__u16)grow);
		if (unlikely(!start))
			lb_decide_end(d, LB_REASON_HEADROOM);
	}
	if (unlikely(d->verdict == LB_ANSWER) &&
	    !answer(m, d->reason, lb_answer_mtu(p, d), d->is_reply ? &d->row->vip : NULL))
		lb_decide_end(d, LB_REASON_HEADROOM);
	lb_count(env, p, d);
	if (likely(d->verdict == LB_TRANSMIT) &&
	    likely(is_plain && !grow ? lb_apply_in_place_plain(p, d)
				     : lb_apply(env, start, start + m->data_len, grow, p, d))) {
		ret->ifindex[ret->send_n] = d->link->ifindex;
		ret->send[ret->send_n++] = m;
	} else if (d->verdict == LB_PASS) {
		ret->kernel[ret->kernel_n++] = m;
	} else if (d->verdict == LB_ANSWER) {
		ret->back[ret->back_n++] = m;
	} else {
		dropped->pkts[dropped->n++] = m;
	}
}

// Takes a packet the whole way by itself.
static __noinline void end_whole(struct lb_env *env, struct rte_mbuf *m, struct walk_result *ret,
				 struct dropped *dropped)
{
	struct lb_decision d;
	struct lb_packet p;
	__u8 *start, *end;

	find_frame(m, &start, &end);
	lb_decide(env, start, end, m->pkt_len, &p, &d);
	end_packet(env, m, 0, &p, &d, ret, dropped);
}
