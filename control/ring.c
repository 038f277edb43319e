// SPDX-License-Identifier: BSD-2-Clause
//
// A service's ring: which backends are eligible, Maglev over them, and from that what
// each slot says. Here is one half of tracking on demand (dataplane/core/select.h has
// the packets' half, sweep.c what comes later). What must hold at every moment:
//
//   every live connection either has an entry, or lives on its slot's settled.
//
// So current may be set to anything at any time, as long as packets look entries up
// from then on (`lookup`). Settled may be replaced only where no connection lives on
// it: it is down under `on_down: reset` (its connections are lost, and the new one
// resets them), or it is "none", to which no packet was ever sent.
//
// `lookup` is set together with every change, even where a slot goes from one backend
// to another with current == settled: an entry that names the old one may be alive,
// and if that backend comes back while the flow has another connection by then, the
// entry would take it. The sweep clears `lookup` when it has seen no such entry. Only
// (none, none) without lookup needs none: no entry of the slot is alive.
#include "control/publish_rows.h"

#include <arpa/inet.h>
#include <string.h>

static void count_slot(struct publisher *p, uint32_t service, uint32_t word, int by)
{
	uint32_t current = LB_SLOT_CURRENT(word), settled = LB_SLOT_SETTLED(word);

	if (word & LB_SLOT_LOOKUP) {
		p->services[service].lookups_n += (uint32_t)by;
		p->lookups_n += (uint32_t)by;
	}
	p->backends[current].current_n += (uint32_t)by;
	p->backends[settled].settled_n += (uint32_t)by;
	if (current != settled)
		p->backends[settled].moving_n += (uint32_t)by;
}

static void note_unnamed(struct publisher *p, uint32_t row)
{
	if (!p->backends[row].current_n && !p->backends[row].settled_n)
		p->backends[row].unnamed_s = p->now_s;
}

void slot_store(struct publisher *p, uint32_t service, uint32_t slot, uint32_t word)
{
	uint32_t old = *slot_word(p, slot);

	if (old == word)
		return;
	// Whatever the sweep has seen of this slot so far was seen of another word.
	p->sweep.quiet[slot / 64] &= ~(1ull << slot % 64);
	count_slot(p, service, word, 1);
	count_slot(p, service, old, -1);
	publish_store_32(p, slot_word(p, slot), word);
	note_unnamed(p, LB_SLOT_CURRENT(old));
	note_unnamed(p, LB_SLOT_SETTLED(old));
}

void ring_count(struct publisher *p, uint32_t service)
{
	const struct lb_service *s = &p->t->services[service];

	for (uint32_t i = 0; i < s->ring_len; i++)
		count_slot(p, service, *slot_word(p, s->ring_offset + i), 1);
}

// ---- who is eligible ----

bool backend_is_eligible(const struct publisher *p, uint32_t row)
{
	const struct lb_backend *b = &p->t->backends[row];
	const struct pub_backend *own = &p->backends[row];

	if (b->state != LB_ROW_LIVE || !own->is_wanted || own->wanted_state != MODEL_ENABLED ||
	    !own->weight || !b->hop)
		return false;
	if (p->services[b->service].has_check && own->health != HEALTH_UP)
		return false;
	return b->mode != LB_MODE_NAT || reverse_is_claimed(p, row);
}

// Fills p->eligible. @ret_hash does not depend on the order.
static size_t list_eligible(struct publisher *p, uint32_t service, uint64_t *ret_hash)
{
	size_t n = 0;

	*ret_hash = 0;
	for (uint32_t row = p->services[service].first_backend; row; row = p->backends[row].next) {
		const struct lb_backend *b = &p->t->backends[row];
		const uint32_t key[2] = {row, p->backends[row].weight};

		if (!backend_is_eligible(p, row))
			continue;
		*ret_hash += map_hash(MAP_HASH_START, key, sizeof(key));
		p->eligible[n++] = (struct maglev_backend){.address = b->address,
							   .port = ntohs(b->port),
							   .weight = p->backends[row].weight,
							   .value = row};
	}
	return n;
}

void ring_set_dirty(struct publisher *p, uint32_t service)
{
	struct pub_service *s = &p->services[service];

	if (s->is_dirty || !s->is_in_use)
		return;
	s->is_dirty = true;
	p->dirty[p->dirty_n++] = service;
}

