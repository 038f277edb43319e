// SPDX-License-Identifier: BSD-2-Clause
//
// Tables at random. Much in them is what lbd would never write (slots that name rows of
// another service, or none; states that no code knows; hops out of the table): a
// dataplane must still do the same as the others with it.
#include "tests/packet/differential/world.h"

#include <string.h>

#include "dataplane/core/checksum.h"
#include "dataplane/core/hash.h"
#include "dataplane/core/index.h"
#include "dataplane/core/slot.h"

#define SLOTS_N 1024
#define BACKENDS_N 64
#define HOPS_N 8

void world_size(uint32_t cpu_n, struct lb_meta *ret)
{
	*ret = (struct lb_meta){
		.magic = LB_MAGIC,
		.layout_version = LB_LAYOUT_VERSION,
		.service_n = WORLD_SERVICES + 2,
		.backend_n = BACKENDS_N,
		.slot_n = SLOTS_N,
		.hop_n = HOPS_N,
		.cpu_n = cpu_n,
		.service_shift = 32 - 6,
		.reverse_shift = 32 - 6,
		.connection_mask = 63,
		.fragment_mask = 3,
	};
}

static void set_ipv4(struct lb_address *a, uint32_t host_order)
{
	lb_address_set_ipv4(a, LB_BE32(host_order));
}

// 2001:db8:HIGH::LOW
static void set_ipv6(struct lb_address *a, uint16_t high, uint16_t low)
{
	*a = (struct lb_address){
		.bytes = {0x20, 0x01, 0x0d, 0xb8, (uint8_t)(high >> 8),
			  (uint8_t)high, [14] = (uint8_t)(low >> 8), [15] = (uint8_t)low}};
}

static bool put_index(struct lb_index_line *lines, uint32_t shift, const struct lb_address *address,
		      uint8_t protocol, uint16_t port, uint64_t value)
{
	uint32_t hash = lb_index_hash(address, protocol, LB_BE16(port));

	for (uint32_t at = 0; at < LB_INDEX_PROBE; at++)
		for (int i = 0; i < LB_INDEX_ENTRIES; i++) {
			struct lb_index_entry *e = &lines[lb_index_at(hash, shift, at)].entries[i];

			if (e->value)
				continue;
			lb_index_set_more(lines, shift, hash, at);
			e->address = *address;
			e->protocol = protocol;
			e->port = LB_BE16(port);
			e->value = value;
			return true;
		}
	return false;
}

// ---- meta, hops, routes ----

static void fill_meta(struct world *w)
{
	struct lb_meta *m = w->t->meta;

	m->state = LB_META_LIVE;
	for (size_t i = 0; i < LB_FLOW_KEYS; i++)
		m->flow_keys[i] = random_next(&w->random);
	m->route_set = random_below(&w->random, LB_ROUTE_SETS);
	w->has_rates = random_is(&w->random, 40);
	for (size_t i = 0; i < LB_RATE_N && w->has_rates; i++)
		m->rates[i] = random_is(&w->random, 50) ? 0 : 1 + random_below(&w->random, 100);
	m->gue_port = LB_BE16(6080);
	set_ipv4(&m->source4.address, 0x0a090000);
	set_ipv6(&m->source6.address, 7, 0);
	m->source4.is_set = m->source6.is_set = 1;
	if (random_is(&w->random, 50)) {
		m->source4.host_bits.words[3] = LB_BE32(0x3f);
		m->source6.host_bits.halves[1] = ~0ull;
	}
	// So that what is no VIP meets the index too.
	for (size_t i = 0; i < LB_VIP_FILTER_BYTES; i++)
		m->vip_filter[i] = random_is(&w->random, 12);
}

static void fill_hops(struct world *w)
{
	static const uint32_t mtus[] = {1500, 1500, 1500, 1400, 1400, 576, 100};
	static const uint32_t ifindexes[] = {1, 7, 8, 9};

	for (uint32_t i = 1; i < HOPS_N; i++) {
		struct lb_hop *h = &w->t->hops[i];

		h->link.ifindex = RANDOM_OF(&w->random, ifindexes);
		h->link.mtu = RANDOM_OF(&w->random, mtus);
		memcpy(h->link.macs, &(uint64_t){random_next(&w->random)}, 6);
		memcpy(h->link.macs + 6, &(uint64_t){random_next(&w->random)}, 6);
	}
}

