// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// From bytes to struct lb_packet: where the headers are, and whose packet it is. First step
// of the walk; changes nothing, reads no table.
//
// Here is the parse of a plain packet: untagged, IPv4 without options or IPv6 without
// extension headers, no fragment, TCP or UDP, all lengths sound. That is nearly every
// packet, and the parse returns at the first thing that is not so. What it returns is then
// parsed anew by lb_parse() (parse.h), which knows every kind of packet: so a plain packet pays
// for no other kind.
//
// A frame starts at an even address; nothing else is aligned. So headers are structs
// of bytes and 16-bit words, and what is wider is read by lb_get32/64 (platform.h).
// IPv4: RFC 791. IPv6: RFC 8200. TCP: RFC 9293. UDP: RFC 768.
#pragma once

#include "platform.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the core knows little endian only");
#define LB_BE16(x) ((__be16)__builtin_bswap16(x))
#define LB_BE32(x) ((__be32)__builtin_bswap32(x))

#define LB_ETH_LEN 14
#define LB_IPV4_LEN 20
#define LB_IPV6_LEN 40
#define LB_TCP_LEN 20
#define LB_UDP_LEN 8
// Bytes of the headers of the shortest plain packet.
#define LB_PLAIN_LEAST (LB_ETH_LEN + LB_IPV4_LEN + LB_UDP_LEN)

#define LB_ETH_P_IPV4 LB_BE16(0x0800)
#define LB_ETH_P_IPV6 LB_BE16(0x86dd)
#define LB_ETH_P_8021Q LB_BE16(0x8100)
#define LB_ETH_P_8021AD LB_BE16(0x88a8)

enum lb_ip_protocol {
	LB_IP_HOP_BY_HOP = 0,
	LB_IP_ICMP = 1,
	LB_IP_IPIP = 4,
	LB_IP_TCP = 6,
	LB_IP_UDP = 17,
	LB_IP_IPV6 = 41,
	LB_IP_ROUTING = 43,
	LB_IP_FRAGMENT = 44,
	LB_IP_ESP = 50,
	LB_IP_AH = 51,
	LB_IP_ICMPV6 = 58,
	LB_IP_DESTINATION = 60,
};

struct lb_eth_header {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct lb_ipv4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 fragment; // flags and offset
	__u8 ttl;
	__u8 protocol;
	__u16 check;
	__u8 source[4];
	__u8 destination[4];
};
#define LB_IPV4_DF LB_BE16(0x4000)
#define LB_IPV4_MF LB_BE16(0x2000)
#define LB_IPV4_OFFSET LB_BE16(0x1fff)

struct lb_ipv6_header {
	__u8 version_class_label[4];
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	__u8 source[16];
	__u8 destination[16];
};

struct lb_tcp_header {
	__be16 source;
	__be16 destination;
	__u8 seq[4];
	__u8 ack[4];
	__u8 offset; // high four bits: words of the header
	__u8 flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
};

// The first eight bytes of every ICMP message (RFC 792, RFC 4443).
struct lb_icmp_header {
	__u8 type;
	__u8 code;
	__u16 check;
	__u8 rest[4];
};
#define LB_ICMP_LEN 8

enum lb_tcp_flag { LB_TCP_FIN = 1, LB_TCP_SYN = 2, LB_TCP_RST = 4, LB_TCP_ACK = 16 };

struct lb_udp_header {
	__be16 source;
	__be16 destination;
	__be16 len;
	__u16 check;
};

enum lb_fragment { LB_FRAGMENT_NONE, LB_FRAGMENT_FIRST, LB_FRAGMENT_LATER };

// What an ICMP error says of the packet that it is about.
struct lb_quote {
	struct lb_address source;
	struct lb_address destination;
	__be16 source_port;
	__be16 destination_port;
	__u16 at;    // bytes of the frame before the quoted IP header; 0: no TCP or UDP is quoted
	__u16 l4_at; // before the quoted TCP or UDP header, of which eight bytes are there
	__u8 protocol;
};

