// SPDX-License-Identifier: BSD-2-Clause
//
// The publisher's life, and apply: from a whole model to rows. What a change may do is
// ordered so that packets, and an lbd that starts after this one was killed, find at
// every moment either the old or the new:
//
//   rows that stay are told what the model says; new rows are written whole
//   rings are updated; those of new rows are filled while nobody can reach them
//   the index names new rows; a VIP's entry is switched from an old row to a new one
//   rows that nobody wants are retired; then the generation is stored
//
// All memory is allocated here once, so none of this can fail halfway.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int alloc_rows(struct publisher *p)
{
	const struct lb_meta *m = p->t->meta;

	p->services = calloc(m->service_n, sizeof(*p->services));
	p->backends = calloc(m->backend_n, sizeof(*p->backends));
	p->hops = calloc(m->hop_n, sizeof(*p->hops));
	p->eligible = calloc(m->backend_n, sizeof(*p->eligible));
	p->wanted = calloc(m->slot_n, sizeof(*p->wanted));
	p->dirty = calloc(m->service_n * 2, sizeof(*p->dirty));
	p->ranges = calloc(m->service_n, sizeof(*p->ranges));
	p->sweep.quiet = calloc(m->slot_n / 64 + 1, sizeof(*p->sweep.quiet));
	if (!p->services || !p->backends || !p->hops || !p->eligible || !p->wanted || !p->dirty ||
	    !p->ranges || !p->sweep.quiet)
		return -ENOMEM;
	if (map_init(&p->service_map, m->service_n) || map_init(&p->backend_map, m->backend_n) ||
	    map_init(&p->address_map, m->backend_n) || map_init(&p->hop_map, m->hop_n) ||
	    index_init(&p->service_index, p->t->service_index, m->service_shift) ||
	    index_init(&p->reverse_index, p->t->reverse_index, m->reverse_shift))
		return -ENOMEM;
	return 0;
}

int publisher_new(struct lb_tables *tables, struct publisher **ret, struct err *e)
{
	struct publisher *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, -ENOMEM, "publisher: out of memory");
	p->t = tables;
	p->sweep.service = 1;
	if (alloc_rows(p)) {
		publisher_free(p);
		return err_set(e, -ENOMEM, "publisher: out of memory");
	}
	*ret = p;
	return 0;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	index_fini(&p->service_index);
	index_fini(&p->reverse_index);
	map_fini(&p->service_map);
	map_fini(&p->backend_map);
	map_fini(&p->address_map);
	map_fini(&p->hop_map);
	free(p->pending_routes);
	free(p->sweep.quiet);
	free(p->ranges);
	free(p->dirty);
	free(p->wanted);
	free(p->eligible);
	free(p->hops);
	free(p->backends);
	free(p->services);
	free(p);
}

void publisher_set_quiet(struct publisher *p, uint32_t quiet_s)
{
	p->quiet_s = quiet_s;
	p->has_quiet = true;
}

void publisher_hold(struct publisher *p)
{
	p->held++;
}

void publisher_release(struct publisher *p, uint32_t now_s)
{
	p->now_s = now_s;
	p->held--;
	ring_flush(p);
}

// ---- apply ----

static const int families[2] = {4, 6};

// A row of the tables that a service of the model has.
struct claim {
	const struct model_service *service;
	uint32_t row;
	int family;
	bool is_new;
};

// Lists what the model needs, with the rows that can go on.
static struct claim *list_claims(struct publisher *p, const struct model *m, size_t *ret_n)
{
	struct claim *claims = calloc(m->services_n * 2 + 1, sizeof(*claims));
	size_t n = 0;

	for (size_t i = 0; claims && i < m->services_n * 2; i++) {
		const struct model_service *s = &m->services[i / 2];
		int family = families[i % 2];
		uint32_t row;

		if (!service_vip(s, family))
			continue;
		row = service_lookup(p, publish_name_hash(s->name), family);
		if (row && !service_fits(p, row, s, family))
			row = 0;
		claims[n++] = (struct claim){.service = s, .row = row, .family = family};
	}
	*ret_n = n;
	return claims;
}