static void add_route4(struct world *w, struct lb_route_set *set, uint32_t prefix, uint32_t mask,
		       enum lb_route_kind kind)
{
	if (set->route4_n >= LB_ROUTE_MAX)
		return;
	set->route4[set->route4_n++] = (struct lb_route4){LB_BE32(prefix), LB_BE32(mask), kind,
							  random_below(&w->random, HOPS_N + 1)};
}

static void add_route6(struct world *w, struct lb_route_set *set, const struct lb_address *prefix,
		       unsigned int bytes, enum lb_route_kind kind)
{
	struct lb_route6 *r = &set->route6[set->route6_n];

	if (set->route6_n >= LB_ROUTE_MAX)
		return;
	set->route6_n++;
	*r = (struct lb_route6){.kind = kind, .hop = random_below(&w->random, HOPS_N + 1)};
	memset(r->mask.bytes, 0xff, bytes);
	memcpy(r->prefix.bytes, prefix->bytes, bytes);
}

// The prefixes of answers.c are the driver's to look up; all other IPv6 addresses have a mirrored
// route (the namespace has link-local ones of its own).
static void fill_routes(struct world *w, struct lb_route_set *set)
{
	static const struct lb_address none;
	struct lb_address lookup;

	set_ipv6(&lookup, 0x64, 0);
	for (uint32_t i = random_below(&w->random, 30); i > 0; i--) {
		struct lb_address *c = &w->clients[i % 2][random_below(&w->random, WORLD_CLIENTS)];
		enum lb_route_kind kind =
			random_is(&w->random, 50) ? LB_ROUTE_HOP : LB_ROUTE_DIRECT;

		if (world_family(c) == 4)
			add_route4(w, set, LB_BE32(c->words[3]), ~0u, kind);
		else
			add_route6(w, set, c, 16, kind);
	}
	add_route4(w, set, 0x64400000, 0xffc00000, LB_ROUTE_LOOKUP);
	if (random_is(&w->random, 70))
		add_route4(w, set, 0, 0, LB_ROUTE_HOP);
	add_route6(w, set, &lookup, 6, LB_ROUTE_LOOKUP);
	add_route6(w, set, &none, 0, random_is(&w->random, 80) ? LB_ROUTE_HOP : LB_ROUTE_DIRECT);
}

// ---- who there is ----

static void fill_clients(struct world *w)
{
	// This network, loopback, multicast, reserved, broadcast: no sources of a connection.
	static const uint32_t bad4[] = {0x00000001, 0x7f000001, 0xe0000001, 0xf0000001, 0xffffffff};

	for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
		struct lb_address *c4 = &w->clients[0][i], *c6 = &w->clients[1][i];

		if (i < 8) { // N of answers.c
			set_ipv4(c4, 0x64400000 | (i << 8) | 9);
			set_ipv6(c6, 0x64, 9);
			c6->bytes[7] = (uint8_t)i;
			continue;
		}
		set_ipv4(c4, 0xc6120000 | random_below(&w->random, 1 << 17));
		set_ipv6(c6, 0x100, (uint16_t)random_next(&w->random));
		if (i >= 22)
			set_ipv4(c4, RANDOM_OF(&w->random, bad4));
		if (i == 21) // multicast
			c6->bytes[0] = 0xff;
		if (i >= 22) // unspecified, loopback
			*c6 = (struct lb_address){.bytes = {[15] = (uint8_t)(i - 22)}};
	}
}

static void fill_vips(struct world *w)
{
	struct lb_meta *m = w->t->meta;

	for (uint32_t i = 0; i < WORLD_VIPS; i++) {
		struct lb_address *vip = &w->vips[i];

		if (i % 2 == 0)
			set_ipv4(vip, 0xcb007100 | random_below(&w->random, 256));
		else
			set_ipv6(vip, 0x53, (uint16_t)random_next(&w->random));
		if (random_is(&w->random, 97))
			m->vip_filter[lb_index_filter_at(vip)] = 1;
		put_index(w->t->service_index, m->service_shift, vip, 0, 0,
			  1 + random_below(&w->random, 7)); // bits of enum lb_vip
	}
}

