// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The parse of every packet that is not plain (packet.h): VLAN tags, IPv4 options, IPv6
// extension headers, fragments, ICMP, what is cut or contradicts itself; and of the packet
// that an ICMP error quotes.
//
// A packet that is wrong is still parsed as far as its addresses and ports, because
// whether it is dropped or left to the kernel depends on whom it is for: the first defect
// from the front on is noted, no more.
//
// lb_parse() fills in numbers alone, no pointer; lb_parse_locate() then makes pointers of the
// offsets. So the BPF driver has it verified once, as a function of its own, behind which
// every field is just a number.
// IPv4: RFC 791. IPv6: RFC 8200. VLAN: IEEE 802.1Q. Fragments: RFC 6946, 7112. ICMP: RFC 792,
// 4443.
#pragma once

#include "packet.h"

#define LB_PARSE_TAGS_MAX 2
#define LB_PARSE_EXTENSIONS_MAX 6
// From the IP header to the transport header at most; so what is read lies in the first
// LB_PARSE_BYTES_MAX bytes of a frame, an ICMP error's quote included.
#define LB_PARSE_CHAIN_MAX 256
#define LB_PARSE_BYTES_MAX 576

// What is parsed, and how far it is.
struct lb_cursor {
	const __u8 *start, *end;
	__u32 at;	// bytes from start
	__u32 limit;	// so many of them may be read, if they are before end
	__u8 is_quoted; // as much of a packet as an ICMP error carries
};

// Pointer to @len bytes at the cursor, or NULL where they are not there.
static __always_inline const __u8 *lb_cursor_bytes(const struct lb_cursor *c, __u32 len)
{
	const __u8 *at = c->start + (c->at & 0x3ff); // the mask tells the BPF verifier a bound

	return c->at + len <= c->limit && at + len <= c->end ? at : 0;
}

// The first defect that is found holds.
static __always_inline void lb_parse_set_defect(struct lb_packet *p, enum lb_reason reason)
{
	if (p->defect == LB_REASON_NONE)
		p->defect = reason;
}

// What a header that is not whole says of the packet: a first fragment must hold all its headers
// (RFC 7112, 5), whatever the frame is.
static __always_inline void lb_parse_set_short(struct lb_packet *p, enum lb_reason reason)
{
	lb_parse_set_defect(p,
			    p->fragment == LB_FRAGMENT_FIRST ? LB_REASON_FRAGMENT_HEADER : reason);
}

// @l4_len: bytes of the IP packet from the TCP header on.
static __always_inline void lb_parse_tcp(const struct lb_cursor *c, struct lb_packet *p,
					 __u32 l4_len)
{
	const struct lb_tcp_header *tcp = (const void *)lb_cursor_bytes(c, sizeof(*tcp));
	__u32 header_len;

	if (!tcp) {
		lb_parse_set_short(p, LB_REASON_TRUNCATED);
		return;
	}
	p->tcp_flags = tcp->flags;
	header_len = (tcp->offset >> 4) * 4;
	if (header_len < LB_TCP_LEN)
		lb_parse_set_defect(p, LB_REASON_L4_LENGTH);
	else if (header_len > l4_len)
		lb_parse_set_short(p, LB_REASON_L4_LENGTH);
}

static __always_inline void lb_parse_udp(const struct lb_cursor *c, struct lb_packet *p,
					 __u32 l4_len)
{
	const struct lb_udp_header *udp = (const void *)lb_cursor_bytes(c, sizeof(*udp));
	__u32 len;

	if (!udp) {
		lb_parse_set_short(p, LB_REASON_TRUNCATED);
		return;
	}
	len = __builtin_bswap16(udp->len);
	if (l4_len < LB_UDP_LEN)
		lb_parse_set_short(p, LB_REASON_L4_LENGTH);
	else if (len < LB_UDP_LEN || (len > l4_len && p->fragment == LB_FRAGMENT_NONE))
		lb_parse_set_defect(p, LB_REASON_L4_LENGTH);
}

