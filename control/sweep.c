// SPDX-License-Identifier: BSD-2-Clause
//
// What happens later: slots settle, `lookup` is cleared, rows go. A round reads the
// slots of the rings in transition, then the whole of the connection table, in steps
// of a few thousand lines:
//
//  slots        a slot whose settled got no untracked packet for the idle time:
//               settled = current. One with current == settled becomes `quiet`: it
//               may lose its lookup, unless this round sees an entry against that.
//  connections  an unexpired entry that names another backend than its slot's settled
//               unquiets the slot; any unexpired entry keeps its backend's row. What
//               has expired is cleared, so that times cannot wrap into the future.
//  slots again  what is still quiet loses its lookup.
//
// Why a round that takes a while is as good as a glance. Packets make entries that
// name their slot's current (tracking `always`: or its settled), and give an existing
// entry of a flow such a name; they refresh unexpired ones, and never move one. A
// quiet slot has current == settled and the same word for the whole round, for any
// change of it unquiets it (slot_store()); so behind the cursor nothing comes up in
// it that names another backend, but from a packet that read the slot's word before
// the last change of its current. Those are done after the grace period, and a slot
// becomes quiet no sooner.
//
// On this side an entry counts as unexpired, and a settled backend as lived on, for the
// grace period longer than on the packets' side, so the two never disagree the wrong
// way round: a packet that is refreshing an entry in its last second finds it.
//
// So a slot without lookup has no entry at all, not even an expired one, that names
// another backend: a longer idle time brings nothing back to life, and needs no care.
//
// A row is freed in the same manner: no slot named it when the connections were begun,
// for at least the grace period, and no unexpired entry was found to. Fragments follow
// their first one by a table of its own, which nobody sweeps: what it says of the row is
// waited for.
#include "control/publish_rows.h"

#include <string.h>

#include "dataplane/core/track.h"

// ---- tracking ----

// The row says that a service tracks only while all packets for it do so.
static void store_tracking(struct publisher *p, uint32_t row, uint8_t tracking)
{
	if (tracking != LB_TRACK_NONE)
		service_publish(p, row, tracking);
	publish_store_8(p, &p->t->services[row].tracking, tracking);
	service_publish(p, row, tracking);
}

// A service that tracked nothing for a while has entries whose flows may have other connections by
// now. So it begins to track when a whole round has cleared them; until then it goes on without.
void service_set_tracking(struct publisher *p, uint32_t row, uint8_t tracking)
{
	struct lb_service *s = &p->t->services[row];
	struct pub_service *own = &p->services[row];
	bool must_wait = s->tracking == LB_TRACK_NONE && tracking != LB_TRACK_NONE;

	own->want_tracking = tracking;
	if (must_wait && !own->purges) {
		own->purges = true;
		own->purges_in_round = false;
		own->purge_s = p->now_s;
		p->sweep.purges_n++;
	} else if (!must_wait && own->purges) {
		own->purges = false;
		p->sweep.purges_n--;
	}
	if (!must_wait && s->tracking != tracking) {
		store_tracking(p, row, tracking);
		ring_set_dirty(p, row);
	}
}

static void finish_purge(struct publisher *p, uint32_t row)
{
	struct pub_service *own = &p->services[row];

	own->purges = own->purges_in_round = false;
	p->sweep.purges_n--;
	store_tracking(p, row, own->want_tracking);
}

// ---- slots ----

static void sweep_slot(struct publisher *p, uint32_t service, uint32_t slot)
{
	uint32_t word = *slot_word(p, slot);
	uint32_t current = LB_SLOT_CURRENT(word), settled = LB_SLOT_SETTLED(word);
	uint64_t bit = 1ull << slot % 64, *quiet = &p->sweep.quiet[slot / 64];
	uint32_t time_s = __atomic_load_n(slot_time(p, slot), __ATOMIC_RELAXED);
	struct pub_backend *own = &p->backends[settled];

	if (!(word & LB_SLOT_LOOKUP))
		return;
	if (*quiet & bit) {
		slot_store(p, service, slot, LB_SLOT_WORD(current, settled, 0));
		return;
	}
	if (settled && (!own->untracked_so_far || publish_age(time_s, own->untracked_so_far)))
		own->untracked_so_far = time_s;
	if (current != settled &&
	    publish_age(p->now_s, time_s) > p->t->services[service].idle_s + PUBLISH_GRACE_S) {
		// A packet may be on its way to the old settled at this moment: it is the first in
		// the idle time, so its connection was not live. Under `always` it may be given an
		// entry; so the slot is not quiet before the next round.
		slot_store(p, service, slot, LB_SLOT_WORD(current, current, 1));
		return;
	}
	if (current == settled && publish_is_past_grace(p, p->services[service].changed_s))
		*quiet |= bit;
}

