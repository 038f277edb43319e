// SPDX-License-Identifier: BSD-2-Clause
//
// The packets of a burst, a column a value, and what is asked and computed of all at once: whether
// requests are sound, and their flows' hashes and slots. Each packet's steps are one chain, but
// those of several go through a vector register together.
#pragma once

#include "walk.h"

// Where a packet of a burst has got to.
enum lane_way {
	WAY_WHOLE,   // nowhere: it takes the whole walk at the end. Few do
	WAY_CURRENT, // to a service's backend, as its slot says
	WAY_TRACKED, // to a service's backend, as tracking says
	WAY_REPLY,   // from a backend in nat
	WAY_DECIDED, // there: full->decision
};

// A packet's kind: its way, and bits.
#define LANE_WAY_MASK 0x07
#define LANE_UDP 0x08	// its protocol; else TCP. Of plain ones
#define LANE_PLAIN 0x10 // else full->packet says what it is
#define LANE_IPV6 0x20	// its family; else IPv4. Of plain ones and requests
#define LANE_WAY(kind) ((enum lane_way)((kind)&LANE_WAY_MASK))

// A packet's kind and, of requests, whom it is for: row in `targets`.
#define LANE_MARK(kind, target) ((__u16)((kind) | (target) << 8))
#define LANE_KIND(mark) ((__u8)(mark))
#define LANE_TARGET(mark) ((mark) >> 8)

// Whom flows are for.
struct walk_target {
	__u64 to;      // lb_hash_to()
	__u64 ring;    // of the service: where it is in `slots`, its length in the high half
	__u64 service; // LB_SERVICE_WORD()
};
#define WALK_RING(service)                                                                         \
	(LB_SERVICE_RING_OFFSET(service) | (__u64)LB_SERVICE_RING_LEN(service) << 32)

// Row i is of the burst's packet i.
struct walk_flows {
	__u16 marks[WALK_BURST_MAX]; // 0 where there is no packet
	// Of requests and replies. All rows are read, whatever is in them.
	__be32 source_ipv4[WALK_BURST_MAX];
	__u64 source_halves[2][WALK_BURST_MAX]; // of IPv6
	__u32 ports[WALK_BURST_MAX]; // lb_hash_ports(); of replies lb_index_port_protocol()
	// Of plain ones of these. Words: core/like.h.
	__u16 ip_words[WALK_BURST_MAX];
	__u16 l4_words[WALK_BURST_MAX];
	__u16 frame_lens[WALK_BURST_MAX]; // bytes in the first segment
	// What comes of it.
	__u64 to[WALK_BURST_MAX], ring[WALK_BURST_MAX]; // of their targets
	__u64 hash[WALK_BURST_MAX];			// the first
	__u32 slot[WALK_BURST_MAX];			// lb_slot_at()
	__u32 reverse[WALK_BURST_MAX];			// of replies: lb_index_hash_words()
	__u16 ip_lens[WALK_BURST_MAX];			// bytes, of those that are sound
	// Whom they are for.
	unsigned int targets_n;
	struct walk_target targets[WALK_BURST_MAX];
};

// The source of row @i. @family: its own.
static __always_inline struct lb_address walk_flow_source(const struct walk_flows *f, size_t i,
							  int family)
{
	struct lb_address source = {.halves = {f->source_halves[0][i], f->source_halves[1][i]}};

	if (family == 4)
		lb_address_set_ipv4(&source, f->source_ipv4[i]);
	return source;
}

// Which families are among requests.
enum walk_families { WALK_IPV4 = 1, WALK_IPV6 = 2, WALK_BOTH = 3 };

// Fills in what comes of all rows; hash and slot where there is a target, reverse where there are
// replies. @keys: meta.flow_keys. Returns false where a plain one may not be sound, or a
// request's source may be none that could be answered.
bool walk_flows(const __u64 *keys, struct walk_flows *flows, enum walk_families families,
		bool has_replies);
// lb_hash_whole() of the request @i, whose hash is filled in.
__u64 walk_flows_whole(const __u64 *keys, const struct walk_flows *flows, size_t i);