static __always_inline void lb_parse_icmp(const struct lb_cursor *c, struct lb_packet *p,
					  __u32 l4_len)
{
	const struct lb_icmp_header *icmp = (const void *)lb_cursor_bytes(c, sizeof(*icmp));

	if (!icmp) {
		lb_parse_set_short(p, LB_REASON_TRUNCATED);
		return;
	}
	p->icmp_type = icmp->type;
	if (l4_len < LB_ICMP_LEN)
		lb_parse_set_short(p, LB_REASON_L4_LENGTH);
}

// Quoted: of the transport header eight bytes suffice (RFC 792), and no length is judged.
static __always_inline void lb_parse_l4(const struct lb_cursor *c, struct lb_packet *p)
{
	const struct lb_udp_header *ports;
	__u32 l4_len = p->ip_len - (c->at - p->l3_at);

	if (p->protocol == (p->family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6)) {
		lb_parse_icmp(c, p, l4_len);
		return;
	}
	if (p->protocol != LB_IP_TCP && p->protocol != LB_IP_UDP)
		return;
	ports = (const void *)lb_cursor_bytes(c, c->is_quoted ? LB_UDP_LEN : 4);
	if (!ports) {
		lb_parse_set_short(p, LB_REASON_TRUNCATED);
		return;
	}
	p->ports = ports->source | (__u32)ports->destination << 16;
	p->has_ports = 1;
	if (c->is_quoted)
		return;
	if (p->protocol == LB_IP_TCP)
		lb_parse_tcp(c, p, l4_len);
	else
		lb_parse_udp(c, p, l4_len);
}

// What the IP header and its extensions carry, at the cursor.
static __always_inline void lb_parse_payload(const struct lb_cursor *c, struct lb_packet *p)
{
	if (c->at - p->l3_at > p->ip_len && !c->is_quoted) {
		lb_parse_set_short(p, LB_REASON_IP_LENGTH);
		return;
	}
	p->l4_at = (__u16)c->at;
	if (p->fragment != LB_FRAGMENT_LATER)
		lb_parse_l4(c, p);
}

static __always_inline void lb_parse_ipv4(struct lb_cursor *c, struct lb_packet *p)
{
	const struct lb_ipv4_header *ip = (const void *)lb_cursor_bytes(c, sizeof(*ip));
	__u32 header_len;

	if (!ip) {
		p->defect = LB_REASON_TRUNCATED;
		return;
	}
	p->family = 4;
	lb_address_set_ipv4(&p->source, lb_get32(ip->source));
	lb_address_set_ipv4(&p->destination, lb_get32(ip->destination));
	p->ip_len = __builtin_bswap16(ip->total_len);
	p->protocol = ip->protocol;
	p->fragment_id = ip->id;
	if (ip->fragment & LB_IPV4_OFFSET)
		p->fragment = LB_FRAGMENT_LATER;
	else if (ip->fragment & LB_IPV4_MF)
		p->fragment = LB_FRAGMENT_FIRST;
	header_len = (ip->version_ihl & 15) * 4;
	if (ip->version_ihl >> 4 != 4) {
		p->defect = LB_REASON_IP_VERSION;
	} else if (header_len < LB_IPV4_LEN || (p->ip_len < header_len && !c->is_quoted)) {
		p->defect = LB_REASON_IP_LENGTH;
	} else if (!lb_cursor_bytes(c, header_len)) {
		p->defect = LB_REASON_TRUNCATED;
	} else {
		p->is_bare = header_len == LB_IPV4_LEN;
		c->at += header_len;
		lb_parse_payload(c, p);
	}
}

// A fragment header, of which @bytes is the start. An atomic fragment is none (RFC 6946).
static __always_inline void lb_parse_fragment(struct lb_packet *p, const __u8 *bytes)
{
	__u16 offset_more = (__u16)(bytes[2] << 8 | bytes[3]);

	p->fragment_id = lb_get32(bytes + 4);
	if (offset_more & 0xfff8)
		p->fragment = LB_FRAGMENT_LATER;
	else if (offset_more & 1)
		p->fragment = LB_FRAGMENT_FIRST;
}

static __always_inline int lb_parse_is_extension(__u8 next_header)
{
	return next_header == LB_IP_HOP_BY_HOP || next_header == LB_IP_ROUTING ||
	       next_header == LB_IP_FRAGMENT || next_header == LB_IP_DESTINATION;
}

