// SPDX-License-Identifier: BSD-2-Clause
//
// Next hops and routes. A row of `hops` never changes while a packet can reach it: a
// neighbour's new MAC address is a new row, and the backends' words are switched to
// it. Rows with the same content are one row, counted by who names it; a row that
// nobody names is retired, and is used again for the same content at any time, or for
// another after the grace period.
//
// A backend's row has a copy of its hop's link, which packets read while `way` says that it is
// the one of `hop`: it is cleared before `hop` becomes another. A copy that was left stays as it
// is, and its hop's row with it, until the grace period has passed; until it is renewed packets
// read the hop's row.
//
// Routes are a round of sets: the next one is written, then meta.route_set is switched.
// Where it was left within the grace period it may still be read, so a new list waits
// here for the next sweep; netlink's pace leaves that to dataplanes that stand still.
#include "control/publish_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/packet.h"

static struct lb_hop hop_row(const struct publisher_hop *hop)
{
	struct lb_hop row = {.link = {.ifindex = hop->ifindex, .mtu = hop->mtu}};

	memcpy(row.link.macs, hop->destination, sizeof(hop->destination));
	memcpy(row.link.macs + 6, hop->source, sizeof(hop->source));
	return row;
}

// Of what packets read.
uint64_t hop_hash(const struct lb_hop *h)
{
	return map_hash(MAP_HASH_START, h, offsetof(struct lb_hop, state));
}

static uint32_t find_free_hop(struct publisher *p)
{
	uint32_t n = p->t->meta->hop_n;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = (p->next_hop + i) % n;

		if (row && p->t->hops[row].state == LB_ROW_FREE) {
			p->next_hop = row + 1;
			return row;
		}
	}
	return 0;
}

void hop_ref(struct publisher *p, uint32_t row)
{
	struct pub_hop *own = &p->hops[row];

	if (!row)
		return;
	own->refs++;
	if (!own->is_retired)
		return;
	own->is_retired = false;
	p->retired_hops_n--;
	publish_store_32(p, &p->t->hops[row].state, LB_ROW_LIVE);
}

uint32_t hop_get(struct publisher *p, const struct publisher_hop *hop)
{
	struct lb_hop bytes;
	uint32_t cursor = 0, row;
	uint64_t hash;

	if (!hop)
		return 0;
	bytes = hop_row(hop);
	hash = hop_hash(&bytes);
	while ((row = map_next(&p->hop_map, hash, &cursor)))
		if (!memcmp(&p->t->hops[row], &bytes, offsetof(struct lb_hop, state)))
			break;
	if (!row) {
		row = find_free_hop(p);
		if (!row)
			return 0;
		publish_store_bytes(p, &p->t->hops[row], &bytes, sizeof(bytes));
		publish_store_32(p, &p->t->hops[row].state, LB_ROW_LIVE);
		p->hops[row] = (struct pub_hop){0};
		map_add(&p->hop_map, hash, row);
	}
	hop_ref(p, row);
	return row;
}

static void hop_retire(struct publisher *p, uint32_t row)
{
	p->hops[row].is_retired = true;
	p->hops[row].retired_s = p->now_s;
	p->retired_hops_n++;
	publish_store_32(p, &p->t->hops[row].retired_s, p->now_s);
	publish_store_32(p, &p->t->hops[row].state, LB_ROW_RETIRED);
}

void hop_put(struct publisher *p, uint32_t row)
{
	if (row && !--p->hops[row].refs)
		hop_retire(p, row);
}

void hop_adopt(struct publisher *p, uint32_t row)
{
	const struct lb_hop *h = &p->t->hops[row];

	if (h->state == LB_ROW_FREE)
		return;
	map_add(&p->hop_map, hop_hash(h), row);
	if (h->state == LB_ROW_RETIRED) {
		p->hops[row].is_retired = true;
		p->hops[row].retired_s = h->retired_s;
		p->retired_hops_n++;
	}
}

void hops_retire_unnamed(struct publisher *p)
{
	for (uint32_t row = 1; row < p->t->meta->hop_n; row++)
		if (p->t->hops[row].state == LB_ROW_LIVE && !p->hops[row].refs)
			hop_retire(p, row);
}

