// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Verdict ANSWER: the packet becomes its own answer, and goes back where it came from, its
// MAC addresses swapped and its VLAN tags kept.
//
//   echo reply                    RFC 792, RFC 4443 4.2
//   RST                           RFC 9293, 3.10.7.1
//   port unreachable              RFC 792, RFC 4443 3.1
//   fragmentation needed, packet too big   RFC 1191, RFC 4443 3.2
//   time exceeded                 RFC 792, RFC 4443 3.3
// ICMP errors quote as much as fits 576 bytes (RFC 1812, 4.3.2.3) or 1280 (RFC 4443, 2.4 c), and
// come from the VIP: no other address of the balancer need be known to a client.
//
// A driver calls lb_answer_mtu() and lb_answer_of(), makes the frame a->grow bytes longer in front
// and then a->len bytes long in all (no room: lb_decide_end(d, LB_REASON_HEADROOM)), and calls
// lb_answer_write().
#pragma once

#include "checksum.h"
#include "decide_rest.h"
#include "rewrite.h"

#define LB_ANSWER_TTL 64
#define LB_ANSWER_TOS 0xc0 // ICMP errors in IPv4: internetwork control (RFC 1812, 4.3.2.5)
#define LB_ANSWER_QUOTE4_MAX (576 - LB_IPV4_LEN - LB_ICMP_LEN)
#define LB_ANSWER_QUOTE6_MAX (LB_IPV6_MTU_LEAST - LB_IPV6_LEN - LB_ICMP_LEN)
#define LB_ANSWER_MTU_LEAST 68 // RFC 791: every IPv4 hop takes it

enum lb_answer_kind { LB_ANSWER_ECHO = 1, LB_ANSWER_RESET, LB_ANSWER_ERROR };

// Numbers alone: pointers into the packet do not outlive the making of room.
struct lb_answer {
	struct lb_address from, to;
	__u32 seq, ack; // RST
	__be16 source_port, destination_port;
	__u8 tcp_flags;
	__u8 kind; // enum lb_answer_kind
	__u8 family;
	__u8 icmp_type, icmp_code; // error
	__u8 pad8;
	__u16 mtu;   // error; 0 where its kind says none
	__u16 grow;  // bytes to be made in front
	__u16 len;   // of the frame then
	__u16 l3_at; // bytes before the IP header, in the frame that came and in the answer
	__u16 quote_len;
};

// What fits the way on, for reasons TOO_BIG; else 0.
static __always_inline __u32 lb_answer_mtu(const struct lb_packet *p, const struct lb_decision *d)
{
	__u32 least = p->family == 4 ? LB_ANSWER_MTU_LEAST : LB_IPV6_MTU_LEAST;
	__u32 grow, mtu;

	if ((d->reason != LB_REASON_TOO_BIG && d->reason != LB_REASON_TOO_BIG_NO_DF) || !d->link ||
	    !d->row)
		return 0;
	grow = d->is_reply ? 0 : lb_decision_grow(d);
	mtu = d->link->mtu > grow ? d->link->mtu - grow : 0;
	if (mtu > 0xffff)
		return 0xffff;
	return mtu < least ? least : mtu;
}

static __always_inline void lb_answer_read_addresses(const struct lb_packet *p, struct lb_answer *a)
{
	if (p->family == 4) {
		lb_address_set_ipv4(&a->to, lb_get32(p->l3 + 12));
		lb_address_set_ipv4(&a->from, lb_get32(p->l3 + 16));
		return;
	}
	a->to.halves[0] = lb_get64(p->l3 + 8);
	a->to.halves[1] = lb_get64(p->l3 + 16);
	a->from.halves[0] = lb_get64(p->l3 + 24);
	a->from.halves[1] = lb_get64(p->l3 + 32);
}

// "If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
// If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>." SEG.LEN counts SYN and FIN.
static __always_inline void lb_answer_of_reset(const struct lb_packet *p, struct lb_answer *a)
{
	const struct lb_tcp_header *tcp = (const void *)p->l4;
	__u32 len;

	a->kind = LB_ANSWER_RESET;
	a->len = 0;
	if (!tcp || (const __u8 *)(tcp + 1) > p->end) // never; the BPF verifier asks
		return;
	len = p->ip_len - (p->l4_at - p->l3_at) - (tcp->offset >> 4) * 4;
	a->source_port = lb_packet_destination_port(p);
	a->destination_port = lb_packet_source_port(p);
	a->grow = 0;
	a->len = p->l3_at + (p->family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) + LB_TCP_LEN;
	if (p->tcp_flags & LB_TCP_ACK) {
		a->seq = __builtin_bswap32(lb_get32(tcp->ack));
		a->ack = 0;
		a->tcp_flags = LB_TCP_RST;
		return;
	}
	len += !!(p->tcp_flags & LB_TCP_SYN) + !!(p->tcp_flags & LB_TCP_FIN);
	a->seq = 0;
	a->ack = __builtin_bswap32(lb_get32(tcp->seq)) + len;
	a->tcp_flags = LB_TCP_RST | LB_TCP_ACK;
}

