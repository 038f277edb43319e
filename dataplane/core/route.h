// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// What a driver's route look-up is asked, and what it says: for a reply of nat that no
// mirrored route sends on (decide.h).
#pragma once

#include "reason.h"
#include "tables.h"

struct lb_route_answer {
	enum lb_reason reason; // LB_REASON_REPLY: the link holds (of a packet too big for it: its
			       // MTU); else why not
	struct lb_link link;
};

// A reply of nat as it will leave.
struct lb_route_query {
	struct lb_address source; // the VIP
	struct lb_address destination;
	__be16 source_port;
	__be16 destination_port;
	__u16 ip_len; // bytes of the IP packet
	__u8 family;  // 4, 6
	__u8 protocol;
	__u8 tos;
	__u8 pad[7];
};
