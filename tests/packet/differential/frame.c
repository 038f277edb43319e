// SPDX-License-Identifier: BSD-2-Clause
//
// Frames at random: made whole from a shape (who speaks to whom, how, how long), and
// then, some of them, damaged: bytes changed, lengths that lie, cut off anywhere,
// padded, tagged. Checksums are random, for they are only mended; 0 and 0xffff, where
// that has its rules, are frequent.
#include <string.h>

#include "dataplane/core/parse.h"
#include "tests/packet/answers.h"
#include "tests/packet/differential/world.h"

#define FRAME_MAX (CASE_FRAME_MAX - 256) // room for outer headers, and more

struct shape {
	struct lb_address source, destination;
	uint16_t source_port, destination_port; // host order
	uint8_t family;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t ttl;
	uint16_t fragment; // IPv4, host order
	uint8_t fragment_id;
	uint8_t ipv4_words;    // of options
	uint8_t extensions[7]; // IPv6: next headers, up to the first 0xff
	uint32_t payload_bytes;
	const struct shape *quoted; // an ICMP error's; NULL: none
};

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put_random(struct random *r, uint8_t *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (uint8_t)random_next(r);
}

static uint16_t make_checksum(struct random *r)
{
	static const uint16_t edges[] = {0, 0xffff, 1, 0xfffe};

	return random_is(r, 20) ? RANDOM_OF(r, edges) : (uint16_t)random_next(r);
}

// ---- from a shape to bytes ----

static size_t put_ipv4(struct random *r, const struct shape *s, uint8_t *at);
static size_t put_ipv6(struct random *r, const struct shape *s, uint8_t *at);

// With as much of what it quotes as chance has it.
static size_t put_icmp_error(struct random *r, const struct shape *s, uint8_t *at)
{
	static const uint8_t types4[] = {3, 11, 12}, types6[] = {1, 2, 3, 4};
	const struct shape *q = s->quoted;
	size_t len;

	put_random(r, at, LB_ICMP_LEN);
	at[0] = s->family == 4 ? RANDOM_OF(r, types4) : RANDOM_OF(r, types6);
	len = q->family == 4 ? put_ipv4(r, q, at + LB_ICMP_LEN) : put_ipv6(r, q, at + LB_ICMP_LEN);
	if (random_is(r, 30))
		len = random_below(r, (uint32_t)len + 1);
	return LB_ICMP_LEN + len;
}

static size_t put_l4(struct random *r, const struct shape *s, uint8_t *at)
{
	size_t header_bytes = s->protocol == LB_IP_TCP ? LB_TCP_LEN : LB_UDP_LEN;

	if (s->quoted)
		return put_icmp_error(r, s, at);
	put_random(r, at, header_bytes + s->payload_bytes);
	if (s->protocol == LB_IP_ICMP || s->protocol == LB_IP_ICMPV6)
		at[0] = random_is(r, 60) ? (s->protocol == LB_IP_ICMP ? 8 : 128) : at[0];
	if (s->protocol != LB_IP_TCP && s->protocol != LB_IP_UDP)
		return header_bytes + s->payload_bytes;
	put16(at, s->source_port);
	put16(at + 2, s->destination_port);
	if (s->protocol == LB_IP_TCP) {
		uint32_t room = s->payload_bytes / 4;

		at[12] = (uint8_t)((5 + random_below(r, (room < 10 ? room : 10) + 1)) << 4);
		at[13] = s->tcp_flags;
		put16(at + 16, make_checksum(r));
	} else {
		put16(at + 4, LB_UDP_LEN + s->payload_bytes);
		put16(at + 6, make_checksum(r));
	}
	return header_bytes + s->payload_bytes;
}

static size_t put_ipv4(struct random *r, const struct shape *s, uint8_t *at)
{
	size_t header_bytes = LB_IPV4_LEN + s->ipv4_words * 4u;
	size_t len;

	put_random(r, at, header_bytes);
	at[0] = (uint8_t)(0x45 + s->ipv4_words);
	put16(at + 6, s->fragment);
	put16(at + 4, s->fragment_id);
	at[8] = s->ttl;
	at[9] = s->protocol;
	put16(at + 10, make_checksum(r));
	memcpy(at + 12, &s->source.words[3], 4);
	memcpy(at + 16, &s->destination.words[3], 4);
	len = header_bytes + put_l4(r, s, at + header_bytes);
	put16(at + 2, (uint32_t)len);
	return len;
}

