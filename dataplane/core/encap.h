// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Tunnels: the packet, unchanged, behind an outer header to its backend, IPv4 or IPv6 in
// either.
//  - ipip: RFC 2003, 2473, 4213.
//  - gue: UDP, then the packet itself: variant 1 (draft-ietf-intarea-gue-09, 4), as Linux' fou
//    reads and sends it; the first bits say IPv4 or IPv6. No UDP checksum: the packet has its
//    own (RFC 6935, RFC 6936).
// DSCP and ECN are copied outwards (RFC 2983 uniform model; RFC 6040 normal mode). What
// varies with the flow, so that routers and a backend's receive queues spread: the outer
// source where the operator gives a prefix, the IPv6 flow label (RFC 6438), gue's source port.
// VLAN tags stay in front.
#pragma once

#include "checksum.h"
#include "decide.h"
#include "rewrite.h"

#define LB_ENCAP_TTL 64
#define LB_ENCAP_MACS 16 // bytes at the frame's start that the copy of MAC addresses writes

static __always_inline __u8 lb_encap_protocol(const struct lb_packet *p, __u32 udp_len)
{
	if (udp_len)
		return LB_IP_UDP;
	return p->family == 4 ? LB_IP_IPIP : LB_IP_IPV6;
}

// @source: where it comes from. @at: the outer header, in bounds; the packet lies behind it.
// @udp_len: bytes of UDP header that follow it; 0: ipip.
static __always_inline void lb_encap_ipv4(__u8 *at, const struct lb_packet *p,
					  const struct lb_decision *d, __u32 udp_len,
					  const struct lb_tunnel_source *source)
{
	__be32 from = source->address.words[3] | ((__u32)d->hash & source->host_bits.words[3]);
	__be32 to = d->row->address.words[3];
	__be16 total_len = LB_BE16(LB_IPV4_LEN + udp_len + p->ip_len);
	__u8 protocol = lb_encap_protocol(p, udp_len);
	__u32 tos = lb_packet_tos(at + LB_IPV4_LEN + udp_len, p->family);
	// The header's words of 32 bits, as they lie in memory, without its checksum.
	__u32 version_len = 0x45 | tos << 8 | (__u32)total_len << 16;
	__u32 id_fragment = (__u32)LB_IPV4_DF << 16, ttl_protocol = LB_ENCAP_TTL | protocol << 8;
	__u64 sum = (__u64)version_len + id_fragment + ttl_protocol + from + to;
	__u16 check = (__u16)~lb_checksum_fold(sum);

	// Few wide stores: a packet waits for many.
	lb_put64(at, version_len | (__u64)id_fragment << 32);
	lb_put32(at + 8, ttl_protocol | (__u32)check << 16);
	lb_put64(at + 12, from | (__u64)to << 32);
}

static __always_inline void lb_encap_ipv6(__u8 *at, const struct lb_packet *p,
					  const struct lb_decision *d, __u32 udp_len,
					  const struct lb_tunnel_source *source)
{
	__u32 label = (__u32)d->hash & 0xfffff;
	__u32 class = lb_packet_ipv6_class(at + LB_IPV6_LEN + udp_len, p->family);
	__u64 payload_len = LB_BE16(udp_len + p->ip_len);
	__u64 next_header = lb_encap_protocol(p, udp_len);

	lb_put64(at, (class | LB_BE32(label)) | payload_len << 32 | next_header << 48 |
			     (__u64)LB_ENCAP_TTL << 56);
	lb_mix16(at + 8, &source->address, d->hash, &source->host_bits);
	lb_copy16(at + 24, &d->row->address);
}

// From a port of the dynamic range (RFC 6335, 6), by flow.
static __always_inline void lb_encap_udp(struct lb_env *env, __u8 *at, const struct lb_packet *p,
					 const struct lb_decision *d)
{
	__u32 source = LB_BE16(0xc000 | (d->hash & 0x3fff));
	__u32 port = *(const volatile __be16 *)&lb_meta(env)->gue_port;
	__u64 len = LB_BE16(LB_UDP_LEN + p->ip_len);

	lb_put64(at, source | port << 16 | len << 32);
}

// Brings the VLAN tags of a frame that begins @grow bytes behind @start to its new start. @l3_at:
// bytes before the frame's IP header. Returns 0 where it does not fit, which cannot be.
static __always_inline int lb_encap_tags(__u8 *start, __u8 *end, __u32 grow, __u32 l3_at)
{
	if (l3_at < LB_ETH_LEN + 4)
		return 1;
	if (start + grow + LB_ETH_LEN + 8 > end)
		return 0;
	lb_put32(start + 12, lb_get32(start + grow + 12));
	if (l3_at >= LB_ETH_LEN + 8)
		lb_put32(start + 16, lb_get32(start + grow + 16));
	return 1;
}

// The outer headers at @at, @grow bytes. @family: the outer one.
static __always_inline void lb_encap_headers(struct lb_env *env, __u8 *at, int family,
					     __u32 udp_len, const struct lb_packet *p,
					     const struct lb_decision *d)
{
	if (family == 4)
		lb_encap_ipv4(at, p, d, udp_len, &lb_meta(env)->source4);
	else
		lb_encap_ipv6(at, p, d, udp_len, &lb_meta(env)->source6);
	if (udp_len)
		lb_encap_udp(env, at + (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN), p, d);
}

// Writes Ethernet and outer headers at @start, of which LB_ENCAP_MACS bytes are in bounds: @grow
// bytes lie before the frame as it came, whose IP header was @l3_at bytes from its start. Returns 0
// where they do not (no driver lets that happen; the BPF verifier wants it asked).
static __always_inline int lb_encap(struct lb_env *env, __u8 *start, __u8 *end, __u32 grow,
				    __u32 l3_at, const struct lb_packet *p,
				    const struct lb_decision *d)
{
	__u8 *at = start + l3_at, *type = start + ((l3_at - 2) & 0x3f);

	// Two bytes of the inner header too: its traffic class. (Where @l3_at is a constant this
	// one question answers them all.)
	if (LB_IS_BEYOND(at, grow + 2, end))
		return 0;
	if (!__builtin_constant_p(l3_at) &&
	    (LB_IS_BEYOND(start, LB_ENCAP_MACS, end) || LB_IS_BEYOND(type, 2, end)))
		return 0;
	lb_copy16(start, d->link->macs); // what lies behind them is written below
	if (!__builtin_constant_p(l3_at) && !lb_encap_tags(start, end, grow, l3_at))
		return 0;
	if (grow == LB_IPV4_LEN || grow == LB_IPV4_LEN + LB_UDP_LEN)
		*(__be16 *)type = LB_ETH_P_IPV4;
	else
		*(__be16 *)type = LB_ETH_P_IPV6;
	switch (grow) {
	case LB_IPV4_LEN:
		lb_encap_headers(env, at, 4, 0, p, d);
		break;
	case LB_IPV4_LEN + LB_UDP_LEN:
		lb_encap_headers(env, at, 4, LB_UDP_LEN, p, d);
		break;
	case LB_IPV6_LEN:
		lb_encap_headers(env, at, 6, 0, p, d);
		break;
	case LB_IPV6_LEN + LB_UDP_LEN:
		lb_encap_headers(env, at, 6, LB_UDP_LEN, p, d);
		break;
	default:
		return 0;
	}
	return 1;
}
