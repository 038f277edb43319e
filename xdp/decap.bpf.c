// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// On a backend: takes the outer headers off what the balancers send in the modes `ipip`
// and `gue`, and hands the inner packet to the kernel, which has the VIP on loopback.
// IPv4 and IPv6, outer and inner, in all combinations.
//
// It is no open decapsulator: a tunnel packet for an address of this host must come from
// a listed balancer, and what is inside must be for an address of this host too, and no
// tunnel packet again. Else it ends here, counted, so that no other tunnel of the host
// can be reached past the list. A tunnel packet that is only on its way to another host
// is left to the kernel unchanged.
//
// An outer UDP checksum is not looked at, 0 or not: it covers every byte, which no XDP
// program sums up cheaply, and says nothing more than is asked here of the addresses
// and, by the kernel, of the inner packet's own checksums (RFC 6935, 6936).
//
// lb-decap writes `balancers`, `local` (addresses and prefixes that the kernel delivers
// locally) and `gue_port`; packets write `counters` only. Standards: RFC 2003 (IPv4 in
// IPv4), RFC 2473 (in IPv6), RFC 4213 (IPv6 in IPv4), GUE (decap_header.h), RFC 6040
// (congestion marks).
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decap.h"
#include "decap_header.h"

// Congestion marks (RFC 3168, 5).
#define ECN_NOT_ECT 0
#define ECN_ECT1 1
#define ECN_ECT0 2
#define ECN_CE 3

// Set before loading. A section of its own, so that lb-decap finds it by the map's name.
const volatile __u16 gue_port SEC(DECAP_GUE_PORT_MAP) = DECAP_GUE_PORT;

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

// What lies between Ethernet and the inner packet.
struct tunnel {
	__u32 len;	 // bytes to take off
	__u32 inner_len; // bytes behind them, to the tunnel's own end
	__u8 protocol;	 // IPPROTO_IPIP or IPPROTO_IPV6
	bool is_gue;
	bool is_ipv4; // the outer header
};

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), for the word that the mark is in.
static __always_inline void set_ecn_ipv4(struct iphdr *ip, __u8 ecn)
{
	__u16 *word = (__u16 *)ip;
	__u32 sum = (__u16)~ip->check + (__u16) ~*word;

	ip->tos = (ip->tos & ~ECN_MASK) | ecn;
	sum += *word;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~sum;
}

static __always_inline void set_ecn(bool is_ipv4, void *inner, void *end, __u8 ecn)
{
	struct ipv6hdr *ip6 = inner;

	// In bounds already, as its header was read; the verifier wants it asked.
	if (is_ipv4 && inner + sizeof(struct iphdr) <= end)
		set_ecn_ipv4(inner, ecn);
	else if (!is_ipv4 && inner + sizeof(*ip6) <= end)
		ip6->flow_lbl[0] = (ip6->flow_lbl[0] & ~(ECN_MASK << 4)) | ecn << 4;
}

// The mark that leaves (RFC 6040, 4.2, figure 4); negative: the packet must be dropped.
static __always_inline int combine_ecn(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	return outer == ECN_ECT1 && inner == ECN_ECT0 ? ECN_ECT1 : inner;
}

// Ordered as the sums that make them: 4 and 6 inside, in 4 and 6, without and with GUE.
static __always_inline enum decap_reason name_ok(const struct tunnel *t)
{
	bool is_ipv4 = t->protocol == IPPROTO_IPIP;

	if (t->is_gue && t->is_ipv4)
		return is_ipv4 ? DECAP_OK_GUE_4IN4 : DECAP_OK_GUE_6IN4;
	if (t->is_gue)
		return is_ipv4 ? DECAP_OK_GUE_4IN6 : DECAP_OK_GUE_6IN6;
	if (t->is_ipv4)
		return is_ipv4 ? DECAP_OK_4IN4 : DECAP_OK_6IN4;
	return is_ipv4 ? DECAP_OK_4IN6 : DECAP_OK_6IN6;
}

