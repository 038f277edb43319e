// SPDX-License-Identifier: BSD-2-Clause
//
// A packet made of a five-tuple: its headers, in memory of its own. Nothing looks at what
// lies behind them, so that is not there; the frame's length says how much it would be.
// IPv4 has DF set, as hosts that discover the path's MTU set it.
#include "control/explain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "control/address.h"
#include "dataplane/core/packet.h"

#define FRAME_MAX (LB_ETH_LEN + LB_IPV6_LEN + LB_TCP_LEN)
#define TTL 64

// RFC 1071, of an even number of bytes.
static uint16_t sum16(const void *bytes, size_t len)
{
	const uint16_t *words = bytes;
	uint32_t sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~(sum + (sum >> 16));
}

static uint32_t ip_header_len(const struct explain_query *q)
{
	return address_is_ipv4(&q->destination) ? LB_IPV4_LEN : LB_IPV6_LEN;
}

static uint32_t l4_header_len(const struct explain_query *q)
{
	if (q->protocol == IPPROTO_ICMP)
		return LB_ICMP_LEN;
	return q->protocol == IPPROTO_TCP ? LB_TCP_LEN : LB_UDP_LEN;
}

uint32_t explain_query_len(const struct explain_query *query)
{
	return ip_header_len(query) + l4_header_len(query);
}

// Writes the IP header at @l3, of a packet of @ip_len bytes.
static void make_ip(uint8_t *l3, const struct explain_query *q, uint32_t ip_len)
{
	if (address_is_ipv4(&q->destination)) {
		struct lb_ipv4_header *ip = (struct lb_ipv4_header *)l3;

		*ip = (struct lb_ipv4_header){.version_ihl = 0x45,
					      .total_len = htons((uint16_t)ip_len),
					      .fragment = LB_IPV4_DF,
					      .ttl = TTL,
					      .protocol = q->protocol};
		memcpy(ip->source, &q->source.bytes[12], 4);
		memcpy(ip->destination, &q->destination.bytes[12], 4);
		ip->check = sum16(ip, LB_IPV4_LEN);
	} else {
		struct lb_ipv6_header *ip = (struct lb_ipv6_header *)l3;

		*ip = (struct lb_ipv6_header){
			.version_class_label = {0x60},
			.payload_len = htons((uint16_t)(ip_len - LB_IPV6_LEN)),
			.next_header = q->protocol == IPPROTO_ICMP ? IPPROTO_ICMPV6 : q->protocol,
			.hop_limit = TTL};
		memcpy(ip->source, q->source.bytes, 16);
		memcpy(ip->destination, q->destination.bytes, 16);
	}
}

// Writes the transport header at @l4. Its checksum is left 0: nothing looks at it, and rewriting
// only adds differences. @len: of all that the IP packet carries.
static void make_l4(uint8_t *l4, const struct explain_query *q, uint32_t len)
{
	if (q->protocol == IPPROTO_TCP)
		*(struct lb_tcp_header *)l4 =
			(struct lb_tcp_header){.source = htons(q->source_port),
					       .destination = htons(q->destination_port),
					       .offset = LB_TCP_LEN / 4 << 4,
					       .flags = q->is_syn ? LB_TCP_SYN : LB_TCP_ACK};
	else if (q->protocol == IPPROTO_UDP)
		*(struct lb_udp_header *)l4 =
			(struct lb_udp_header){.source = htons(q->source_port),
					       .destination = htons(q->destination_port),
					       .len = htons((uint16_t)len)};
	else
		*(struct lb_icmp_header *)l4 =
			(struct lb_icmp_header){.type = address_is_ipv4(&q->destination) ? 8 : 128};
}

void explain_run_query(const struct explain_world *world, const struct explain_query *query,
		       struct explanation *ret)
{
	_Alignas(8) uint8_t bytes[FRAME_MAX] = {0};
	struct lb_eth_header *eth = (struct lb_eth_header *)bytes;
	const uint32_t headers_len = explain_query_len(query);
	const uint32_t ip_len = query->ip_len > headers_len ? query->ip_len : headers_len;
	const struct explain_frame frame = {.bytes = bytes,
					    .captured_len = LB_ETH_LEN + headers_len,
					    .len = LB_ETH_LEN + ip_len};

	eth->type = address_is_ipv4(&query->destination) ? LB_ETH_P_IPV4 : LB_ETH_P_IPV6;
	make_ip(bytes + LB_ETH_LEN, query, ip_len);
	make_l4(bytes + LB_ETH_LEN + ip_header_len(query), query, ip_len - ip_header_len(query));
	explain_run_frame(world, &frame, NULL, ret);
}