void hops_free_retired(struct publisher *p)
{
	if (!p->retired_hops_n)
		return;
	for (uint32_t row = 1; row < p->t->meta->hop_n; row++) {
		if (!p->hops[row].is_retired || !publish_is_past_grace(p, p->hops[row].retired_s))
			continue;
		map_del(&p->hop_map, hop_hash(&p->t->hops[row]), row);
		p->hops[row] = (struct pub_hop){0};
		p->retired_hops_n--;
		publish_store_32(p, &p->t->hops[row].state, LB_ROW_FREE);
	}
}

// A gateway would route a packet of l2, which still is for the VIP, back to us.
static uint32_t get_usable(struct publisher *p, uint32_t row)
{
	const struct pub_backend *own = &p->backends[row];

	if (!own->has_told_hop ||
	    (own->told_hop.is_gateway && p->t->backends[row].mode == LB_MODE_L2))
		return 0;
	return hop_get(p, &own->told_hop);
}

static void set_told(struct publisher *p, uint32_t row, const struct publisher_hop *hop)
{
	p->backends[row].has_told_hop = hop;
	if (hop)
		p->backends[row].told_hop = *hop;
}

void backend_set_way(struct publisher *p, uint32_t row)
{
	struct lb_backend *b = &p->t->backends[row];

	publish_store_8(p, &b->way, lb_backend_way(b));
}

// @row's copy, which no packet reads.
static void link_write(struct publisher *p, uint32_t row, uint32_t hop)
{
	struct lb_backend *b = &p->t->backends[row];

	publish_store_bytes(p, &b->link, &p->t->hops[hop].link, sizeof(b->link));
	publish_store_32(p, &b->link_hop, hop);
}

void links_renew_left(struct publisher *p)
{
	if (!p->has_left_links)
		return;
	p->has_left_links = false;
	for (uint32_t row = 1; row < p->t->meta->backend_n; row++) {
		struct lb_backend *b = &p->t->backends[row];
		uint32_t old = b->link_hop;

		if (!backend_is_live(p, row) || old == b->hop)
			continue;
		if (!publish_is_past_grace(p, p->backends[row].link_left_s)) {
			p->has_left_links = true;
			continue;
		}
		publish_store_32(p, &b->link_hop, 0);
		hop_put(p, old);
		if (!b->hop)
			continue;
		link_write(p, row, b->hop);
		hop_ref(p, b->hop);
		backend_set_way(p, row);
	}
}

void link_leave(struct publisher *p, uint32_t row)
{
	p->backends[row].link_left_s = p->now_s;
	p->has_left_links = true;
}

void hop_inherit(struct publisher *p, uint32_t row)
{
	struct lb_backend *b = &p->t->backends[row];
	uint32_t cursor = 0, other, hop;

	// A row that was found unresolved does not remember what could not be used.
	do
		other = backend_next_of_address(p, &b->address, &cursor);
	while (other && !p->backends[other].has_told_hop);
	if (!other)
		return;
	set_told(p, row, &p->backends[other].told_hop);
	hop = get_usable(p, row);
	if (!hop)
		return;
	link_write(p, row, hop);
	publish_store_32(p, &b->hop, hop);
	p->hops[hop].refs--; // backend_link() counts it
}

void hop_recall(struct publisher *p, uint32_t row)
{
	const struct lb_link *link = &p->t->hops[p->t->backends[row].hop].link;
	struct publisher_hop hop = {.ifindex = link->ifindex, .mtu = link->mtu};

	if (!p->t->backends[row].hop)
		return;
	memcpy(hop.destination, link->macs, sizeof(hop.destination));
	memcpy(hop.source, link->macs + 6, sizeof(hop.source));
	set_told(p, row, &hop);
}

