// SPDX-License-Identifier: BSD-2-Clause
//
// A burst on its way through the stages (walk.c), and the straight ends of it: what nearly all
// packets take, from the backend's row on.
#pragma once

#include "walk_end.h"
#include "walk_hash.h"

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
	__u32 backend;	   // row, as the slot, tracking or the reverse index says. Before: of
			   // replies lb_index_hash(); for tracking the slot's word
	__u8 request;	   // of WAY_CURRENT and WAY_TRACKED: which of the burst's
	__u8 kind;	   // LANE_KIND()
	__u8 reason;	   // enum lb_reason, of WAY_TRACKED
	__u8 is_untracked; // of WAY_TRACKED
};

// In the order in which their packets came in.
struct list {
	unsigned int n;
	struct lane *lanes[WALK_BURST_MAX];
};

// The service that the last packet for one was for, and whom its packets are for: those of a burst
// are mostly for few.
struct last {
	struct lb_address vip;
	__be16 port;
	__u8 protocol; // 0: none yet
	struct walk_target target;
	const struct lb_service *service;
};

// Of a packet that is not plain.
struct full {
	struct lb_packet packet;
	struct lb_decision decision;
};

struct burst {
	struct lb_env *env;
	struct last lasts[2];	       // of IPv4, of IPv6
	struct list requests, replies; // to a service's backend; from a backend
	struct list tracked;	       // of the requests, those that tracking asks for
	struct lane lanes[WALK_BURST_MAX];
	struct walk_flows flows; // of the requests
	const struct lb_service *services[WALK_BURST_MAX];
	struct full fulls[WALK_BURST_MAX];
};

// Frames on a wire are no shorter than 60 bytes: so a plain packet's header of 54 is there, which
// is asked once. What is shorter all the same goes as one that is not plain.
#define PLAIN_BYTES (LB_ETH_LEN + LB_IPV4_LEN + LB_TCP_LEN)

// What was read of a plain packet, once more. @family: a constant. (Measured: one function that
// stages give their step by a pointer costs a reply 6 ns; the packet lies in memory then.)
static __always_inline void again_plain(const struct rte_mbuf *m, int family, struct lb_packet *ret)
{
	__u8 *start = rte_pktmbuf_mtod(m, __u8 *), *end = start + m->data_len;

	if (LB_IS_BEYOND(start, PLAIN_BYTES, end)) // start() has asked
		__builtin_unreachable();
	lb_packet_parse_plain_again(start, end, m->pkt_len, family, ret);
}

// ---- straight ends ----
// Of plain packets that are sent on: first of one, then of a run of one kind.

// Of one: counted (but for its reason) and written, it leaves by this link; NULL: something hinders
// it, and nothing was done. @family: of the packet; a constant.

// In place. @d: its row is set.
static __always_inline const struct lb_link *end_in_place(struct lb_env *env,
							  const struct lane *lane, int family,
							  enum lb_reason reason,
							  struct lb_decision *d)
{
	struct lb_packet p;

	again_plain(lane->mbuf, family, &p);
	if (unlikely(lb_decide_link(env, &p, d) != LB_REASON_NONE))
		return NULL;
	lb_decide_transmit(d, reason);
	lb_count_backend(env, &p, d);
	lb_apply_in_place_plain(&p, d);
	return d->link;
}

// Behind an outer header. @d: its row is set, whose mode and family the compiler knows.
static __always_inline const struct lb_link *end_tunnel(struct burst *b, const struct lane *lane,
							int family, struct lb_decision *d)
{
	const __u32 grow = lb_decision_grow(d);
	struct lb_env *env = b->env;
	struct rte_mbuf *m = lane->mbuf;
	struct lb_packet p;

	again_plain(m, family, &p);
	if (unlikely(lb_decide_link(env, &p, d) != LB_REASON_NONE))
		return NULL;
	if (unlikely(!rte_pktmbuf_prepend(m, (__u16)grow)))
		return NULL;
	d->hash = b->flows.hash[lane->request];
	lb_decide_transmit(d, LB_REASON_CURRENT);
	lb_count_backend(env, &p, d);
	lb_apply_tunnel(env, p.start - grow, p.end, grow, LB_ETH_LEN, &p, d);
	return d->link;
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
	lb_count_backend(env, &p, &d);
	lb_apply_in_place_plain(&p, &d);
	return d.link;
}

// Of a run: the lanes from @lane on, before @end, as long as they are of its kind. They are put
// into *ret. Returns the first that is of another kind, or that something hinders, with which
// nothing was done. Each is called, and a loop by itself: so it has its values in registers, and
// counts a reason once.

static __always_inline void end_sent(struct walk_result *ret, size_t send_n,
				     const struct lane *lane, const struct lb_link *link)
{
	ret->ifindex[send_n] = link->ifindex;
	ret->send[send_n] = lane->mbuf;
}

// A run of them is over: @reason is counted for all. @send_n: of *ret, now.
static __always_inline void end_run(struct lb_env *env, enum lb_reason reason, size_t send_n,
				    struct walk_result *ret)
{
	lb_count_reason(env, reason, (__u32)(send_n - ret->send_n));
	ret->send_n = (unsigned int)send_n;
}

