// SPDX-License-Identifier: BSD-2-Clause
//
// What a starting lbd finds in the tables. They may be new, as an lbd left them, or
// half changed by one that was killed between any two stores. Each row's own words say
// what it is (publish_rows.c has the order that makes this so):
//
//   service live, or free but named by the index    in use
//   service retired                                 so are its backends
//   backend live, its service in use                wanted or leaving: the model says
//   backend live, its service free                  was never reached: free at once
//   index entry without value, but with a key       waits for the grace period
//
// All that is kept beside the tables (counts, lists, maps) is built anew. Whatever
// is asked of packets still under way counts from now on. Then publisher_apply() does
// what is left to do; where there is nothing to do, it stores nothing.
#include "control/publish_rows.h"

#include <errno.h>
#include <string.h>

static bool is_key(const struct lb_index_entry *e)
{
	return e->address.halves[0] || e->address.halves[1];
}

static bool is_vip(const struct lb_index_entry *e)
{
	return !e->protocol && !e->port;
}

static void adopt_index(struct publisher *p, struct pub_index *x)
{
	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++) {
		const struct lb_index_entry *e = index_entry(x, n);

		x->entries[n].is_tombstone = !e->value && is_key(e);
		x->entries[n].freed_s = p->now_s;
		x->entries[n].is_of_host = is_vip(e) && e->value & LB_VIP_OF_HOST;
	}
}

// ---- services ----

static void adopt_service(struct publisher *p, uint32_t row)
{
	const struct lb_service *s = &p->t->services[row];

	p->services[row] = (struct pub_service){
		.is_in_use = true,
		.changed_s = p->now_s,
		.want_tracking = s->tracking,
		// So that no check counts as new: health is read from the tables.
		.has_check = true,
	};
	service_link(p, row);
}

static void adopt_services(struct publisher *p)
{
	const struct pub_index *x = &p->service_index;

	for (uint32_t row = 1; row < p->t->meta->service_n; row++) {
		if (p->t->services[row].state == LB_ROW_LIVE)
			adopt_service(p, row);
		p->retired_services_n += p->t->services[row].state == LB_ROW_RETIRED;
	}
	// Named, but killed before it said that it is live.
	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++) {
		const struct lb_index_entry *e = index_entry(x, n);
		uint32_t row = is_vip(e) ? 0 : LB_SERVICE_ROW(e->value);

		if (!row || row >= p->t->meta->service_n || p->services[row].is_in_use ||
		    p->t->services[row].state != LB_ROW_FREE)
			continue;
		adopt_service(p, row);
	}
}

// Of several rows of one name and family (killed while a service was replaced) the one goes on that
// suits the model.
static void choose_services(struct publisher *p, const struct model *m)
{
	for (size_t i = 0; i < m->services_n * 2; i++) {
		const struct model_service *s = &m->services[i / 2];
		uint64_t name_hash = publish_name_hash(s->name);
		int family = i % 2 ? 6 : 4;
		uint32_t row, chosen = 0;

		if (!service_vip(s, family))
			continue;
		while ((row = service_lookup(p, name_hash, family))) {
			if (!chosen && service_fits(p, row, s, family))
				chosen = row;
			service_unlink(p, row);
		}
		if (chosen)
			service_link(p, chosen);
	}
}

static void adopt_vips(struct publisher *p)
{
	struct pub_index *x = &p->service_index;

	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++) {
		const struct lb_index_entry *e = index_entry(x, n);
		uint32_t row = LB_SERVICE_ROW(e->value);

		if (is_vip(e) || !e->value)
			continue;
		if (row >= p->t->meta->service_n || !p->services[row].is_in_use)
			index_clear(p, x, n);
		else
			vip_count(p, row, &e->address);
	}
	for (uint32_t row = 1; row < p->t->meta->service_n; row++)
		service_publish(p, row, p->t->services[row].tracking);
	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++)
		if (is_vip(index_entry(x, n)) && index_entry(x, n)->value)
			vip_publish(p, n);
}

