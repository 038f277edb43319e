// SPDX-License-Identifier: BSD-2-Clause
//
// A burst on its way through the stages (walk.c).
#pragma once

#include "walk_end.h"
#include "walk_flows.h"

#include "dataplane/core/like.h"

// A service that requests are for: those of a burst are mostly for few.
struct last {
	struct lb_packet_like like;
	__u16 mark; // of its plain requests
};
#define KNOWN_N 64 // bits in a word

// Which rows a stage takes, in order.
struct list {
	size_t n;
	bool is_full; // all of a burst that is full; rows are not filled in
	__u8 rows[WALK_BURST_MAX];
};

// Of a packet that is not plain.
struct full {
	struct lb_packet packet;
	struct lb_decision decision;
};

struct burst {
	struct lb_env *env;
	struct rte_mbuf *const *pkts;
	struct last lasts[2]; // the last request's, of IPv4, of IPv6
	__u8 known[KNOWN_N];  // targets, by known_of(), where its bit in is_known is set
	__u64 is_known;
	enum walk_families families; // of requests
	unsigned int replies_n;	     // on their way from a backend
	unsigned int rest_n;	     // neither that nor on their way to one
	struct list tracked;	     // of the requests, those that tracking asks for
	// Of requests and replies: row, as the slot, tracking or the reverse index says. Before,
	// for tracking: the slot's word.
	__u32 backends[WALK_BURST_MAX];
	__u8 reasons[WALK_BURST_MAX];	   // enum lb_reason, of WAY_TRACKED
	__u8 is_untracked[WALK_BURST_MAX]; // of WAY_TRACKED
	struct walk_flows flows;
	struct last targets[WALK_BURST_MAX]; // of flows.targets
	struct full fulls[WALK_BURST_MAX];
};

static __always_inline __u8 kind_of(const struct burst *b, size_t i)
{
	return LANE_KIND(b->flows.marks[i]);
}

static __always_inline void set_way(struct burst *b, size_t i, enum lane_way way)
{
	b->flows.marks[i] = (__u16)((b->flows.marks[i] & ~LANE_WAY_MASK) | way);
}

// LB_SERVICE_WORD()
static __always_inline __u64 service_of(const struct burst *b, size_t i)
{
	return b->flows.targets[LANE_TARGET(b->flows.marks[i])].service;
}

static __always_inline int family_of(__u8 kind)
{
	return kind & LANE_IPV6 ? 6 : 4;
}

static __always_inline __u8 protocol_of(__u8 kind)
{
	return kind & LANE_UDP ? LB_IP_UDP : LB_IP_TCP;
}

// Frames on a wire are no shorter than 60 bytes: so a plain packet's header of 54 is there, which
// is asked once. What is shorter all the same goes as one that is not plain.
#define PLAIN_BYTES LB_LIKE_BYTES(4)

// What was read of a plain packet, once more. @family, and @protocol where it can be: constants.
// (Measured: one function that stages give their step by a pointer costs a reply 6 ns; the packet
// lies in memory then.)
static __always_inline void again_plain(const struct rte_mbuf *m, int family, __u8 protocol,
					struct lb_packet *ret)
{
	__u8 *start = rte_pktmbuf_mtod(m, __u8 *), *end = start + m->data_len;

	if (LB_IS_BEYOND(start, PLAIN_BYTES, end)) // start() has asked
		__builtin_unreachable();
	lb_packet_parse_plain_again(start, end, m->pkt_len, family, protocol, ret);
}
