// SPDX-License-Identifier: BSD-2-Clause
//
// The straight ends of a burst: what nearly all packets take, from the backend's row on. Of plain
// packets that are sent on: first of one, then of a run of one kind.
#pragma once

#include "walk_burst.h"

// Of one: counted (but for its reason) and written, it leaves by this link; NULL: something hinders
// it, and nothing was done. @kind: of the packet; a constant.

// In place. @d: its row and link are set.
static __always_inline const struct lb_link *end_in_place(struct lb_env *env, const struct burst *b,
							  struct rte_mbuf *m, size_t i, __u8 kind,
							  enum lb_mode mode, enum lb_reason reason,
							  struct lb_decision *d)
{
	struct lb_packet p;

	again_plain(m, family_of(kind), protocol_of(kind), &p);
	p.ip_len = b->flows.ip_lens[i];
	if (unlikely(lb_decide_fit(&p, 0, d) != LB_REASON_NONE))
		return NULL;
	lb_decide_transmit(d, reason);
	lb_count_backend(env, lb_cpu(env), &p, d);
	lb_apply_request_plain(&p, d, mode);
	return d->link;
}

// Behind an outer header. @grow: lb_decision_grow(), a constant. @d: its row and link are set.
static __always_inline const struct lb_link *end_tunnel(struct lb_env *env, const struct burst *b,
							struct rte_mbuf *m, size_t i, __u8 kind,
							__u32 grow, struct lb_decision *d)
{
	struct lb_packet p;

	again_plain(m, family_of(kind), protocol_of(kind), &p);
	p.ip_len = b->flows.ip_lens[i];
	if (unlikely(lb_decide_fit(&p, grow, d) != LB_REASON_NONE))
		return NULL;
	if (unlikely(m->data_off < grow))
		return NULL;
	d->hash = b->flows.hash[i];
	lb_decide_transmit(d, LB_REASON_CURRENT);
	lb_count_backend(env, lb_cpu(env), &p, d);
	// As rte_pktmbuf_prepend() does, which would ask once more.
	m->data_off = (__u16)(m->data_off - grow);
	m->data_len = (__u16)(m->data_len + grow);
	m->pkt_len += grow;
	lb_apply_tunnel(env, p.start - grow, p.end, grow, LB_ETH_LEN, &p, d);
	return d->link;
}

// By one of the mirrored routes.
static __always_inline const struct lb_link *end_reply(struct lb_env *env, const struct burst *b,
						       const struct lb_route_set *routes,
						       struct rte_mbuf *m, size_t i, __u8 kind)
{
	struct lb_decision d = {};
	enum lb_route_kind route;
	struct lb_packet p;

	again_plain(m, family_of(kind), protocol_of(kind), &p);
	p.ip_len = b->flows.ip_lens[i];
	if (lb_decide_from_backend(env, &p, routes, b->backends[i], &d, &route) != LB_REASON_NONE ||
	    route != LB_ROUTE_HOP || lb_decide_link(env, &p, 0, &d) != LB_REASON_NONE)
		return NULL;
	lb_decide_transmit(&d, LB_REASON_REPLY);
	lb_count_backend(env, lb_cpu(env), &p, &d);
	lb_apply_in_place_plain(&p, &d);
	return d.link;
}

// Of a run: the packets from @i on, before @n, as long as they are of one kind. They are put into
// *ret. Returns the first that is of another kind, or that something hinders, with which nothing
// was done. Each is called, and a loop by itself: so it has its values in registers, and counts a
// reason once.

static __always_inline void end_sent(struct walk_result *ret, size_t send_n, struct rte_mbuf *m,
				     const struct lb_link *link)
{
	ret->ifindex[send_n] = link->ifindex;
	ret->send[send_n] = m;
}

// A run of them is over: @reason is counted for all. @send_n: of *ret, now.
static __always_inline void end_run(struct lb_env *env, enum lb_reason reason, size_t send_n,
				    struct walk_result *ret)
{
	lb_count_reason(env, lb_cpu(env), reason, (__u32)(send_n - ret->send_n));
	ret->send_n = (unsigned int)send_n;
}

// As their slots say. @kind, @way: constants; the latter is lb_way().
static __always_inline size_t end_requests(struct burst *b, size_t i, size_t n, __u8 kind,
					   __u32 way, struct walk_result *ret)
{
	struct rte_mbuf *const *pkts = b->pkts;
	struct lb_env env = *b->env;
	size_t send_n = ret->send_n;

	for (; i < n && kind_of(b, i) == kind; i++) {
		struct lb_decision d = {.backend = b->backends[i]};
		struct rte_mbuf *m = pkts[i];
		const struct lb_link *link;

		if (lb_decide_way(&env, &d) != way)
			break;
		link = way > LB_MODE_L2 ? end_tunnel(&env, b, m, i, kind, way, &d)
					: end_in_place(&env, b, m, i, kind, (enum lb_mode)way,
						       LB_REASON_CURRENT, &d);
		if (unlikely(!link))
			break;
		end_sent(ret, send_n++, m, link);
	}
	end_run(&env, LB_REASON_CURRENT, send_n, ret);
	return i;
}

static __always_inline size_t end_replies(struct burst *b, size_t i, size_t n, __u8 kind,
					  struct walk_result *ret)
{
	struct rte_mbuf *const *pkts = b->pkts;
	const struct lb_route_set *routes = lb_route_set(b->env);
	struct lb_env env = *b->env;
	size_t send_n = ret->send_n;