// Goes on where the last step ended. Returns the lines that are left of @lines.
static uint32_t sweep_slots(struct publisher *p, uint32_t lines)
{
	struct pub_sweep *w = &p->sweep;

	for (; w->service < p->t->meta->service_n; w->service++, w->slot = 0) {
		const struct lb_service *s = &p->t->services[w->service];

		while (w->slot < s->ring_len && p->services[w->service].lookups_n) {
			if (!lines)
				return 0;
			lines--;
			for (uint32_t i = 0; i < LB_SLOTS_PER_LINE && w->slot < s->ring_len; i++)
				sweep_slot(p, w->service, s->ring_offset + w->slot++);
		}
	}
	return lines;
}

void sweep_forget_ring(struct publisher *p, uint32_t service)
{
	const struct lb_service *s = &p->t->services[service];
	struct pub_service *own = &p->services[service];

	for (uint32_t slot = s->ring_offset; slot < s->ring_offset + s->ring_len; slot++)
		p->sweep.quiet[slot / 64] &= ~(1ull << slot % 64);
	p->lookups_n -= own->lookups_n;
	own->lookups_n = 0;
	p->sweep.purges_n -= own->purges;
	own->purges = own->purges_in_round = false;
}

// ---- connections ----

static bool is_swept_row(const struct publisher *p, uint32_t row)
{
	return p->t->backends[row].state == LB_ROW_RETIRED || backend_is_leaving(p, row);
}

static void begin_connections(struct publisher *p)
{
	const struct lb_meta *m = p->t->meta;

	p->sweep.phase = PUB_CONNECTIONS;
	p->sweep.line = 0;
	for (uint32_t row = 1; row < m->service_n && p->sweep.purges_n; row++)
		p->services[row].purges_in_round =
			p->services[row].purges &&
			publish_is_past_grace(p, p->services[row].purge_s);
	for (uint32_t row = 1; row < m->backend_n; row++) {
		struct pub_backend *own = &p->backends[row];

		own->untracked_s = own->untracked_so_far;
		own->untracked_so_far = 0;
		own->is_clean = is_swept_row(p, row) && !own->current_n && !own->settled_n &&
				publish_is_past_grace(p, own->unnamed_s);
	}
}

static void sweep_entry(struct publisher *p, __u64 *entry_word)
{
	__u64 word = lb_load64(entry_word);
	uint32_t slot = LB_ENTRY_SLOT(word), backend = LB_ENTRY_BACKEND(word), service;
	uint64_t bit = 1ull << slot % 64;
	bool is_wrong;

	if (!word || slot >= p->t->meta->slot_n || backend >= p->t->meta->backend_n)
		return;
	// A busy entry names backend 0, whose service is row 0; its life is no service's.
	service = p->t->backends[backend].service;
	is_wrong = p->services[service].purges_in_round &&
		   p->t->services[service].tracking == LB_TRACK_NONE;
	if (is_wrong ||
	    lb_track_is_expired(word, p->t->services[service].idle_s, p->now_s - PUBLISH_GRACE_S)) {
		lb_cas64(entry_word, word, 0);
		return;
	}
	p->backends[backend].tracked_so_far++;
	p->backends[backend].is_clean = false;
	if (p->sweep.quiet[slot / 64] & bit && LB_SLOT_SETTLED(*slot_word(p, slot)) != backend)
		p->sweep.quiet[slot / 64] &= ~bit;
}

