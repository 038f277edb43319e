// SPDX-License-Identifier: BSD-2-Clause
//
// The frame that leaves, made of the one that came: nat both ways, l2, tunnels, and ICMP errors
// through nat. What changes is written, and then each checksum is mended by what all that it
// covers added up to before and after (sum.c).
//
// In nat, a backend's row says from what to what: its VIP and port become its address and port,
// or back. (In tables that lbd wrote they are the packet's own.) Those two are added apart, as
// sixteen bytes each, with zeros in their place in the packet.
#include "tests/packet/reference/reference.h"

#include <string.h>

#define OUTER_TTL 64

// An end of a connection.
struct end {
	struct ref_address address;
	uint16_t port;
};

static struct end end_of(const struct lb_address *address, __be16 port)
{
	return (struct end){ref_address(address), ref_port(port)};
}

void ref_put_address(uint8_t *at, int family, const struct ref_address *address)
{
	if (family == 4)
		memcpy(at, address->bytes + 12, 4);
	else
		memcpy(at, address->bytes, 16);
}

static size_t address_len(int family)
{
	return family == 4 ? 4 : 16;
}

// Where they are in an IP header.
static size_t source_at(int family)
{
	return family == 4 ? 12 : 8;
}

static size_t destination_at(int family)
{
	return family == 4 ? 16 : 24;
}

// ---- sums of what a checksum covers; the checksum's own place, and others, left out ----

struct left_out {
	size_t at, len; // of the bytes that are summed
};

static uint32_t sum_without(const uint8_t *bytes, size_t n, struct left_out a, struct left_out b)
{
	uint8_t copy[REF_FRAME_MAX];

	memcpy(copy, bytes, n);
	memset(copy + a.at, 0, a.len);
	memset(copy + b.at, 0, b.len);
	return ref_sum(0, copy, n);
}

// Of the IPv4 header of @p in @f, but for the address that is at @changing.
static uint32_t sum_ipv4(const struct ref_frame *f, const struct ref_packet *p, size_t changing)
{
	return sum_without(f->bytes + p->ip_at, p->payload_at - p->ip_at, (struct left_out){10, 2},
			   (struct left_out){changing, 4});
}

// ---- one header ----

static uint8_t *header(struct ref_frame *f, const struct ref_packet *p)
{
	return f->bytes + p->ip_at;
}

// The address at @at (of the header) becomes @to's; @from: what it is in the row. IPv4's checksum
// follows. @hops: by so many less of TTL.
static void change_ip(struct ref_frame *f, const struct ref_packet *p, size_t at,
		      const struct ref_address *from, const struct ref_address *to, int hops)
{
	uint8_t *ip = header(f, p);
	uint32_t before = 0, after = 0;

	if (p->family == 4)
		before = ref_sum_address(sum_ipv4(f, p, at), from);
	ref_put_address(ip + at, p->family, to);
	ip[p->family == 4 ? 8 : 7] -= (uint8_t)hops;
	if (p->family == 4) {
		after = ref_sum_address(sum_ipv4(f, p, at), to);
		ref_put16(ip + 10, ref_mend(ref_get16(ip + 10), before, after));
	}
}

// The port at @port_at of TCP or UDP becomes @to's; its checksum, which covers addresses too,
// follows as far as @end (a quote may end before it).
static void change_ports(struct ref_frame *f, const struct ref_packet *p, size_t port_at,
			 const struct end *from, const struct end *to, size_t end)
{
	uint8_t *l4 = f->bytes + p->payload_at;
	const size_t check_at = p->protocol == REF_TCP ? 16 : 6;
	const bool has_check = p->payload_at + check_at + 2 <= end;
	uint32_t rest, before, after, check;

	ref_put16(l4 + port_at, to->port);
	if (!has_check)
		return;
	check = ref_get16(l4 + check_at);
	if (p->protocol == REF_UDP && check == 0) // has none
		return;
	rest = sum_without(l4, end - p->payload_at, (struct left_out){check_at, 2},
			   (struct left_out){port_at, 2});
	rest = ref_sum16(rest, p->protocol);
	before = ref_sum16(ref_sum_address(rest, &from->address), from->port);
	after = ref_sum16(ref_sum_address(rest, &to->address), to->port);
	check = ref_mend(check, before, after);
	if (p->protocol == REF_UDP && check == 0) // RFC 768
		check = 0xffff;
	ref_put16(l4 + check_at, check);
}

// ---- nat ----

static void nat(const struct ref_walk *w, const struct lb_backend *b, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet;
	const struct end vip = end_of(&b->vip, b->vip_port);
	const struct end backend = end_of(&b->address, b->port);
	const struct end *from = w->is_reply ? &backend : &vip;
	const struct end *to = w->is_reply ? &vip : &backend;
	size_t at = w->is_reply ? source_at(p->family) : destination_at(p->family);

	change_ip(f, p, at, &from->address, &to->address, 1);
	if (p->has_ports)
		change_ports(f, p, w->is_reply ? 0 : 2, from, to, p->ip_at + p->ip_len);
}

// ---- ICMP errors in nat: RFC 5508 ----

// All that the error's checksum covers: the message, and in IPv6 the addresses. The quoted
// address that changes is @quoted, as the row has it.
static uint32_t sum_error(const struct ref_walk *w, const struct ref_frame *f, size_t quoted_at,
			  const struct ref_address *quoted)
{
	const struct ref_packet *p = &w->packet;
	const size_t quoted_offset = w->quote.ip_at + quoted_at - p->payload_at;
	uint32_t sum = sum_without(f->bytes + p->payload_at, p->ip_at + p->ip_len - p->payload_at,
				   (struct left_out){2, 2},
				   (struct left_out){quoted_offset, address_len(p->family)});

	if (p->family == 6)
		sum = ref_sum(sum, f->bytes + p->ip_at + 8, 32);
	return ref_sum_address(sum, quoted);
}

