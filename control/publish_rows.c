// SPDX-License-Identifier: BSD-2-Clause
//
// Rows of services and backends, from free to live to retired to free. A new row is
// written whole while its state says free, and becomes live by one store. A row that
// goes is first made unreachable, then says that it is retired and since when, and
// is free again when a whole sweep has found nothing that names it (sweep.c).
//
// A row of a service becomes live only after the index names it (publish.c), and is
// freed after its backends. So what a killed lbd leaves can be told apart: a backend
// whose service row is free and unnamed was never reached by a packet.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/checksum.h"
#include "dataplane/core/packet.h"

static void tell(struct publisher *p)
{
	if (p->stored)
		p->stored(p->stored_arg);
}

void publish_store_8(struct publisher *p, uint8_t *word, uint8_t value)
{
	if (*word == value)
		return;
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	tell(p);
}

void publish_store_32(struct publisher *p, uint32_t *word, uint32_t value)
{
	if (*word == value)
		return;
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	tell(p);
}

void publish_store_64(struct publisher *p, __u64 *word, uint64_t value)
{
	if (*word == value)
		return;
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	tell(p);
}

void publish_store_bytes(struct publisher *p, void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	tell(p);
}

uint64_t publish_name_hash(const char *name)
{
	return map_hash(MAP_HASH_START, name, strlen(name));
}

// ---- services ----

static uint64_t service_hash(uint64_t name_hash, int family)
{
	return name_hash + (uint64_t)family;
}

uint32_t service_lookup(const struct publisher *p, uint64_t name_hash, int family)
{
	uint64_t hash = service_hash(name_hash, family);
	uint32_t cursor = 0, row;

	while ((row = map_next(&p->service_map, hash, &cursor)))
		if (p->t->services[row].name_hash == name_hash &&
		    p->t->services[row].family == family)
			return row;
	return 0;
}

void service_link(struct publisher *p, uint32_t row)
{
	const struct lb_service *s = &p->t->services[row];

	map_add(&p->service_map, service_hash(s->name_hash, s->family), row);
}

void service_unlink(struct publisher *p, uint32_t row)
{
	const struct lb_service *s = &p->t->services[row];

	map_del(&p->service_map, service_hash(s->name_hash, s->family), row);
}

const struct lb_address *service_vip(const struct model_service *m, int family)
{
	for (size_t i = 0; i < m->vips_n; i++)
		if (address_family(&m->vips[i]) == family)
			return &m->vips[i];
	return NULL;
}

bool service_has_backend(const struct model_service *m, int family, const struct model_backend *b)
{
	return m->mode != LB_MODE_NAT || address_family(&b->address) == family;
}

bool service_fits(const struct publisher *p, uint32_t row, const struct model_service *m,
		  int family)
{
	const struct lb_service *s = &p->t->services[row];

	if (s->mode != m->mode || s->protocol != m->protocol || s->port != htons(m->port) ||
	    s->ring_len != m->ring)
		return false;
	if (m->mode != LB_MODE_NAT)
		return true;
	// The VIP is in each backend's row, which packets may be reading.
	for (uint32_t b = p->services[row].first_backend; b; b = p->backends[b].next)
		if (backend_is_live(p, b) &&
		    !address_is_equal(&p->t->backends[b].vip, service_vip(m, family)))
			return false;
	return true;
}

static uint32_t find_free_service(const struct publisher *p)
{
	for (uint32_t row = 1; row < p->t->meta->service_n; row++)
		if (p->t->services[row].state == LB_ROW_FREE && !p->services[row].is_in_use)
			return row;
	return 0;
}

static void clear_slots(struct publisher *p, uint32_t offset, uint32_t len)
{
	const uint32_t none = 0;

	for (uint32_t i = 0; i < len; i++)
		if (*slot_word(p, offset + i))
			publish_store_bytes(p, slot_word(p, offset + i), &none, sizeof(none));
}