// The extension header at the cursor, of type p->protocol, which begins with @bytes; @n were before
// it. LB_REASON_NONE, or what is wrong with it. RFC 8200, 4.1: hop-by-hop comes first or not at
// all; 4.4: with segments left, the destination is another host's.
static __always_inline enum lb_reason lb_parse_extension(struct lb_cursor *c, struct lb_packet *p,
							 const __u8 *bytes, int n, int *is_fragment)
{
	__u32 len = (bytes[1] + 1) * 8;

	if (p->protocol == LB_IP_HOP_BY_HOP && n > 0)
		return LB_REASON_IP_EXTENSIONS;
	if (p->protocol == LB_IP_ROUTING && bytes[3] != 0)
		return LB_REASON_IP_EXTENSIONS;
	if (p->protocol == LB_IP_FRAGMENT) {
		if (*is_fragment)
			return LB_REASON_IP_EXTENSIONS;
		*is_fragment = 1;
		lb_parse_fragment(p, bytes);
		len = 8;
	}
	c->at += len;
	p->protocol = bytes[0];
	return c->at - p->l3_at > LB_PARSE_CHAIN_MAX ? LB_REASON_IP_EXTENSIONS : LB_REASON_NONE;
}

// Leaves the cursor behind the extension headers. Returns 0 where one is wrong: a defect is noted.
static __always_inline int lb_parse_chain(struct lb_cursor *c, struct lb_packet *p)
{
	int is_fragment = 0;

	for (int n = 0; n <= LB_PARSE_EXTENSIONS_MAX; n++) {
		enum lb_reason reason = LB_REASON_IP_EXTENSIONS;
		const __u8 *bytes;

		if (p->fragment == LB_FRAGMENT_LATER || !lb_parse_is_extension(p->protocol))
			return 1;
		bytes = lb_cursor_bytes(c, 8);
		if (!bytes) {
			lb_parse_set_short(p, LB_REASON_TRUNCATED);
			return 0;
		}
		if (n < LB_PARSE_EXTENSIONS_MAX)
			reason = lb_parse_extension(c, p, bytes, n, &is_fragment);
		if (reason != LB_REASON_NONE) {
			lb_parse_set_defect(p, reason);
			return 0;
		}
	}
	return 0;
}

static __always_inline void lb_parse_ipv6(struct lb_cursor *c, struct lb_packet *p)
{
	const struct lb_ipv6_header *ip = (const void *)lb_cursor_bytes(c, sizeof(*ip));

	if (!ip) {
		p->defect = LB_REASON_TRUNCATED;
		return;
	}
	p->family = 6;
	p->source.halves[0] = lb_get64(ip->source);
	p->source.halves[1] = lb_get64(ip->source + 8);
	p->destination.halves[0] = lb_get64(ip->destination);
	p->destination.halves[1] = lb_get64(ip->destination + 8);
	if (lb_address_is_mapped(&p->source) || lb_address_is_mapped(&p->destination)) {
		p->family = 0;
		p->defect = LB_REASON_NOT_VIP;
		return;
	}
	p->ip_len = LB_IPV6_LEN + __builtin_bswap16(ip->payload_len);
	p->protocol = ip->next_header;
	if (ip->version_class_label[0] >> 4 != 6) {
		p->defect = LB_REASON_IP_VERSION;
		return;
	}
	p->is_bare = !lb_parse_is_extension(p->protocol);
	c->at += LB_IPV6_LEN;
	if (lb_parse_chain(c, p))
		lb_parse_payload(c, p);
}

static __always_inline void lb_parse_ip(struct lb_cursor *c, int family, struct lb_packet *p)
{
	p->l3_at = (__u16)c->at;
	if (family == 4)
		lb_parse_ipv4(c, p);
	else
		lb_parse_ipv6(c, p);
}

// Errors of RFC 792 and RFC 4443: unreachable, packet too big, time exceeded, parameter problem.
static __always_inline int lb_parse_is_icmp_error(const struct lb_packet *p)
{
	if (p->family == 4)
		return p->protocol == LB_IP_ICMP &&
		       (p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12);
	return p->protocol == LB_IP_ICMPV6 && p->icmp_type >= 1 && p->icmp_type <= 4;
}