static __always_inline void lb_answer_of_error(const struct lb_packet *p, enum lb_reason reason,
					       __u32 mtu, struct lb_answer *a)
{
	const int is_ipv4 = p->family == 4;
	const __u32 max = is_ipv4 ? LB_ANSWER_QUOTE4_MAX : LB_ANSWER_QUOTE6_MAX;
	__u32 quote_len = p->ip_len < max ? p->ip_len : max;

	a->kind = LB_ANSWER_ERROR;
	a->mtu = (__u16)mtu;
	if (reason == LB_REASON_TTL) {
		a->icmp_type = is_ipv4 ? 11 : 3;
		a->icmp_code = 0;
	} else if (mtu) {
		a->icmp_type = is_ipv4 ? 3 : 2;
		a->icmp_code = is_ipv4 ? 4 : 0;
	} else {
		a->icmp_type = is_ipv4 ? 3 : 1;
		a->icmp_code = is_ipv4 ? 3 : 4;
	}
	a->quote_len = (__u16)(quote_len & ~3u);
	a->grow = (is_ipv4 ? LB_IPV4_LEN : LB_IPV6_LEN) + LB_ICMP_LEN;
	a->len = (__u16)(p->l3_at + a->grow + a->quote_len);
}

// Fills @ret for a packet whose verdict is ANSWER for @reason. @mtu: what lb_answer_mtu() says.
// @vip: from whom the answer to a backend's reply comes; NULL: to a client, from what the packet
// went to.
static __always_inline void lb_answer_of(const struct lb_packet *p, enum lb_reason reason,
					 __u32 mtu, const struct lb_address *vip,
					 struct lb_answer *ret)
{
	lb_answer_read_addresses(p, ret);
	if (vip)
		ret->from = *vip;
	ret->family = p->family;
	ret->l3_at = p->l3_at;
	if (reason == LB_REASON_ECHO) {
		ret->kind = LB_ANSWER_ECHO;
		ret->grow = 0;
		ret->len = (__u16)p->frame_len;
	} else if ((reason == LB_REASON_REFUSED_PORT || reason == LB_REASON_REFUSED_BACKEND) &&
		   p->protocol == LB_IP_TCP) {
		lb_answer_of_reset(p, ret);
	} else {
		lb_answer_of_error(p, reason, mtu, ret);
	}
}

// ---- writing ----

// The frame that came begins @grow bytes behind @start; its Ethernet header, in bounds, goes to
// @start with its addresses swapped.
static __always_inline void lb_answer_ethernet(__u8 *start, __u32 grow, __u32 l3_at)
{
	__u64 destination = lb_get64(start + grow); // and two bytes of the source
	__u64 source = lb_get64(start + grow + 6);  // and two bytes behind it
	__u32 first = lb_get32(start + grow + 12);

	if (grow && l3_at >= LB_ETH_LEN + 8)
		lb_put32(start + 18, lb_get32(start + grow + 18));
	if (grow && l3_at >= LB_ETH_LEN + 4)
		lb_put32(start + 14, lb_get32(start + grow + 14));
	lb_put64(start, (source & 0xffffffffffffull) | destination << 48);
	lb_put32(start + 8, (__u32)(destination >> 16));
	*(__be16 *)(start + 12) = (__be16)first;
}

// The IP header at @at, in bounds; @len: bytes that it carries. Returns the pseudo header's sum
// (RFC 9293, 3.1; RFC 8200, 8.1).
static __always_inline __u64 lb_answer_ip(__u8 *at, const struct lb_answer *a, int family,
					  __u8 protocol, __u8 tos, __u32 len)
{
	struct lb_ipv4_header *ip4 = (void *)at;
	struct lb_ipv6_header *ip6 = (void *)at;
	__u64 sum = 0;

	// Of IPv4 addresses the words in front add up to nothing.
	for (int i = 0; i < 4; i++)
		sum += (__u64)a->from.words[i] + a->to.words[i];
	if (family == 4) {
		__be16 total_len = LB_BE16(LB_IPV4_LEN + len);

		ip4->version_ihl = 0x45;
		ip4->tos = tos;
		ip4->total_len = total_len;
		ip4->id = 0;
		ip4->fragment = LB_IPV4_DF;
		ip4->ttl = LB_ANSWER_TTL;
		ip4->protocol = protocol;
		ip4->check = (__u16)~lb_checksum_fold(sum + (0x45 | tos << 8) + total_len +
						      LB_IPV4_DF + (LB_ANSWER_TTL | protocol << 8));
	} else {
		lb_put32(ip6->version_class_label, LB_BE32(6u << 28));
		ip6->payload_len = LB_BE16(len);
		ip6->next_header = protocol;
		ip6->hop_limit = LB_ANSWER_TTL;
	}
	lb_rewrite_put_address(at + (family == 4 ? 12 : 8), (__u8)family, &a->from);
	lb_rewrite_put_address(at + (family == 4 ? 16 : 24), family, &a->to);
	return sum + LB_BE16(len) + LB_BE16(protocol);
}

