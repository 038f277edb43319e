// SPDX-License-Identifier: BSD-2-Clause
//
// See publish_bed.h. The check recounts from the tables alone what the publisher
// counts as it goes.
#include "publish_bed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "control/tables_list.h"
#include "dataplane/core/index.h"
#include "dataplane/core/packet.h"

struct tables *bed_tables(const struct bed_sizes *sizes)
{
	const struct settings s = {.limits = {.services = sizes->services,
					      .backends = sizes->backends,
					      .slots = sizes->slots,
					      .connections = sizes->lines * LB_ENTRIES_PER_LINE}};
	const uint64_t key[2] = {0x0123456789abcdef, 0xfedcba9876543210};
	struct lb_meta meta;
	struct tables *t;
	struct err e;

	tables_size(&s, key, 2, &meta);
	assert_int_equal(tables_alloc(&meta, &t, &e), 0);
	return t;
}

static void *rows_of(const struct tables *t, size_t i)
{
	void *const rows[] = {
#define ROWS(name, type, n) t->rows.name,
		LB_TABLES(ROWS)
#undef ROWS
	};

	return rows[i];
}

uint8_t *bed_snapshot(const struct tables *t, size_t *ret_len)
{
	size_t len = 0, at = 0;
	uint8_t *bytes;

	for (size_t i = 0; i < t->n; i++)
		len += t->lens[i];
	bytes = malloc(len);
	assert_non_null(bytes);
	for (size_t i = 0; i < t->n; at += t->lens[i++])
		memcpy(bytes + at, rows_of(t, i), t->lens[i]);
	if (ret_len)
		*ret_len = len;
	return bytes;
}

bool bed_is_same(const struct tables *t, const uint8_t *snapshot)
{
	for (size_t i = 0, at = 0; i < t->n; at += t->lens[i++])
		if (memcmp(snapshot + at, rows_of(t, i), t->lens[i]))
			return false;
	return true;
}

void bed_restore(const struct tables *t, const uint8_t *snapshot)
{
	for (size_t i = 0, at = 0; i < t->n; at += t->lens[i++])
		memcpy(rows_of(t, i), snapshot + at, t->lens[i]);
}