	for (; i < n && kind_of(b, i) == kind; i++) {
		struct rte_mbuf *m = pkts[i];
		const struct lb_link *link = end_reply(&env, b, routes, m, i, kind);

		if (unlikely(!link))
			break;
		end_sent(ret, send_n++, m, link);
	}
	end_run(&env, LB_REASON_REPLY, send_n, ret);
	return i;
}

// As tracking says, in place; one after the other, for their reasons differ.
static __always_inline size_t end_tracked(struct burst *b, size_t i, size_t n, __u8 kind,
					  struct walk_result *ret)
{
	struct lb_env env = *b->env;

	for (; i < n && kind_of(b, i) == kind; i++) {
		struct lb_decision d = {.backend = b->backends[i],
					.is_untracked = b->is_untracked[i]};
		const enum lb_reason reason = (enum lb_reason)b->reasons[i];
		const __u32 way = lb_decide_way(&env, &d);
		const struct lb_link *link;

		if (way == 0 || way > LB_MODE_L2)
			break;
		link = end_in_place(&env, b, b->pkts[i], i, kind, (enum lb_mode)way, reason, &d);
		if (unlikely(!link))
			break;
		end_sent(ret, ret->send_n, b->pkts[i], link);
		end_run(&env, reason, ret->send_n + 1, ret);
	}
	return i;
}

// The ends of one kind of packet, by the way to the backend.
#define END(name, call)                                                                            \
	static __noinline size_t name(struct burst *b, size_t i, size_t n,                         \
				      struct walk_result *ret)                                     \
	{                                                                                          \
		return call;                                                                       \
	}
#define END_REQUESTS(name, kind, way)                                                              \
	END(name, end_requests(b, i, n, LANE_PLAIN | WAY_CURRENT | (kind), way, ret))
// clang-format off
#define ENDS(name, kind)                                                                           \
	END_REQUESTS(end_nat_##name, kind, LB_MODE_NAT)                                            \
	END_REQUESTS(end_l2_##name, kind, LB_MODE_L2)                                              \
	END_REQUESTS(end_ipip_ipv4_##name, kind, LB_IPV4_LEN)                                      \
	END_REQUESTS(end_ipip_ipv6_##name, kind, LB_IPV6_LEN)                                      \
	END_REQUESTS(end_gue_ipv4_##name, kind, LB_IPV4_LEN + LB_UDP_LEN)                          \
	END_REQUESTS(end_gue_ipv6_##name, kind, LB_IPV6_LEN + LB_UDP_LEN)                          \
	END(end_tracked_##name, end_tracked(b, i, n, LANE_PLAIN | WAY_TRACKED | (kind), ret))      \
	END(end_replies_##name, end_replies(b, i, n, LANE_PLAIN | WAY_REPLY | (kind), ret))        \
	static __always_inline size_t end_##name(struct burst *b, size_t i, size_t n,              \
						 enum lane_way way, struct walk_result *ret)       \
	{                                                                                          \
		struct lb_decision d = {.backend = b->backends[i]};                                \
												   \
		if (way == WAY_REPLY)                                                              \
			return end_replies_##name(b, i, n, ret);                                   \
		if (way == WAY_TRACKED)                                                            \
			return end_tracked_##name(b, i, n, ret);                                   \
		if (way != WAY_CURRENT)                                                            \
			return i;                                                                  \
		switch (lb_decide_way(b->env, &d)) {                                               \
		case LB_MODE_NAT:                                                                  \
			return end_nat_##name(b, i, n, ret);                                       \
		case LB_MODE_L2:                                                                   \
			return end_l2_##name(b, i, n, ret);                                        \
		case LB_IPV4_LEN:                                                                  \
			return end_ipip_ipv4_##name(b, i, n, ret);                                 \
		case LB_IPV6_LEN:                                                                  \
			return end_ipip_ipv6_##name(b, i, n, ret);                                 \
		case LB_IPV4_LEN + LB_UDP_LEN:                                                     \
			return end_gue_ipv4_##name(b, i, n, ret);                                  \
		case LB_IPV6_LEN + LB_UDP_LEN:                                                     \
			return end_gue_ipv6_##name(b, i, n, ret);                                  \
		default:                                                                           \
			return i;                                                                  \
		}                                                                                  \
	}
ENDS(ipv4_tcp, 0)
ENDS(ipv4_udp, LANE_UDP)
ENDS(ipv6_tcp, LANE_IPV6)
ENDS(ipv6_udp, LANE_IPV6 | LANE_UDP)
// clang-format on

// A run of packets of the kind of @i. Returns @i where it has no straight end.
static __always_inline size_t end_straight(struct burst *b, size_t i, size_t n,
					   struct walk_result *ret)
{
	const __u8 kind = kind_of(b, i);

	switch (kind & ~LANE_WAY_MASK) {
	case LANE_PLAIN:
		return end_ipv4_tcp(b, i, n, LANE_WAY(kind), ret);
	case LANE_PLAIN | LANE_UDP:
		return end_ipv4_udp(b, i, n, LANE_WAY(kind), ret);
	case LANE_PLAIN | LANE_IPV6:
		return end_ipv6_tcp(b, i, n, LANE_WAY(kind), ret);
	case LANE_PLAIN | LANE_IPV6 | LANE_UDP:
		return end_ipv6_udp(b, i, n, LANE_WAY(kind), ret);
	default:
		return i;
	}
}
