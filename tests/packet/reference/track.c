// SPDX-License-Identifier: BSD-2-Clause
//
// From a flow to its backend: docs/how-it-works.md, "Tracking on demand"; the layout of slots and
// entries in tables.h. What it keeps: every live connection either has an entry, or lives on its
// slot's settled backend.
#include "tests/packet/reference/reference.h"

#define TIME_RANGE (1u << 23) // an entry's time wraps

// A slot as it was read: bits 0-14, 15-29, 30.
struct slot {
	uint32_t at; // its position in the table
	uint32_t current, settled;
	bool lookup;
};

// ---- entries: backend in bits 0-14, slot 15-38, state 39-40, time 41-63 ----

uint64_t ref_entry_pack(const struct ref_entry *e)
{
	return ((((uint64_t)e->time_s % TIME_RANGE * 4 + e->state) << 24) + e->slot) * (1 << 15) +
	       e->backend;
}

struct ref_entry ref_entry_unpack(uint64_t word)
{
	return (struct ref_entry){
		.backend = word % (1 << 15),
		.slot = (word >> 15) % (1 << 24),
		.state = (word >> 39) % 4,
		.time_s = (uint32_t)(word >> 41),
	};
}

bool ref_entry_is_expired(const struct ref_entry *e, uint32_t life_s, uint32_t now_s)
{
	uint32_t age_s = (now_s - e->time_s) % TIME_RANGE;

	if (age_s > LB_IDLE_MAX_S) // another CPU's clock is a little ahead
		return false;
	if (e->state == LB_ENTRY_BUSY || e->state == LB_ENTRY_EMBRYONIC)
		life_s = LB_EMBRYONIC_S;
	return age_s > life_s;
}

// The flow's live entry; NULL: it has none.
static struct lb_entry *find_entry(const struct ref_walk *w, const struct lb_service *s,
				   const struct slot *slot)
{
	struct lb_entry_line *line =
		&w->tables->connections[w->key & w->tables->meta->connection_mask];

	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		struct ref_entry e = ref_entry_unpack(line->entries[i].word);

		if (line->entries[i].fingerprint == w->key && e.state != LB_ENTRY_BUSY &&
		    e.slot == slot->at && !ref_entry_is_expired(&e, s->idle_s, w->now_s))
			return &line->entries[i];
	}
	return NULL;
}

static bool is_of_ring(const struct ref_entry *e, const struct lb_service *s)
{
	return e->slot >= s->ring_offset && e->slot < s->ring_offset + s->ring_len;
}

// A place for a new entry: a free one, or one that is expired for certain (how long those of
// another ring live is not known here); else one that is closing for LB_CLOSING_S; else NULL.
static struct lb_entry *find_place(const struct ref_walk *w, const struct lb_service *s)
{
	struct lb_entry_line *line =
		&w->tables->connections[w->key & w->tables->meta->connection_mask];

	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		struct ref_entry e = ref_entry_unpack(line->entries[i].word);
		bool life_is_known = e.state == LB_ENTRY_BUSY || e.state == LB_ENTRY_EMBRYONIC ||
				     is_of_ring(&e, s);

		if (line->entries[i].word == 0 ||
		    (life_is_known && ref_entry_is_expired(&e, s->idle_s, w->now_s)))
			return &line->entries[i];
	}
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		struct ref_entry e = ref_entry_unpack(line->entries[i].word);

		if (e.state == LB_ENTRY_CLOSING && ref_entry_is_expired(&e, LB_CLOSING_S, w->now_s))
			return &line->entries[i];
	}
	return NULL;
}

// The state in which the packet leaves an entry that is in @state.
static uint32_t next_state(const struct ref_packet *p, uint32_t state)
{
	if (p->tcp_flags & (REF_FIN | REF_RST))
		return LB_ENTRY_CLOSING;
	return p->tcp_flags & REF_SYN ? state : LB_ENTRY_ESTABLISHED;
}

// ---- the rules ----

static bool is_live(const struct lb_backend *b)
{
	return b->state == LB_ROW_LIVE;
}

// Entries of a backend that is down under `on_down: reset` read as misses, and those of no backend.
static bool is_miss(const struct ref_walk *w, uint32_t backend)
{
	const struct lb_backend *b = ref_backend(w, backend);

	return !b || b->state == LB_ROW_FREE || b->flags & LB_BACKEND_RESET;
}

// Whether a SYN is to be decided anew, though its flow has an entry.
static bool is_over(const struct ref_walk *w, const struct ref_entry *e)
{
	const struct lb_backend *b = ref_backend(w, e->backend);

	return e->state == LB_ENTRY_CLOSING || b->flags & LB_BACKEND_DOWN || !is_live(b);
}

