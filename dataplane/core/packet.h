// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// From bytes to struct lb_packet: where the headers are, whose packet it is, and
// what is wrong with it. First step of the walk; changes nothing, reads no table.
//
// A packet that is wrong, or of a kind that is not balanced yet, is still parsed as
// far as its addresses and ports, because whether it is dropped or left to the
// kernel depends on whom it is for: parse only notes the reason in `defect`.
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
	LB_IP_AH = 51,
	LB_IP_ICMPV6 = 58,
	LB_IP_DESTINATION = 60,
	LB_IP_MOBILITY = 135,
	LB_IP_HIP = 139,
	LB_IP_SHIM6 = 140,
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

enum lb_tcp_flag { LB_TCP_FIN = 1, LB_TCP_SYN = 2, LB_TCP_RST = 4, LB_TCP_ACK = 16 };

struct lb_udp_header {
	__be16 source;
	__be16 destination;
	__be16 len;
	__u16 check;
};

struct lb_packet {
	__u8 *start, *end; // of the frame, as far as it is contiguous
	__u8 *l3;	   // IP header, whole
	__u8 *l4;	   // TCP or UDP header, whole where l4_check is set
	__u8 *l4_check;	   // its checksum, or NULL
	__u32 frame_len;   // bytes from the Ethernet header on
	__u32 ip_len;	   // bytes of the IP packet, as its header says
	struct lb_address source;
	struct lb_address destination;
	__be16 source_port; // 0 where has_ports is not set
	__be16 destination_port;
	__u8 family; // 4, 6; 0: it ended before its addresses, or is no IP
	__u8 protocol;
	__u8 tcp_flags; // 0 for UDP
	__u8 has_ports;
	__u8 defect; // enum lb_reason; LB_REASON_NONE: nothing is wrong
};

