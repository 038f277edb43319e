// SPDX-License-Identifier: BSD-2-Clause
//
// From the options to the headers that the program writes, and to the sums from which
// it makes checksums. Pure. The clients' defaults are the prefixes for benchmarks and
// documentation: 198.18.0.0/15 (RFC 2544, C.2.2) and 2001:db8::/32 (RFC 3849).
#include "tools/lb-pktgen/pktgen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#define ADDRESS_BITS_MAX 16 // clients; more flows come from other ports
#define SIZE_MIN 60	    // an Ethernet frame without FCS (IEEE 802.3)
#define TTL 64

// Sum of 16-bit words as they lie in memory, not folded (RFC 1071).
static uint32_t sum_words(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i + 1 < len; i += 2) {
		memcpy(&word, at + i, 2);
		sum += word;
	}
	return sum;
}

static int set_clients(const struct options *o, struct traffic_shape *shape, struct lb_address *ret,
		       struct err *e)
{
	unsigned int family_bits = shape->family == 4 ? 32 : 128, host_bits;
	struct prefix clients = o->clients;
	uint32_t mask;

	if (!o->has_clients)
		prefix_parse(shape->family == 4 ? "198.18.0.0/15" : "2001:db8::/32", &clients);
	if (address_family(&clients.address) != (int)shape->family)
		return err_set(e, -EINVAL, "--clients: must be of the other address's family");
	host_bits = family_bits - clients.len;
	shape->address_bits = host_bits < ADDRESS_BITS_MAX ? host_bits : ADDRESS_BITS_MAX;
	if (o->flows > (uint64_t)TRAFFIC_PORTS << shape->address_bits)
		return err_set(e, -EINVAL, "--flows: at most %llu fit into so few clients, is %u",
			       (unsigned long long)TRAFFIC_PORTS << shape->address_bits, o->flows);
	mask = (1u << shape->address_bits) - 1;
	*ret = clients.address;
	shape->address_base = ntohl(ret->words[3]) & ~mask;
	ret->words[3] = 0;
	return 0;
}

// Both take the addresses with the client's last 32 bits zero, and return the header's end.
static uint8_t *put_ipv4(uint8_t *at, const struct options *o, const struct lb_address *source,
			 const struct lb_address *destination, struct traffic_shape *shape)
{
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tot_len = htons(o->size - ETH_HLEN),
		.frag_off = htons(IP_DF),
		.ttl = TTL,
		.protocol = shape->is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.saddr = source->words[3],
		.daddr = destination->words[3],
	};

	shape->ip_sum = sum_words(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	return at + sizeof(ip);
}

static uint8_t *put_ipv6(uint8_t *at, const struct options *o, const struct lb_address *source,
			 const struct lb_address *destination, struct traffic_shape *shape)
{
	struct ip6_hdr ip = {
		.ip6_flow = htonl(6u << 28),
		.ip6_plen = htons(o->size - ETH_HLEN - sizeof(ip)),
		.ip6_nxt = shape->is_tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.ip6_hlim = TTL,
	};

	memcpy(&ip.ip6_src, source, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, destination, sizeof(ip.ip6_dst));
	memcpy(at, &ip, sizeof(ip));
	return at + sizeof(ip);
}

// The sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1) of @len bytes of layer 4.
static uint32_t sum_pseudo(const struct traffic_shape *shape, const struct lb_address *source,
			   const struct lb_address *destination, uint32_t len)
{
	size_t skip = shape->family == 4 ? 12 : 0;

	return sum_words(source->bytes + skip, 16 - skip) +
	       sum_words(destination->bytes + skip, 16 - skip) + htons(len) +
	       htons(shape->is_tcp ? IPPROTO_TCP : IPPROTO_UDP);
}

static void put_l4(uint8_t *at, const struct options *o, uint32_t len, uint32_t pseudo_sum,
		   struct traffic_shape *shape)
{
	uint16_t source = o->is_reply ? htons(o->port) : 0;
	uint16_t destination = o->is_reply ? 0 : htons(o->port);
	struct udphdr udp = {.uh_sport = source, .uh_dport = destination, .uh_ulen = htons(len)};
	struct tcphdr tcp = {.th_sport = source,
			     .th_dport = destination,
			     .th_seq = htonl(1),
			     .th_off = sizeof(tcp) / 4,
			     .th_flags = TH_ACK,
			     .th_win = htons(65535)};

	if (!shape->is_tcp) {
		shape->l4_sum = pseudo_sum + sum_words(&udp, sizeof(udp));
		memcpy(at, &udp, sizeof(udp));
		return;
	}
	memcpy(at, &tcp, sizeof(tcp));
	shape->l4_sum = pseudo_sum + sum_words(&tcp, sizeof(tcp));
	tcp.th_flags = TH_SYN;
	shape->l4_syn_sum = pseudo_sum + sum_words(&tcp, sizeof(tcp));
}

static int set_size(struct options *o, const struct traffic_shape *shape, struct err *e)
{
	uint32_t least = shape->family == 4 ? SIZE_MIN : TRAFFIC_HEADERS_BYTES;

	if (!o->size)
		o->size = least;
	if (o->size < least || o->size > SHAPE_SIZE_MAX)
		return err_set(e, -EINVAL, "--size: must be %u to %u bytes, is %u", least,
			       SHAPE_SIZE_MAX, o->size);
	return 0;
}

int shape_build(struct options *o, uint32_t ifindex, const uint8_t source[6],
		struct traffic_shape *ret, struct err *e)
{
	struct traffic_shape shape = {
		.family = address_family(&o->server),
		.is_tcp = o->is_tcp,
		.is_reply = o->is_reply,
		.flows = o->flows,
		.syn_percent = o->is_tcp ? o->syn_percent : 0,
		.ifindex = ifindex,
	};
	struct ether_header ethernet = {
		.ether_type = htons(shape.family == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6)};
	uint8_t bytes[TRAFFIC_HEADERS_BYTES] = {0}, *at = bytes + sizeof(ethernet);
	struct lb_address client;
	const struct lb_address *from, *to;
	uint32_t l4_len;
	int code = set_clients(o, &shape, &client, e);

	if (!code)
		code = set_size(o, &shape, e);
	if (code)
		return code;
	from = o->is_reply ? &o->server : &client;
	to = o->is_reply ? &client : &o->server;
	memcpy(ethernet.ether_dhost, o->via, sizeof(ethernet.ether_dhost));
	memcpy(ethernet.ether_shost, source, sizeof(ethernet.ether_shost));
	memcpy(bytes, &ethernet, sizeof(ethernet));
	at = shape.family == 4 ? put_ipv4(at, o, from, to, &shape)
			       : put_ipv6(at, o, from, to, &shape);
	l4_len = o->size - (at - bytes);
	put_l4(at, o, l4_len, sum_pseudo(&shape, from, to, l4_len), &shape);
	memcpy(shape.headers, bytes, sizeof(bytes));
	*ret = shape;
	return 0;
}