// ---- services ----

static void fill_backend(struct world *w, uint32_t row, const struct world_service *s)
{
	static const uint8_t modes[] = {LB_MODE_NAT,  LB_MODE_NAT, LB_MODE_L2, LB_MODE_IPIP,
					LB_MODE_IPIP, LB_MODE_GUE, LB_MODE_GUE};
	static const uint8_t flags[] = {0, 0, 0, LB_BACKEND_DOWN,
					LB_BACKEND_DOWN | LB_BACKEND_RESET};
	struct lb_backend *b = &w->t->backends[row];

	b->mode = RANDOM_OF(&w->random, modes);
	b->vip = w->vips[s->vip];
	b->family = world_family(&b->vip);
	if (b->mode >= LB_MODE_IPIP && random_is(&w->random, 50))
		b->family = b->family == 4 ? 6 : 4;
	if (b->family == 4)
		set_ipv4(&b->address, 0x0a010000 | row);
	else
		set_ipv6(&b->address, 0xf0, (uint16_t)row);
	b->vip_port = LB_BE16(s->port);
	b->port = b->mode == LB_MODE_NAT ? LB_BE16(8000 + s->row) : b->vip_port;
	b->protocol = s->protocol;
	b->service = s->row;
	b->hop = random_is(&w->random, 90) ? 1 + random_below(&w->random, HOPS_N - 1)
					   : random_below(&w->random, 2) * HOPS_N;
	b->flags = RANDOM_OF(&w->random, flags);
	b->state = random_is(&w->random, 92) ? LB_ROW_LIVE : random_below(&w->random, 3);
	lb_checksum_set_nat(b);
	b->grow = (uint8_t)lb_mode_grow(b->mode, b->family);
	if (random_is(&w->random, 70)) {
		const bool is_own = b->hop < HOPS_N && random_is(&w->random, 70);

		b->link_hop = is_own ? b->hop : random_below(&w->random, HOPS_N);
		b->link = w->t->hops[b->link_hop].link;
	}
	b->way = lb_backend_way(b);
	if (b->mode == LB_MODE_NAT)
		put_index(w->t->reverse_index, w->t->meta->reverse_shift, &b->address, b->protocol,
			  LB_BE16(b->port), row);
}

// One of the service's backends; seldom none, another's, or one beyond the table.
static uint32_t pick_backend(struct world *w, uint32_t service_row)
{
	uint32_t dice = random_below(&w->random, 100);

	if (dice < 90)
		return 1 + (service_row - 1) * WORLD_BACKENDS +
		       random_below(&w->random, WORLD_BACKENDS);
	if (dice < 95)
		return 0;
	return random_below(&w->random, dice < 98 ? BACKENDS_N : LB_BACKEND_MAX + 1);
}

// Steady, or in transition; or looked up though nothing changed; or without the look-up that it
// should have.
static uint32_t make_slot(struct world *w, uint32_t service_row)
{
	uint32_t current = pick_backend(w, service_row), settled = current;
	uint32_t dice = random_below(&w->random, 100);

	if (dice < 55)
		settled = pick_backend(w, service_row);
	return LB_SLOT_WORD(current, settled, dice < 50 || dice >= 95);
}

static void fill_service(struct world *w, struct world_service *s, uint32_t *ring_offset)
{
	static const uint32_t lens[] = {1, 7, 13, 31}, idles[] = {1, 10, 60, 900, LB_IDLE_MAX_S};
	struct lb_service *row = &w->t->services[s->row];

	row->ring_offset = *ring_offset;
	row->ring_len = RANDOM_OF(&w->random, lens);
	*ring_offset +=
		(row->ring_len + LB_SLOTS_PER_LINE - 1) / LB_SLOTS_PER_LINE * LB_SLOTS_PER_LINE;
	if (random_is(&w->random, 2)) { // its last slots are beyond the table
		row->ring_offset = SLOTS_N - LB_SLOTS_PER_LINE;
		row->ring_len = LB_SLOTS_PER_LINE + 15;
	}
	row->idle_s = RANDOM_OF(&w->random, idles);
	row->tracking = (uint8_t)(1 + random_below(&w->random, 3));
	row->protocol = s->protocol;
	row->flags = random_is(&w->random, 50) ? LB_SERVICE_REJECT : 0;
	row->state = LB_ROW_LIVE;
	for (uint32_t i = row->ring_offset; i < row->ring_offset + row->ring_len; i++)
		if (i < SLOTS_N)
			w->t->slots[i / LB_SLOTS_PER_LINE].words[i % LB_SLOTS_PER_LINE] =
				make_slot(w, s->row);
	for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
		fill_backend(w, 1 + (s->row - 1) * WORLD_BACKENDS + i, s);
}

