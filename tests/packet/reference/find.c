// SPDX-License-Identifier: BSD-2-Clause
//
// What is looked up in the tables that lbd writes: whose address and port these are, and which
// way a reply goes. The rules are those of tables.h.
#include "tests/packet/reference/reference.h"

#include <string.h>

bool ref_is_same(const struct ref_address *a, const struct ref_address *b)
{
	return memcmp(a->bytes, b->bytes, 16) == 0;
}

struct ref_address ref_address(const struct lb_address *address)
{
	struct ref_address a;

	memcpy(a.bytes, address->bytes, 16);
	return a;
}

// ---- the indexes ----

static bool is_key(const struct lb_index_entry *e, const struct ref_address *address,
		   uint8_t protocol, uint16_t port)
{
	return memcmp(e->address.bytes, address->bytes, 16) == 0 && e->protocol == protocol &&
	       ref_port(e->port) == port;
}

// The key's value; 0: it has none. An entry lies in its key's line or in one of those behind, and
// never behind a line that does not say `more`.
static uint64_t find(const struct lb_index_line *lines, uint32_t shift,
		     const struct ref_address *address, uint8_t protocol, uint16_t port)
{
	const uint64_t lines_n = LB_INDEX_LINES(shift);
	const uint64_t first = ref_hash_key(address, protocol, port) * lines_n >> 32;

	for (uint32_t i = 0; i < LB_INDEX_PROBE; i++) {
		const struct lb_index_line *line = &lines[(first + i) % lines_n];

		for (int j = 0; j < LB_INDEX_ENTRIES; j++)
			if (line->entries[j].value != 0 &&
			    is_key(&line->entries[j], address, protocol, port))
				return line->entries[j].value;
		if (!line->entries[0].more)
			return 0;
	}
	return 0;
}

static uint64_t find_in_services(const struct ref_walk *w, const struct ref_address *address,
				 uint8_t protocol, uint16_t port)
{
	const struct lb_meta *m = w->tables->meta;

	return find(w->tables->service_index, m->service_shift, address, protocol, port);
}

uint32_t ref_find_vip(const struct ref_walk *w, const struct ref_address *address)
{
	// An address whose byte is 0 never was a VIP.
	if (!w->tables->meta->vip_filter[ref_hash_filter(address)])
		return 0;
	return (uint32_t)find_in_services(w, address, 0, 0);
}

uint32_t ref_find_service(const struct ref_walk *w, uint32_t vip, const struct ref_address *address,
			  uint8_t protocol, uint16_t port)
{
	uint64_t service = find_in_services(w, address, protocol, port);

	if (service == 0 && vip & LB_VIP_ANY_PORT)
		service = find_in_services(w, address, protocol, 0);
	// The rest of it says what the service's row says too.
	return (uint32_t)(service % (1 << 18));
}

uint32_t ref_find_sender(const struct ref_walk *w, const struct ref_address *address,
			 uint8_t protocol, uint16_t port)
{
	const struct lb_meta *m = w->tables->meta;

	return find(w->tables->reverse_index, m->reverse_shift, address, protocol, port);
}

// ---- rows ----

const struct lb_service *ref_service(const struct ref_walk *w, uint32_t row)
{
	return row < w->tables->meta->service_n ? &w->tables->services[row] : NULL;
}

const struct lb_backend *ref_backend(const struct ref_walk *w, uint32_t row)
{
	return row < w->tables->meta->backend_n ? &w->tables->backends[row] : NULL;
}

const struct lb_hop *ref_hop(const struct ref_walk *w, uint32_t row)
{
	// Row 0 is "unresolved".
	return row != 0 && row < w->tables->meta->hop_n ? &w->tables->hops[row] : NULL;
}

// ---- routes ----

// Whether the prefix holds the address, @n bytes each.
static bool holds(const void *prefix, const void *mask, const uint8_t *address, int n)
{
	for (int i = 0; i < n; i++)
		if ((address[i] & ((const uint8_t *)mask)[i]) != ((const uint8_t *)prefix)[i])
			return false;
	return true;
}

// The first that holds it; none: the driver is asked.
enum lb_route_kind ref_find_route(const struct ref_walk *w, uint32_t *ret_hop)
{
	const struct lb_route_set *set = &w->tables->routes->sets[w->tables->meta->route_set];
	const uint8_t *to = w->packet.destination.bytes;

	*ret_hop = 0;
	for (uint32_t i = 0; w->packet.family == 4 && i < set->route4_n; i++) {
		const struct lb_route4 *r = &set->route4[i];

		if (holds(&r->prefix, &r->mask, to + 12, 4)) {
			*ret_hop = r->hop;
			return r->kind;
		}
	}
	for (uint32_t i = 0; w->packet.family == 6 && i < set->route6_n; i++) {
		const struct lb_route6 *r = &set->route6[i];

		if (holds(&r->prefix, &r->mask, to, 16)) {
			*ret_hop = r->hop;
			return r->kind;
		}
	}
	return LB_ROUTE_LOOKUP;
}