struct lb_address bed_address(const char *text)
{
	struct lb_address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

struct model_service bed_service(const char *name, const char *vip, uint16_t port, uint8_t mode,
				 uint32_t ring)
{
	struct model_service s = {
		.vips_n = 1,
		.protocol = IPPROTO_TCP,
		.port = port,
		.mode = mode,
		.tracking = LB_TRACK_ADAPTIVE,
		.idle_s = 60,
		.ring = ring,
	};

	snprintf(s.name, sizeof(s.name), "%s", name);
	s.vips[0] = bed_address(vip);
	return s;
}

void bed_add_backend(struct model_service *s, const char *address, uint16_t port)
{
	const struct model_backend b = {
		.address = bed_address(address), .port = port, .weight = MODEL_WEIGHT_DEFAULT};

	assert_int_equal(model_add_backend(s, &b), 0);
}

void bed_resolve_hops(struct publisher *p, const struct model *m, uint32_t now_s)
{
	publisher_hold(p);
	for (size_t i = 0; i < m->services_n; i++) {
		for (size_t j = 0; j < m->services[i].backends_n; j++) {
			const struct lb_address *a = &m->services[i].backends[j].address;
			struct publisher_hop hop = {.ifindex = 1, .mtu = 1500};

			memcpy(hop.destination, &a->bytes[10], sizeof(hop.destination));
			publisher_set_hop(p, a, &hop, now_s);
		}
	}
	publisher_release(p, now_s);
}

// ---- a bed with a service in it ----

static void bed_start(struct bed *b)
{
	struct err e;

	assert_int_equal(publisher_new(&b->t->rows, &b->p, &e), 0);
	assert_int_equal(publisher_adopt(b->p, b->m, b->now_s, &e), 0);
	bed_check(b->p);
}

void bed_restart(struct bed *b)
{
	publisher_free(b->p);
	bed_start(b);
}

void bed_apply(struct bed *b)
{
	struct err e;

	assert_int_equal(publisher_check(b->p, b->m, &e), 0);
	b->m->generation++;
	assert_int_equal(publisher_apply(b->p, b->m, b->now_s, &e), 0);
	bed_check(b->p);
}

void bed_add_service(struct bed *b, struct model_service s)
{
	assert_int_equal(model_add_service(b->m, &s), 0);
	model_service_fini(&s);
}

// A nat service "web" with three backends, all in rotation.
int bed_setup(void **state)
{
	const struct bed_sizes sizes = {.services = 4, .backends = 16, .slots = 256, .lines = 8};
	struct bed *b = calloc(1, sizeof(*b));
	struct model_service s = bed_service("web", "192.0.2.1", 80, LB_MODE_NAT, 31);

	b->t = bed_tables(&sizes);
	b->m = model_new();
	b->now_s = 1000;
	bed_start(b);
	bed_add_backend(&s, "10.0.0.1", 8080);
	bed_add_backend(&s, "10.0.0.2", 8080);
	bed_add_backend(&s, "10.0.0.3", 8080);
	bed_add_service(b, s);
	bed_apply(b);
	bed_resolve_hops(b->p, b->m, b->now_s);
	bed_check(b->p);
	*state = b;
	return 0;
}

int bed_teardown(void **state)
{
	struct bed *b = *state;

	publisher_free(b->p);
	model_free(b->m);
	tables_close(b->t);
	free(b);
	return 0;
}

uint32_t bed_row(const struct bed *b, const char *service, int family)
{
	return service_lookup(b->p, publish_name_hash(service), family);
}

uint32_t bed_backend(const struct bed *b, const char *service, const char *address)
{
	struct lb_address a = bed_address(address);

	return backend_lookup(b->p, bed_row(b, service, 4), &a, 8080);
}

uint32_t bed_slots(const struct bed *b, uint32_t backend)
{
	return b->p->backends[backend].current_n;
}

// ---- the check ----

struct counts {
	uint32_t *current, *settled, *moving; // a backend
	uint32_t lookups;
};

static void count_ring(const struct publisher *p, uint32_t row, struct counts *c)
{
	const struct lb_service *s = &p->t->services[row];
	uint32_t lookups = 0;

	for (uint32_t i = 0; i < s->ring_len; i++) {
		uint32_t word = *slot_word(p, s->ring_offset + i);
		uint32_t current = LB_SLOT_CURRENT(word), settled = LB_SLOT_SETTLED(word);

		c->current[current]++;
		c->settled[settled]++;
		c->moving[settled] += current != settled;
		lookups += (word & LB_SLOT_LOOKUP) != 0;
		if (current != settled && !(word & LB_SLOT_LOOKUP))
			fail_msg("slot %u differs without lookup", s->ring_offset + i);
		if (current && p->t->backends[current].state != LB_ROW_LIVE)
			fail_msg("slot %u: current %u is not live", s->ring_offset + i, current);
		if (settled && p->t->backends[settled].state != LB_ROW_LIVE)
			fail_msg("slot %u: settled %u is not live", s->ring_offset + i, settled);
		if (current && p->t->backends[current].service != row)
			fail_msg("slot %u: a backend of another service", s->ring_offset + i);
		if (!p->held && p->t->backends[settled].flags & LB_BACKEND_RESET)
			fail_msg("slot %u: settled %u is down under reset", s->ring_offset + i,
				 settled);
		if (current && !settled)
			fail_msg("slot %u has a current, but no settled", s->ring_offset + i);
		if (current && !p->held && p->t->backends[current].flags)
			fail_msg("slot %u: current %u is down", s->ring_offset + i, current);
	}
	assert_int_equal(lookups, p->services[row].lookups_n);
	c->lookups += lookups;
}

static void check_ranges(const struct publisher *p)
{
	slots_list((struct publisher *)p);
	for (size_t i = 0; i < p->ranges_n; i++) {
		assert_true(p->ranges[i].end <= p->t->meta->slot_n);
		if (i)
			assert_true(p->ranges[i - 1].end <= p->ranges[i].begin);
	}
}

static void check_index(const struct pub_index *x)
{
	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++) {
		const struct lb_index_entry *e = index_entry(x, n);
		uint32_t home =
			lb_index_at(lb_index_hash(&e->address, e->protocol, e->port), x->shift, 0);
		uint32_t line = home;

		assert_false(x->entries[n].is_reserved);
		if (!e->value)
			continue;
		assert_true(((n / LB_INDEX_ENTRIES - home) & x->mask) < LB_INDEX_PROBE);
		for (; line != n / LB_INDEX_ENTRIES; line = (line + 1) & x->mask)
			assert_int_equal(x->lines[line].entries[0].more, 1);
	}
}

