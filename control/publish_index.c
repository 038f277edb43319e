// SPDX-License-Identifier: BSD-2-Clause
//
// The two indexes that packets search: (VIP, protocol, port) -> service row, and for
// the replies of nat (backend address, protocol, port) -> backend row. Lines of two
// entries; a key lies in the line that it hashes to or in one of the next seven, and
// `more` in each line on the way says so (tables.h).
//
// A key is written while its value is 0, then `more` on the way, then the value. When
// a key goes, its value becomes 0 first. The entry then waits for the grace period,
// because a packet may still be comparing its key; the same key may come back at once.
//
// The entry of a VIP itself (protocol 0, port 0) is shared by the services that have
// the VIP: it is counted here, and goes with the last.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/index.h"

int index_init(struct pub_index *x, struct lb_index_line *lines, uint32_t shift)
{
	x->lines = lines;
	x->shift = shift;
	x->mask = (uint32_t)(LB_INDEX_LINES(shift) - 1);
	x->entries = calloc(((size_t)x->mask + 1) * LB_INDEX_ENTRIES, sizeof(*x->entries));
	return x->entries ? 0 : -ENOMEM;
}

void index_fini(struct pub_index *x)
{
	free(x->entries);
	x->entries = NULL;
}

struct lb_index_entry *index_entry(const struct pub_index *x, uint32_t entry)
{
	return &x->lines[entry / LB_INDEX_ENTRIES].entries[entry % LB_INDEX_ENTRIES];
}

static uint32_t home_line(const struct pub_index *x, const struct lb_address *address,
			  uint8_t protocol, uint16_t port_be)
{
	return lb_index_at(lb_index_hash(address, protocol, port_be), x->shift, 0);
}

static uint32_t home_of(const struct pub_index *x, const struct lb_index_entry *e)
{
	return home_line(x, &e->address, e->protocol, e->port);
}

static bool is_key(const struct lb_index_entry *e, const struct lb_address *address,
		   uint8_t protocol, uint16_t port_be)
{
	return e->protocol == protocol && e->port == port_be &&
	       address_is_equal(&e->address, address);
}

static uint32_t entry_number(const struct pub_index *x, uint32_t home, uint32_t i)
{
	return ((home + i / LB_INDEX_ENTRIES) & x->mask) * LB_INDEX_ENTRIES + i % LB_INDEX_ENTRIES;
}

// A table may be smaller than a probe is long.
static uint32_t probe_entries(const struct pub_index *x)
{
	uint32_t lines = x->mask + 1 < LB_INDEX_PROBE ? x->mask + 1 : LB_INDEX_PROBE;

	return lines * LB_INDEX_ENTRIES;
}

int64_t index_lookup(const struct pub_index *x, const struct lb_address *address, uint8_t protocol,
		     uint16_t port_be)
{
	uint32_t home = home_line(x, address, protocol, port_be);
	int64_t without_value = -1;

	for (uint32_t i = 0; i < probe_entries(x); i++) {
		uint32_t n = entry_number(x, home, i);
		const struct lb_index_entry *e = index_entry(x, n);

		if (!is_key(e, address, protocol, port_be))
			continue;
		if (e->value)
			return n;
		// A free entry of zeros is no key that was here.
		if (x->entries[n].is_tombstone && !x->entries[n].is_reserved)
			without_value = n;
	}
	return without_value;
}

uint64_t index_value(const struct pub_index *x, const struct lb_address *address, uint8_t protocol,
		     uint16_t port_be)
{
	int64_t n = index_lookup(x, address, protocol, port_be);

	return n < 0 ? 0 : index_entry(x, (uint32_t)n)->value;
}

int64_t index_place(const struct publisher *p, const struct pub_index *x,
		    const struct lb_address *address, uint8_t protocol, uint16_t port_be)
{
	uint32_t home = home_line(x, address, protocol, port_be);

	for (uint32_t i = 0; i < probe_entries(x); i++) {
		uint32_t n = entry_number(x, home, i);
		const struct pub_index_entry *own = &x->entries[n];

		if (!index_entry(x, n)->value && !own->is_reserved &&
		    (!own->is_tombstone || publish_is_past_grace(p, own->freed_s)))
			return n;
	}
	return -1;
}

static void write_key(struct publisher *p, struct lb_index_entry *e,
		      const struct lb_address *address, uint8_t protocol, uint16_t port_be)
{
	struct lb_index_entry key = *e; // keeps `more`

	key.address = *address;
	key.protocol = protocol;
	key.port = port_be;
	publish_store_bytes(p, e, &key, sizeof(key));
}

