// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Plain packets (packet.h) for one address, port and protocol: for a driver that meets many of
// them, one after the other. It tells them by a few words of their headers, and asks the rest of
// what makes a packet plain, which is arithmetic, of several together. Pure.
//
// Of a packet that these functions take, lb_packet_like_is_sound() the last of them,
// lb_packet_parse_plain() says the same.
#pragma once

#include "packet.h"

// Words of a frame, from its start.
#define LB_LIKE_TYPE_AT 12 // Ethernet type, version, header length or traffic class
#define LB_LIKE_IPV4_TYPE_MASK 0xffffffu
#define LB_LIKE_IPV4_TYPE 0x450008u
#define LB_LIKE_IPV6_TYPE_MASK 0xf0ffffu
#define LB_LIKE_IPV6_TYPE 0x60dd86u
#define LB_LIKE_IPV4_PROTOCOL_AT 20	       // flags and offset, TTL, protocol
#define LB_LIKE_IPV4_PROTOCOL_MASK 0xff00ff3fu // neither DF nor TTL
#define LB_LIKE_IPV4_TO_AT 30		       // destination, source port, destination port
#define LB_LIKE_IPV4_TO_MASK 0xffff0000ffffffffull

// So many bytes of the frame are read: headers with TCP.
#define LB_LIKE_BYTES(family)                                                                      \
	(LB_ETH_LEN + ((family) == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) + LB_TCP_LEN)

#define LB_LIKE_NONE (~(__u32)0) // no packet's protocol

struct lb_packet_like {
	__u64 to[2]; // IPv4: the word at 30, as masked; IPv6: the destination
	union {
		struct {
			__u32 protocol;	    // IPv4: the word at 20, as masked; IPv6: next header
			__be16 port;	    // of the destination
			__u16 l4_length_at; // bytes of the frame before the length of TCP or UDP
		};
		__u64 rest; // as it is written, and compared: it is read soon after
	};
};

static __always_inline __u16 lb_packet_like_l4_length_at(int family, __u8 protocol)
{
	return (__u16)(LB_ETH_LEN + (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) +
		       (protocol == LB_IP_TCP ? 12 : 4));
}

// The packets that are for the same as @p, whose ports are known.
static __always_inline struct lb_packet_like lb_packet_like_of(const struct lb_packet *p)
{
	const __u64 port = lb_packet_destination_port(p);
	__u64 protocol = p->protocol;
	struct lb_packet_like like;

	if (p->family == 4) {
		like.to[0] = lb_address_ipv4(&p->destination) | port << 48;
		like.to[1] = 0;
		protocol <<= 24;
	} else {
		like.to[0] = p->destination.halves[0];
		like.to[1] = p->destination.halves[1];
		// A packet to such an address is not plain: it may be mapped.
		if (!like.to[0])
			protocol = LB_LIKE_NONE;
	}
	like.rest = protocol | port << 32 |
		    (__u64)lb_packet_like_l4_length_at(p->family, p->protocol) << 48;
	return like;
}

// Both of one family.
static __always_inline int lb_packet_like_is_equal(const struct lb_packet_like *a,
						   const struct lb_packet_like *b)
{
	return a->to[0] == b->to[0] && a->to[1] == b->to[1] && a->rest == b->rest;
}

// Whether a frame, of which 16 bytes are in bounds, may be a plain packet of @family.
static __always_inline int lb_packet_like_is_family(const __u8 *start, int family)
{
	const __u32 type = lb_get32(start + LB_LIKE_TYPE_AT);

	if (family == 4)
		return (type & LB_LIKE_IPV4_TYPE_MASK) == LB_LIKE_IPV4_TYPE;
	return (type & LB_LIKE_IPV6_TYPE_MASK) == LB_LIKE_IPV6_TYPE;
}