// As their slots say, in place.
static __noinline const struct lane *end_requests(struct burst *b, const struct lane *lane,
						  const struct lane *end, struct walk_result *ret)
{
	size_t send_n = ret->send_n;

	for (; lane < end; lane++) {
		struct lb_decision d = {.backend = lane->backend};
		const struct lb_link *link = NULL;

		if (lb_decide_backend(b->env, &d) != LB_REASON_NONE || lb_decision_grow(&d))
			break;
		if (lane->kind == LANE_KIND(4, WAY_CURRENT))
			link = end_in_place(b->env, lane, 4, LB_REASON_CURRENT, &d);
		else if (lane->kind == LANE_KIND(6, WAY_CURRENT))
			link = end_in_place(b->env, lane, 6, LB_REASON_CURRENT, &d);
		if (unlikely(!link))
			break;
		end_sent(ret, send_n++, lane, link);
	}
	end_run(b->env, LB_REASON_CURRENT, send_n, ret);
	return lane;
}

// As their slots say, by tunnels of @mode over IPv4 or IPv6 (@outer), both constants.
static __always_inline const struct lane *end_tunnels(struct burst *b, const struct lane *lane,
						      const struct lane *end, int outer,
						      enum lb_mode mode, struct walk_result *ret)
{
	size_t send_n = ret->send_n;

	for (; lane < end; lane++) {
		struct lb_decision d = {.backend = lane->backend};
		const struct lb_link *link = NULL;

		if (lb_decide_backend(b->env, &d) != LB_REASON_NONE || d.row->mode != mode ||
		    d.row->family != outer)
			break;
		if (lane->kind == LANE_KIND(4, WAY_CURRENT))
			link = end_tunnel(b, lane, 4, &d);
		else if (lane->kind == LANE_KIND(6, WAY_CURRENT))
			link = end_tunnel(b, lane, 6, &d);
		if (unlikely(!link))
			break;
		end_sent(ret, send_n++, lane, link);
	}
	end_run(b->env, LB_REASON_CURRENT, send_n, ret);
	return lane;
}

#define END_TUNNELS(name, outer, mode)                                                             \
	static __noinline const struct lane *name(struct burst *b, const struct lane *lane,        \
						  const struct lane *end, struct walk_result *ret) \
	{                                                                                          \
		return end_tunnels(b, lane, end, outer, mode, ret);                                \
	}
END_TUNNELS(end_ipip_ipv4, 4, LB_MODE_IPIP)
END_TUNNELS(end_ipip_ipv6, 6, LB_MODE_IPIP)
END_TUNNELS(end_gue_ipv4, 4, LB_MODE_GUE)
END_TUNNELS(end_gue_ipv6, 6, LB_MODE_GUE)

// As tracking says, in place; one after the other, for their reasons differ.
static __noinline const struct lane *end_tracked(struct burst *b, const struct lane *lane,
						 const struct lane *end, struct walk_result *ret)
{
	for (; lane < end; lane++) {
		struct lb_decision d = {.backend = lane->backend,
					.is_untracked = lane->is_untracked};
		const enum lb_reason reason = (enum lb_reason)lane->reason;
		const struct lb_link *link = NULL;

		if (LANE_WAY(lane->kind) != WAY_TRACKED ||
		    lb_decide_backend(b->env, &d) != LB_REASON_NONE || lb_decision_grow(&d))
			break;
		if (LANE_FAMILY(lane->kind) == 4)
			link = end_in_place(b->env, lane, 4, reason, &d);
		else if (LANE_FAMILY(lane->kind) == 6)
			link = end_in_place(b->env, lane, 6, reason, &d);
		if (unlikely(!link))
			break;
		end_sent(ret, ret->send_n, lane, link);
		end_run(b->env, reason, ret->send_n + 1, ret);
	}
	return lane;
}

static __noinline const struct lane *end_replies(struct burst *b, const struct lane *lane,
						 const struct lane *end, struct walk_result *ret)
{
	size_t send_n = ret->send_n;

	for (; lane < end; lane++) {
		const struct lb_link *link = NULL;

		if (lane->kind == LANE_KIND(4, WAY_REPLY))
			link = end_reply(b->env, lane, 4);
		else if (lane->kind == LANE_KIND(6, WAY_REPLY))
			link = end_reply(b->env, lane, 6);
		if (unlikely(!link))
			break;
		end_sent(ret, send_n++, lane, link);
	}
	end_run(b->env, LB_REASON_REPLY, send_n, ret);
	return lane;
}

// The lanes of @lane's kind. Returns @lane where it has no straight end.
static __always_inline const struct lane *end_straight(struct burst *b, const struct lane *lane,
						       const struct lane *end,
						       struct walk_result *ret)
{
	const struct lb_backend *row;

	if (LANE_WAY(lane->kind) == WAY_REPLY)
		return end_replies(b, lane, end, ret);
	if (LANE_WAY(lane->kind) == WAY_TRACKED)
		return end_tracked(b, lane, end, ret);
	if (LANE_WAY(lane->kind) != WAY_CURRENT)
		return lane;
	row = lb_backend_row(b->env, lane->backend);
	if (!row)
		return lane;
	if (row->mode < LB_MODE_IPIP)
		return end_requests(b, lane, end, ret);
	if (row->mode == LB_MODE_IPIP)
		return row->family == 4 ? end_ipip_ipv4(b, lane, end, ret)
					: end_ipip_ipv6(b, lane, end, ret);
	return row->family == 4 ? end_gue_ipv4(b, lane, end, ret) : end_gue_ipv6(b, lane, end, ret);
}
