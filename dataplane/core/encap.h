// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// ipip: the packet, unchanged, behind an outer IPv4 or IPv6 header to its backend
// (RFC 2003, 2473, 4213). DSCP and ECN are copied outwards (RFC 2983 uniform model;
// RFC 6040 normal mode). The outer source varies with the flow where the operator
// gives a prefix, so that a backend's receive queues spread; so does the IPv6 flow
// label (RFC 6438).
#pragma once

#include "checksum.h"
#include "decide.h"
#include "rewrite.h"

#define LB_ENCAP_TTL 64

// @source: where it comes from. @at: the outer header, in bounds; the packet lies behind it.
static __always_inline void lb_encap_ipv4(struct lb_ipv4_header *at, const struct lb_packet *p,
					  const struct lb_decision *d,
					  const struct lb_tunnel_source *source)
{
	__be32 from = source->address.words[3] | ((__u32)d->hash & source->host_bits.words[3]);
	__be32 to = d->row->address.words[3];
	__be16 total_len = LB_BE16(LB_IPV4_LEN + p->ip_len);
	__u8 protocol = p->family == 4 ? LB_IP_IPIP : LB_IP_IPV6;
	__u8 tos = lb_packet_tos((const __u8 *)(at + 1), p->family);
	// The header's words, as they lie in memory, but its checksum.
	__u64 sum = (0x45 | tos << 8) + total_len + LB_IPV4_DF + (LB_ENCAP_TTL | protocol << 8);

	at->version_ihl = 0x45;
	at->tos = tos;
	at->total_len = total_len;
	at->id = 0;
	at->fragment = LB_IPV4_DF;
	at->ttl = LB_ENCAP_TTL;
	at->protocol = protocol;
	at->check = (__u16)~lb_checksum_fold(sum + from + to);
	lb_put32(at->source, from);
	lb_put32(at->destination, to);
}

static __always_inline void lb_encap_ipv6(struct lb_ipv6_header *at, const struct lb_packet *p,
					  const struct lb_decision *d,
					  const struct lb_tunnel_source *source)
{
	__u32 label = (__u32)d->hash & 0xfffff;
	__u32 tos = lb_packet_tos((const __u8 *)(at + 1), p->family);

	lb_put32(at->version_class_label, LB_BE32(6u << 28 | tos << 20 | label));
	at->payload_len = LB_BE16(p->ip_len);
	at->next_header = p->family == 4 ? LB_IP_IPIP : LB_IP_IPV6;
	at->hop_limit = LB_ENCAP_TTL;
	lb_put64(at->source, source->address.halves[0] | (d->hash & source->host_bits.halves[0]));
	lb_put64(at->source + 8,
		 source->address.halves[1] | (d->hash & source->host_bits.halves[1]));
	lb_put64(at->destination, d->row->address.halves[0]);
	lb_put64(at->destination + 8, d->row->address.halves[1]);
}

// Writes Ethernet and outer IP header at @start: @grow bytes lie before the frame as it came.
// Returns 0 where they do not (no driver lets that happen; the BPF verifier wants it asked).
static __always_inline int lb_encap(struct lb_env *env, __u8 *start, __u8 *end, __u32 grow,
				    const struct lb_packet *p, const struct lb_decision *d)
{
	struct lb_eth_header *eth = (void *)start;

	// Two bytes of the inner header too: its traffic class.
	if (grow == LB_IPV4_LEN) {
		if (start + LB_ETH_LEN + LB_IPV4_LEN + 2 > end)
			return 0;
		eth->type = LB_ETH_P_IPV4;
		lb_encap_ipv4((void *)(start + LB_ETH_LEN), p, d, &lb_meta(env)->source4);
	} else {
		if (start + LB_ETH_LEN + LB_IPV6_LEN + 2 > end)
			return 0;
		eth->type = LB_ETH_P_IPV6;
		lb_encap_ipv6((void *)(start + LB_ETH_LEN), p, d, &lb_meta(env)->source6);
	}
	lb_rewrite_macs(start, d->link);
	return 1;
}
