// SPDX-License-Identifier: BSD-2-Clause
//
// Whether a model fits beside what the tables hold, before anything is touched. It
// counts what publisher_apply() will take: rows of services and backends, ranges of
// slots, entries of both indexes, each placed as apply will place them. What is
// retired, and not yet free, is in the way; the sentence says so.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

// Keys that are to be added; the same one (a VIP's own entry) is placed once.
struct key {
	struct pub_index *index;
	struct lb_address address;
	uint16_t port_be;
	uint8_t protocol;
	uint32_t entry;
};

struct need {
	struct publisher *p; // only scratch of it is written
	uint32_t services, backends;
	uint32_t free_services, free_backends;
	struct key *keys;
	size_t keys_n;
	struct map map; // hash of a key -> its position + 1
};

static bool is_same_key(const struct key *a, const struct key *b)
{
	return a->index == b->index && a->port_be == b->port_be && a->protocol == b->protocol &&
	       address_is_equal(&a->address, &b->address);
}

// False: no room.
static bool reserve(struct need *n, struct pub_index *x, const struct lb_address *address,
		    uint8_t protocol, uint16_t port_be)
{
	struct key key = {
		.index = x, .address = *address, .port_be = port_be, .protocol = protocol};
	uint64_t hash = map_hash(MAP_HASH_START, address, sizeof(*address));
	uint32_t cursor = 0, at;
	int64_t entry;

	hash = map_hash(hash, &port_be, sizeof(port_be));
	hash = map_hash(hash, &protocol, sizeof(protocol));
	while ((at = map_next(&n->map, hash, &cursor)))
		if (is_same_key(&n->keys[at - 1], &key))
			return true;
	if (index_lookup(x, address, protocol, port_be) >= 0)
		return true;
	entry = index_place(n->p, x, address, protocol, port_be);
	if (entry < 0)
		return false;
	key.entry = (uint32_t)entry;
	x->entries[entry].is_reserved = true;
	n->keys[n->keys_n++] = key;
	map_add(&n->map, hash, (uint32_t)n->keys_n);
	return true;
}

static size_t count_keys(const struct model *m)
{
	size_t n = 1;

	for (size_t i = 0; i < m->services_n; i++)
		n += m->services[i].vips_n * 2 + m->services[i].backends_n * 2;
	return n;
}

static uint32_t count_free_services(const struct publisher *p)
{
	uint32_t n = 0;

	for (uint32_t row = 1; row < p->t->meta->service_n; row++)
		n += p->t->services[row].state == LB_ROW_FREE && !p->services[row].is_in_use;
	return n;
}

static uint32_t count_free_backends(const struct publisher *p)
{
	uint32_t n = 0;

	for (uint32_t row = 1; row < p->t->meta->backend_n; row++)
		n += p->t->backends[row].state == LB_ROW_FREE;
	return n;
}

static int check_backends(struct need *n, const struct model_service *m, int family, uint32_t row,
			  struct err *e)
{
	for (size_t i = 0; i < m->backends_n; i++) {
		const struct model_backend *b = &m->backends[i];

		if (!service_has_backend(m, family, b))
			continue;
		n->backends += !row || !backend_lookup(n->p, row, &b->address, b->port);
		if (m->mode == LB_MODE_NAT &&
		    !reserve(n, &n->p->reverse_index, &b->address, m->protocol, htons(b->port)))
			return err_set(e, -ENOSPC,
				       "service %s: the index of replies has no room for all "
				       "backends; raise limits.backends in lbd.yaml",
				       m->name);
	}
	return 0;
}

static int check_service(struct need *n, const struct model_service *m, int family, struct err *e)
{
	struct publisher *p = n->p;
	uint32_t row = service_lookup(p, publish_name_hash(m->name), family);

	if (row && !service_fits(p, row, m, family))
		row = 0;
	n->services += !row;
	if (n->services > n->free_services)
		return 0; // check_rows() says so
	if (!row && slots_take(p, m->ring) == UINT32_MAX)
		return err_set(
			e, -ENOSPC,
			"service %s: no %u slots in a row are free of %u; raise limits.slots "
			"in lbd.yaml, or use a smaller ring%s",
			m->name, m->ring, p->t->meta->slot_n,
			p->retired_services_n ? " (removed services still hold slots for a while)"
					      : "");
	for (size_t i = 0; i < m->vips_n; i++)
		if (address_family(&m->vips[i]) == family &&
		    (!reserve(n, &p->service_index, &m->vips[i], m->protocol, htons(m->port)) ||
		     !reserve(n, &p->service_index, &m->vips[i], 0, 0)))
			return err_set(e, -ENOSPC,
				       "service %s: the index of VIPs has no room; raise "
				       "limits.services in lbd.yaml",
				       m->name);
	return check_backends(n, m, family, row, e);
}

static int check_rows(const struct need *n, struct err *e)
{
	const struct publisher *p = n->p;
	if (n->services > n->free_services)
		return err_set(
			e, -ENOSPC,
			"%u more service rows are needed (one a family of VIPs), but %u of "
			"%u are free, and %u are free after a while; raise limits.services in "
			"lbd.yaml",
			n->services, n->free_services, p->t->meta->service_n - 1,
			p->retired_services_n);
	if (n->backends > n->free_backends)
		return err_set(e, -ENOSPC,
			       "%u more backend rows are needed (one a family of VIPs), but %u of "
			       "%u are free; %u more when what is leaving is gone and forgotten; "
			       "raise limits.backends in lbd.yaml",
			       n->backends, n->free_backends, p->t->meta->backend_n - 1,
			       p->retired_backends_n + p->leaving_n);
	return 0;
}

int publisher_check(const struct publisher *p, const struct model *m, struct err *e)
{
	size_t keys_n = count_keys(m);
	struct need n = {.p = (struct publisher *)p, .keys = calloc(keys_n, sizeof(*n.keys))};
	int rc = 0;

	if (!n.keys || map_init(&n.map, (uint32_t)keys_n)) {
		free(n.keys);
		return err_set(e, -ENOMEM, "services: out of memory");
	}
	slots_list(n.p);
	n.free_services = count_free_services(p);
	n.free_backends = count_free_backends(p);
	for (size_t i = 0; i < m->services_n * 2 && !rc; i++) {
		int family = i % 2 ? 6 : 4;

		if (service_vip(&m->services[i / 2], family))
			rc = check_service(&n, &m->services[i / 2], family, e);
	}
	if (!rc)
		rc = check_rows(&n, e);
	for (size_t i = 0; i < n.keys_n; i++)
		n.keys[i].index->entries[n.keys[i].entry].is_reserved = false;
	map_fini(&n.map);
	free(n.keys);
	return rc;
}