// Returns the lines that are left of @lines.
static uint32_t sweep_connections(struct publisher *p, uint32_t lines)
{
	uint64_t end = (uint64_t)p->t->meta->connection_mask + 1;

	for (; p->sweep.line < end && lines; p->sweep.line++, lines--)
		for (size_t i = 0; i < LB_ENTRIES_PER_LINE; i++)
			sweep_entry(p, &p->t->connections[p->sweep.line].entries[i].word);
	return lines;
}

// ---- rows that go ----

static void free_services(struct publisher *p)
{
	const struct lb_meta *m = p->t->meta;

	for (uint32_t row = 1; row < m->service_n && p->retired_services_n; row++)
		if (p->t->services[row].state == LB_ROW_RETIRED &&
		    !p->services[row].first_backend &&
		    publish_is_past_grace(p, p->t->services[row].retired_s))
			service_free(p, row);
}

// The last first fragment that was sent to it has been forgotten.
static bool has_no_fragment(const struct publisher *p, uint32_t row)
{
	return publish_is_past_grace(p, p->t->backends[row].retired_s + LB_FRAGMENT_S);
}

static void end_connections(struct publisher *p)
{
	const struct lb_meta *m = p->t->meta;

	p->sweep.phase = PUB_SLOTS;
	p->sweep.service = 1;
	p->sweep.slot = 0;
	for (uint32_t row = 1; row < m->service_n && p->sweep.purges_n; row++)
		if (p->services[row].purges_in_round)
			finish_purge(p, row);
	for (uint32_t row = 1; row < m->backend_n; row++) {
		struct pub_backend *own = &p->backends[row];

		own->tracked = own->tracked_so_far;
		own->tracked_so_far = 0;
		if (!own->is_clean)
			continue;
		own->is_clean = false;
		if (backend_is_leaving(p, row))
			backend_retire(p, row);
		else if (p->t->backends[row].state == LB_ROW_RETIRED && has_no_fragment(p, row))
			backend_free(p, row);
	}
	free_services(p);
	links_renew_left(p);
	hops_free_retired(p);
}

static void cut_overdue(struct publisher *p)
{
	uint32_t earliest_s = p->now_s + PUBLISH_LEAVE_DEFAULT_S;

	if (!p->leaving_n || publish_age(p->earliest_deadline_s, p->now_s))
		return;
	for (uint32_t row = 1; row < p->t->meta->backend_n; row++) {
		if (!backend_is_leaving(p, row))
			continue;
		if (!publish_age(p->backends[row].deadline_s, p->now_s))
			backend_retire(p, row);
		else if (publish_age(earliest_s, p->backends[row].deadline_s))
			earliest_s = p->backends[row].deadline_s;
	}
	p->earliest_deadline_s = earliest_s;
}

bool publisher_sweep(struct publisher *p, uint32_t lines, uint32_t now_s)
{
	p->now_s = now_s;
	cut_overdue(p);
	ring_flush(p);
	routes_flush(p);
	if (p->sweep.phase == PUB_SLOTS) {
		lines = sweep_slots(p, lines);
		if (p->sweep.service == p->t->meta->service_n)
			begin_connections(p);
	}
	if (p->sweep.phase == PUB_CONNECTIONS) {
		sweep_connections(p, lines);
		if (p->sweep.line > p->t->meta->connection_mask)
			end_connections(p);
	}
	ring_flush(p);
	return p->lookups_n || p->leaving_n || p->retired_backends_n || p->retired_services_n ||
	       p->retired_hops_n || p->sweep.purges_n || p->pending_routes || p->dirty_n;
}

static bool is_between_rounds(const struct publisher *p)
{
	return p->sweep.phase == PUB_SLOTS && p->sweep.service == 1 && !p->sweep.slot;
}

uint32_t publisher_count_leaving(const struct publisher *p)
{
	return p->leaving_n;
}

bool publisher_sweep_all(struct publisher *p, uint32_t now_s)
{
	const uint32_t lines = 1u << 16;
	bool has_more;

	while (!is_between_rounds(p))
		publisher_sweep(p, lines, now_s);
	do
		has_more = publisher_sweep(p, lines, now_s);
	while (!is_between_rounds(p));
	return has_more;
}