static void fill_services(struct world *w)
{
	uint32_t ring_offset = LB_SLOTS_PER_LINE;

	for (uint32_t i = 0; i < WORLD_SERVICES; i++) {
		struct world_service *s = &w->services[i];
		const struct lb_service *row;

		s->row = 1 + i;
		s->vip = random_below(&w->random, WORLD_VIPS - 1); // one VIP has none
		s->protocol = random_is(&w->random, 70) ? LB_IP_TCP : LB_IP_UDP;
		s->port = random_is(&w->random, 15) ? 0 : (uint16_t)(80 + i);
		fill_service(w, s, &ring_offset);
		row = &w->t->services[s->row];
		put_index(w->t->service_index, w->t->meta->service_shift, &w->vips[s->vip],
			  s->protocol, s->port,
			  LB_SERVICE_WORD(s->row, row->tracking, row->ring_offset, row->ring_len));
	}
}

// ---- flows and their entries ----

static uint64_t hash_flow(const struct world *w, const struct world_flow *f)
{
	const struct lb_packet p = {
		.source = f->client,
		.destination = w->vips[f->service->vip],
		.ports = LB_BE16(f->client_port) | (uint32_t)LB_BE16(f->vip_port) << 16,
		.family = world_family(&w->vips[f->service->vip]),
		.protocol = f->service->protocol,
	};

	return lb_hash_flow(w->t->meta->flow_keys, &p);
}

static uint32_t make_age(struct world *w, uint32_t idle_s)
{
	switch (random_below(&w->random, 6)) {
	case 0:
		return random_below(&w->random, 3);
	case 1:
		return LB_EMBRYONIC_S - 1 + random_below(&w->random, 3);
	case 2:
		return idle_s - 1 + random_below(&w->random, 3);
	case 3:
		return 0u - random_below(&w->random, 3); // the other CPU's clock is ahead
	default:
		return random_below(&w->random, LB_ENTRY_TIME_MASK);
	}
}

// Of this flow, or of one whose fingerprint, slot or backend is another.
static void put_entry(struct world *w, const struct world_flow *f)
{
	const struct lb_service *service = &w->t->services[f->service->row];
	uint64_t hash = hash_flow(w, f);
	uint32_t slot = lb_slot_at(service->ring_offset, service->ring_len, hash);
	struct lb_entry_line *line = &w->t->connections[hash & w->t->meta->connection_mask];
	struct lb_entry *e = &line->entries[random_below(&w->random, LB_ENTRIES_PER_LINE)];

	if (random_is(&w->random, 40))
		hash = random_next(&w->random);
	if (random_is(&w->random, 10))
		slot = random_below(&w->random, LB_SLOT_MAX);
	e->fingerprint = hash;
	e->word = LB_ENTRY_WORD(pick_backend(w, f->service->row), slot, random_below(&w->random, 4),
				w->now_s - make_age(w, service->idle_s));
}

static void fill_flows(struct world *w)
{
	for (uint32_t i = 0; i < WORLD_FLOWS; i++) {
		struct world_flow *f = &w->flows[i];
		bool is_ipv6;

		f->service = &w->services[random_below(&w->random, WORLD_SERVICES)];
		is_ipv6 = world_family(&w->vips[f->service->vip]) == 6;
		f->client = w->clients[is_ipv6][random_below(&w->random, WORLD_CLIENTS)];
		f->client_port = (uint16_t)random_next(&w->random);
		f->vip_port =
			f->service->port ? f->service->port : (uint16_t)random_next(&w->random);
	}
	for (uint32_t i = random_below(&w->random, 512); i > 0; i--)
		put_entry(w, &w->flows[random_below(&w->random, WORLD_FLOWS)]);
	for (uint32_t i = 0; i < SLOTS_N; i++)
		w->t->slot_times[i / LB_SLOTS_PER_LINE].times_s[i % LB_SLOTS_PER_LINE] =
			w->now_s - random_below(&w->random, 3);
}

