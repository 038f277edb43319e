// SPDX-License-Identifier: BSD-2-Clause
//
// What must hold of any packet that goes out, whatever came in. Internet checksums: RFC 1071;
// pseudo headers: RFC 9293, 3.1 and RFC 8200, 8.1.
#include "fuzz_packet.h"

#include <string.h>

#include "dataplane/core/parse.h"

static uint32_t get16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t sum(const uint8_t *at, size_t len, uint32_t start)
{
	uint64_t s = start;

	for (size_t i = 0; i + 1 < len; i += 2)
		s += get16(at + i);
	if (len % 2)
		s += (uint32_t)at[len - 1] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint32_t)s;
}

// A checksum in a frame: what it covers, and what else goes in.
struct covered {
	size_t at, len, check_at;
	uint32_t start;
};

static bool is_right(const uint8_t *frame, const struct covered *c)
{
	return sum(frame + c->at, c->len, c->start) == 0xffff;
}

// ---- where checksums are; @p was parsed of a frame of the same layout ----

static bool find_ip(const struct lb_packet *p, const uint8_t *frame, struct covered *ret)
{
	*ret = (struct covered){.at = p->l3_at, .check_at = p->l3_at + 10u};
	if (p->family != 4)
		return false;
	ret->len = (frame[p->l3_at] & 15u) * 4;
	return p->defect == LB_REASON_NONE;
}

// TCP, UDP or ICMP that is whole.
static bool find_l4(const struct lb_packet *p, const uint8_t *frame, struct covered *ret)
{
	const uint8_t *l3 = frame + p->l3_at;
	uint32_t l4_len = p->ip_len - (uint32_t)(p->l4_at - p->l3_at);
	bool is_icmp = p->protocol == (p->family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6);

	*ret = (struct covered){.at = p->l4_at};
	if (p->defect != LB_REASON_NONE || p->fragment != LB_FRAGMENT_NONE)
		return false;
	if (p->protocol == LB_IP_TCP)
		ret->check_at = p->l4_at + 16u;
	else if (p->protocol == LB_IP_UDP)
		ret->check_at = p->l4_at + 6u;
	else if (is_icmp)
		ret->check_at = p->l4_at + 2u;
	else
		return false;
	if (p->protocol == LB_IP_UDP) {
		l4_len = get16(frame + p->l4_at + 4);
		if (!get16(frame + ret->check_at)) // none
			return false;
	}
	ret->len = l4_len;
	if (p->family == 6)
		ret->start = sum(l3 + 8, 32, l4_len + p->protocol);
	else if (!is_icmp)
		ret->start = sum(l3 + 12, 8, l4_len + p->protocol);
	return true;
}

// The header of the IPv4 packet that an ICMP error quotes, as far as it is there.
static bool find_quoted(const struct lb_packet *p, const uint8_t *frame, struct covered *ret)
{
	*ret = (struct covered){.at = p->quote.at, .check_at = p->quote.at + 10u};
	if (p->family != 4 || !p->quote.at)
		return false;
	ret->len = (frame[p->quote.at] & 15u) * 4;
	return true;
}

static void make_right(uint8_t *frame, const struct covered *c)
{
	put16(frame + c->check_at, 0);
	put16(frame + c->check_at, ~sum(frame + c->at, c->len, c->start) & 0xffff);
}

void packet_right(uint8_t *frame, size_t len)
{
	struct lb_packet p;
	struct covered c;

	lb_parse(frame, frame + len, (uint32_t)len, &p);
	if (find_quoted(&p, frame, &c))
		make_right(frame, &c);
	if (find_l4(&p, frame, &c))
		make_right(frame, &c);
	if (find_ip(&p, frame, &c))
		make_right(frame, &c);
}

// ---- what goes out ----

typedef bool (*find_fn)(const struct lb_packet *p, const uint8_t *frame, struct covered *ret);

static void demand_still_right(find_fn find, const struct lb_packet *came, const uint8_t *frame,
			       const uint8_t *out, const char *what)
{
	struct covered before, after;

	if (find(came, frame, &before) && is_right(frame, &before)) {
		fuzz_demand(find(came, out, &after), what);
		fuzz_demand(is_right(out, &after), what);
	}
}

static uint8_t ttl(const struct lb_packet *p, const uint8_t *frame)
{
	return frame[p->l3_at + (p->family == 4 ? 8 : 7)];
}

// The row is made for this flow, so what it knows of checksums holds. (The tables at random have
// slots that name another service's backends, and nat with any port, which lbd refuses.)
static bool is_row_of_flow(const struct lb_packet *came, const struct lb_decision *d)
{
	const struct lb_backend *row = d->row;
	const struct lb_quote *q = &came->quote;

	if (d->is_reply && q->at)
		return lb_address_is_equal(&q->destination, &row->address) &&
		       q->destination_port == row->port;
	if (d->is_reply)
		return lb_address_is_equal(&came->source, &row->address) &&
		       (!came->has_ports || lb_packet_source_port(came) == row->port);
	if (row->mode != LB_MODE_NAT)
		return true;
	if (q->at)
		return lb_address_is_equal(&q->source, &row->vip) &&
		       q->source_port == row->vip_port;
	return lb_address_is_equal(&came->destination, &row->vip) &&
	       (!came->has_ports || lb_packet_destination_port(came) == row->vip_port);
}