// A fragment header: whole, first, in the middle, last.
static void put_fragment(struct random *r, const struct shape *s, uint8_t *at)
{
	static const uint16_t offsets[] = {0, 1, 1, 800 | 1, 1600};

	put16(at + 2, RANDOM_OF(r, offsets));
	memset(at + 4, 0, 3);
	at[7] = s->fragment_id;
}

static size_t put_ipv6(struct random *r, const struct shape *s, uint8_t *at)
{
	size_t len = LB_IPV6_LEN;
	uint8_t *next = at + 6;

	put_random(r, at, LB_IPV6_LEN);
	at[0] = (uint8_t)(0x60 | (at[0] & 15));
	at[7] = s->ttl;
	memcpy(at + 8, s->source.bytes, 16);
	memcpy(at + 24, s->destination.bytes, 16);
	for (size_t i = 0; i < sizeof(s->extensions) && s->extensions[i] != 0xff; i++) {
		*next = s->extensions[i];
		next = at + len;
		put_random(r, next, 8);
		next[1] = 0; // it has eight bytes
		if (s->extensions[i] == LB_IP_FRAGMENT)
			put_fragment(r, s, next);
		if (s->extensions[i] == LB_IP_ROUTING && random_is(r, 80))
			next[3] = 0;
		len += 8;
	}
	*next = s->protocol;
	len += put_l4(r, s, at + len);
	put16(at + 4, (uint32_t)len - LB_IPV6_LEN);
	return len;
}

static size_t put_frame(struct random *r, const struct shape *s, uint8_t *at)
{
	put_random(r, at, 12);
	at[0] &= random_is(r, 95) ? 0xfe : 0xff;
	put16(at + 12, s->family == 4 ? 0x0800 : 0x86dd);
	return LB_ETH_LEN +
	       (s->family == 4 ? put_ipv4(r, s, at + LB_ETH_LEN) : put_ipv6(r, s, at + LB_ETH_LEN));
}

// ---- shapes ----

static uint8_t make_tcp_flags(struct random *r)
{
	static const uint8_t flags[] = {LB_TCP_SYN,
					LB_TCP_SYN,
					LB_TCP_SYN,
					LB_TCP_ACK,
					LB_TCP_ACK,
					LB_TCP_ACK,
					LB_TCP_ACK | LB_TCP_FIN,
					LB_TCP_RST,
					LB_TCP_SYN | LB_TCP_ACK};

	return random_is(r, 90) ? RANDOM_OF(r, flags) : (uint8_t)random_next(r);
}

// Mostly short; some about as long as an interface's MTU lets through, with an outer header or not.
static uint32_t make_payload(struct random *r, uint8_t family, uint8_t protocol)
{
	static const int mtus[] = {1500, 1400, 576, 100}, outer[] = {0, 20, 40};
	int headers = (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) +
		      (protocol == LB_IP_TCP ? LB_TCP_LEN : LB_UDP_LEN);
	int payload;

	if (random_is(r, 70))
		return random_below(r, 48);
	if (random_is(r, 50))
		return random_below(r, 1500);
	payload = RANDOM_OF(r, mtus) - RANDOM_OF(r, outer) - headers + (int)random_below(r, 5) - 2;
	return payload > 0 ? (uint32_t)payload : 0;
}

// What is the same whoever speaks to whom; s->family is set.
static void make_rest(struct world *w, struct shape *s)
{
	static const uint8_t ttls[] = {255, 2, 1, 0};
	static const uint16_t fragments[] = {0x4000, 0x2000, 1, 0x2001, 0x8000};
	static const uint8_t extensions[] = {LB_IP_HOP_BY_HOP,
					     LB_IP_ROUTING,
					     LB_IP_FRAGMENT,
					     LB_IP_DESTINATION,
					     LB_IP_FRAGMENT,
					     LB_IP_DESTINATION,
					     LB_IP_AH,
					     135,
					     50};
	struct random *r = &w->random;

	s->tcp_flags = make_tcp_flags(r);
	s->ttl = random_is(r, 90) ? 64 : RANDOM_OF(r, ttls);
	s->fragment = random_is(r, 90) ? 0x4000 : RANDOM_OF(r, fragments);
	s->fragment_id = (uint8_t)random_below(r, 3); // few, so that they find their first one
	s->ipv4_words = random_is(r, 95) ? 0 : (uint8_t)random_below(r, 11);
	memset(s->extensions, 0xff, sizeof(s->extensions));
	for (size_t i = 0; i < sizeof(s->extensions) && random_is(r, i ? 50 : 12); i++)
		s->extensions[i] = RANDOM_OF(r, extensions);
	s->payload_bytes = make_payload(r, s->family, s->protocol);
}