// What the index says of a service is what its row says.
static void check_words(const struct publisher *p, uint32_t row)
{
	const struct lb_service *s = &p->t->services[row];

	for (size_t i = 0; i < p->services[row].vips_n; i++) {
		uint64_t value = index_value(&p->service_index, &p->services[row].vips[i],
					     s->protocol, s->port);

		assert_int_equal(value,
				 LB_SERVICE_WORD(row, s->tracking, s->ring_offset, s->ring_len));
		assert_int_equal(LB_SERVICE_ROW(value), row);
		assert_int_equal(LB_SERVICE_RING_OFFSET(value), s->ring_offset);
		assert_int_equal(LB_SERVICE_RING_LEN(value), s->ring_len);
	}
}

static void check_backends(const struct publisher *p, const struct counts *c)
{
	uint32_t leaving = 0, retired = 0;

	for (uint32_t row = 1; row < p->t->meta->backend_n; row++) {
		const struct lb_backend *b = &p->t->backends[row];

		assert_int_equal(b->way, lb_backend_way(b));
		assert_int_equal(p->backends[row].current_n, c->current[row]);
		assert_int_equal(p->backends[row].settled_n, c->settled[row]);
		assert_int_equal(p->backends[row].moving_n, c->moving[row]);
		leaving += backend_is_leaving(p, row);
		retired += b->state == LB_ROW_RETIRED;
		if (b->state == LB_ROW_LIVE) {
			assert_true(p->services[b->service].is_in_use);
			assert_int_equal(backend_lookup(p, b->service, &b->address, ntohs(b->port)),
					 row);
			if (b->hop)
				assert_int_equal(p->t->hops[b->hop].state, LB_ROW_LIVE);
			if (b->link_hop) {
				const struct lb_hop *hop = &p->t->hops[b->link_hop];

				assert_int_equal(hop->state, LB_ROW_LIVE);
				assert_memory_equal(&b->link, &hop->link, sizeof(b->link));
			}
			assert_int_equal(b->grow, lb_mode_grow(b->mode, b->family));
		}
	}
	assert_int_equal(leaving, p->leaving_n);
	assert_int_equal(retired, p->retired_backends_n);
}

void bed_check(const struct publisher *p)
{
	const struct lb_meta *m = p->t->meta;
	struct counts c = {
		.current = calloc(m->backend_n, sizeof(uint32_t)),
		.settled = calloc(m->backend_n, sizeof(uint32_t)),
		.moving = calloc(m->backend_n, sizeof(uint32_t)),
	};
	uint32_t retired = 0;

	for (uint32_t row = 1; row < m->service_n; row++) {
		retired += p->t->services[row].state == LB_ROW_RETIRED;
		if (p->services[row].is_in_use) {
			assert_int_equal(p->t->services[row].state, LB_ROW_LIVE);
			count_ring(p, row, &c);
			check_words(p, row);
		}
	}
	assert_int_equal(retired, p->retired_services_n);
	assert_int_equal(c.lookups, p->lookups_n);
	check_backends(p, &c);
	check_ranges(p);
	check_index(&p->service_index);
	check_index(&p->reverse_index);
	free(c.current);
	free(c.settled);
	free(c.moving);
}