// Whether the service refuses while it has no live backend: once each of its own was judged, by
// checks, or where there are none by its next hop being known. Before that it is silent, so that a
// balancer that starts, or a service that is new, resets nobody.
static bool is_judged(const struct publisher *p, uint32_t service)
{
	const struct pub_service *s = &p->services[service];

	for (uint32_t i = s->first_backend; i; i = p->backends[i].next) {
		const struct pub_backend *own = &p->backends[i];

		if (!backend_is_live(p, i) || !own->is_wanted || own->wanted_state != MODEL_ENABLED)
			continue;
		if (s->has_check ? own->health == HEALTH_UNKNOWN : !p->t->backends[i].hop)
			return false;
	}
	return true;
}

static void set_refusing(struct publisher *p, uint32_t service, bool refuses)
{
	const struct pub_service *s = &p->services[service];
	struct lb_service *row = &p->t->services[service];
	uint32_t flags = refuses && s->rejects ? LB_SERVICE_REJECT : 0;

	if (s->is_in_use && row->flags != flags)
		publish_store_32(p, &row->flags, flags);
}

void ring_touch(struct publisher *p, uint32_t service)
{
	uint64_t hash;

	list_eligible(p, service, &hash);
	if (hash != p->services[service].eligible_hash)
		ring_set_dirty(p, service);
	else
		set_refusing(p, service, is_judged(p, service));
}

void ring_flush(struct publisher *p)
{
	uint32_t n = p->dirty_n;

	if (p->held)
		return;
	p->dirty_n = 0;
	// A ring that could not be built is appended again, for the next call.
	for (uint32_t i = 0; i < n; i++) {
		p->services[p->dirty[i]].is_dirty = false;
		ring_update(p, p->dirty[i]);
	}
}

// ---- what a slot says ----

static bool has_no_connection(const struct publisher *p, uint32_t settled)
{
	return !settled || p->t->backends[settled].flags & LB_BACKEND_RESET;
}

// Makes @wanted the slot's current.
static void turn_slot(struct publisher *p, uint32_t service, uint32_t slot, uint32_t wanted)
{
	uint32_t word = *slot_word(p, slot);
	uint32_t current = LB_SLOT_CURRENT(word), settled = LB_SLOT_SETTLED(word);
	bool lookup = word & LB_SLOT_LOOKUP;
	uint32_t new_settled = has_no_connection(p, settled) ? wanted : settled;

	if (wanted != current)
		p->services[service].changed_s = p->now_s;
	if (word)
		lookup |= wanted != current || new_settled != settled;
	// While they are equal and lookup is clear, packets do not stamp the slot: connections may
	// have been heard of up to now.
	if (current == settled && wanted != new_settled)
		publish_store_32(p, slot_time(p, slot), p->now_s);
	slot_store(p, service, slot, LB_SLOT_WORD(wanted, new_settled, lookup));
}

// Fills p->wanted. Where Maglev fails by memory, slots stay where they are if they can, the ring is
// as even as that makes it, and is built at the next flush.
static void build_ring(struct publisher *p, uint32_t service, size_t eligible_n)
{
	const struct lb_service *s = &p->t->services[service];

	if (!eligible_n) {
		memset(p->wanted, 0, s->ring_len * sizeof(*p->wanted));
		return;
	}
	if (!maglev_build(p->eligible, eligible_n, (const uint64_t *)p->t->meta->hash_key,
			  p->wanted, s->ring_len))
		return;
	for (uint32_t i = 0; i < s->ring_len; i++) {
		uint32_t current = LB_SLOT_CURRENT(*slot_word(p, s->ring_offset + i));

		p->wanted[i] = current && backend_is_eligible(p, current)
				       ? current
				       : p->eligible[i % eligible_n].value;
	}
	ring_set_dirty(p, service);
}

void ring_update(struct publisher *p, uint32_t service)
{
	const struct lb_service *s = &p->t->services[service];
	uint64_t hash;
	size_t n;

	if (!p->services[service].is_in_use)
		return;
	// Silent before its slots are emptied, refusing when they are filled: never in between.
	set_refusing(p, service, false);
	n = list_eligible(p, service, &hash);
	build_ring(p, service, n);
	p->services[service].eligible_hash = hash;
	for (uint32_t i = 0; i < s->ring_len; i++) {
		// Without tracking everything goes to current, so connections live there alone.
		if (s->tracking == LB_TRACK_NONE)
			slot_store(p, service, s->ring_offset + i,
				   LB_SLOT_WORD(p->wanted[i], p->wanted[i], 0));
		else
			turn_slot(p, service, s->ring_offset + i, p->wanted[i]);
	}
	set_refusing(p, service, is_judged(p, service));
}
