// SPDX-License-Identifier: BSD-2-Clause
//
// The first stage of a burst: whom each packet is for, and what walk_flows() is to know of it. A
// plain packet is asked here no more than that; whether it is sound walk_flows() asks of all
// together, and what it has doubts about is asked anew.
#pragma once

#include <rte_prefetch.h>

#include "walk_burst.h"

// So many packets ahead a frame is prefetched. (Measured: all of a burst at once, and then the
// stage, costs a packet 1 ns more, for the stage waits for the last of them at once.)
#define PREFETCH_AHEAD 3u

static __always_inline struct last *last_of(struct burst *b, int family)
{
	return &b->lasts[family == 6];
}

static __always_inline void start_source(struct burst *b, size_t i, const struct lb_packet *p,
					 __u32 ports, __u16 mark)
{
	if (p->family == 4) {
		b->flows.source_ipv4[i] = lb_address_ipv4(&p->source);
	} else {
		b->flows.source_halves[0][i] = p->source.halves[0];
		b->flows.source_halves[1][i] = p->source.halves[1];
	}
	b->flows.ports[i] = ports;
	b->flows.marks[i] = mark;
}

// What walk_flows() asks of a plain one.
static __always_inline void start_lengths(struct burst *b, size_t i, const __u8 *start,
					  const __u8 *end, int family, __u16 l4_length_at)
{
	const struct lb_packet_like_words words = lb_packet_like_words(start, family, l4_length_at);

	b->flows.ip_words[i] = words.ip;
	b->flows.l4_words[i] = words.l4;
	b->flows.frame_lens[i] = (__u16)(end - start);
}

// A plain packet that is mostly like the last one. Returns false where it is not.
static __always_inline bool start_like(struct burst *b, size_t i, __u8 *start, __u8 *end,
				       int family)
{
	const struct last *last = last_of(b, family);
	struct lb_packet p;

	if (unlikely(!lb_packet_is_like(&last->like, start, family)))
		return false;
	lb_packet_parse_plain_again(start, end, 0, family, LB_IP_TCP, &p); // for its source alone
	start_source(b, i, &p, lb_hash_ports(&p), last->mark);
	start_lengths(b, i, start, end, family, last->like.l4_length_at);
	return true;
}

static __always_inline void start_reply(struct burst *b, size_t i, const struct lb_packet *p,
					__u8 kind)
{
	start_source(b, i, p, lb_index_port_protocol(lb_packet_source_port(p), p->protocol),
		     LANE_MARK(kind | WAY_REPLY, 0));
	b->replies_n++;
}

static __always_inline void start_none(struct burst *b, size_t i, enum lane_way way)
{
	b->flows.marks[i] = LANE_MARK(way, 0);
	b->rest_n++;
}

static __always_inline __u8 plain_kind(int family, __u8 protocol)
{
	return (__u8)(LANE_PLAIN | (family == 6 ? LANE_IPV6 : 0) |
		      (protocol == LB_IP_UDP ? LANE_UDP : 0));
}

static __always_inline size_t known_of(const struct lb_packet_like *like)
{
	return lb_index_mix(like->to[0], like->to[1]) >> 32 & (KNOWN_N - 1);
}

// Word by word: a copy by wide registers would wait for the words that it reads.
static __always_inline void set_last(struct last *last, const struct lb_packet_like *like,
				     __u16 mark)
{
	last->like.to[0] = like->to[0];
	last->like.to[1] = like->to[1];
	last->like.rest = like->rest;
	last->mark = mark;
}

// Makes a service a target, and the last one. @service: LB_SERVICE_WORD().
static __always_inline void start_target(struct burst *b, const struct lb_packet *p,
					 const struct lb_packet_like *like, __u64 service)
{
	const unsigned int target = b->flows.targets_n;

	b->flows.targets[b->flows.targets_n++] = (struct walk_target){
		.to = lb_hash_to(&p->destination, p->protocol),
		.ring = WALK_RING(service),
		.service = service,
	};
	set_last(&b->targets[target], like,
		 LANE_MARK(plain_kind(p->family, p->protocol) | WAY_CURRENT, target));
	b->known[known_of(like)] = (__u8)target;
	b->is_known |= 1ull << known_of(like);
	set_last(last_of(b, p->family), like, b->targets[target].mark);
	b->families |= p->family == 4 ? WALK_IPV4 : WALK_IPV6;
}

// A sound TCP or UDP packet that is not the last one's, or not plain. @kind: without its way.
static __always_inline void start_other(struct burst *b, size_t i, const struct lb_packet *p,
					__u8 kind)
{
	const struct lb_packet_like like = lb_packet_like_of(p);
	struct last *last = last_of(b, p->family);
	struct lb_decision d = {};

	if (b->is_known >> known_of(&like) & 1) {
		const struct last *known = &b->targets[b->known[known_of(&like)]];

		if (lb_packet_like_is_equal(&known->like, &like))
			set_last(last, &like, known->mark);
	}
	if (!lb_packet_like_is_equal(&last->like, &like)) {
		__u32 vip = lb_decide_whom(b->env, p, &d);

		if (!d.service && !vip) {
			start_reply(b, i, p, kind);
			return;
		}
		if (!d.service) {
			start_none(b, i, WAY_WHOLE);
			return;
		}
		start_target(b, p, &like, d.service_word);
	}
	// walk_flows() asks that of plain ones.
	if (!(kind & LANE_PLAIN) && !lb_decide_is_unicast_source(p)) {
		start_none(b, i, WAY_WHOLE);
		return;
	}
	start_source(b, i, p, lb_hash_ports(p), (__u16)(last->mark & ~LANE_PLAIN) | kind);
}

