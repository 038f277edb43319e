// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Headers as the decapsulating program reads them: an IP header of either family, and
// what tells a tunnel packet from any other. Included by decap.bpf.c alone. An outer
// and an inner header are read by the same functions, so a tunnel in a tunnel is seen
// with the same eyes as a tunnel.
//
// GUE (draft-ietf-intarea-gue-09, 3.1 and 3.2; the kernel's fou.c) has two variants, in
// its first two bits: 1 is the first half of an IP version (01 00 or 01 10), IP follows
// UDP directly; 0 is a header of 4 bytes:
//
//	| variant 2 | C 1 | hlen 5 | protocol 8 | flags 16 |
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decap.h"

#define ECN_MASK 3		  // RFC 3168, 5
#define IPV4_FRAGMENT_BITS 0x3fff // more fragments, and the offset (RFC 791, 3.1)
#define IPV4_OFFSET_BITS 0x1fff	  // the offset alone
#define IPV6_OFFSET_BITS 0xfff8	  // the offset alone (RFC 8200, 4.5)
#define IP_HEADER_LEN_BITS 0x3f	  // every length of a struct header: at most 60
#define GUE_LEN 4

// An IP header, of either family, as far as it matters here.
struct header {
	struct decap_key source, destination;
	__u32 len;	 // bytes before what it carries, an IPv6 fragment header included
	__u32 total_len; // bytes of the packet, header included
	__u8 protocol;	 // what it carries
	__u8 ecn;	 // two bits (RFC 3168, 5)
	bool has_options;
	bool is_fragment;
	bool is_later_fragment; // not the one that begins with what is carried
	bool has_bad_checksum;
};

struct fragment_header {
	__u8 next_header;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

struct gue_header {
	__u8 variant_c_hlen;
	__u8 protocol;
	__be16 flags;
};

static __always_inline void set_ipv4(struct decap_key *key, __be32 address)
{
	key->bits = 128;
	key->words[0] = 0;
	key->words[1] = 0;
	key->words[2] = bpf_htonl(0xffff);
	key->words[3] = address;
}

static __always_inline void set_ipv6(struct decap_key *key, const struct in6_addr *address)
{
	key->bits = 128;
	__builtin_memcpy(key->words, address, sizeof(key->words));
}

// Over a header without options; RFC 1122, 3.2.1.2: "MUST verify the IP header checksum".
static __always_inline bool has_bad_checksum(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum != 0xffff;
}

// Fills @ret from the header at @at. False where no such header is there.
static __always_inline bool parse_ipv4(void *at, void *end, struct header *ret)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return false;
	ret->len = ip->ihl * 4;
	ret->total_len = bpf_ntohs(ip->tot_len);
	ret->protocol = ip->protocol;
	ret->ecn = ip->tos & ECN_MASK;
	ret->has_options = ip->ihl > 5;
	ret->is_fragment = ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS);
	ret->is_later_fragment = ip->frag_off & bpf_htons(IPV4_OFFSET_BITS);
	ret->has_bad_checksum = has_bad_checksum(ip);
	set_ipv4(&ret->source, ip->saddr);
	set_ipv4(&ret->destination, ip->daddr);
	return true;
}

static __always_inline bool parse_ipv6(void *at, void *end, struct header *ret)
{
	struct ipv6hdr *ip = at;
	struct fragment_header *fragment = (void *)(ip + 1);

	if ((void *)(ip + 1) > end || ip->version != 6)
		return false;
	ret->len = sizeof(*ip);
	ret->total_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	ret->protocol = ip->nexthdr;
	ret->ecn = ip->flow_lbl[0] >> 4 & ECN_MASK;
	ret->has_options = false;
	ret->is_fragment = false;
	ret->is_later_fragment = false;
	ret->has_bad_checksum = false;
	set_ipv6(&ret->source, &ip->saddr);
	set_ipv6(&ret->destination, &ip->daddr);
	if (ip->nexthdr == IPPROTO_FRAGMENT && (void *)(fragment + 1) <= end) {
		ret->len += sizeof(*fragment);
		ret->protocol = fragment->next_header;
		ret->is_fragment = true;
		ret->is_later_fragment = fragment->offset & bpf_htons(IPV6_OFFSET_BITS);
	}
	return true;
}

static __always_inline bool parse(bool is_ipv4, void *at, void *end, struct header *ret)
{
	return is_ipv4 ? parse_ipv4(at, end, ret) : parse_ipv6(at, end, ret);
}

// The packet is as long as it says, at least. @room: bytes from its start to the frame's end.
static __always_inline bool is_whole(const struct header *ip, __u32 room)
{
	return ip->total_len >= ip->len && ip->total_len <= room;
}

static __always_inline bool is_ip_in_ip(const struct header *ip)
{
	return ip->protocol == IPPROTO_IPIP || ip->protocol == IPPROTO_IPV6;
}

// @ip was read at @at. @port: GUE's; 0: there is no GUE.
static __always_inline bool is_gue(const struct header *ip, void *at, void *end, __u16 port)
{
	struct udphdr *udp = at + (ip->len & IP_HEADER_LEN_BITS);

	return port && ip->protocol == IPPROTO_UDP && !ip->is_later_fragment &&
	       (void *)(udp + 1) <= end && udp->dest == bpf_htons(port);
}

// What follows UDP, of @room bytes at @at. Returns the IP protocol that is carried and the
// bytes before it; 0: it is no data, or of a kind that is not read here. @at: 4 bytes are there.
static __always_inline __u8 parse_gue(const struct gue_header *gue, __u32 *ret_len)
{
	switch (gue->variant_c_hlen >> 4) {
	case 4:
		*ret_len = 0;
		return IPPROTO_IPIP;
	case 6:
		*ret_len = 0;
		return IPPROTO_IPV6;
	}
	*ret_len = GUE_LEN;
	// Variant 0, no control message, no optional fields, no flags.
	if (gue->variant_c_hlen || gue->flags)
		return 0;
	return gue->protocol == IPPROTO_IPIP || gue->protocol == IPPROTO_IPV6 ? gue->protocol : 0;
}
