// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Whether a packet that is not sent on may be answered (answer.h writes what), and so the
// reason that it ends with. Part of the walk (decide.h).
#pragma once

#include "limit.h"
#include "packet.h"

// No source that could be answered: RFC 1122, 3.2.1.3 (0/8, 127/8, multicast) and RFC 1112, 4
// (240/4: reserved, and broadcast); RFC 4291, 2.5.2, 2.5.3, 2.7.
static __always_inline int lb_decide_is_unicast_ipv4(__be32 source)
{
	__u32 first = source & 0xff;

	return first != 0 && first < 224 && first != 127;
}

static __always_inline int lb_decide_is_unicast_ipv6(__u64 half0, __u64 half1)
{
	return (__u8)half0 != 0xff && (half0 != 0 || (half1 != 0 && half1 != (__u64)1 << 56));
}

static __always_inline int lb_decide_is_unicast_source(const struct lb_packet *p)
{
	return p->family == 4 ? lb_decide_is_unicast_ipv4(lb_address_ipv4(&p->source))
			      : lb_decide_is_unicast_ipv6(p->source.halves[0], p->source.halves[1]);
}

// Not to what a link's many got (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
static __always_inline int lb_decide_is_to_one(const struct lb_packet *p)
{
	return !(p->is_plain ? p->start[0] & 1 : p->is_to_many);
}

// Nobody takes it: @answer for TCP and UDP, else in silence @silent. No RST is answered (RFC
// 9293, 3.10.7.1).
static __always_inline enum lb_reason lb_decide_refuse(struct lb_env *env,
						       const struct lb_packet *p,
						       enum lb_reason answer, enum lb_reason silent)
{
	if (!lb_decide_is_unicast_source(p))
		return LB_REASON_SOURCE;
	if (!p->has_ports || !lb_decide_is_to_one(p) || p->fragment != LB_FRAGMENT_NONE ||
	    p->tcp_flags & LB_TCP_RST)
		return silent;
	return lb_limit_take(env, LB_RATE_REFUSED) ? answer : LB_REASON_REFUSED_RATE;
}

// A router's ICMP error: @answer, or in silence @silent. Not about ICMP errors, nor about fragments
// but the first (RFC 1122, 3.2.2).
static __always_inline enum lb_reason lb_decide_error(struct lb_env *env, const struct lb_packet *p,
						      enum lb_reason answer, enum lb_reason silent)
{
	if (!lb_decide_is_to_one(p) || p->fragment == LB_FRAGMENT_LATER || p->quote.at)
		return silent;
	return lb_limit_take(env, LB_RATE_ERROR) ? answer : LB_REASON_ANSWER_RATE;
}

#define LB_IPV6_MTU_LEAST 1280 // RFC 8200, 5

// Does not fit d->link. A way that cannot carry what IPv6 promises is no news to the sender.
static __always_inline enum lb_reason lb_decide_too_big(struct lb_env *env,
							const struct lb_packet *p)
{
	if (p->family == 6 && p->ip_len <= LB_IPV6_MTU_LEAST)
		return LB_REASON_TOO_BIG_MINIMUM;
	if (p->family == 4 && !(((const struct lb_ipv4_header *)p->l3)->fragment & LB_IPV4_DF))
		return lb_decide_error(env, p, LB_REASON_TOO_BIG_NO_DF, LB_REASON_TOO_BIG_SILENT);
	return lb_decide_error(env, p, LB_REASON_TOO_BIG, LB_REASON_TOO_BIG_SILENT);
}