void publisher_set_hop(struct publisher *p, const struct lb_address *address,
		       const struct publisher_hop *hop, uint32_t now_s)
{
	uint32_t cursor = 0, row;

	p->now_s = now_s;
	while ((row = backend_next_of_address(p, address, &cursor))) {
		struct lb_backend *b = &p->t->backends[row];
		uint32_t old = b->hop, new;

		set_told(p, row, hop);
		new = get_usable(p, row);
		if (new && !b->link_hop) { // which no packet has read since the grace period
			link_write(p, row, new);
			hop_ref(p, new);
		}
		if (new != b->link_hop)
			publish_store_8(p, &b->way, 0);
		publish_store_32(p, &b->hop, new);
		backend_set_way(p, row);
		if (new != old && old == b->link_hop)
			link_leave(p, row);
		hop_put(p, old);
		ring_touch(p, b->service);
	}
	ring_flush(p);
}

// ---- routes ----

static void set_route4(struct lb_route_set *set, const struct publisher_route *r, uint32_t kind,
		       uint32_t hop)
{
	set->route4[set->route4_n++] = (struct lb_route4){
		.prefix = r->prefix.address.words[3],
		.mask = prefix_mask(&r->prefix).words[3],
		.kind = kind,
		.hop = hop,
	};
}

static void set_route6(struct lb_route_set *set, const struct publisher_route *r, uint32_t kind,
		       uint32_t hop)
{
	set->route6[set->route6_n++] = (struct lb_route6){
		.prefix = r->prefix.address,
		.mask = prefix_mask(&r->prefix),
		.kind = kind,
		.hop = hop,
	};
}

void routes_count(struct publisher *p, int by)
{
	const struct lb_route_set *set = &p->t->routes->sets[p->t->meta->route_set % LB_ROUTE_SETS];

	for (uint32_t i = 0; i < set->route4_n; i++)
		by > 0 ? hop_ref(p, set->route4[i].hop) : hop_put(p, set->route4[i].hop);
	for (uint32_t i = 0; i < set->route6_n; i++)
		by > 0 ? hop_ref(p, set->route6[i].hop) : hop_put(p, set->route6[i].hop);
}

// The list is sorted longest prefix first, so what does not fit are the shortest ones: those
// packets find no match, which means LB_ROUTE_LOOKUP.
static void build_routes(struct publisher *p, struct lb_route_set *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < p->pending_routes_n; i++) {
		const struct publisher_route *r = &p->pending_routes[i];
		bool is_ipv4 = address_is_ipv4(&r->prefix.address);
		uint32_t kind = r->kind, hop = 0;

		if ((is_ipv4 ? ret->route4_n : ret->route6_n) == LB_ROUTE_MAX)
			continue;
		if (kind == LB_ROUTE_HOP && !(hop = hop_get(p, &r->hop)))
			kind = LB_ROUTE_LOOKUP; // no row is free
		if (is_ipv4)
			set_route4(ret, r, kind, hop);
		else
			set_route6(ret, r, kind, hop);
	}
}

void routes_flush(struct publisher *p)
{
	uint32_t old = p->t->meta->route_set % LB_ROUTE_SETS;
	uint32_t next = (old + 1) % LB_ROUTE_SETS;
	struct lb_route_set *sets = p->t->routes->sets;
	struct lb_route_set set;

	if (!p->pending_routes || !publish_is_past_grace(p, p->routes_left_s[next]))
		return;
	build_routes(p, &set);
	if (memcmp(&set, &sets[old], sizeof(set))) {
		publish_store_bytes(p, &sets[next], &set, sizeof(set));
		routes_count(p, -1);
		publish_store_32(p, &p->t->meta->route_set, next);
		p->routes_left_s[old] = p->now_s;
	} else {
		routes_count(p, -1); // what build_routes() counted a second time
	}
	free(p->pending_routes);
	p->pending_routes = NULL;
	p->pending_routes_n = 0;
}

void publisher_set_routes(struct publisher *p, const struct publisher_route *routes,
			  size_t routes_n, uint32_t now_s)
{
	struct publisher_route *copy = malloc((routes_n + 1) * sizeof(*copy));

	if (!copy)
		return;
	p->now_s = now_s;
	memcpy(copy, routes, routes_n * sizeof(*copy));
	free(p->pending_routes);
	p->pending_routes = copy;
	p->pending_routes_n = routes_n;
	routes_flush(p);
}