static __always_inline int lb_answer_write_echo(__u8 *start, __u8 *end, const struct lb_answer *a,
						int family)
{
	__u8 *l3 = start + (a->l3_at & 0x3f);
	const __u32 header_len = family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN;
	struct lb_icmp_header *icmp = (void *)(l3 + header_len);
	__u8 reply = family == 4 ? 0 : 129;
	__u16 check;

	if ((__u8 *)(icmp + 1) > end)
		return 0;
	lb_rewrite_put_address(l3 + (family == 4 ? 12 : 8), family, &a->from);
	lb_rewrite_put_address(l3 + (family == 4 ? 16 : 24), family, &a->to);
	if (family == 4) {
		struct lb_ipv4_header *ip = (void *)l3;

		ip->check = lb_checksum_mend(ip->check,
					     lb_checksum_replace16(0, ip->ttl, LB_ANSWER_TTL));
		ip->ttl = LB_ANSWER_TTL;
	} else {
		((struct lb_ipv6_header *)l3)->hop_limit = LB_ANSWER_TTL;
	}
	// 0 and ffff say the same of any message but one of zeros, for which ffff is right.
	check = lb_checksum_mend(icmp->check, lb_checksum_replace16(0, icmp->type, reply));
	icmp->check = check ? check : 0xffff;
	icmp->type = reply;
	return 1;
}

static __always_inline int lb_answer_write_reset(__u8 *start, __u8 *end, const struct lb_answer *a,
						 int family)
{
	__u8 *l3 = start + (a->l3_at & 0x3f);
	struct lb_tcp_header *tcp = (void *)(l3 + (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN));
	__be32 seq = LB_BE32(a->seq), ack = LB_BE32(a->ack);
	__u64 sum;

	if ((__u8 *)(tcp + 1) > end)
		return 0;
	sum = lb_answer_ip(l3, a, family, LB_IP_TCP, 0, LB_TCP_LEN);
	tcp->source = a->source_port;
	tcp->destination = a->destination_port;
	lb_put32(tcp->seq, seq);
	lb_put32(tcp->ack, ack);
	tcp->offset = LB_TCP_LEN / 4 << 4;
	tcp->flags = a->tcp_flags;
	tcp->window = 0;
	tcp->urgent = 0;
	sum += (__u64)a->source_port + a->destination_port + seq + ack +
	       (LB_TCP_LEN / 4 << 4 | a->tcp_flags << 8);
	tcp->check = (__u16)~lb_checksum_fold(sum);
	return 1;
}

// Of @len bytes at @at, a multiple of four and at most LB_ANSWER_QUOTE6_MAX.
static __always_inline __u64 lb_answer_sum(const __u8 *at, const __u8 *end, __u32 len)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < LB_ANSWER_QUOTE6_MAX / 4; i++) {
		if (i >= len / 4 || at + i * 4 + 4 > end)
			break;
		sum += lb_get32(at + i * 4);
	}
	return sum;
}

static __always_inline int lb_answer_write_error(__u8 *start, __u8 *end, const struct lb_answer *a,
						 int family)
{
	const __u32 header_len = family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN;
	__u8 *l3 = start + (a->l3_at & 0x3f);
	struct lb_icmp_header *icmp = (void *)(l3 + header_len);
	__u8 protocol = family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6;
	__u8 tos = family == 4 ? LB_ANSWER_TOS : 0;
	__be32 rest = LB_BE32((__u32)a->mtu);
	__u64 sum;

	if ((__u8 *)(icmp + 1) > end)
		return 0;
	sum = lb_answer_ip(l3, a, family, protocol, tos, LB_ICMP_LEN + a->quote_len);
	if (family == 4)
		sum = 0; // ICMP for IPv4 has no pseudo header
	icmp->type = a->icmp_type;
	icmp->code = a->icmp_code;
	lb_put32(icmp->rest, rest);
	sum += (a->icmp_type | a->icmp_code << 8) + (__u64)rest;
	sum += lb_answer_sum((const __u8 *)(icmp + 1), end, a->quote_len);
	icmp->check = (__u16)~lb_checksum_fold(sum);
	return 1;
}

static __always_inline int lb_answer_write_family(__u8 *start, __u8 *end, const struct lb_answer *a,
						  int family)
{
	__u32 grow = a->grow & 0x3f;
	int is_written;

	if (start + LB_ETH_LEN + 8 > end || start + grow + LB_ETH_LEN + 8 > end)
		return 0;
	lb_answer_ethernet(start, grow, a->l3_at);
	if (a->kind == LB_ANSWER_ECHO)
		is_written = lb_answer_write_echo(start, end, a, family);
	else if (a->kind == LB_ANSWER_RESET)
		is_written = lb_answer_write_reset(start, end, a, family);
	else
		is_written = lb_answer_write_error(start, end, a, family);
	return is_written;
}

// Writes the answer. @start, @end: of the frame as it is now (see above).
// Returns 0 where it does not fit, which cannot be.
static __always_inline int lb_answer_write(__u8 *start, __u8 *end, const struct lb_answer *a)
{
	// Each family in a place of its own: what is in bounds differs, and the BPF verifier asks.
	if (a->family == 4)
		return lb_answer_write_family(start, end, a, 4);
	return lb_answer_write_family(start, end, a, 6);
}
