// SPDX-License-Identifier: BSD-2-Clause
//
// What is sent back: echo replies (RFC 792, RFC 4443 4.2), RST (RFC 9293, 3.10.7.1), and ICMP
// errors (RFC 792, 1191, 4443): port unreachable, too big, time exceeded. All go by the way that
// the packet came, MAC addresses swapped, in its VLAN.
#include "tests/packet/reference/reference.h"

#include <string.h>

#define TTL 64
#define IPV6_MTU_LEAST 1280
#define ERROR4_LEN_MAX 576 // RFC 1812, 4.3.2.3
#define ERROR6_LEN_MAX 1280

// Who speaks to whom: answers come from what the packet went to, those to a backend from the VIP.
struct ends {
	struct ref_address from, to;
};

static struct ends ends_of(const struct ref_walk *w)
{
	struct ends e = {w->packet.destination, w->packet.source};

	if (w->is_reply)
		e.from = ref_address(&ref_backend(w, w->backend)->vip);
	return e;
}

static void swap_macs(struct ref_frame *f)
{
	uint8_t destination[6];

	memcpy(destination, f->bytes, 6);
	memcpy(f->bytes, f->bytes + 6, 6);
	memcpy(f->bytes + 6, destination, 6);
}

// A new IP header at the packet's place, and behind it @payload with a checksum at @check_at.
static void put_ip(const struct ref_walk *w, struct ref_frame *f, uint8_t protocol, uint8_t tos,
		   uint8_t *payload, size_t len, size_t check_at)
{
	const struct ends e = ends_of(w);
	const int family = w->packet.family;
	uint8_t *ip = f->bytes + w->packet.ip_at;
	const size_t header_len = family == 4 ? 20 : 40;
	uint32_t sum = 0;

	memset(ip, 0, header_len);
	if (family == 4) {
		ip[0] = 0x45;
		ip[1] = tos;
		ref_put16(ip + 2, (uint32_t)(20 + len));
		ip[6] = 0x40; // DF
		ip[8] = TTL;
		ip[9] = protocol;
		ref_put_address(ip + 12, 4, &e.from);
		ref_put_address(ip + 16, 4, &e.to);
		ref_put16(ip + 10, ref_check(ref_sum(0, ip, 20)));
	} else {
		ip[0] = 0x60;
		ref_put16(ip + 4, (uint32_t)len);
		ip[6] = protocol;
		ip[7] = TTL;
		ref_put_address(ip + 8, 6, &e.from);
		ref_put_address(ip + 24, 6, &e.to);
	}
	// The pseudo header, which ICMP for IPv4 does not have.
	if (protocol != REF_ICMP) {
		sum = family == 4 ? ref_sum(0, ip + 12, 8) : ref_sum(0, ip + 8, 32);
		sum = ref_sum16(ref_sum16(sum, protocol), (uint32_t)len);
	}
	ref_put16(payload + check_at, 0);
	ref_put16(payload + check_at, ref_check(ref_sum(sum, payload, len)));
	memcpy(ip + header_len, payload, len);
	f->len = w->packet.ip_at + header_len + len;
}

// The request with another type; of its own IP header the TTL begins anew.
static void put_echo(const struct ref_walk *w, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet;
	const struct ends e = ends_of(w);
	uint8_t *ip = f->bytes + p->ip_at, *icmp = f->bytes + p->payload_at;
	const size_t len = p->ip_at + p->ip_len - p->payload_at;
	uint8_t message[REF_FRAME_MAX];
	uint32_t before, check;

	// The checksum's own place adds nothing.
	memcpy(message, icmp, len);
	ref_put16(message + 2, 0);
	before = ref_sum(0, message, len);
	icmp[0] = message[0] = p->family == 4 ? 0 : 129;
	// 0 and ffff say the same of any message but one of zeros, for which ffff is right.
	check = ref_mend(ref_get16(icmp + 2), before, ref_sum(0, message, len));
	ref_put16(icmp + 2, check == 0 ? 0xffff : check);

	if (p->family == 4) {
		uint8_t copy[20];

		memcpy(copy, ip, 20);
		ref_put16(copy + 10, 0);
		before = ref_sum(0, copy, 20);
		ip[8] = copy[8] = TTL;
		ref_put16(ip + 10, ref_mend(ref_get16(ip + 10), before, ref_sum(0, copy, 20)));
		ref_put_address(ip + 12, 4, &e.from);
		ref_put_address(ip + 16, 4, &e.to);
	} else {
		ip[7] = TTL;
		ref_put_address(ip + 8, 6, &e.from);
		ref_put_address(ip + 24, 6, &e.to);
	}
}