static void clear_service_counters(struct publisher *p, uint32_t row)
{
	const struct lb_service_counters none = {0};
	const struct lb_meta *m = p->t->meta;

	for (uint32_t cpu = 0; cpu < m->cpu_n; cpu++)
		publish_store_bytes(p, &p->t->service_counters[(size_t)cpu * m->service_n + row],
				    &none, sizeof(none));
}

uint32_t service_add(struct publisher *p, const struct model_service *m, int family)
{
	uint32_t row = find_free_service(p);
	uint32_t offset = row ? slots_take(p, m->ring) : UINT32_MAX;
	struct pub_service *s = &p->services[row];

	if (offset == UINT32_MAX)
		return 0;
	const struct lb_service bytes = {
		.ring_offset = offset,
		.ring_len = m->ring,
		.idle_s = m->idle_s,
		.tracking = m->tracking,
		.mode = m->mode,
		.protocol = m->protocol,
		.family = (uint8_t)family,
		.state = LB_ROW_FREE,
		.name_hash = publish_name_hash(m->name),
		.port = htons(m->port),
	};
	clear_slots(p, offset, m->ring);
	clear_service_counters(p, row);
	publish_store_bytes(p, &p->t->services[row], &bytes, sizeof(bytes));
	*s = (struct pub_service){.is_in_use = true,
				  .is_wanted = true,
				  .want_tracking = m->tracking,
				  .changed_s = p->now_s};
	service_link(p, row);
	return row;
}

void service_retire(struct publisher *p, uint32_t row)
{
	struct lb_service *s = &p->t->services[row];

	while (p->services[row].vips_n)
		service_del_vip(p, row, &p->services[row].vips[0]);
	p->services[row].is_wanted = false;
	service_unlink(p, row);
	publish_store_32(p, &s->retired_s, p->now_s);
	publish_store_32(p, &s->state, LB_ROW_RETIRED);
	p->retired_services_n++;
	// Its slots are out of reach now: they name nobody.
	sweep_forget_ring(p, row);
	p->services[row].is_in_use = false;
	for (uint32_t b = p->services[row].first_backend; b; b = p->backends[b].next) {
		p->backends[b].current_n = p->backends[b].settled_n = 0;
		p->backends[b].moving_n = 0;
		p->backends[b].unnamed_s = p->now_s;
		if (backend_is_live(p, b))
			backend_retire(p, b);
	}
}

void service_free(struct publisher *p, uint32_t row)
{
	p->services[row] = (struct pub_service){0};
	p->retired_services_n--;
	publish_store_32(p, &p->t->services[row].state, LB_ROW_FREE);
}

// ---- backends ----

static uint64_t backend_hash(uint32_t service, const struct lb_address *address, uint16_t port)
{
	uint64_t hash = map_hash(MAP_HASH_START, &service, sizeof(service));

	hash = map_hash(hash, address, sizeof(*address));
	return map_hash(hash, &port, sizeof(port));
}

uint32_t backend_lookup(const struct publisher *p, uint32_t service,
			const struct lb_address *address, uint16_t port)
{
	uint64_t hash = backend_hash(service, address, port);
	uint32_t cursor = 0, row;

	while ((row = map_next(&p->backend_map, hash, &cursor))) {
		const struct lb_backend *b = &p->t->backends[row];

		if (b->service == service && b->port == htons(port) &&
		    address_is_equal(&b->address, address))
			return row;
	}
	return 0;
}

static uint32_t find_free_backend(struct publisher *p)
{
	uint32_t n = p->t->meta->backend_n;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t row = (p->next_backend + i) % n;

		if (row && p->t->backends[row].state == LB_ROW_FREE) {
			p->next_backend = row + 1;
			return row;
		}
	}
	return 0;
}

static void clear_backend_counters(struct publisher *p, uint32_t row)
{
	const struct lb_backend_counters none = {0};
	const struct lb_meta *m = p->t->meta;

	for (uint32_t cpu = 0; cpu < m->cpu_n; cpu++)
		publish_store_bytes(p, &p->t->backend_counters[(size_t)cpu * m->backend_n + row],
				    &none, sizeof(none));
}