// For the VIP: the quote is from VIP:port, and becomes one from the backend. From the backend's
// side: it is to the backend, and becomes one to VIP:port.
static void nat_error(const struct ref_walk *w, const struct lb_backend *b, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet, *q = &w->quote;
	const struct end vip = end_of(&b->vip, b->vip_port);
	const struct end backend = end_of(&b->address, b->port);
	const struct end *from = w->is_reply ? &backend : &vip;
	const struct end *to = w->is_reply ? &vip : &backend;
	const size_t at = w->is_reply ? source_at(p->family) : destination_at(p->family);
	const size_t quoted_at = w->is_reply ? destination_at(p->family) : source_at(p->family);
	uint8_t *check = f->bytes + p->payload_at + 2;
	uint32_t before = sum_error(w, f, quoted_at, &from->address);

	change_ip(f, q, quoted_at, &from->address, &to->address, 0);
	change_ports(f, q, w->is_reply ? 2 : 0, from, to, p->ip_at + p->ip_len);
	// Outside, what it was is what it is.
	change_ip(f, p, at, w->is_reply ? &p->source : &p->destination, &to->address, 1);
	ref_put16(check,
		  ref_mend(ref_get16(check), before, sum_error(w, f, quoted_at, &to->address)));
}

// ---- tunnels ----

// Traffic class, DSCP and ECN, which the outer header copies (RFC 2983, RFC 6040).
static uint8_t traffic_class(const struct ref_walk *w)
{
	const uint8_t *ip = w->frame.bytes + w->packet.ip_at;

	return w->packet.family == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

// The configured address, host bits from the flow's hash, whose lowest byte comes first.
static struct ref_address outer_source(const struct ref_walk *w, int family)
{
	const struct lb_meta *m = w->tables->meta;
	const struct lb_tunnel_source *s = family == 4 ? &m->source4 : &m->source6;
	struct ref_address a = ref_address(&s->address);

	// IPv4's four bytes are filled from the hash's first ones, IPv6's halves from all eight.
	for (int i = family == 4 ? 12 : 0; i < 16; i++) {
		int byte = family == 4 ? i - 12 : i % 8;

		a.bytes[i] |= (uint8_t)(w->hash >> (8 * byte)) & s->host_bits.bytes[i];
	}
	return a;
}

static void put_outer_ipv4(const struct ref_walk *w, uint8_t *at, const struct ref_address *to,
			   uint8_t protocol, uint32_t len)
{
	const struct ref_address from = outer_source(w, 4);

	memset(at, 0, 20);
	at[0] = 0x45;
	at[1] = traffic_class(w);
	ref_put16(at + 2, 20 + len);
	at[6] = 0x40; // DF
	at[8] = OUTER_TTL;
	at[9] = protocol;
	ref_put_address(at + 12, 4, &from);
	ref_put_address(at + 16, 4, to);
	ref_put16(at + 10, ref_check(ref_sum(0, at, 20)));
}

static void put_outer_ipv6(const struct ref_walk *w, uint8_t *at, const struct ref_address *to,
			   uint8_t protocol, uint32_t len)
{
	const struct ref_address from = outer_source(w, 6);
	const uint32_t flow_label = w->hash & 0xfffff; // RFC 6438

	ref_put32(at, 6u << 28 | (uint32_t)traffic_class(w) << 20 | flow_label);
	ref_put16(at + 4, len);
	at[6] = protocol;
	at[7] = OUTER_TTL;
	ref_put_address(at + 8, 6, &from);
	ref_put_address(at + 24, 6, to);
}

// Between Ethernet header (and VLAN tags) and the packet, which stays as it is.
static void tunnel(const struct ref_walk *w, const struct lb_backend *b, struct ref_frame *f)
{
	const struct ref_packet *p = &w->packet;
	const struct ref_address to = ref_address(&b->address);
	const uint32_t outer_len = ref_outer_len(w);
	const uint32_t udp_len = b->mode == LB_MODE_GUE ? 8 : 0;
	uint8_t *at = f->bytes + p->ip_at, *udp = at + outer_len - udp_len;
	uint8_t protocol = p->family == 4 ? REF_IPIP : REF_IPV6;

	if (udp_len)
		protocol = REF_UDP;
	memmove(at + outer_len, at, f->len - p->ip_at);
	f->len += outer_len;
	ref_put16(at - 2, b->family == 4 ? 0x0800 : 0x86dd);
	if (b->family == 4)
		put_outer_ipv4(w, at, &to, protocol, udp_len + p->ip_len);
	else
		put_outer_ipv6(w, at, &to, protocol, udp_len + p->ip_len);
	if (udp_len) {
		ref_put16(udp, 0xc000 | (w->hash & 0x3fff));
		ref_put16(udp + 2, ref_port(w->tables->meta->gue_port));
		ref_put16(udp + 4, udp_len + p->ip_len);
		ref_put16(udp + 6, 0); // RFC 6935: the packet has its own
	}
}

// ---- all ----

void ref_write(const struct ref_walk *w, struct ref_frame *ret)
{
	const struct lb_backend *b = ref_backend(w, w->backend);
	const struct ref_packet *p = &w->packet;

	*ret = w->frame;
	if (w->is_reply || b->mode == LB_MODE_NAT) {
		if (w->is_quoting)
			nat_error(w, b, ret);
		else
			nat(w, b, ret);
	} else if (b->mode == LB_MODE_L2) {
		// Its addresses stay.
		change_ip(ret, p, source_at(p->family), &p->source, &p->source, 1);
	} else {
		tunnel(w, b, ret);
	}
	memcpy(ret->bytes, w->link.macs, 12);
}
