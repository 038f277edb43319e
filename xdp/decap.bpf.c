// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// On a backend: takes the outer header off what the balancers send in mode `ipip`,
// and hands the inner packet to the kernel, which has the VIP on loopback. IPv4 and
// IPv6, outer and inner, in all four combinations.
//
// It is no open decapsulator: the outer source must be a listed balancer, the outer
// destination an address of this host, and the inner destination too. What is not
// from a balancer is left to the kernel unchanged, so other tunnels go on working.
//
// lb-decap writes `balancers` and `local` (addresses and prefixes that the kernel
// delivers locally); packets write `counters` only. Standards: RFC 2003 (IPv4 in
// IPv4), RFC 2473 (in IPv6), RFC 4213 (IPv6 in IPv4), RFC 6040 (congestion marks).
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decap.h"

#define IPV4_FRAGMENT_BITS 0x3fff // more fragments, and the offset (RFC 791, 3.1)
#define ECN_CE 3		  // congestion experienced (RFC 3168, 5)

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, DECAP_BALANCER_MAX);
	__type(key, struct decap_key);
	__type(value, __u32);
} balancers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, DECAP_LOCAL_MAX);
	__type(key, struct decap_key);
	__type(value, __u32);
} local SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DECAP_REASON_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

// An IP header, of either family, as far as it matters here.
struct header {
	struct decap_key source, destination;
	__u32 len;	 // bytes of the header
	__u32 total_len; // bytes of the packet, header included
	__u8 protocol;	 // what it carries
	__u8 ecn;	 // two bits (RFC 3168, 5)
	bool has_options;
	bool is_fragment;
	bool has_bad_checksum;
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

// Fills @ret from the header at @at. @room: bytes from @at to the end of the frame.
// False where what is there is no such header, or does not fit into @room.
static __always_inline bool parse_ipv4(void *at, void *end, __u32 room, struct header *ret)
{
	struct iphdr *ip = at;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5)
		return false;
	ret->len = ip->ihl * 4;
	ret->total_len = bpf_ntohs(ip->tot_len);
	ret->protocol = ip->protocol;
	ret->ecn = ip->tos & ECN_CE;
	ret->has_options = ip->ihl > 5;
	ret->is_fragment = ip->frag_off & bpf_htons(IPV4_FRAGMENT_BITS);
	ret->has_bad_checksum = has_bad_checksum(ip);
	set_ipv4(&ret->source, ip->saddr);
	set_ipv4(&ret->destination, ip->daddr);
	return ret->total_len >= ret->len && ret->total_len <= room;
}

static __always_inline bool parse_ipv6(void *at, void *end, __u32 room, struct header *ret)
{
	struct ipv6hdr *ip = at;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return false;
	ret->len = sizeof(*ip);
	ret->total_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	ret->protocol = ip->nexthdr;
	ret->ecn = ip->flow_lbl[0] >> 4 & ECN_CE;
	ret->has_options = false;
	ret->is_fragment = false;
	ret->has_bad_checksum = false;
	set_ipv6(&ret->source, &ip->saddr);
	set_ipv6(&ret->destination, &ip->daddr);
	return ret->total_len <= room;
}

static __always_inline bool parse(bool is_ipv4, void *at, void *end, __u32 room, struct header *ret)
{
	return is_ipv4 ? parse_ipv4(at, end, room, ret) : parse_ipv6(at, end, room, ret);
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), for the word that the mark is in.
static __always_inline void mark_ipv4(struct iphdr *ip)
{
	__u16 *word = (__u16 *)ip;
	__u32 sum = (__u16)~ip->check + (__u16) ~*word;

	ip->tos |= ECN_CE;
	sum += *word;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
}

// Carries a congestion mark of the outer header over to the inner one (RFC 6040, 4.2).
// The caller has parsed the inner header. False: the packet must be dropped instead.
static __always_inline bool carry_mark(__u8 outer_ecn, __u8 inner_ecn, bool is_ipv4, void *inner,
				       void *end)
{
	if (outer_ecn != ECN_CE || inner_ecn == ECN_CE)
		return true;
	if (!inner_ecn)
		return false;
	if (is_ipv4 && inner + sizeof(struct iphdr) <= end)
		mark_ipv4(inner);
	else if (!is_ipv4 && inner + sizeof(struct ipv6hdr) <= end)
		((struct ipv6hdr *)inner)->flow_lbl[0] |= ECN_CE << 4;
	return true;
}

// Checks what is inside an outer header of @outer_len bytes, and takes that header off.
static __always_inline enum decap_reason strip(struct xdp_md *ctx, const struct header *outer,
					       bool outer_is_ipv4, __u32 outer_len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *old = data, *new = data + outer_len;
	bool is_ipv4 = outer->protocol == IPPROTO_IPIP;
	void *at = new + 1;
	struct header inner;

	if (at > end || !parse(is_ipv4, at, end, outer->total_len - outer_len, &inner))
		return DECAP_MALFORMED;
	if (!bpf_map_lookup_elem(&local, &inner.destination))
		return DECAP_INNER_NOT_OURS;
	if (!carry_mark(outer->ecn, inner.ecn, is_ipv4, at, end))
		return DECAP_CONGESTION;
	// The two do not overlap: an outer header is longer than an Ethernet header.
	__builtin_memcpy(new, old, 2 * ETH_ALEN);
	new->h_proto = is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(ctx, outer_len))
		return DECAP_MALFORMED;
	if (outer_is_ipv4)
		return is_ipv4 ? DECAP_OK_4IN4 : DECAP_OK_6IN4;
	return is_ipv4 ? DECAP_OK_4IN6 : DECAP_OK_6IN6;
}

static __always_inline enum decap_reason decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	void *at = ethernet + 1;
	struct header outer;
	bool is_ipv4, is_whole;

	if (at > end)
		return DECAP_OTHER;
	is_ipv4 = ethernet->h_proto == bpf_htons(ETH_P_IP);
	if (!is_ipv4 && ethernet->h_proto != bpf_htons(ETH_P_IPV6))
		return DECAP_OTHER;
	outer.protocol = 0;
	is_whole = parse(is_ipv4, at, end, bpf_xdp_get_buff_len(ctx) - ETH_HLEN, &outer);
	if (outer.protocol != IPPROTO_IPIP && outer.protocol != IPPROTO_IPV6)
		return DECAP_OTHER;
	if (!bpf_map_lookup_elem(&balancers, &outer.source))
		return DECAP_STRANGER;
	if (!bpf_map_lookup_elem(&local, &outer.destination))
		return DECAP_NOT_OURS;
	if (!is_whole)
		return DECAP_MALFORMED;
	if (outer.has_options)
		return DECAP_OPTIONS;
	if (outer.has_bad_checksum)
		return DECAP_CHECKSUM;
	if (outer.is_fragment)
		return DECAP_FRAGMENT;
	if (is_ipv4)
		return strip(ctx, &outer, true, sizeof(struct iphdr));
	return strip(ctx, &outer, false, sizeof(struct ipv6hdr));
}

SEC("xdp.frags")
int lb_decap(struct xdp_md *ctx)
{
	__u32 reason = decap(ctx);
	__u64 *pkts = bpf_map_lookup_elem(&counters, &reason);

	if (pkts)
		(*pkts)++;
	switch (reason) {
#define DECAP_ACTION(name, action, label, text)                                                    \
	case DECAP_##name:                                                                         \
		return XDP_##action;
		DECAP_REASONS(DECAP_ACTION)
#undef DECAP_ACTION
	}
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