struct lb_packet {
	__u8 *start, *end; // of the frame, as far as it is contiguous
	__u8 *l3;	   // IP header, whole; NULL: family is 0
	__u8 *l4;	   // header of a packet without defect: TCP, UDP, or ICMP's first 8 bytes
	__u8 *l4_check;	   // its checksum, or NULL
	__u32 frame_len;   // bytes from the Ethernet header on
	__u32 ip_len;	   // bytes of the IP packet, as its header says
	struct lb_address source;
	struct lb_address destination;
	__u32 ports;	    // as they stand in the header: of the source, of the destination; 0:
			    // !has_ports
	__be32 fragment_id; // as it stands in the header; of IPv4 16 bits
	__u16 l3_at;	    // bytes of the frame before the IP header: 14, and 4 for each VLAN tag
	__u16 l4_at;	    // before what it and its extensions carry; 0: not reached
	__u8 family;	    // 4, 6; 0: it ended before its addresses, or is no IP
	__u8 protocol;	    // behind the extension headers, as far as they were walked
	__u8 tcp_flags;	    // 0 for UDP
	__u8 has_ports;
	__u8 defect;   // enum lb_reason; LB_REASON_NONE: nothing is wrong
	__u8 fragment; // enum lb_fragment
	__u8 icmp_type;
	__u8 is_bare;	 // nothing stands between the least IP header and what it carries
	__u8 is_plain;	 // lb_packet_parse_plain() took it
	__u8 is_to_many; // sent to a multicast or broadcast MAC address; said where it is not plain
	struct lb_quote quote;
};

// Bytes of outer header of @family in @mode: what a backend's row says, filled in by whoever makes
// it.
static __always_inline __u32 lb_mode_grow(__u8 mode, __u8 family)
{
	if (mode < LB_MODE_IPIP)
		return 0;
	return (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) + (mode == LB_MODE_GUE ? LB_UDP_LEN : 0);
}

// How a packet goes to a backend of @mode and @family, in one number: the mode where it stays as
// long as it is, else bytes of outer header, which tell the other ways from each other.
static __always_inline __u32 lb_way(__u8 mode, __u8 family)
{
	return mode < LB_MODE_IPIP ? mode : lb_mode_grow(mode, family);
}

// A row's `way`, from what else it says: lb_way() where the row alone says how a packet gets there
// (it is live, and its link is its hop's); 0: it does not. By whoever makes or changes the row.
static __always_inline __u8 lb_backend_way(const struct lb_backend *backend)
{
	if (backend->state != LB_ROW_LIVE || !backend->hop || backend->hop != backend->link_hop)
		return 0;
	return (__u8)lb_way(backend->mode, backend->family);
}

// A connection starts with one of these (design: tracking on demand).
static __always_inline int lb_packet_is_syn(const struct lb_packet *p)
{
	return (p->tcp_flags & (LB_TCP_SYN | LB_TCP_ACK | LB_TCP_RST | LB_TCP_FIN)) == LB_TCP_SYN;
}

static __always_inline __be16 lb_packet_source_port(const struct lb_packet *p)
{
	return (__be16)p->ports;
}

static __always_inline __be16 lb_packet_destination_port(const struct lb_packet *p)
{
	return (__be16)(p->ports >> 16);
}

// TTL or hop limit. @p: its IP header is whole (family 4 or 6).
static __always_inline __u8 lb_packet_ttl(const struct lb_packet *p)
{
	return p->family == 4 ? ((const struct lb_ipv4_header *)p->l3)->ttl
			      : ((const struct lb_ipv6_header *)p->l3)->hop_limit;
}

// Traffic class, DSCP and ECN, of the IP header at @l3: of its first two bytes.
static __always_inline __u8 lb_packet_tos(const __u8 *l3, __u8 family)
{
	return family == 4 ? l3[1] : (__u8)(l3[0] << 4 | l3[1] >> 4);
}

// The first two bytes of an IPv6 header with that traffic class, as they lie in memory; the flow
// label's four bits in them are 0.
static __always_inline __u32 lb_packet_ipv6_class(const __u8 *l3, __u8 family)
{
	if (family == 4)
		return LB_BE16(6u << 12 | (__u32)l3[1] << 4);
	return *(const __u16 *)l3 & 0xf0ffu;
}

// ::ffff:a.b.c.d
static __always_inline void lb_address_set_ipv4(struct lb_address *a, __be32 ipv4)
{
	a->halves[0] = 0;
	a->halves[1] = 0xffff0000ull | (__u64)ipv4 << 32;
}

// Of such an address. A packet's addresses are read by halves alone, as they are written: what is
// written as one word and read as another lies in memory, all along the way.
static __always_inline __be32 lb_address_ipv4(const struct lb_address *a)
{
	return (__be32)(a->halves[1] >> 32);
}

// Such an address on the wire, in IPv6: it is nobody's there (RFC 4291, 2.5.5.2; Linux too takes no
// packet from one), and must not be taken for the IPv4 one that it stands for in the tables.
static __always_inline int lb_address_is_mapped(const struct lb_address *a)
{
	return a->halves[0] == 0 && (__u32)a->halves[1] == 0xffff0000u;
}

static __always_inline int lb_address_is_equal(const struct lb_address *a,
					       const struct lb_address *b)
{
	return ((a->halves[0] ^ b->halves[0]) | (a->halves[1] ^ b->halves[1])) == 0;
}