// ---- fragments ----

// Of a flow, or of what its backend @row sends to a client; @row 0: there is none.
static void make_fragmented(struct world *w, uint32_t row, struct world_fragmented *ret)
{
	const struct world_flow *f = &w->flows[random_below(&w->random, WORLD_FLOWS)];
	const struct lb_backend *b = &w->t->backends[row];
	bool is_ipv6 = world_family(&b->address) == 6;

	*ret = (struct world_fragmented){
		f->client,   w->vips[f->service->vip], f->client_port,
		f->vip_port, f->service->protocol,     (uint8_t)random_below(&w->random, 3)};
	if (!row)
		return;
	ret->source = b->address;
	ret->destination = w->clients[is_ipv6][random_below(&w->random, WORLD_CLIENTS)];
	ret->source_port = LB_BE16(b->port);
	ret->destination_port = f->client_port;
	ret->protocol = b->protocol;
}

// The packet's entry, or another's in its place.
static void put_fragmented(struct world *w, uint32_t row, const struct world_fragmented *f)
{
	const __u64 *keys = w->t->meta->flow_keys;
	uint8_t family = world_family(&f->source);
	uint8_t protocol = family == 4 ? f->protocol : LB_IP_FRAGMENT;
	uint32_t id = family == 4 ? LB_BE16(f->id) : LB_BE32((uint32_t)f->id);
	uint64_t first = lb_hash_tuple(keys, family, &f->source, &f->destination, protocol, id);
	uint64_t hash = lb_hash_whole(first, keys, family, &f->source, id,
				      lb_hash_to(&f->destination, protocol));
	struct lb_entry_line *line = &w->t->fragments[hash & w->t->meta->fragment_mask];
	struct lb_entry *e = &line->entries[random_below(&w->random, LB_ENTRIES_PER_LINE)];
	uint32_t more = random_below(&w->random, LB_SLOT_MAX) & ~LB_FRAGMENT_REPLY;
	enum lb_entry_state state = LB_ENTRY_ESTABLISHED;
	bool is_reply = random_is(&w->random, 90) == (row != 0);

	if (random_is(&w->random, 10))
		state = random_below(&w->random, 4);
	if (!row || random_is(&w->random, 10))
		row = pick_backend(w, 1 + random_below(&w->random, WORLD_SERVICES));
	// Replies of the other modes pass by, so no packet writes an entry of them.
	if (is_reply && (row >= BACKENDS_N || w->t->backends[row].mode == LB_MODE_NAT))
		more |= LB_FRAGMENT_REPLY;
	e->fingerprint = random_is(&w->random, 90) ? hash : random_next(&w->random);
	e->word = LB_ENTRY_WORD(row, more, state, w->now_s - make_age(w, LB_FRAGMENT_S));
}

static void fill_fragments(struct world *w)
{
	for (uint32_t i = 0; i < WORLD_FRAGMENTED; i++) {
		uint32_t row = 1 + random_below(&w->random, WORLD_SERVICES * WORLD_BACKENDS);

		if (w->t->backends[row].mode != LB_MODE_NAT)
			row = 0;
		make_fragmented(w, row, &w->fragmented[i]);
		if (random_is(&w->random, 60))
			put_fragmented(w, row, &w->fragmented[i]);
	}
}

void world_fill(struct world *w, uint64_t seed, uint32_t now_s, struct lb_tables *t)
{
	struct lb_meta meta, *m = &meta;

	*w = (struct world){.random = {seed}, .t = t, .now_s = now_s};
	world_size(t->meta->cpu_n, m);
#define EMPTY(table, type, number) memset(t->table, 0, sizeof(type) * (number));
	LB_TABLES(EMPTY)
#undef EMPTY
	*t->meta = meta;
	w->forwarding = random_is(&w->random, 85);
	fill_meta(w);
	fill_hops(w);
	fill_clients(w);
	for (size_t i = 0; i < LB_ROUTE_SETS; i++)
		fill_routes(w, &t->routes->sets[i]);
	fill_vips(w);
	fill_services(w);
	fill_flows(w);
	fill_fragments(w);
}