// A connection starts with one of these (design: tracking on demand).
static __always_inline int lb_packet_is_syn(const struct lb_packet *p)
{
	return (p->tcp_flags & (LB_TCP_SYN | LB_TCP_ACK | LB_TCP_RST | LB_TCP_FIN)) == LB_TCP_SYN;
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

// ::ffff:a.b.c.d
static __always_inline void lb_address_set_ipv4(struct lb_address *a, __be32 ipv4)
{
	a->halves[0] = 0;
	a->halves[1] = 0xffff0000ull | (__u64)ipv4 << 32;
}

static __always_inline int lb_address_is_equal(const struct lb_address *a,
					       const struct lb_address *b)
{
	return ((a->halves[0] ^ b->halves[0]) | (a->halves[1] ^ b->halves[1])) == 0;
}

// The first defect that is found holds.
static __always_inline void lb_packet_set_defect(struct lb_packet *p, enum lb_reason reason)
{
	if (p->defect == LB_REASON_NONE)
		p->defect = reason;
}

// @l4_len: bytes of the IP packet behind its header, as the header says.
static __always_inline void lb_packet_parse_tcp(struct lb_packet *p, __u32 l4_len)
{
	struct lb_tcp_header *tcp = (void *)p->l4;
	__u32 header_len;

	if (p->l4 + sizeof(*tcp) > p->end) {
		lb_packet_set_defect(p, LB_REASON_TRUNCATED);
		return;
	}
	p->l4_check = (void *)&tcp->check;
	p->tcp_flags = tcp->flags;
	header_len = (tcp->offset >> 4) * 4;
	if (header_len < LB_TCP_LEN || header_len > l4_len)
		lb_packet_set_defect(p, LB_REASON_L4_LENGTH);
}

static __always_inline void lb_packet_parse_udp(struct lb_packet *p, __u32 l4_len)
{
	struct lb_udp_header *udp = (void *)p->l4;
	__u32 len;

	if (p->l4 + sizeof(*udp) > p->end) {
		lb_packet_set_defect(p, LB_REASON_TRUNCATED);
		return;
	}
	p->l4_check = (void *)&udp->check;
	len = __builtin_bswap16(udp->len);
	if (len < LB_UDP_LEN || len > l4_len)
		lb_packet_set_defect(p, LB_REASON_L4_LENGTH);
}

// TCP and UDP from p->l4 on. The ports stand in the first four bytes of both.
static __always_inline void lb_packet_parse_l4(struct lb_packet *p, __u32 l4_len)
{
	const struct lb_udp_header *ports = (const void *)p->l4;

	if (p->protocol != LB_IP_TCP && p->protocol != LB_IP_UDP)
		return;
	if (p->l4 + 4 > p->end) {
		lb_packet_set_defect(p, LB_REASON_TRUNCATED);
		return;
	}
	p->source_port = ports->source;
	p->destination_port = ports->destination;
	p->has_ports = 1;
	if (p->protocol == LB_IP_TCP)
		lb_packet_parse_tcp(p, l4_len);
	else
		lb_packet_parse_udp(p, l4_len);
}

static __always_inline void lb_packet_parse_ipv4(struct lb_packet *p)
{
	const struct lb_ipv4_header *ip = (const void *)p->l3;
	__be32 source, destination;

	if (p->l3 + sizeof(*ip) > p->end) {
		p->defect = LB_REASON_TRUNCATED;
		return;
	}
	p->family = 4;
	source = lb_get32(ip->source);
	destination = lb_get32(ip->destination);
	lb_address_set_ipv4(&p->source, source);
	lb_address_set_ipv4(&p->destination, destination);
	p->ip_len = __builtin_bswap16(ip->total_len);
	p->protocol = ip->protocol;
	if (ip->version_ihl != 0x45) {
		if (ip->version_ihl >> 4 != 4)
			p->defect = LB_REASON_IP_VERSION;
		else if ((ip->version_ihl & 15) < 5)
			p->defect = LB_REASON_IP_LENGTH;
		else
			p->defect = LB_REASON_IP_OPTIONS;
		return;
	}
	if (p->ip_len < LB_IPV4_LEN) {
		p->defect = LB_REASON_IP_LENGTH;
		return;
	}
	if (ip->fragment & (LB_IPV4_MF | LB_IPV4_OFFSET)) {
		p->defect = LB_REASON_FRAGMENT;
		if (ip->fragment & LB_IPV4_OFFSET)
			return;
	}
	p->l4 = p->l3 + LB_IPV4_LEN;
	lb_packet_parse_l4(p, p->ip_len - LB_IPV4_LEN);
	if (p->ip_len > p->frame_len - LB_ETH_LEN)
		lb_packet_set_defect(p, LB_REASON_IP_LENGTH);
}

// Next headers that stand between IPv6 and what it carries (IANA: IPv6 extension header types).
// ESP (50) is no such: nothing behind it can be read.
static __always_inline int lb_packet_is_extension(__u8 next_header)
{
	switch (next_header) {
	case LB_IP_HOP_BY_HOP:
	case LB_IP_ROUTING:
	case LB_IP_AH:
	case LB_IP_DESTINATION:
	case LB_IP_MOBILITY:
	case LB_IP_HIP:
	case LB_IP_SHIM6:
		return 1;
	default:
		return 0;
	}
}

static __always_inline void lb_packet_parse_ipv6(struct lb_packet *p)
{
	const struct lb_ipv6_header *ip = (const void *)p->l3;
	__u32 payload_len;

	if (p->l3 + sizeof(*ip) > p->end) {
		p->defect = LB_REASON_TRUNCATED;
		return;
	}
	p->family = 6;
	p->source.halves[0] = lb_get64(ip->source);
	p->source.halves[1] = lb_get64(ip->source + 8);
	p->destination.halves[0] = lb_get64(ip->destination);
	p->destination.halves[1] = lb_get64(ip->destination + 8);
	payload_len = __builtin_bswap16(ip->payload_len);
	p->ip_len = LB_IPV6_LEN + payload_len;
	p->protocol = ip->next_header;
	if (ip->version_class_label[0] >> 4 != 6) {
		p->defect = LB_REASON_IP_VERSION;
		return;
	}
	p->l4 = p->l3 + LB_IPV6_LEN;
	if (p->protocol == LB_IP_TCP || p->protocol == LB_IP_UDP) {
		lb_packet_parse_l4(p, payload_len);
	} else if (p->protocol == LB_IP_FRAGMENT) {
		p->defect = LB_REASON_FRAGMENT;
		return;
	} else if (lb_packet_is_extension(p->protocol)) {
		p->defect = LB_REASON_IP_EXTENSIONS;
		return;
	}
	if (p->ip_len > p->frame_len - LB_ETH_LEN)
		lb_packet_set_defect(p, LB_REASON_IP_LENGTH);
}

// 4 or 6 by the frame's Ethernet type; 0: it has neither.
static __always_inline int lb_packet_family(const __u8 *start, const __u8 *end)
{
	const struct lb_eth_header *eth = (const void *)start;

	if (start + sizeof(*eth) > end)
		return 0;
	if (eth->type == LB_ETH_P_IPV4)
		return 4;
	return eth->type == LB_ETH_P_IPV6 ? 6 : 0;
}

// Why a frame without family is not looked into.
static __always_inline enum lb_reason lb_packet_parse_other(const __u8 *start, const __u8 *end)
{
	const struct lb_eth_header *eth = (const void *)start;

	if (start + sizeof(*eth) > end)
		return LB_REASON_TRUNCATED;
	if (eth->type == LB_ETH_P_8021Q || eth->type == LB_ETH_P_8021AD)
		return LB_REASON_VLAN;
	return LB_REASON_NOT_IP;
}

// Fills @ret from the frame at @start (@frame_len bytes, of which those before @end are
// contiguous).
// @family: what lb_packet_family() says. ret->family 0: ret->defect is the reason (NOT_IP, VLAN,
// TRUNCATED), nothing else is known.
static __always_inline void lb_packet_parse(__u8 *start, __u8 *end, __u32 frame_len, int family,
					    struct lb_packet *ret)
{
	*ret = (struct lb_packet){.start = start, .end = end, .frame_len = frame_len};
	ret->l3 = start + LB_ETH_LEN;
	if (family == 4)
		lb_packet_parse_ipv4(ret);
	else if (family == 6)
		lb_packet_parse_ipv6(ret);
	else
		ret->defect = lb_packet_parse_other(start, end);
}
