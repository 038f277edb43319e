// SPDX-License-Identifier: BSD-2-Clause
//
// One packet through the native core: made here, decided, and written as a driver
// would, in memory of its own.
#include "control/explain.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "control/address.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/decide_rest.h"

#define ROOM 64 // in front, for an outer header
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

// Writes the IP header at @l3; returns its length.
static size_t make_ip(uint8_t *l3, const struct explain_query *q, size_t l4_len)
{
	if (address_is_ipv4(&q->destination)) {
		struct lb_ipv4_header *ip = (struct lb_ipv4_header *)l3;

		*ip = (struct lb_ipv4_header){.version_ihl = 0x45,
					      .total_len = htons((uint16_t)(LB_IPV4_LEN + l4_len)),
					      .fragment = LB_IPV4_DF,
					      .ttl = TTL,
					      .protocol = q->protocol};
		memcpy(ip->source, &q->source.bytes[12], 4);
		memcpy(ip->destination, &q->destination.bytes[12], 4);
		ip->check = sum16(ip, LB_IPV4_LEN);
		return LB_IPV4_LEN;
	} else {
		struct lb_ipv6_header *ip = (struct lb_ipv6_header *)l3;

		*ip = (struct lb_ipv6_header){.version_class_label = {0x60},
					      .payload_len = htons((uint16_t)l4_len),
					      .next_header = q->protocol,
					      .hop_limit = TTL};
		memcpy(ip->source, q->source.bytes, 16);
		memcpy(ip->destination, q->destination.bytes, 16);
		return LB_IPV6_LEN;
	}
}

// Writes the frame at @start (zeroed, FRAME_MAX); returns its length. The checksum of TCP and UDP
// is left 0: nothing looks at it, and rewriting only adds differences.
static size_t make_frame(uint8_t *start, const struct explain_query *q)
{
	struct lb_eth_header *eth = (struct lb_eth_header *)start;
	size_t l4_len = q->protocol == IPPROTO_TCP ? LB_TCP_LEN : LB_UDP_LEN;
	uint8_t *l4 = start + LB_ETH_LEN + make_ip(start + LB_ETH_LEN, q, l4_len);

	eth->type = address_is_ipv4(&q->destination) ? LB_ETH_P_IPV4 : LB_ETH_P_IPV6;
	if (q->protocol == IPPROTO_TCP) {
		*(struct lb_tcp_header *)l4 =
			(struct lb_tcp_header){.source = htons(q->source_port),
					       .destination = htons(q->destination_port),
					       .offset = LB_TCP_LEN / 4 << 4,
					       .flags = q->is_syn ? LB_TCP_SYN : LB_TCP_ACK};
	} else {
		*(struct lb_udp_header *)l4 =
			(struct lb_udp_header){.source = htons(q->source_port),
					       .destination = htons(q->destination_port),
					       .len = htons(LB_UDP_LEN)};
	}
	return (size_t)(l4 + l4_len - start);
}

static void read_slot(struct lb_tables *t, const struct lb_decision *d, uint32_t now_s,
		      struct explain_answer *ret)
{
	const struct lb_service *s = &t->services[d->service];

	// A source that is refused is refused before its slot is sought.
	if (!d->hash)
		return;
	ret->has_slot = true;
	ret->slot = d->slot - s->ring_offset;
	ret->is_lookup = d->slot_word & LB_SLOT_LOOKUP;
	ret->is_looked_up = lb_select_is_tracked(s->tracking, d->slot_word);
	ret->current = LB_SLOT_CURRENT(d->slot_word);
	ret->settled = LB_SLOT_SETTLED(d->slot_word);
	if (!d->entry)
		return;
	ret->has_entry = true;
	ret->entry_backend = LB_ENTRY_BACKEND(d->entry);
	ret->entry_state = LB_ENTRY_STATE(d->entry);
	ret->entry_age_s = lb_track_age_s(d->entry, now_s);
	if (ret->entry_age_s > LB_IDLE_MAX_S)
		ret->entry_age_s = 0; // used a moment ago, by a later clock than ours
}

// The addresses of an IP header.
static void read_addresses(const uint8_t *l3, struct lb_address *ret_source,
			   struct lb_address *ret_destination)
{
	if (l3[0] >> 4 == 4) {
		*ret_source = *ret_destination = (struct lb_address){.bytes = {[10] = 0xff, 0xff}};
		memcpy(&ret_source->bytes[12], l3 + 12, 4);
		memcpy(&ret_destination->bytes[12], l3 + 16, 4);
	} else {
		memcpy(ret_source, l3 + 8, 16);
		memcpy(ret_destination, l3 + 24, 16);
	}
}

// @start: of the frame as it leaves.
static void read_headers(const uint8_t *start, uint32_t grow, struct explain_answer *ret)
{
	const uint8_t *l3 = start + LB_ETH_LEN;
	uint16_t ports[2];

	if (grow) {
		ret->has_outer = true;
		read_addresses(l3, &ret->outer_source, &ret->outer_destination);
		l3 += grow;
	}
	read_addresses(l3, &ret->out_source, &ret->out_destination);
	memcpy(ports, l3 + (l3[0] >> 4 == 4 ? LB_IPV4_LEN : LB_IPV6_LEN), sizeof(ports));
	ret->out_source_port = ntohs(ports[0]);
	ret->out_destination_port = ntohs(ports[1]);
}

void explain_run(struct lb_tables *tables, const struct explain_query *query, uint32_t now_s,
		 struct explain_answer *ret)
{
	// What the kernel would say is not known here: that it is asked is the answer.
	struct lb_env env = {.tables = tables,
			     .now_s = now_s,
			     .is_private = true,
			     .route = {.reason = LB_REASON_REPLY, .link = {.mtu = UINT16_MAX}}};
	_Alignas(8) uint8_t room[ROOM + FRAME_MAX] = {0};
	uint8_t *start = room + ROOM;
	size_t len = make_frame(start, query);
	struct lb_decision d;
	struct lb_packet p;
	uint32_t grow;

	memset(ret, 0, sizeof(*ret));
	lb_decide(&env, start, start + len, (uint32_t)len, &p, &d);
	ret->verdict = d.verdict;
	ret->reason = d.reason;
	ret->service = d.service;
	ret->backend = d.backend;
	ret->hop = d.hop;
	ret->is_reply = d.is_reply;
	ret->is_route_asked = env.asked.family != 0;
	if (d.service && !d.is_reply)
		read_slot(tables, &d, now_s, ret);
	if (d.verdict != LB_TRANSMIT)
		return;
	ret->ifindex = d.link->ifindex;
	ret->mtu = d.link->mtu;
	memcpy(ret->macs, d.link->macs, sizeof(ret->macs));
	grow = lb_decision_grow(&d);
	start -= grow;
	len += grow;
	if (lb_apply(&env, start, start + len, grow, &p, &d))
		read_headers(start, grow, ret);
}