// Checks what is inside, and takes off what is around it.
static __always_inline enum decap_reason strip(struct xdp_md *ctx, const struct tunnel *t,
					       __u8 outer_ecn)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *old = data, *new = data + t->len;
	bool is_ipv4 = t->protocol == IPPROTO_IPIP;
	void *at = new + 1;
	struct header inner;
	int ecn;

	if (at > end || !parse(is_ipv4, at, end, &inner) || !is_whole(&inner, t->inner_len))
		return DECAP_MALFORMED;
	if (!bpf_map_lookup_elem(&local, &inner.destination))
		return DECAP_INNER_NOT_OURS;
	if (is_ip_in_ip(&inner) || is_gue(&inner, at, end, gue_port))
		return DECAP_NESTED;
	ecn = combine_ecn(outer_ecn, inner.ecn);
	if (ecn < 0)
		return DECAP_CONGESTION;
	if (ecn != inner.ecn)
		set_ecn(is_ipv4, at, end, ecn);
	// The two do not overlap: an outer header is longer than an Ethernet header.
	__builtin_memcpy(new, old, 2 * ETH_ALEN);
	new->h_proto = is_ipv4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
	if (bpf_xdp_adjust_head(ctx, t->len))
		return DECAP_MALFORMED;
	return name_ok(t);
}

// The UDP and GUE headers behind @outer, whose header at @at has no options.
// Returns DECAP_OTHER where they are fine, else why not.
static __always_inline enum decap_reason open_gue(const struct header *outer, void *at, void *end,
						  __u32 ip_len, struct tunnel *t)
{
	struct udphdr *udp = at + ip_len;
	struct gue_header *gue = (void *)(udp + 1);
	__u32 udp_len, gue_len;

	if ((void *)(gue + 1) > end)
		return DECAP_MALFORMED;
	// UDP may end before IP does (RFC 768 says nothing; RFC 9868 makes use of it).
	udp_len = bpf_ntohs(udp->len);
	if (udp_len < sizeof(*udp) + sizeof(*gue) || udp_len > outer->total_len - ip_len)
		return DECAP_MALFORMED;
	t->protocol = parse_gue(gue, &gue_len);
	if (!t->protocol)
		return DECAP_GUE_HEADER;
	t->len = ip_len + sizeof(*udp) + gue_len;
	t->inner_len = udp_len - sizeof(*udp) - gue_len;
	return DECAP_OTHER;
}

// The tunnel packet @outer is for this host and from a balancer: is it one that is read here?
static __always_inline enum decap_reason open_tunnel(struct xdp_md *ctx, const struct header *outer,
						     void *at, void *end, struct tunnel *t)
{
	enum decap_reason reason;

	t->protocol = outer->protocol;
	t->len = t->is_ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	t->inner_len = outer->total_len - t->len;
	if (t->is_gue) {
		reason = open_gue(outer, at, end, t->len, t);
		if (reason != DECAP_OTHER)
			return reason;
	}
	return strip(ctx, t, outer->ecn);
}

static __always_inline enum decap_reason decap(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	void *at = ethernet + 1;
	struct header outer;
	struct tunnel t;

	if (at > end)
		return DECAP_OTHER;
	t.is_ipv4 = ethernet->h_proto == bpf_htons(ETH_P_IP);
	if (!t.is_ipv4 && ethernet->h_proto != bpf_htons(ETH_P_IPV6))
		return DECAP_OTHER;
	if (!parse(t.is_ipv4, at, end, &outer))
		return DECAP_OTHER;
	t.is_gue = is_gue(&outer, at, end, gue_port);
	if (!t.is_gue && !is_ip_in_ip(&outer))
		return DECAP_OTHER;
	if (!bpf_map_lookup_elem(&local, &outer.destination))
		return DECAP_NOT_OURS;
	if (!bpf_map_lookup_elem(&balancers, &outer.source))
		return DECAP_STRANGER;
	if (!is_whole(&outer, bpf_xdp_get_buff_len(ctx) - ETH_HLEN))
		return DECAP_MALFORMED;
	if (outer.has_options)
		return DECAP_OPTIONS;
	if (outer.has_bad_checksum)
		return DECAP_CHECKSUM;
	if (outer.is_fragment)
		return DECAP_FRAGMENT;
	return open_tunnel(ctx, &outer, at, end, &t);
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