// What a row of this service, address and port has known of its health so far: a change of the
// configuration resets no health.
static enum health_state known_health(const struct publisher *p, const struct lb_backend *b)
{
	uint64_t name_hash = p->t->services[b->service].name_hash;

	// Of either family, and where the service is made anew its row before, too.
	for (int family = 4; family <= 6; family += 2) {
		uint64_t hash = service_hash(name_hash, family);
		uint32_t cursor = 0, service;

		while ((service = map_next(&p->service_map, hash, &cursor))) {
			uint32_t row = backend_lookup(p, service, &b->address, ntohs(b->port));

			if (row && p->backends[row].is_wanted &&
			    p->t->services[service].name_hash == name_hash)
				return p->backends[row].health;
		}
	}
	return HEALTH_UNKNOWN;
}

uint32_t backend_add(struct publisher *p, uint32_t service, const struct model_service *m,
		     const struct model_backend *b)
{
	const struct lb_service *s = &p->t->services[service];
	uint32_t row = find_free_backend(p);
	struct lb_backend bytes = {
		.address = b->address,
		.port = htons(b->port),
		.mode = m->mode,
		.family = (uint8_t)address_family(&b->address),
		.protocol = m->protocol,
		.service = service,
		.state = LB_ROW_FREE,
	};

	if (!row)
		return 0;
	bytes.grow = (uint8_t)lb_mode_grow(bytes.mode, bytes.family);
	if (m->mode == LB_MODE_NAT) {
		bytes.vip = *service_vip(m, s->family);
		bytes.vip_port = htons(m->port);
		lb_checksum_set_nat(&bytes);
	}
	clear_backend_counters(p, row);
	publish_store_bytes(p, &p->t->backends[row], &bytes, sizeof(bytes));
	p->backends[row] = (struct pub_backend){.weight = b->weight,
						.wanted_state = (uint8_t)b->state,
						.health = (uint8_t)known_health(p, &bytes),
						.is_wanted = true,
						.unnamed_s = p->now_s};
	hop_inherit(p, row);
	publish_store_32(p, &p->t->backends[row].state, LB_ROW_LIVE);
	backend_set_way(p, row);
	backend_link(p, row);
	return row;
}

void backend_link(struct publisher *p, uint32_t row)
{
	const struct lb_backend *b = &p->t->backends[row];
	struct pub_service *s = &p->services[b->service];

	p->backends[row].next = 0;
	if (s->first_backend)
		p->backends[s->last_backend].next = row;
	else
		s->first_backend = row;
	s->last_backend = row;
	if (b->state != LB_ROW_LIVE)
		return;
	map_add(&p->backend_map, backend_hash(b->service, &b->address, ntohs(b->port)), row);
	address_link(p, row);
	hop_ref(p, b->hop);
	hop_ref(p, b->link_hop);
}

void backend_set_flags(struct publisher *p, uint32_t row)
{
	struct lb_backend *b = &p->t->backends[row];
	const struct pub_service *s = &p->services[b->service];
	const struct pub_backend *own = &p->backends[row];
	uint8_t flags = 0;

	if (!backend_is_live(p, row))
		return;
	if (own->wanted_state == MODEL_DISABLED || (s->has_check && own->health == HEALTH_DOWN))
		flags = LB_BACKEND_DOWN | (s->keeps ? 0 : LB_BACKEND_RESET);
	if (b->flags == flags)
		return;
	// Flags come before the slots, both ways. Going down, this store is what a restarted lbd
	// goes by: killed between the two, it finds the backend down and finishes its slots.
	// Until they are replaced, a SYN may still be sent to the dead backend, as it was a
	// moment before; when it is sent again, its entry is decided anew. Coming back, a slot
	// must not name a backend as current whose entries read as misses: the packet after the
	// SYN would not find the SYN's entry.
	publish_store_8(p, &b->flags, flags);
	ring_set_dirty(p, b->service);
}

void backend_leave(struct publisher *p, uint32_t row, uint32_t deadline_s)
{
	p->backends[row].is_wanted = false;
	p->backends[row].deadline_s = deadline_s;
	if (!p->leaving_n++ || publish_age(p->earliest_deadline_s, deadline_s))
		p->earliest_deadline_s = deadline_s;
}