static __noinline void start_other_ipv4(struct burst *b, size_t i, __u8 protocol)
{
	struct lb_packet p;

	again_plain(b->pkts[i], 4, protocol, &p);
	start_other(b, i, &p, plain_kind(4, protocol));
}

static __noinline void start_other_ipv6(struct burst *b, size_t i, __u8 protocol)
{
	struct lb_packet p;

	again_plain(b->pkts[i], 6, protocol, &p);
	start_other(b, i, &p, plain_kind(6, protocol));
}

// A packet that may be plain. @protocol: a constant too.
static __always_inline void start_protocol(struct burst *b, size_t i, __u8 *start, __u8 *end,
					   int family, __u8 protocol)
{
	struct lb_packet p;

	start_lengths(b, i, start, end, family, lb_packet_like_l4_length_at(family, protocol));
	lb_packet_parse_plain_again(start, end, 0, family, protocol, &p);
	if (lb_index_filter_has(lb_meta(b->env), &p.destination)) {
		if (family == 4)
			start_other_ipv4(b, i, protocol);
		else
			start_other_ipv6(b, i, protocol);
		return;
	}
	start_reply(b, i, &p, plain_kind(family, protocol));
}

// Returns false where the packet is not plain, and nothing was done.
static __always_inline bool start_plain(struct burst *b, size_t i, __u8 *start, __u8 *end,
					int family)
{
	const __u8 protocol = lb_packet_like_protocol(start, family);

	if (likely(protocol == LB_IP_TCP))
		start_protocol(b, i, start, end, family, LB_IP_TCP);
	else if (protocol)
		start_protocol(b, i, start, end, family, LB_IP_UDP);
	return protocol != 0;
}

// Not a plain one. Returns false where it must wait for those that came before, and are still on
// their way: it follows a packet's first fragment, or asks where a flow lives.
static __noinline bool start_rest(struct burst *b, size_t i)
{
	struct lb_packet *p = &b->fulls[i].packet;
	bool is_orderly;
	__u8 *start, *end;

	find_frame(b->pkts[i], &start, &end);
	lb_parse(start, end, b->pkts[i]->pkt_len, p);
	is_orderly = p->fragment != LB_FRAGMENT_NONE || p->quote.at;
	if (is_orderly && i > b->rest_n)
		return false;
	if (!is_orderly && p->has_ports && p->defect == LB_REASON_NONE &&
	    lb_parse_locate(start, end, p->family, p)) {
		start_other(b, i, p, p->family == 6 ? LANE_IPV6 : 0);
		return true;
	}
	lb_decide_parsed(b->env, start, end, p, &b->fulls[i].decision);
	start_none(b, i, WAY_DECIDED);
	return true;
}

// @family: a constant.
static __always_inline bool start_family(struct burst *b, size_t i, __u8 *start, __u8 *end,
					 int family)
{
	if (unlikely(LB_IS_BEYOND(start, LB_LIKE_BYTES(family), end)))
		return false;
	return likely(start_like(b, i, start, end, family)) ||
	       start_plain(b, i, start, end, family);
}

static __always_inline bool start(struct burst *b, size_t i, const struct rte_mbuf *m)
{
	__u8 *start = rte_pktmbuf_mtod(m, __u8 *), *end = start + m->data_len;
	bool is_started = false;

	if (likely(!LB_IS_BEYOND(start, PLAIN_BYTES, end))) {
		if (likely(lb_packet_like_is_family(start, 4)))
			is_started = start_family(b, i, start, end, 4);
		else if (likely(lb_packet_like_is_family(start, 6)))
			is_started = start_family(b, i, start, end, 6);
	}
	return likely(is_started) || start_rest(b, i);
}

// Returns how many are under way: all, or those before one that must wait.
static __always_inline size_t stage_start(struct burst *b, size_t n)
{
	struct rte_mbuf *const *pkts = b->pkts;
	size_t i = 0;

	for (size_t j = 0; j < RTE_MIN(n, PREFETCH_AHEAD); j++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[j], void *));
	for (; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(pkts[i + PREFETCH_AHEAD], void *));
		if (!start(b, i, pkts[i]))
			break;
	}
	for (size_t j = i; j < WALK_BURST_MAX; j++)
		b->flows.marks[j] = 0;
	return i;
}

// What walk_flows() has doubts about is asked anew, one by one.
static __noinline void start_again(struct burst *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct rte_mbuf *m = b->pkts[i];
		__u8 *start = rte_pktmbuf_mtod(m, __u8 *), *end = start + m->data_len;
		const __u8 kind = kind_of(b, i);
		struct lb_packet p;

		if (!(kind & LANE_PLAIN) || LANE_WAY(kind) == WAY_WHOLE)
			continue;
		if (lb_packet_parse_plain(start, end, m->pkt_len, family_of(kind), &p) &&
		    p.ip_len == b->flows.ip_lens[i] &&
		    (LANE_WAY(kind) == WAY_REPLY || lb_decide_is_unicast_source(&p)))
			continue;
		b->replies_n -= LANE_WAY(kind) == WAY_REPLY;
		start_none(b, i, WAY_WHOLE);
	}
}
