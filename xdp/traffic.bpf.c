// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// lb-pktgen's two programs. `traffic_send` is run by BPF_PROG_TEST_RUN with live frames:
// each run makes one packet and redirects it out of the interface. Frames come back as
// their receiver left them, so every header is written anew each time; the checksums
// follow from sums over what does not change (RFC 1071). `traffic_sink` counts and drops
// what carries TCP, UDP or a tunnel, and leaves the rest (ARP, ...) to the kernel.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "traffic.h"

const volatile struct traffic_shape shape;

// Of the one thread that sends.
__u32 next_flow;
__u32 syn_credit;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct traffic_counters);
} received SEC(".maps");

// What is left open in a packet's headers.
struct flow {
	__be32 address; // the last 32 bits of the client's
	__be16 port;
	bool is_syn;
};

// The flows take turns: each packet is another flow's until all had theirs.
static __always_inline void pick_flow(struct flow *ret)
{
	__u32 i = next_flow;

	next_flow = i + 1 < shape.flows ? i + 1 : 0;
	ret->address = bpf_htonl(shape.address_base + (i & ((1u << shape.address_bits) - 1)));
	ret->port = bpf_htons(TRAFFIC_FIRST_PORT + (i >> shape.address_bits));
	syn_credit += shape.syn_percent;
	ret->is_syn = syn_credit >= 100;
	if (ret->is_syn)
		syn_credit -= 100;
}

// RFC 1071: the one's complement of the one's complement sum.
static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline void write_l4(void *l4, const struct flow *flow, __u32 address_sum)
{
	__u32 sum = (flow->is_syn ? shape.l4_syn_sum : shape.l4_sum) + address_sum + flow->port;

	if (shape.is_tcp) {
		struct tcphdr *tcp = l4;

		tcp->syn = flow->is_syn;
		tcp->ack = !flow->is_syn;
		tcp->check = checksum(sum);
	} else {
		struct udphdr *udp = l4;
		__u16 check = checksum(sum);

		udp->check = check ? check : 0xffff; // RFC 768: zero says that there is none
	}
	// Source and destination port are the first words of both.
	((__be16 *)l4)[shape.is_reply ? 1 : 0] = flow->port;
}

// What no flow changes, in whole words: 56 bytes hold IPv4 and TCP, 80 hold IPv6 and TCP.
static __always_inline bool write_headers(void *data, void *end)
{
	__u64 *words = data;

	if (data + TRAFFIC_HEADERS4_BYTES > end)
		return false;
	for (int i = 0; i < TRAFFIC_HEADERS4_BYTES / 8; i++)
		words[i] = shape.headers[i];
	if (shape.family == 4)
		return true;
	if (data + TRAFFIC_HEADERS_BYTES > end)
		return false;
	for (int i = TRAFFIC_HEADERS4_BYTES / 8; i < TRAFFIC_HEADERS_BYTES / 8; i++)
		words[i] = shape.headers[i];
	return true;
}

SEC("xdp")
int traffic_send(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct flow flow;
	__u32 address_sum;

	if (!write_headers(data, end))
		return XDP_ABORTED;
	pick_flow(&flow);
	address_sum = (flow.address & 0xffff) + (flow.address >> 16);
	if (shape.family == 4) {
		struct iphdr *ip = data + ETH_HLEN;

		if ((void *)ip + sizeof(*ip) + sizeof(struct tcphdr) > end)
			return XDP_ABORTED;
		if (shape.is_reply)
			ip->daddr = flow.address;
		else
			ip->saddr = flow.address;
		ip->check = checksum(shape.ip_sum + address_sum);
		write_l4(ip + 1, &flow, address_sum);
	} else {
		struct ipv6hdr *ip = data + ETH_HLEN;

		if ((void *)ip + sizeof(*ip) + sizeof(struct tcphdr) > end)
			return XDP_ABORTED;
		if (shape.is_reply)
			ip->daddr.in6_u.u6_addr32[3] = flow.address;
		else
			ip->saddr.in6_u.u6_addr32[3] = flow.address;
		write_l4(ip + 1, &flow, address_sum);
	}
	return bpf_redirect(shape.ifindex, 0);
}

static __always_inline bool is_traffic(void *data, void *end)
{
	struct ethhdr *ethernet = data;
	struct ipv6hdr *ip6 = (void *)(ethernet + 1);
	struct iphdr *ip4 = (void *)(ethernet + 1);
	__u8 protocol = 0;

	if ((void *)(ip4 + 1) > end)
		return false;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		protocol = ip4->protocol;
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		protocol = ip6->nexthdr;
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_IPIP ||
	       protocol == IPPROTO_IPV6;
}

SEC("xdp")
int traffic_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct traffic_counters *counters;
	__u32 zero = 0;

	if (!is_traffic(data, end))
		return XDP_PASS;
	counters = bpf_map_lookup_elem(&received, &zero);
	if (counters) {
		counters->pkts++;
		counters->bytes += end - data;
	}
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