void backend_retire(struct publisher *p, uint32_t row)
{
	struct lb_backend *b = &p->t->backends[row];

	if (!p->backends[row].is_wanted)
		p->leaving_n--;
	p->backends[row].is_wanted = false;
	// Its entries read as misses, then no slot names it, then it drops.
	publish_store_8(p, &b->flags, LB_BACKEND_DOWN | LB_BACKEND_RESET);
	if (p->backends[row].current_n || p->backends[row].settled_n)
		ring_update(p, b->service);
	map_del(&p->backend_map, backend_hash(b->service, &b->address, ntohs(b->port)), row);
	address_unlink(p, row);
	publish_store_32(p, &b->retired_s, p->now_s);
	publish_store_8(p, &b->way, 0);
	publish_store_32(p, &b->state, LB_ROW_RETIRED);
	p->retired_backends_n++;
	hop_put(p, b->hop);
	hop_put(p, b->link_hop);
	reverse_release(p, row);
}

// So that what the service has sent does not shrink when a backend's row is used again.
static void keep_counters(struct publisher *p, uint32_t row)
{
	const struct lb_meta *m = p->t->meta;
	struct lb_service_counters *sum = &p->t->service_counters[p->t->backends[row].service];

	for (uint32_t cpu = 0; cpu < m->cpu_n; cpu++) {
		const struct lb_backend_counters *c =
			&p->t->backend_counters[(size_t)cpu * m->backend_n + row];

		publish_store_64(p, &sum->pkts, sum->pkts + c->pkts);
		publish_store_64(p, &sum->bytes, sum->bytes + c->bytes);
		publish_store_64(p, &sum->syns, sum->syns + c->syns);
	}
	clear_backend_counters(p, row);
}

void backend_free(struct publisher *p, uint32_t row)
{
	struct pub_service *s = &p->services[p->t->backends[row].service];
	uint32_t *link = &s->first_backend, before = 0;

	while (*link != row) {
		before = *link;
		link = &p->backends[before].next;
	}
	keep_counters(p, row);
	*link = p->backends[row].next;
	if (s->last_backend == row)
		s->last_backend = before;
	p->backends[row] = (struct pub_backend){0};
	p->retired_backends_n--;
	publish_store_32(p, &p->t->backends[row].state, LB_ROW_FREE);
}

// ---- ranges of slots ----

static uint32_t whole_lines(uint32_t slots)
{
	return (slots + LB_SLOTS_PER_LINE - 1) / LB_SLOTS_PER_LINE * LB_SLOTS_PER_LINE;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct slot_range *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

void slots_list(struct publisher *p)
{
	p->ranges_n = 0;
	for (uint32_t row = 1; row < p->t->meta->service_n; row++) {
		const struct lb_service *s = &p->t->services[row];

		if (s->state == LB_ROW_FREE && !p->services[row].is_in_use)
			continue;
		p->ranges[p->ranges_n++] = (struct slot_range){
			.begin = s->ring_offset, .end = s->ring_offset + whole_lines(s->ring_len)};
	}
	qsort(p->ranges, p->ranges_n, sizeof(*p->ranges), compare_ranges);
}

uint32_t slots_take(struct publisher *p, uint32_t ring_len)
{
	uint32_t begin = 0, len = whole_lines(ring_len);
	size_t i;

	for (i = 0; i < p->ranges_n && p->ranges[i].begin - begin < len; i++)
		begin = p->ranges[i].end;
	if (begin > p->t->meta->slot_n || p->t->meta->slot_n - begin < len ||
	    p->ranges_n + 1 >= p->t->meta->service_n)
		return UINT32_MAX;
	memmove(&p->ranges[i + 1], &p->ranges[i], (p->ranges_n - i) * sizeof(*p->ranges));
	p->ranges[i] = (struct slot_range){.begin = begin, .end = begin + len};
	p->ranges_n++;
	return begin;
}