// @family: of the frame and of @like. LB_LIKE_BYTES(family) are in bounds.
static __always_inline int lb_packet_is_like(const struct lb_packet_like *like, const __u8 *start,
					     int family)
{
	const struct lb_ipv6_header *ip = (const void *)(start + LB_ETH_LEN);
	const struct lb_udp_header *ports = (const void *)(start + LB_ETH_LEN + LB_IPV6_LEN);

	if (family == 4)
		return (lb_get64(start + LB_LIKE_IPV4_TO_AT) & LB_LIKE_IPV4_TO_MASK) ==
			       like->to[0] &&
		       (lb_get32(start + LB_LIKE_IPV4_PROTOCOL_AT) & LB_LIKE_IPV4_PROTOCOL_MASK) ==
			       like->protocol;
	return lb_get64(ip->destination) == like->to[0] &&
	       lb_get64(ip->destination + 8) == like->to[1] && ports->destination == like->port &&
	       ip->next_header == like->protocol;
}

// LB_IP_TCP or LB_IP_UDP where it may be a plain packet with it; else 0. The rest: as above.
static __always_inline __u8 lb_packet_like_protocol(const __u8 *start, int family)
{
	const struct lb_ipv6_header *ip = (const void *)(start + LB_ETH_LEN);
	__u32 word;

	if (family == 4) {
		word = lb_get32(start + LB_LIKE_IPV4_PROTOCOL_AT) & LB_LIKE_IPV4_PROTOCOL_MASK;
		if (word == (__u32)LB_IP_TCP << 24)
			return LB_IP_TCP;
		return word == (__u32)LB_IP_UDP << 24 ? LB_IP_UDP : 0;
	}
	if (!lb_get64(ip->source) || !lb_get64(ip->destination)) // may be mapped
		return 0;
	return ip->next_header == LB_IP_TCP || ip->next_header == LB_IP_UDP ? ip->next_header : 0;
}

// What its headers say of lengths, as it stands there. @ip: of the packet in IPv4, of what the
// header carries in IPv6. @l4: at l4_length_at.
struct lb_packet_like_words {
	__u16 ip;
	__u16 l4;
};

static __always_inline struct lb_packet_like_words
lb_packet_like_words(const __u8 *start, int family, __u16 l4_length_at)
{
	return (struct lb_packet_like_words){
		.ip = *(const __u16 *)(start + LB_ETH_LEN + (family == 4 ? 2 : 4)),
		.l4 = *(const __u16 *)(start + l4_length_at),
	};
}

// Bytes of the IP packet. Of a sound one that has no more than 65535. @is_ipv6: 0 or 1.
static __always_inline __u16 lb_packet_like_ip_len(__u16 ip_word, __u16 is_ipv6)
{
	return (__u16)(__builtin_bswap16(ip_word) + is_ipv6 * LB_IPV6_LEN);
}

// Whether these lengths are those of a plain packet. @frame_len: LB_LIKE_BYTES(family) or more, at
// most that of the frame. @is_ipv6, @is_udp: 0 or 1. Without a branch, and of 16 bits: a vector
// holds many.
static __always_inline int lb_packet_like_is_sound(__u16 ip_word, __u16 l4_word, __u16 frame_len,
						   __u16 is_ipv6, __u16 is_udp)
{
	const __u16 ipv6 = (__u16)(0 - is_ipv6), udp = (__u16)(0 - is_udp); // masks
	const __u16 header_len = LB_IPV4_LEN & (__u16)~ipv6;		    // that @ip_word counts
	const __u16 room = (__u16)(frame_len - LB_ETH_LEN - (LB_IPV6_LEN & ipv6));
	const __u16 len = __builtin_bswap16(ip_word), l4_len = (__u16)(len - header_len);
	const __u16 says =
		(__u16)((__builtin_bswap16(l4_word) & udp) | ((l4_word & 0xf0) >> 2 & (__u16)~udp));
	const __u16 least = (__u16)((LB_UDP_LEN & udp) | (LB_TCP_LEN & (__u16)~udp));

	return (len >= header_len) & (len <= room) & (says >= least) & (says <= l4_len);
}
