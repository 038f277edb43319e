// SPDX-License-Identifier: BSD-2-Clause
//
// What the dataplane keeps from one packet to the next beside connections: first fragments, so
// that the later ones find their way (docs/packets.md; `fragments` in tables.h), and how many
// packets passed a rate in this second (`limits`).
#include "tests/packet/reference/reference.h"

#define HASH_BITS 23 // of a flow's hash that an entry has room for

// ---- rates ----

bool ref_take(struct ref_walk *w, enum lb_rate rate)
{
	uint32_t max = w->tables->meta->rates[rate];
	struct lb_limit *limit = &w->tables->limits[w->cpu].limits[rate];

	if (max == 0) // any number, and nobody counts
		return true;
	if (limit->second != w->now_s)
		*limit = (struct lb_limit){.second = w->now_s, .pkts = 0};
	if (limit->pkts == max)
		return false;
	limit->pkts++;
	return true;
}

// ---- fragments ----

// What all fragments of a packet have in common.
static uint64_t hash_fragment(const struct ref_walk *w)
{
	const struct ref_packet *p = &w->packet;
	uint8_t protocol = p->family == 4 ? p->protocol : REF_FRAGMENT;

	return ref_hash_flow(w->tables->meta, p->family, &p->source, &p->destination, protocol,
			     p->fragment_id)
		.key;
}

// What varies a tunnel's source for all fragments of a packet: of the flow's hash, what is kept.
static uint64_t spread(uint64_t kept)
{
	return kept * 0x9e3779b97f4a7c15;
}

static struct lb_entry_line *line_of(const struct ref_walk *w, uint64_t hash)
{
	return &w->tables->fragments[hash & w->tables->meta->fragment_mask];
}

static bool is_old(const struct ref_walk *w, const struct lb_entry *entry)
{
	struct ref_entry e = ref_entry_unpack(entry->word);

	return entry->word == 0 || ref_entry_is_expired(&e, LB_FRAGMENT_S, w->now_s);
}

// Its own place; else one that is free or old; else one by chance.
static struct lb_entry *find_place(const struct ref_walk *w, uint64_t hash)
{
	struct lb_entry_line *line = line_of(w, hash);

	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++)
		if (line->entries[i].fingerprint == hash)
			return &line->entries[i];
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++)
		if (is_old(w, &line->entries[i]))
			return &line->entries[i];
	return &line->entries[(hash >> 32) % LB_ENTRIES_PER_LINE];
}

void ref_follow_remember(struct ref_walk *w)
{
	uint64_t hash = hash_fragment(w), kept = w->hash % (1u << HASH_BITS);
	struct lb_entry *place = find_place(w, hash);
	struct ref_entry old = ref_entry_unpack(place->word);
	const struct ref_entry e = {
		.backend = w->backend,
		.slot = (uint32_t)kept << 1 | (w->is_reply ? LB_FRAGMENT_REPLY : 0),
		.state = LB_ENTRY_ESTABLISHED,
		.time_s = w->now_s,
	};

	// The others vary by what is kept, so the first does too.
	w->hash = spread(kept);
	if (old.state == LB_ENTRY_BUSY && !is_old(w, place)) // another CPU writes it
		return;
	place->fingerprint = hash;
	place->word = ref_entry_pack(&e);
}

bool ref_follow_first(struct ref_walk *w, bool is_reply)
{
	uint64_t hash = hash_fragment(w);
	const struct lb_entry_line *line = line_of(w, hash);

	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		struct ref_entry e = ref_entry_unpack(line->entries[i].word);

		if (line->entries[i].fingerprint != hash || e.state != LB_ENTRY_ESTABLISHED)
			continue;
		if (ref_entry_is_expired(&e, LB_FRAGMENT_S, w->now_s))
			return false;
		// Its destination has become a VIP since, or is one no more.
		if (is_reply != (bool)(e.slot & LB_FRAGMENT_REPLY))
			return false;
		w->backend = e.backend;
		w->is_reply = is_reply;
		w->hash = spread(e.slot >> 1);
		return true;
	}
	return false;
}