static void make_request(struct world *w, struct shape *s)
{
	const struct world_flow *f = &w->flows[random_below(&w->random, WORLD_FLOWS)];

	s->source = f->client;
	s->destination = w->vips[f->service->vip];
	s->protocol = f->service->protocol;
	s->source_port = f->client_port;
	s->destination_port = f->vip_port;
	if (random_is(&w->random, 25)) // a flow of its own
		s->source_port = (uint16_t)random_next(&w->random);
	if (random_is(&w->random, 3))
		s->destination_port ^= 0x100;
}

// From a backend, of nat or seldom of another mode, to a client of its family.
static void make_reply(struct world *w, struct shape *s)
{
	const struct lb_backend *b = w->t->backends;
	bool is_ipv6;

	for (int i = 0; i < 5 && b->mode != LB_MODE_NAT; i++)
		b = &w->t->backends[1 + random_below(&w->random, WORLD_SERVICES * WORLD_BACKENDS)];
	is_ipv6 = world_family(&b->address) == 6;
	s->source = b->address;
	s->destination = w->clients[is_ipv6][random_below(&w->random, WORLD_CLIENTS)];
	s->protocol = b->protocol;
	s->source_port = LB_BE16(b->port);
	s->destination_port = (uint16_t)random_next(&w->random);
	if (random_is(&w->random, 5))
		s->source_port ^= 0x100;
}

// For a VIP or a client, of any protocol.
static void make_other(struct world *w, struct shape *s)
{
	static const uint8_t protocols[] = {LB_IP_ICMP, LB_IP_ICMPV6, 47,	 LB_IP_IPIP,
					    LB_IP_IPV6, LB_IP_TCP,    LB_IP_UDP, 50};
	uint32_t is_ipv6 = random_below(&w->random, 2);

	s->source = w->clients[is_ipv6][random_below(&w->random, WORLD_CLIENTS)];
	s->destination = random_is(&w->random, 70)
				 ? w->vips[random_below(&w->random, WORLD_VIPS / 2) * 2 + is_ipv6]
				 : w->clients[is_ipv6][random_below(&w->random, WORLD_CLIENTS)];
	s->protocol = RANDOM_OF(&w->random, protocols);
	s->source_port = (uint16_t)random_next(&w->random);
	s->destination_port = (uint16_t)random_next(&w->random);
}

static void swap_ends(struct shape *s)
{
	struct lb_address source = s->source;
	uint16_t port = s->source_port;

	s->source = s->destination;
	s->source_port = s->destination_port;
	s->destination = source;
	s->destination_port = port;
}

// An ICMP error about what a VIP sent to a client, or a client to a backend: to whom the quoted
// packet came from, mostly.
static void make_error(struct world *w, struct shape *s, struct shape *quoted)
{
	struct random *r = &w->random;

	if (random_is(r, 60))
		make_request(w, quoted);
	else
		make_reply(w, quoted);
	swap_ends(quoted);
	quoted->family = world_family(&quoted->destination);
	make_rest(w, quoted);
	quoted->payload_bytes = random_below(r, 200);
	s->source = random_is(r, 50)
			    ? quoted->destination
			    : w->clients[quoted->family == 6][random_below(r, WORLD_CLIENTS)];
	s->destination = random_is(r, 95)
				 ? quoted->source
				 : w->clients[quoted->family == 6][random_below(r, WORLD_CLIENTS)];
	s->protocol = quoted->family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6;
	s->quoted = quoted;
}