static enum lb_reason by_entry(struct ref_walk *w, struct lb_entry *entry, struct ref_entry e)
{
	w->backend = e.backend;
	e.state = next_state(&w->packet, e.state);
	e.time_s = w->now_s;
	// One of a row that is no more must expire.
	if (is_live(ref_backend(w, e.backend)))
		entry->word = ref_entry_pack(&e);
	return LB_REASON_TRACKED;
}

// To settled, without an entry: the slot keeps the time while it is in transition.
static enum lb_reason untracked(struct ref_walk *w, const struct slot *slot, enum lb_reason reason)
{
	struct lb_slot_time_line *line = &w->tables->slot_times[slot->at / LB_SLOTS_PER_LINE];

	w->backend = slot->settled;
	if (slot->settled == 0)
		return LB_REASON_NO_BACKEND;
	w->is_untracked = true;
	if (slot->lookup)
		line->times_s[slot->at % LB_SLOTS_PER_LINE] = w->now_s;
	return reason;
}

// To @backend with an entry: in @entry, its own, or another place.
static enum lb_reason tracked(struct ref_walk *w, const struct lb_service *s,
			      const struct slot *slot, struct lb_entry *entry, bool is_new)
{
	struct ref_entry e = {
		.backend = is_new ? slot->current : slot->settled,
		.slot = slot->at,
		.state = next_state(&w->packet, LB_ENTRY_EMBRYONIC),
		.time_s = w->now_s,
	};

	if (e.backend == 0)
		return LB_REASON_NO_BACKEND;
	if (!entry)
		entry = find_place(w, s);
	if (!entry)
		return untracked(w, slot, is_new ? LB_REASON_CROWDED : LB_REASON_SETTLED);
	entry->fingerprint = w->key;
	entry->word = ref_entry_pack(&e);
	w->backend = e.backend;
	return is_new ? LB_REASON_NEW : LB_REASON_SETTLED;
}

static enum lb_reason by_rules(struct ref_walk *w, const struct lb_service *s,
			       const struct slot *slot)
{
	const struct ref_packet *p = &w->packet;
	const bool is_always = s->tracking == LB_TRACK_ALWAYS;
	// UDP has no SYN: each packet without an entry begins a flow.
	const bool is_new = ref_is_syn(p) || (p->protocol == REF_UDP && is_always);
	struct lb_entry *entry = find_entry(w, s, slot);

	if (entry) {
		struct ref_entry e = ref_entry_unpack(entry->word);

		if (!is_miss(w, e.backend) && !(ref_is_syn(p) && is_over(w, &e)))
			return by_entry(w, entry, e);
	}
	if (is_new || is_always)
		return tracked(w, s, slot, entry, is_new);
	return untracked(w, slot, LB_REASON_SETTLED); // older than the change
}

// The slot of w->hash: the ring's length times the high half of the hash, as a fraction of 1.
// Returns false where lbd named no such slot.
static bool read_slot(const struct ref_walk *w, const struct lb_service *s, struct slot *ret)
{
	uint32_t word;

	ret->at = s->ring_offset + (uint32_t)((w->hash >> 32) * s->ring_len >> 32);
	if (ret->at >= w->tables->meta->slot_n)
		return false;
	word = w->tables->slots[ret->at / LB_SLOTS_PER_LINE].words[ret->at % LB_SLOTS_PER_LINE];
	ret->current = word % (1 << 15);
	ret->settled = (word >> 15) % (1 << 15);
	ret->lookup = word >> 30 & 1;
	return true;
}

static bool is_tracked(const struct lb_service *s, const struct slot *slot)
{
	if (s->tracking == LB_TRACK_ADAPTIVE)
		return slot->lookup;
	return s->tracking == LB_TRACK_ALWAYS;
}

enum lb_reason ref_track_choose(struct ref_walk *w)
{
	const struct lb_service *s = ref_service(w, w->service);
	struct slot slot;

	if (!read_slot(w, s, &slot))
		return LB_REASON_NONE;
	if (is_tracked(s, &slot))
		return by_rules(w, s, &slot);
	w->backend = slot.current;
	return LB_REASON_CURRENT;
}

enum lb_reason ref_track_look(struct ref_walk *w)
{
	const struct lb_service *s = ref_service(w, w->service);
	const struct lb_entry *entry;
	struct slot slot;

	if (!read_slot(w, s, &slot))
		return LB_REASON_NONE;
	w->backend = slot.current;
	if (!is_tracked(s, &slot))
		return LB_REASON_ICMP_ERROR;
	// A UDP flow without an entry would begin now, a TCP connection without one is older.
	if (w->quote.protocol == REF_TCP)
		w->backend = slot.settled;
	entry = find_entry(w, s, &slot);
	if (entry && !is_miss(w, ref_entry_unpack(entry->word).backend))
		w->backend = ref_entry_unpack(entry->word).backend;
	return LB_REASON_ICMP_ERROR;
}