// @prefix: without bits that @mask has not.
static __always_inline int lb_address_is_within(const struct lb_address *a,
						const struct lb_address *prefix,
						const struct lb_address *mask)
{
	return (((a->halves[0] & mask->halves[0]) ^ prefix->halves[0]) |
		((a->halves[1] & mask->halves[1]) ^ prefix->halves[1])) == 0;
}

// What a plain packet's parse reads it reads in few wide words, and takes its fields from these: on
// the way of every packet it is loads that are scarce.

// What is known of the packet, and not asked again: a constant, here and below.
enum lb_known {
	LB_KNOWN_NOTHING,
	LB_KNOWN_BOUNDS, // lb_packet_plain_is_there(), of its protocol
	LB_KNOWN_ALL,	 // it is plain
};

// TCP or UDP at @p->l4, of which eight bytes are in bounds. @l4_len: bytes behind the IP header.
// Returns 0 where it is not whole and sound.
static __always_inline int lb_packet_plain_l4(struct lb_packet *p, __u32 l4_len,
					      enum lb_known known)
{
	const __u32 ports = lb_get32(p->l4); // of both
	const struct lb_tcp_header *tcp = (const void *)p->l4;
	struct lb_udp_header *udp = (void *)p->l4;

	if (p->protocol == LB_IP_TCP) {
		__u32 header_len;

		if (known == LB_KNOWN_NOTHING && LB_IS_BEYOND(p->l4, sizeof(*tcp), p->end))
			return 0;
		header_len = (tcp->offset >> 4) * 4;
		if (known != LB_KNOWN_ALL && (header_len < LB_TCP_LEN || header_len > l4_len))
			return 0;
		p->tcp_flags = tcp->flags;
		p->l4_check = (void *)&tcp->check;
	} else if (known == LB_KNOWN_ALL || p->protocol == LB_IP_UDP) {
		__u32 len;

		len = __builtin_bswap16(udp->len);
		if (known != LB_KNOWN_ALL && (len < LB_UDP_LEN || len > l4_len))
			return 0;
		p->l4_check = (void *)&udp->check;
	} else {
		return 0;
	}
	// Without a branch: who has no use for it does nothing. (The BPF verifier wants one.)
	if (known == LB_KNOWN_ALL)
		p->l4_check = p->protocol == LB_IP_TCP ? (void *)&tcp->check : (void *)&udp->check;
	p->ports = ports;
	p->has_ports = 1;
	return 1;
}

#define LB_IPV4_PLAIN_MASK                                                                         \
	((__u64)0xff | (__u64)(LB_IPV4_MF | LB_IPV4_OFFSET) << 48) // of its first eight bytes

// @protocol: its own, where that is known; else 0.
static __always_inline int lb_packet_plain_ipv4(struct lb_packet *p, __u8 protocol,
						enum lb_known known)
{
	const struct lb_ipv4_header *ip = (const void *)p->l3;

	if (known == LB_KNOWN_ALL) { // nothing else of the first word is wanted
		p->ip_len = __builtin_bswap16(ip->total_len);
	} else {
		__u64 first;

		if (known == LB_KNOWN_NOTHING &&
		    LB_IS_BEYOND(p->l3, LB_IPV4_LEN + LB_UDP_LEN, p->end))
			return 0;
		first = lb_get64(p->l3);
		if ((first & LB_IPV4_PLAIN_MASK) != 0x45)
			return 0;
		p->ip_len = __builtin_bswap16((__u16)(first >> 16));
		// Both of its bounds in one question: what is shorter wraps.
		if (p->ip_len - LB_IPV4_LEN > p->frame_len - (LB_ETH_LEN + LB_IPV4_LEN))
			return 0;
	}
	p->family = 4;
	lb_address_set_ipv4(&p->source, lb_get32(ip->source));
	lb_address_set_ipv4(&p->destination, lb_get32(ip->destination));
	p->protocol = protocol ? protocol : ip->protocol;
	p->l4 = p->l3 + LB_IPV4_LEN;
	return lb_packet_plain_l4(p, p->ip_len - LB_IPV4_LEN, known);
}

static __always_inline int lb_packet_plain_ipv6(struct lb_packet *p, __u8 protocol,
						enum lb_known known)
{
	const struct lb_ipv6_header *ip = (const void *)p->l3;
	__u32 payload_len;
	__u64 first;

