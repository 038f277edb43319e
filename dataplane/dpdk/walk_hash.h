// SPDX-License-Identifier: BSD-2-Clause
//
// The flows of a burst's requests, a column a value, and the hash of all at once: its steps are
// one chain, but those of several packets go through a vector register together.
#pragma once

#include "walk.h"

#define WALK_HASH_STEP 8 // flows that are hashed together; divides WALK_BURST_MAX

// Whom a flow is for.
struct walk_target {
	__u64 to;   // lb_hash_to()
	__u64 ring; // of the service: where it is in `slots`, its length in the high half
};
#define WALK_RING(service) ((service)->ring_offset | (__u64)(service)->ring_len << 32)

// Row i is of the request i of the burst.
struct walk_flows {
	// What is hashed. All rows are read up to the next multiple of WALK_HASH_STEP, whatever is
	// in them.
	__be32 source_ipv4[WALK_BURST_MAX];
	__u64 source_halves[2][WALK_BURST_MAX]; // of IPv6
	__u32 ports[WALK_BURST_MAX];		// lb_hash_ports()
	struct walk_target targets[WALK_BURST_MAX];
	__u8 is_ipv6[WALK_BURST_MAX];
	// What comes of it.
	__u64 hash[WALK_BURST_MAX];
	__u32 slot[WALK_BURST_MAX]; // lb_slot_at()
};

// Which families are among the flows.
enum walk_families { WALK_IPV4 = 1, WALK_IPV6 = 2, WALK_BOTH = 3 };

// Fills in hash and slot of the first @n flows. @keys: meta.flow_keys.
void walk_hash(const __u64 *keys, struct walk_flows *flows, unsigned int n,
	       enum walk_families families);