// "If the ACK bit is off, sequence number zero is used: <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
// If the ACK bit is on: <SEQ=SEG.ACK><CTL=RST>."
static void put_reset(const struct ref_walk *w, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet;
	const uint8_t *tcp = w->frame.bytes + p->payload_at;
	uint32_t segment_len = (uint32_t)(p->ip_len - (p->payload_at - p->ip_at));
	uint8_t reset[20] = {[12] = 5 << 4};

	segment_len -= (tcp[12] >> 4) * 4u;
	segment_len += p->tcp_flags & REF_SYN ? 1 : 0;
	segment_len += p->tcp_flags & REF_FIN ? 1 : 0;
	ref_put16(reset, p->destination_port);
	ref_put16(reset + 2, p->source_port);
	if (p->tcp_flags & REF_ACK) {
		ref_put32(reset + 4, ref_get32(tcp + 8));
		reset[13] = REF_RST;
	} else {
		ref_put32(reset + 8, ref_get32(tcp + 4) + segment_len);
		reset[13] = REF_RST | REF_ACK;
	}
	put_ip(w, f, REF_TCP, 0, reset, sizeof(reset), 16);
}

// The greatest packet that fits the way on.
static uint32_t mtu_of(const struct ref_walk *w)
{
	uint32_t least = w->packet.family == 4 ? 68 : IPV6_MTU_LEAST; // RFC 791
	uint32_t outer_len = ref_outer_len(w);
	uint32_t mtu = w->link.mtu > outer_len ? w->link.mtu - outer_len : 0;

	return mtu > least ? mtu : least;
}

static void put_error(const struct ref_walk *w, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet;
	const bool is_ipv4 = p->family == 4;
	const size_t max = is_ipv4 ? ERROR4_LEN_MAX - 28 : ERROR6_LEN_MAX - 48;
	size_t quoted_len = p->ip_len < max ? p->ip_len : max;
	uint8_t message[ERROR6_LEN_MAX] = {0};

	quoted_len -= quoted_len % 4;
	switch (w->reason) {
	case LB_REASON_TTL: // time exceeded, in transit
		message[0] = is_ipv4 ? 11 : 3;
		break;
	case LB_REASON_TOO_BIG: // fragmentation needed; packet too big
	case LB_REASON_TOO_BIG_NO_DF:
		message[0] = is_ipv4 ? 3 : 2;
		message[1] = is_ipv4 ? 4 : 0;
		ref_put32(message + 4, mtu_of(w));
		break;
	default: // port unreachable
		message[0] = is_ipv4 ? 3 : 1;
		message[1] = is_ipv4 ? 3 : 4;
	}
	memcpy(message + 8, w->frame.bytes + p->ip_at, quoted_len);
	// IPv4: internetwork control (RFC 1812, 4.3.2.5).
	put_ip(w, f, is_ipv4 ? REF_ICMP : REF_ICMPV6, is_ipv4 ? 0xc0 : 0, message, 8 + quoted_len,
	       2);
}

void ref_answer(const struct ref_walk *w, struct ref_frame *ret)
{
	const bool is_refusal =
		w->reason == LB_REASON_REFUSED_PORT || w->reason == LB_REASON_REFUSED_BACKEND;

	*ret = w->frame;
	swap_macs(ret);
	if (w->reason == LB_REASON_ECHO)
		put_echo(w, ret);
	else if (is_refusal && w->packet.protocol == REF_TCP)
		put_reset(w, ret);
	else
		put_error(w, ret);
}