	if (known == LB_KNOWN_NOTHING && LB_IS_BEYOND(p->l3, LB_IPV6_LEN + LB_UDP_LEN, p->end))
		return 0;
	first = lb_get64(p->l3);
	if (known != LB_KNOWN_ALL && (first & 0xf0) != 0x60)
		return 0;
	p->family = 6;
	p->source.halves[0] = lb_get64(ip->source);
	p->source.halves[1] = lb_get64(ip->source + 8);
	p->destination.halves[0] = lb_get64(ip->destination);
	p->destination.halves[1] = lb_get64(ip->destination + 8);
	if (known != LB_KNOWN_ALL &&
	    (!p->source.halves[0] || !p->destination.halves[0])) // may be mapped
		return 0;
	payload_len = __builtin_bswap16((__u16)(first >> 32));
	p->ip_len = LB_IPV6_LEN + payload_len;
	p->protocol = protocol ? protocol : (__u8)(first >> 48);
	if (known != LB_KNOWN_ALL && p->ip_len > p->frame_len - LB_ETH_LEN)
		return 0;
	p->l4 = p->l3 + LB_IPV6_LEN;
	return lb_packet_plain_l4(p, payload_len, known);
}

// 4 or 6 by the frame's Ethernet type; 0: it has neither, or is shorter than a plain packet.
static __always_inline int lb_packet_family(const __u8 *start, const __u8 *end)
{
	const struct lb_eth_header *eth = (const void *)start;

	if (LB_IS_BEYOND(start, LB_PLAIN_LEAST, end))
		return 0;
	if (eth->type == LB_ETH_P_IPV4)
		return 4;
	return eth->type == LB_ETH_P_IPV6 ? 6 : 0;
}

// Protocol of a frame of this family, of which LB_PLAIN_LEAST bytes are in bounds, if it is plain.
static __always_inline __u8 lb_packet_plain_protocol(const __u8 *start, int family)
{
	const struct lb_ipv4_header *ipv4 = (const void *)(start + LB_ETH_LEN);
	const struct lb_ipv6_header *ipv6 = (const void *)(start + LB_ETH_LEN);

	return family == 4 ? ipv4->protocol : ipv6->next_header;
}

static __always_inline int lb_packet_plain(__u8 *start, __u8 *end, __u32 frame_len, int family,
					   __u8 protocol, enum lb_known known,
					   struct lb_packet *ret)
{
	*ret = (struct lb_packet){.start = start, .end = end, .frame_len = frame_len};
	ret->l3_at = LB_ETH_LEN;
	ret->l3 = start + LB_ETH_LEN;
	ret->is_bare = 1;
	ret->is_plain = 1;
	if (family == 4) {
		ret->l4_at = LB_ETH_LEN + LB_IPV4_LEN;
		return lb_packet_plain_ipv4(ret, protocol, known);
	}
	ret->l4_at = LB_ETH_LEN + LB_IPV6_LEN;
	return lb_packet_plain_ipv6(ret, protocol, known);
}

// Fills @ret from the plain packet at @start (@frame_len bytes, of which those before @end are
// contiguous). @family: what lb_packet_family() says, not 0.
// Returns 0 where the packet is not plain; @ret then says nothing.
static __always_inline int lb_packet_parse_plain(__u8 *start, __u8 *end, __u32 frame_len,
						 int family, struct lb_packet *ret)
{
	return lb_packet_plain(start, end, frame_len, family, 0, LB_KNOWN_NOTHING, ret);
}

// Whether the headers that it has if it is plain are in bounds. @family, @protocol: constants.
static __always_inline int lb_packet_plain_is_there(const __u8 *start, const __u8 *end, int family,
						    __u8 protocol)
{
	const __u32 l4_len = protocol == LB_IP_TCP ? LB_TCP_LEN : LB_UDP_LEN;

	return !LB_IS_BEYOND(start, LB_ETH_LEN + (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) + l4_len,
			     end);
}

// The same where lb_packet_plain_protocol() says @protocol, a constant: LB_IP_TCP or LB_IP_UDP.
static __always_inline int lb_packet_parse_plain_of(__u8 *start, __u8 *end, __u32 frame_len,
						    int family, __u8 protocol,
						    struct lb_packet *ret)
{
	return lb_packet_plain(start, end, frame_len, family, protocol, LB_KNOWN_BOUNDS, ret);
}

// The same of a packet that lb_packet_parse_plain() took, and that nobody changed since: for a
// driver to whom it is cheaper to read a packet again than to keep what it read. @protocol: its
// own.
static __always_inline void lb_packet_parse_plain_again(__u8 *start, __u8 *end, __u32 frame_len,
							int family, __u8 protocol,
							struct lb_packet *ret)
{
	lb_packet_plain(start, end, frame_len, family, protocol, LB_KNOWN_ALL, ret);
}