static void update_backend(struct publisher *p, uint32_t row, const struct model_backend *b)
{
	struct pub_backend *own = &p->backends[row];

	if (!own->is_wanted) {
		own->is_wanted = true;
		own->is_clean = false; // whatever this round has seen of it so far
		p->leaving_n--;
	}
	own->is_listed = true;
	own->weight = b->weight;
	own->wanted_state = (uint8_t)b->state;
	// It is not checked while it is disabled: what was known of it is stale.
	if (b->state == MODEL_DISABLED)
		own->health = HEALTH_UNKNOWN;
	backend_set_flags(p, row);
}

// A check that is new to a running service takes no backend away before it has failed.
static void begin_checks(struct publisher *p, uint32_t service)
{
	for (uint32_t row = p->services[service].first_backend; row; row = p->backends[row].next)
		if (backend_is_live(p, row) && p->backends[row].health == HEALTH_UNKNOWN &&
		    p->backends[row].wanted_state != MODEL_DISABLED)
			p->backends[row].health = HEALTH_UP;
}

static int update_backends(struct publisher *p, const struct claim *c)
{
	const struct model_service *m = c->service;
	struct pub_service *s = &p->services[c->row];

	for (uint32_t row = s->first_backend; row; row = p->backends[row].next)
		p->backends[row].is_listed = false;
	for (size_t i = 0; i < m->backends_n; i++) {
		const struct model_backend *b = &m->backends[i];
		uint32_t row;

		if (!service_has_backend(m, c->family, b))
			continue;
		row = backend_lookup(p, c->row, &b->address, b->port);
		if (!row)
			row = backend_add(p, c->row, m, b);
		if (!row)
			return -ENOSPC;
		update_backend(p, row, b);
	}
	for (uint32_t row = s->first_backend; row; row = p->backends[row].next)
		if (backend_is_live(p, row) && p->backends[row].is_wanted &&
		    !p->backends[row].is_listed)
			backend_leave(p, row, p->now_s + PUBLISH_LEAVE_DEFAULT_S);
	return 0;
}

static int update_service(struct publisher *p, struct claim *c)
{
	const struct model_service *m = c->service;
	bool has_check = m->check.type != MODEL_CHECK_NONE;
	struct pub_service *s;

	if (!c->row) {
		c->row = service_add(p, m, c->family);
		c->is_new = true;
	}
	if (!c->row)
		return -ENOSPC;
	s = &p->services[c->row];
	memcpy(s->name, m->name, sizeof(s->name));
	if (has_check && !s->has_check && !c->is_new)
		begin_checks(p, c->row);
	s->has_check = has_check;
	s->keeps = m->on_down == MODEL_KEEP;
	s->rejects = m->on_empty == MODEL_REJECT;
	service_set_tracking(p, c->row, m->tracking);
	publish_store_32(p, &p->t->services[c->row].idle_s, m->idle_s);
	return update_backends(p, c);
}

// Replies of nat belong to one row an address, port and protocol.
static int claim_replies(struct publisher *p, const struct claim *c)
{
	for (uint32_t row = p->services[c->row].first_backend; row; row = p->backends[row].next) {
		if (p->t->backends[row].mode != LB_MODE_NAT || !backend_is_live(p, row) ||
		    !p->backends[row].is_wanted || reverse_is_claimed(p, row))
			continue;
		if (reverse_claim(p, row) < 0)
			return -ENOSPC;
	}
	return 0;
}

static bool has_vip(const struct model_service *m, const struct lb_address *vip)
{
	for (size_t i = 0; i < m->vips_n; i++)
		if (address_is_equal(&m->vips[i], vip))
			return true;
	return false;
}