// Fills in p->quote where TCP or UDP of p's family is quoted, as far as its ports.
static __always_inline void lb_parse_quote(struct lb_cursor *c, struct lb_packet *p)
{
	struct lb_packet inner = {};

	c->at = p->l4_at + LB_ICMP_LEN;
	c->is_quoted = 1;
	// The quote is no longer than the error, whatever lies behind it in the frame.
	c->limit = p->l3_at + p->ip_len;
	lb_parse_ip(c, p->family, &inner);
	if (!inner.has_ports || inner.defect != LB_REASON_NONE)
		return;
	p->quote.source = inner.source;
	p->quote.destination = inner.destination;
	p->quote.source_port = lb_packet_source_port(&inner);
	p->quote.destination_port = lb_packet_destination_port(&inner);
	p->quote.protocol = inner.protocol;
	p->quote.at = inner.l3_at;
	p->quote.l4_at = inner.l4_at;
}

// Walks VLAN tags. Leaves the cursor at the IP header; returns its family, or 0: a defect is noted.
static __always_inline int lb_parse_ethernet(struct lb_cursor *c, struct lb_packet *p)
{
	c->at = 12; // the addresses
	for (int n = 0; n <= LB_PARSE_TAGS_MAX; n++) {
		const __be16 *type = (const void *)lb_cursor_bytes(c, 2);

		if (!type) {
			p->defect = LB_REASON_TRUNCATED;
			return 0;
		}
		p->is_to_many = c->start[0] & 1;
		if (*type != LB_ETH_P_8021Q && *type != LB_ETH_P_8021AD) {
			c->at += 2;
			if (*type == LB_ETH_P_IPV4)
				return 4;
			if (*type == LB_ETH_P_IPV6)
				return 6;
			p->defect = LB_REASON_NOT_IP;
			return 0;
		}
		c->at += 4;
	}
	p->defect = LB_REASON_VLAN;
	return 0;
}

// Fills @ret from the frame at @start (@frame_len bytes, of which those before @end are contiguous:
// all, or LB_PARSE_BYTES_MAX at least), but for its pointers, which are NULL. ret->family 0:
// ret->defect is the reason (NOT_IP, VLAN, TRUNCATED, NOT_VIP), nothing else is known.
static __always_inline void lb_parse(const __u8 *start, const __u8 *end, __u32 frame_len,
				     struct lb_packet *ret)
{
	struct lb_cursor c = {.start = start, .end = end, .limit = LB_PARSE_BYTES_MAX};
	int family;

	*ret = (struct lb_packet){.frame_len = frame_len};
	family = lb_parse_ethernet(&c, ret);
	if (!family)
		return;
	lb_parse_ip(&c, family, ret);
	if (ret->ip_len > frame_len - ret->l3_at)
		lb_parse_set_defect(ret, LB_REASON_IP_LENGTH);
	if (ret->defect == LB_REASON_NONE && ret->fragment == LB_FRAGMENT_NONE &&
	    lb_parse_is_icmp_error(ret))
		lb_parse_quote(&c, ret);
}

// Makes pointers into the frame at @start of what lb_parse() found there. @family: p->family, 4
// or 6. Returns 0 where they leave the frame, which is not the one that was parsed then.
static __always_inline int lb_parse_locate(__u8 *start, __u8 *end, int family, struct lb_packet *p)
{
	p->start = start;
	p->end = end;
	p->family = (__u8)family;
	p->is_plain = 0;
	p->l4 = p->l4_check = 0;
	p->l3 = start + (p->l3_at & 0x3f);
	if (p->l3 + (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) > end)
		return 0;
	if (p->defect != LB_REASON_NONE || p->fragment == LB_FRAGMENT_LATER)
		return 1;
	p->l4 = start + (p->l4_at & 0x3ff);
	if (p->protocol == LB_IP_TCP) {
		p->l4_check = p->l4 + 16;
		return p->l4 + LB_TCP_LEN <= end;
	}
	if (p->protocol == LB_IP_UDP) {
		p->l4_check = p->l4 + 6;
		return p->l4 + LB_UDP_LEN <= end;
	}
	if (p->protocol == (family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6)) {
		p->l4_check = p->l4 + 2;
		return p->l4 + LB_ICMP_LEN <= end;
	}
	return 1;
}