// One of a packet's fragments, first or later.
static void make_fragment(struct world *w, struct shape *s)
{
	static const uint16_t fragments[] = {0x2000, 0x2001, 1, 1};
	const struct world_fragmented *f =
		&w->fragmented[random_below(&w->random, WORLD_FRAGMENTED)];

	s->source = f->source;
	s->destination = f->destination;
	s->protocol = f->protocol;
	s->source_port = f->source_port;
	s->destination_port = f->destination_port;
	s->family = world_family(&s->source);
	make_rest(w, s);
	s->fragment_id = f->id;
	s->fragment = RANDOM_OF(&w->random, fragments);
	s->extensions[0] = LB_IP_FRAGMENT;
	s->extensions[1] = 0xff;
}

static size_t make_sound(struct world *w, uint8_t *frame)
{
	uint32_t dice = random_below(&w->random, 100);
	struct shape s = {0}, quoted = {0};

	if (dice < 6) {
		make_fragment(w, &s);
		return put_frame(&w->random, &s, frame);
	}
	if (dice < 55)
		make_request(w, &s);
	else if (dice < 75)
		make_reply(w, &s);
	else if (dice < 88)
		make_error(w, &s, &quoted);
	else
		make_other(w, &s);
	s.family = world_family(&s.destination);
	if (s.family == 4 && random_is(&w->random, 2)) // the same addresses in IPv6: mapped ones
		s.family = 6;
	make_rest(w, &s);
	return put_frame(&w->random, &s, frame);
}

// ---- damage ----

static size_t put_tag(struct random *r, uint8_t *frame, size_t len)
{
	memmove(frame + 16, frame + 12, len - 12);
	put16(frame + 12, random_is(r, 50) ? 0x8100 : 0x88a8);
	put_random(r, frame + 14, 2);
	return len + 4;
}

// Returns the frame's new length. XDP's test run takes no frame shorter than an Ethernet header.
static size_t damage(struct random *r, uint8_t *frame, size_t len)
{
	size_t head = len < 96 ? len : 96;

	switch (random_below(r, 12)) {
	case 0: // a bit in the headers
		frame[random_below(r, (uint32_t)head)] ^= (uint8_t)(1u << random_below(r, 8));
		return len;
	case 1: // a byte in them
		frame[random_below(r, (uint32_t)head)] = (uint8_t)random_next(r);
		return len;
	case 2: // a length: IPv4's or IPv6's
		frame[LB_ETH_LEN + 2 + random_below(r, 4)] += (uint8_t)(random_below(r, 9) - 4);
		return len;
	case 3: // what the header says of itself
		frame[LB_ETH_LEN] = (uint8_t)random_next(r);
		return len;
	case 4: // cut off in its headers
		return LB_ETH_LEN + random_below(r, (uint32_t)(head - LB_ETH_LEN + 1));
	case 5: // padded
		put_random(r, frame + len, 64);
		return len + random_below(r, 64);
	case 6: // tagged
		return put_tag(r, frame, len);
	case 7: // all of its headers but the first
		put_random(r, frame + LB_ETH_LEN, head - LB_ETH_LEN);
		return len;
	default: // a bit behind Ethernet and IP: ports, flags, lengths
		if (len > LB_ETH_LEN + LB_IPV4_LEN)
			frame[LB_ETH_LEN + LB_IPV4_LEN +
			      random_below(r, (uint32_t)(len - LB_ETH_LEN - LB_IPV4_LEN))] ^=
				(uint8_t)(1u << random_below(r, 8));
		return len;
	}
}

// What the routes say of the packet, were it a reply: of its destination and length.
static void ask_answers(const struct world *w, struct case_facts *facts)
{
	struct lb_route_query q = {0};
	struct lb_packet p;

	lb_parse(facts->in, facts->in + facts->in_len, (uint32_t)facts->in_len, &p);
	q.family = p.family;
	q.destination = p.destination;
	q.ip_len = (uint16_t)p.ip_len;
	answers_lookup(&q, w->forwarding, &facts->answer);
}

void frame_make(struct world *w, struct case_facts *ret)
{
	struct random *r = &w->random;
	size_t len;

	memset(ret->in, 0, sizeof(ret->in));
	len = make_sound(w, ret->in);
	for (int i = 0; i < 3 && random_is(r, 10); i++)
		len = put_tag(r, ret->in, len);
	if (random_is(r, 30))
		for (uint32_t i = random_below(r, 3); i < 3 && len > 40; i++)
			len = damage(r, ret->in, len);
	ret->in_len = len < FRAME_MAX ? len : FRAME_MAX;
	ret->forwarding = w->forwarding;
	ask_answers(w, ret);
}
