// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// From a shape (traffic.h) to the headers of the next packet: by lb-pktgen's program in
// the kernel, by its DPDK engine, and by the bench. And what counts where they arrive. Frames come
// back as their receiver left them, so every header is written anew each time; the checksums follow
// from sums over what does not change (RFC 1071).
#pragma once

#include "traffic.h"

// What is left open in a packet's headers.
struct traffic_flow {
	__u32 address; // the last 32 bits of the client's, network order
	__u16 port;    // network order
	__u8 is_syn;
};

#define TRAFFIC_BE16(x) ((__u16)__builtin_bswap16(x)) // little endian, as the core
#define TRAFFIC_INLINE static inline __attribute__((always_inline))

TRAFFIC_INLINE void traffic_put16(__u8 *at, __u16 value)
{
	__builtin_memcpy(at, &value, sizeof(value));
}

// The flows take turns: each packet is another flow's until all had theirs.
TRAFFIC_INLINE void traffic_pick(const volatile struct traffic_shape *shape,
				 struct traffic_turn *turn, struct traffic_flow *ret)
{
	__u32 i = turn->next_flow;

	turn->next_flow = i + 1 < shape->flows ? i + 1 : 0;
	ret->address =
		__builtin_bswap32(shape->address_base + (i & ((1u << shape->address_bits) - 1)));
	ret->port = TRAFFIC_BE16(TRAFFIC_FIRST_PORT + (i >> shape->address_bits));
	turn->syn_credit += shape->syn_percent;
	ret->is_syn = turn->syn_credit >= 100;
	if (ret->is_syn)
		turn->syn_credit -= 100;
}

// RFC 1071: the one's complement of the one's complement sum.
TRAFFIC_INLINE __u16 traffic_checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

TRAFFIC_INLINE void traffic_write_l4(const volatile struct traffic_shape *shape, __u8 *l4,
				     const struct traffic_flow *flow)
{
	__u32 sum = (flow->is_syn ? shape->l4_syn_sum : shape->l4_sum) + (flow->address & 0xffff) +
		    (flow->address >> 16) + flow->port;
	__u16 check = traffic_checksum(sum);

	// Source and destination port are the first words of both.
	traffic_put16(l4 + (shape->is_reply ? 2 : 0), flow->port);
	if (shape->is_tcp) {
		l4[13] = flow->is_syn ? 0x02 : 0x10; // SYN, ACK
		traffic_put16(l4 + 16, check);
	} else {
		traffic_put16(l4 + 6, check ? check : 0xffff); // RFC 768: zero says none
	}
}

// Ethernet, IPv4, TCP or UDP. @frame has room for TRAFFIC_HEADERS4_BYTES.
TRAFFIC_INLINE void traffic_write4(const volatile struct traffic_shape *shape, __u8 *frame,
				   const struct traffic_flow *flow)
{
	// What no flow changes, in whole words.
	for (int i = 0; i < TRAFFIC_HEADERS4_BYTES / 8; i++)
		__builtin_memcpy(frame + i * 8, &(__u64){shape->headers[i]}, 8);
	__builtin_memcpy(frame + (shape->is_reply ? 30 : 26), &flow->address, 4);
	traffic_put16(frame + 24, traffic_checksum(shape->ip_sum + (flow->address & 0xffff) +
						   (flow->address >> 16)));
	traffic_write_l4(shape, frame + 34, flow);
}

// Ethernet, IPv6, TCP or UDP. @frame has room for TRAFFIC_HEADERS_BYTES.
TRAFFIC_INLINE void traffic_write6(const volatile struct traffic_shape *shape, __u8 *frame,
				   const struct traffic_flow *flow)
{
	for (int i = 0; i < TRAFFIC_HEADERS_BYTES / 8; i++)
		__builtin_memcpy(frame + i * 8, &(__u64){shape->headers[i]}, 8);
	__builtin_memcpy(frame + (shape->is_reply ? 50 : 34), &flow->address, 4);
	traffic_write_l4(shape, frame + 54, flow);
}

// Whether a frame is what a balancer makes of these packets: TCP, UDP or a tunnel over IP.
#define TRAFFIC_KIND_BYTES 34 // of @frame are read
TRAFFIC_INLINE int traffic_is_ours(const __u8 *frame)
{
	__u16 type = (__u16)(frame[12] << 8 | frame[13]);
	__u8 protocol = type == 0x0800 ? frame[23] : type == 0x86dd ? frame[20] : 0;

	return protocol == 6 || protocol == 17 || protocol == 4 || protocol == 41;
}