// Before the value: a packet looks for no address whose byte is 0. Bytes stay set; a stale one
// costs packets to that address a look-up.
static void filter_add(struct publisher *p, const struct lb_address *address)
{
	__u8 *at = &p->t->meta->vip_filter[lb_index_filter_at(address)];

	publish_store_8(p, at, 1);
}

int64_t index_set(struct publisher *p, struct pub_index *x, const struct lb_address *address,
		  uint8_t protocol, uint16_t port_be, uint64_t value)
{
	uint32_t home = home_line(x, address, protocol, port_be);
	int64_t n = index_lookup(x, address, protocol, port_be);
	struct lb_index_entry *e;

	if (n < 0) {
		n = index_place(p, x, address, protocol, port_be);
		if (n < 0)
			return -1;
		x->entries[n] = (struct pub_index_entry){0};
		write_key(p, index_entry(x, (uint32_t)n), address, protocol, port_be);
	}
	e = index_entry(x, (uint32_t)n);
	if (e->value == value)
		return n;
	for (uint32_t line = home; line != n / LB_INDEX_ENTRIES; line = (line + 1) & x->mask)
		publish_store_8(p, &x->lines[line].entries[0].more, 1);
	x->entries[n].is_tombstone = false;
	if (x == &p->service_index)
		filter_add(p, address);
	publish_store_64(p, &e->value, value);
	return n;
}

// Whether a key lies behind @line that a look-up reaches by way of @line.
static bool is_passed(const struct pub_index *x, uint32_t line)
{
	for (uint32_t i = LB_INDEX_ENTRIES; i < probe_entries(x); i++) {
		uint32_t n = entry_number(x, line, i);
		const struct lb_index_entry *e = index_entry(x, n);
		uint32_t from_home = (n / LB_INDEX_ENTRIES - home_of(x, e)) & x->mask;

		if (e->value && from_home >= i / LB_INDEX_ENTRIES)
			return true;
	}
	return false;
}

void index_clear(struct publisher *p, struct pub_index *x, uint32_t entry)
{
	struct lb_index_entry *e = index_entry(x, entry);

	publish_store_64(p, &e->value, 0);
	x->entries[entry] = (struct pub_index_entry){.is_tombstone = true, .freed_s = p->now_s};
	for (uint32_t line = home_of(x, e); line != entry / LB_INDEX_ENTRIES;
	     line = (line + 1) & x->mask)
		if (!is_passed(x, line))
			publish_store_8(p, &x->lines[line].entries[0].more, 0);
}

// ---- VIPs ----

static uint32_t vip_value(const struct pub_index_entry *own)
{
	return LB_VIP_KNOWN | (own->is_of_host ? LB_VIP_OF_HOST : 0) |
	       (own->any_refs ? LB_VIP_ANY_PORT : 0);
}

void vip_publish(struct publisher *p, uint32_t entry)
{
	struct pub_index_entry *own = &p->service_index.entries[entry];

	if (own->refs)
		publish_store_64(p, &index_entry(&p->service_index, entry)->value, vip_value(own));
	else
		index_clear(p, &p->service_index, entry);
}

int64_t vip_count(struct publisher *p, uint32_t row, const struct lb_address *vip)
{
	struct pub_index *x = &p->service_index;
	struct pub_service *s = &p->services[row];
	bool is_any = !p->t->services[row].port;
	int64_t n = index_lookup(x, vip, 0, 0);

	if (n < 0 || !index_entry(x, (uint32_t)n)->value)
		n = index_set(p, x, vip, 0, 0, LB_VIP_KNOWN | (is_any ? LB_VIP_ANY_PORT : 0));
	if (n < 0)
		return -1;
	x->entries[n].refs++;
	x->entries[n].any_refs += is_any;
	s->vips[s->vips_n++] = *vip;
	return n;
}

static bool has_vip(const struct pub_service *s, const struct lb_address *vip)
{
	for (size_t i = 0; i < s->vips_n; i++)
		if (address_is_equal(&s->vips[i], vip))
			return true;
	return false;
}

static uint64_t service_word(const struct publisher *p, uint32_t row, uint8_t tracking)
{
	const struct lb_service *s = &p->t->services[row];

	return LB_SERVICE_WORD(row, tracking, s->ring_offset, s->ring_len);
}

