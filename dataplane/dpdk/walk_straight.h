// SPDX-License-Identifier: BSD-2-Clause
//
// A packet on its way through the stages (walk.c), and the straight end of it: what nearly all
// packets take, from the backend's row on, in line.
#pragma once

#include "walk_end.h"

// Where a packet of a burst has got to.
enum lane_way {
	WAY_WHOLE,   // nowhere: it takes the whole walk at the end. Few do
	WAY_CURRENT, // to a service's backend, as its slot says
	WAY_TRACKED, // to a service's backend, as tracking says
	WAY_REPLY,   // from a backend in nat
	WAY_DECIDED, // there: full->decision
};

// A lane's way, and the family of a plain packet; 0: it is none, and full->packet says what it is.
#define LANE_KIND(family, way) ((__u8)((family) << 4 | (way)))
#define LANE_FAMILY(kind) ((kind) >> 4)
#define LANE_WAY(kind) ((enum lane_way)((kind)&0xf))

// A packet on its way.
struct lane {
	struct rte_mbuf *mbuf;
	const struct lb_service *service;
	__u64 hash; // of the flow; of replies: lb_index_hash()
	__u32 slot;
	__u32 backend;	   // row, as the slot, tracking or the reverse index says; for tracking the
			   // slot's word
	__u8 kind;	   // LANE_KIND()
	__u8 reason;	   // enum lb_reason, of WAY_TRACKED
	__u8 is_untracked; // of WAY_TRACKED
};

// What was read of a plain packet, once more. @family: a constant. (Measured: one function that
// stages give their step by a pointer costs a reply 6 ns; the packet lies in memory then.)
static __always_inline void again_plain(const struct rte_mbuf *m, int family, struct lb_packet *ret)
{
	__u8 *start = rte_pktmbuf_mtod(m, __u8 *);

	lb_packet_parse_plain_again(start, start + m->data_len, m->pkt_len, family, ret);
}

// ---- straight ends ----
// Of a plain packet that is sent on: it is counted and written, and leaves by this link. NULL: it
// is not, and nothing was done. @family: a constant.

// Behind an outer header. @d: its row is set.
static __always_inline const struct lb_link *end_tunnel(struct lb_env *env, const struct lane *lane,
							int family, struct lb_decision *d)
{
	const __u32 grow = lb_decision_grow(d);
	struct rte_mbuf *m = lane->mbuf;
	struct lb_packet p;
	__u8 *start;

	again_plain(m, family, &p);
	if (unlikely(lb_decide_link(env, &p, d) != LB_REASON_NONE))
		return NULL;
	start = (__u8 *)rte_pktmbuf_prepend(m, (__u16)grow);
	if (unlikely(!start))
		return NULL;
	d->hash = lane->hash;
	lb_decide_transmit(d, LB_REASON_CURRENT);
	lb_count(env, &p, d);
	lb_apply_tunnel(env, start, start + m->data_len, grow, LB_ETH_LEN, &p, d);
	return d->link;
}

static __always_inline const struct lb_link *
end_tunnel_of(struct lb_env *env, const struct lane *lane, struct lb_decision *d)
{
	if (LANE_FAMILY(lane->kind) == 4)
		return end_tunnel(env, lane, 4, d);
	return end_tunnel(env, lane, 6, d);
}

// As the slot says. Called, so that what it needs costs nat and l2 nothing. (The same four times,
// for in each the outer header's length is a constant.)
static __noinline const struct lb_link *end_tunnelled(struct lb_env *env, const struct lane *lane)
{
	struct lb_decision d = {.backend = lane->backend};

	if (unlikely(lb_decide_backend(env, &d) != LB_REASON_NONE))
		return NULL;
	if (d.row->family == 4)
		return d.row->mode == LB_MODE_IPIP ? end_tunnel_of(env, lane, &d)
						   : end_tunnel_of(env, lane, &d);
	return d.row->mode == LB_MODE_IPIP ? end_tunnel_of(env, lane, &d)
					   : end_tunnel_of(env, lane, &d);
}

// @way: a constant.
static __always_inline const struct lb_link *
end_request(struct lb_env *env, const struct lane *lane, int family, enum lane_way way)
{
	struct lb_decision d = {.backend = lane->backend};
	struct lb_packet p;

	if (unlikely(lb_decide_backend(env, &d) != LB_REASON_NONE))
		return NULL;
	if (lb_decision_grow(&d))
		return way == WAY_CURRENT ? end_tunnelled(env, lane) : NULL;
	again_plain(lane->mbuf, family, &p);
	if (unlikely(lb_decide_link(env, &p, &d) != LB_REASON_NONE))
		return NULL;
	if (way == WAY_TRACKED) {
		d.is_untracked = lane->is_untracked;
		lb_decide_transmit(&d, (enum lb_reason)lane->reason);
	} else {
		lb_decide_transmit(&d, LB_REASON_CURRENT);
	}
	lb_count(env, &p, &d);
	lb_apply_in_place_plain(&p, &d);
	return d.link;
}

// Called, for it is rarer.
static __noinline const struct lb_link *end_tracked(struct lb_env *env, const struct lane *lane)
{
	if (LANE_FAMILY(lane->kind) == 4)
		return end_request(env, lane, 4, WAY_TRACKED);
	return end_request(env, lane, 6, WAY_TRACKED);
}

// By one of the mirrored routes.
static __always_inline const struct lb_link *end_reply(struct lb_env *env, const struct lane *lane,
						       int family)
{
	struct lb_decision d = {};
	enum lb_route_kind kind;
	struct lb_packet p;

	again_plain(lane->mbuf, family, &p);
	if (lb_decide_from_backend(env, &p, lane->backend, &d, &kind) != LB_REASON_NONE ||
	    kind != LB_ROUTE_HOP || lb_decide_link(env, &p, &d) != LB_REASON_NONE)
		return NULL;
	lb_decide_transmit(&d, LB_REASON_REPLY);
	lb_count(env, &p, &d);
	lb_apply_in_place_plain(&p, &d);
	return d.link;
}

static __always_inline const struct lb_link *end_straight(struct lb_env *env,
							  const struct lane *lane)
{
	if (lane->kind == LANE_KIND(4, WAY_CURRENT))
		return end_request(env, lane, 4, WAY_CURRENT);
	if (lane->kind == LANE_KIND(6, WAY_CURRENT))
		return end_request(env, lane, 6, WAY_CURRENT);
	if (lane->kind == LANE_KIND(4, WAY_REPLY))
		return end_reply(env, lane, 4);
	if (lane->kind == LANE_KIND(6, WAY_REPLY))
		return end_reply(env, lane, 6);
	if (lane->kind == LANE_KIND(4, WAY_TRACKED) || lane->kind == LANE_KIND(6, WAY_TRACKED))
		return end_tracked(env, lane);
	return NULL;
}
