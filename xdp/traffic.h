// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// What lb-pktgen and its program agree on: the shape of the packets to send, made by
// lb-pktgen (tools/lb-pktgen/shape.c), and the counters.
#pragma once

#include <linux/types.h>

#define TRAFFIC_HEADERS4_BYTES 56 // room for Ethernet, IPv4 and TCP: 54
#define TRAFFIC_HEADERS_BYTES 80  // room for Ethernet, IPv6 and TCP: 74

// Headers as they are sent, but for what differs from flow to flow: a client's address, in whose
// last 32 bits the flow's number is, and its port. Both are zero there in `headers`.
struct traffic_shape {
	__u64 headers[TRAFFIC_HEADERS_BYTES / 8];
	__u32 family;	    // 4 or 6
	__u32 is_tcp;	    // else UDP
	__u32 is_reply;	    // the client is the destination, else the source
	__u32 address_base; // last 32 bits of the clients' prefix, host order
	__u32 address_bits; // of these, how many the flow's number fills
	__u32 flows;
	__u32 syn_percent;
	__u32 ifindex; // where packets go out
	// Sums of 16-bit words (RFC 1071) over what does not change: the IPv4 header; layer 4 with
	// its pseudo header, as ACK or UDP, and as SYN.
	__u32 ip_sum, l4_sum, l4_syn_sum;
};

#define TRAFFIC_FIRST_PORT 1024
#define TRAFFIC_PORTS (65536 - TRAFFIC_FIRST_PORT)

// Whose turn it is. Of the one thread that sends.
struct traffic_turn {
	__u32 next_flow;
	__u32 syn_credit;
};

// A row per CPU.
struct traffic_counters {
	__u64 pkts, bytes;
};