static int add_vips(struct publisher *p, const struct claim *c)
{
	const struct model_service *m = c->service;

	for (size_t i = 0; i < m->vips_n; i++)
		if (address_family(&m->vips[i]) == c->family &&
		    !service_add_vip(p, c->row, &m->vips[i]))
			return -ENOSPC;
	publish_store_32(p, &p->t->services[c->row].state, LB_ROW_LIVE);
	return 0;
}

static void del_vips(struct publisher *p, const struct claim *c)
{
	struct pub_service *s = &p->services[c->row];

	for (size_t i = 0; i < s->vips_n;) {
		if (has_vip(c->service, &s->vips[i]))
			i++;
		else
			service_del_vip(p, c->row, &s->vips[i]);
	}
}

static int publish_claims(struct publisher *p, struct claim *claims, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (update_service(p, &claims[i]))
			return -ENOSPC;
	for (size_t i = 0; i < n; i++) {
		if (claim_replies(p, &claims[i]))
			return -ENOSPC;
		ring_touch(p, claims[i].row);
	}
	ring_flush(p);
	for (size_t i = 0; i < n; i++)
		if (add_vips(p, &claims[i]))
			return -ENOSPC;
	// A VIP that moved is another service's by now.
	for (size_t i = 0; i < n; i++)
		del_vips(p, &claims[i]);
	return 0;
}

static void retire_unwanted(struct publisher *p)
{
	for (uint32_t row = 1; row < p->t->meta->service_n; row++)
		if (p->services[row].is_in_use && !p->services[row].is_wanted)
			service_retire(p, row);
}

int publisher_apply(struct publisher *p, const struct model *m, uint32_t now_s, struct err *e)
{
	struct claim *claims;
	size_t n;
	int rc;

	p->now_s = now_s;
	claims = list_claims(p, m, &n);
	if (!claims)
		return err_set(e, -ENOMEM, "services: out of memory");
	slots_list(p);
	for (uint32_t row = 1; row < p->t->meta->service_n; row++)
		p->services[row].is_wanted = false;
	for (size_t i = 0; i < n; i++)
		if (claims[i].row)
			p->services[claims[i].row].is_wanted = true;
	rc = publish_claims(p, claims, n);
	free(claims);
	if (rc)
		return err_set(e, rc, "services: a table is full: raise the limits in lbd.yaml");
	retire_unwanted(p);
	ring_flush(p);
	publish_store_64(p, &p->t->meta->generation, m->generation);
	return 0;
}

// ---- what is told between ----

void publisher_set_health(struct publisher *p, const char *service,
			  const struct lb_address *address, uint16_t port, enum health_state health,
			  uint32_t now_s)
{
	p->now_s = now_s;
	for (size_t i = 0; i < 2; i++) {
		uint32_t row = service_lookup(p, publish_name_hash(service), families[i]);
		uint32_t backend = row ? backend_lookup(p, row, address, port) : 0;

		// One that is disabled is not checked: this answer is late. One that is leaving is:
		// it may come back, and its connections are reset if it dies.
		if (!backend || p->backends[backend].wanted_state == MODEL_DISABLED)
			continue;
		p->backends[backend].health = (uint8_t)health;
		backend_set_flags(p, backend);
		ring_touch(p, row);
	}
	ring_flush(p);
}

int publisher_set_deadline(struct publisher *p, const char *service,
			   const struct lb_address *address, uint16_t port, uint32_t deadline_s,
			   uint32_t now_s)
{
	int rc = -ENOENT;

	p->now_s = now_s;
	for (size_t i = 0; i < 2; i++) {
		uint32_t row = service_lookup(p, publish_name_hash(service), families[i]);
		uint32_t backend = row ? backend_lookup(p, row, address, port) : 0;

		if (!backend || !backend_is_leaving(p, backend))
			continue;
		rc = 0;
		p->backends[backend].deadline_s = deadline_s;
		if (publish_age(p->earliest_deadline_s, deadline_s))
			p->earliest_deadline_s = deadline_s;
		if (!publish_age(deadline_s, now_s))
			backend_retire(p, backend);
	}
	ring_flush(p);
	return rc;
}