static void demand_in_place(const uint8_t *frame, const struct lb_packet *came,
			    const struct lb_decision *d, const uint8_t *out, size_t out_len)
{
	fuzz_demand(out_len == came->frame_len, "another length, and no tunnel");
	fuzz_demand(memcmp(out, d->link->macs, 12) == 0, "not the hop's MAC addresses");
	fuzz_demand(ttl(came, out) == (uint8_t)(ttl(came, frame) - 1), "TTL");
	if (!is_row_of_flow(came, d))
		return;
	demand_still_right(find_ip, came, frame, out, "IPv4's checksum was right");
	demand_still_right(find_l4, came, frame, out, "the transport's checksum was right");
	demand_still_right(find_quoted, came, frame, out, "the quoted header's checksum was right");
}

// An IP header of @len bytes in all that we made. Returns its length.
static size_t demand_own_ip(const uint8_t *l3, bool is_ipv4, size_t len)
{
	if (is_ipv4) {
		fuzz_demand(l3[0] == 0x45 && get16(l3 + 2) == len, "own IPv4 header");
		fuzz_demand(sum(l3, LB_IPV4_LEN, 0) == 0xffff, "own IPv4 checksum");
		return LB_IPV4_LEN;
	}
	fuzz_demand(l3[0] >> 4 == 6 && get16(l3 + 4) + LB_IPV6_LEN == len, "own IPv6 header");
	return LB_IPV6_LEN;
}

static void demand_tunnel(const uint8_t *frame, const struct lb_packet *came,
			  const struct lb_decision *d, const uint8_t *out, size_t out_len)
{
	const uint8_t *l3 = out + came->l3_at, *inner = l3 + (out_len - came->frame_len);
	size_t outer_len = demand_own_ip(l3, d->row->family == 4, came->ip_len + (inner - l3));

	fuzz_demand(memcmp(out, d->link->macs, 12) == 0, "not the hop's MAC addresses");
	fuzz_demand(memcmp(inner, frame + came->l3_at, came->frame_len - came->l3_at) == 0,
		    "what is in the tunnel was changed");
	if (d->row->mode == LB_MODE_GUE)
		fuzz_demand(get16(l3 + outer_len + 4) == came->ip_len + LB_UDP_LEN, "gue's UDP");
}

// RST, or an ICMP error.
static void demand_own_answer(const struct lb_packet *came, const uint8_t *out, size_t out_len)
{
	const uint8_t *l3 = out + came->l3_at;
	size_t len = out_len - came->l3_at;
	size_t header_len = demand_own_ip(l3, came->family == 4, len);
	uint8_t protocol = came->family == 4 ? l3[9] : l3[6];
	uint32_t start = 0;

	if (came->family == 6)
		start = sum(l3 + 8, 32, (uint32_t)(len - header_len) + protocol);
	else if (protocol != LB_IP_ICMP)
		start = sum(l3 + 12, 8, (uint32_t)(len - header_len) + protocol);
	fuzz_demand(sum(l3 + header_len, len - header_len, start) == 0xffff, "own checksum");
}

static void demand_answer(const uint8_t *frame, const struct lb_packet *came,
			  const struct lb_decision *d, const uint8_t *out, size_t out_len)
{
	const uint8_t *l3 = frame + came->l3_at, *own = out + came->l3_at;

	fuzz_demand(memcmp(out, frame + 6, 6) == 0 && memcmp(out + 6, frame, 6) == 0,
		    "an answer's MAC addresses");
	fuzz_demand(memcmp(out + 12, frame + 12, came->l3_at - 12u) == 0, "an answer's VLAN tags");
	if (came->family == 4)
		fuzz_demand(memcmp(own + 16, l3 + 12, 4) == 0, "an answer's destination");
	else
		fuzz_demand(memcmp(own + 24, l3 + 8, 16) == 0, "an answer's destination");
	if (d->reason == LB_REASON_ECHO) {
		demand_still_right(find_ip, came, frame, out, "IPv4's checksum was right");
		demand_still_right(find_l4, came, frame, out, "ICMP's checksum was right");
		return;
	}
	demand_own_answer(came, out, out_len);
}

void packet_demand_sound(const uint8_t *frame, const struct lb_packet *came,
			 const struct lb_decision *d, const uint8_t *out, size_t out_len)
{
	if (d->verdict == LB_ANSWER)
		demand_answer(frame, came, d, out, out_len);
	else if (!d->is_reply && lb_decision_grow(d))
		demand_tunnel(frame, came, d, out, out_len);
	else
		demand_in_place(frame, came, d, out, out_len);
}