void service_publish(struct publisher *p, uint32_t row, uint8_t tracking)
{
	const struct lb_service *s = &p->t->services[row];
	struct pub_index *x = &p->service_index;

	for (size_t i = 0; i < p->services[row].vips_n; i++) {
		int64_t n = index_lookup(x, &p->services[row].vips[i], s->protocol, s->port);

		// Another service may have taken the VIP over by now.
		if (n >= 0 && LB_SERVICE_ROW(index_entry(x, (uint32_t)n)->value) == row)
			publish_store_64(p, &index_entry(x, (uint32_t)n)->value,
					 service_word(p, row, tracking));
	}
}

bool service_add_vip(struct publisher *p, uint32_t row, const struct lb_address *vip)
{
	const struct lb_service *s = &p->t->services[row];
	int64_t n;

	// Before the VIP's own entry, which may send every port's packets here.
	if (index_set(p, &p->service_index, vip, s->protocol, s->port,
		      service_word(p, row, s->tracking)) < 0)
		return false;
	if (has_vip(&p->services[row], vip))
		return true;
	n = vip_count(p, row, vip);
	if (n < 0)
		return false;
	vip_publish(p, (uint32_t)n);
	return true;
}

void service_del_vip(struct publisher *p, uint32_t row, const struct lb_address *vip)
{
	const struct lb_service *s = &p->t->services[row];
	struct pub_service *own = &p->services[row];
	struct pub_index *x = &p->service_index;
	const struct lb_address address = *vip; // which may lie in the list
	int64_t n = index_lookup(x, &address, s->protocol, s->port);

	// Another service may have taken the VIP over by now.
	if (n >= 0 && LB_SERVICE_ROW(index_entry(x, (uint32_t)n)->value) == row)
		index_clear(p, x, (uint32_t)n);
	for (size_t i = 0; i < own->vips_n; i++)
		if (address_is_equal(&own->vips[i], &address))
			own->vips[i] = own->vips[--own->vips_n];
	n = index_lookup(x, &address, 0, 0);
	if (n < 0)
		return;
	x->entries[n].refs--;
	x->entries[n].any_refs -= !s->port;
	vip_publish(p, (uint32_t)n);
}

void publisher_set_vip_of_host(struct publisher *p, const struct lb_address *vip, bool of_host)
{
	int64_t n = index_lookup(&p->service_index, vip, 0, 0);

	if (n < 0 || !p->service_index.entries[n].refs)
		return;
	p->service_index.entries[n].is_of_host = of_host;
	vip_publish(p, (uint32_t)n);
}

// ---- replies of nat ----

bool reverse_is_claimed(const struct publisher *p, uint32_t row)
{
	const struct lb_backend *b = &p->t->backends[row];

	return index_value(&p->reverse_index, &b->address, b->protocol, b->port) == row;
}

static void set_waits(struct publisher *p, uint32_t row, bool waits)
{
	if (p->backends[row].waits == waits)
		return;
	p->backends[row].waits = waits;
	p->waiting_n += waits ? 1 : -1u;
}

int reverse_claim(struct publisher *p, uint32_t row)
{
	const struct lb_backend *b = &p->t->backends[row];
	uint32_t owner =
		(uint32_t)index_value(&p->reverse_index, &b->address, b->protocol, b->port);

	// A backend that moved here from another service and is leaving there still answers
	// that one's connections. One of a service that is to go at once does not matter.
	if (owner && owner != row && backend_is_live(p, owner) &&
	    p->services[p->t->backends[owner].service].is_wanted) {
		set_waits(p, row, true);
		return 0;
	}
	set_waits(p, row, false);
	return index_set(p, &p->reverse_index, &b->address, b->protocol, b->port, row) < 0 ? -1 : 1;
}

void reverse_release(struct publisher *p, uint32_t row)
{
	const struct lb_backend *b = &p->t->backends[row];
	uint32_t cursor = 0, other;
	int64_t n;

	set_waits(p, row, false);
	if (b->mode != LB_MODE_NAT || !reverse_is_claimed(p, row))
		return;
	while (p->waiting_n && (other = backend_next_of_address(p, &b->address, &cursor))) {
		const struct lb_backend *o = &p->t->backends[other];

		if (other == row || o->mode != LB_MODE_NAT || o->port != b->port ||
		    o->protocol != b->protocol || !p->backends[other].is_wanted)
			continue;
		set_waits(p, other, false);
		index_set(p, &p->reverse_index, &o->address, o->protocol, o->port, other);
		ring_touch(p, o->service);
		return;
	}
	n = index_lookup(&p->reverse_index, &b->address, b->protocol, b->port);
	index_clear(p, &p->reverse_index, (uint32_t)n);
}