// ---- backends ----

static void adopt_member(struct publisher *p, uint32_t row)
{
	struct pub_backend *own = &p->backends[row];

	own->unnamed_s = p->now_s;
	own->health = p->t->backends[row].flags & LB_BACKEND_DOWN ? HEALTH_DOWN : HEALTH_UNKNOWN;
	p->leaving_n++; // until the model says that it is wanted
	own->deadline_s = p->now_s + PUBLISH_LEAVE_DEFAULT_S;
	hop_recall(p, row);
	link_leave(p, row); // if it is not its hop's
	backend_set_way(p, row);
	backend_link(p, row);
}

static void adopt_backend(struct publisher *p, uint32_t row)
{
	struct lb_backend *b = &p->t->backends[row];
	bool is_orphan = b->service >= p->t->meta->service_n ||
			 (p->t->services[b->service].state == LB_ROW_FREE &&
			  !p->services[b->service].is_in_use);

	if (b->state == LB_ROW_FREE)
		return;
	if (is_orphan) {
		publish_store_8(p, &b->way, 0);
		publish_store_32(p, &b->state, LB_ROW_FREE);
	} else if (b->state == LB_ROW_LIVE) {
		adopt_member(p, row);
		if (!p->services[b->service].is_in_use)
			backend_retire(p, row);
	} else {
		p->backends[row].unnamed_s = p->now_s;
		p->retired_backends_n++;
		backend_link(p, row);
	}
}

static void adopt_rings(struct publisher *p)
{
	for (uint32_t row = 1; row < p->t->meta->service_n; row++) {
		if (!p->services[row].is_in_use)
			continue;
		ring_count(p, row);
		ring_set_dirty(p, row);
	}
	for (uint32_t row = 1; row < p->t->meta->backend_n; row++)
		if (p->backends[row].current_n && p->backends[row].health == HEALTH_UNKNOWN)
			p->backends[row].health = HEALTH_UP;
}

static void adopt_replies(struct publisher *p)
{
	struct pub_index *x = &p->reverse_index;

	for (uint32_t n = 0; n < (x->mask + 1) * LB_INDEX_ENTRIES; n++) {
		const struct lb_index_entry *e = index_entry(x, n);
		const struct lb_backend *b = &p->t->backends[e->value];

		if (!e->value)
			continue;
		if (e->value >= p->t->meta->backend_n || b->state != LB_ROW_LIVE ||
		    b->mode != LB_MODE_NAT || b->port != e->port || b->protocol != e->protocol ||
		    !address_is_equal(&b->address, &e->address))
			index_clear(p, x, n);
	}
}

int publisher_adopt(struct publisher *p, const struct model *m, uint32_t now_s, struct err *e)
{
	int rc;

	p->now_s = now_s;
	// Which sets the daemon before this one has just left is not known.
	for (uint32_t i = 0; i < LB_ROUTE_SETS; i++)
		p->routes_left_s[i] = p->t->meta->generation ? now_s : now_s - PUBLISH_GRACE_S - 1;
	p->earliest_deadline_s = now_s + PUBLISH_LEAVE_DEFAULT_S;
	for (uint32_t row = 1; row < p->t->meta->hop_n; row++)
		hop_adopt(p, row);
	adopt_index(p, &p->service_index);
	adopt_index(p, &p->reverse_index);
	adopt_services(p);
	for (uint32_t row = 1; row < p->t->meta->backend_n; row++)
		adopt_backend(p, row);
	adopt_rings(p);
	choose_services(p, m);
	adopt_vips(p);
	adopt_replies(p);
	routes_count(p, 1);
	// Only now is it known what the tables hold of the model already.
	rc = publisher_check(p, m, e);
	if (rc)
		return rc;
	rc = publisher_apply(p, m, now_s, e);
	if (!rc)
		hops_retire_unnamed(p);
	return rc;
}
