// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Fragments follow their first one (RFC 791, RFC 8200 4.5). The first has the ports, so it
// alone is decided; where it went is remembered by what all fragments of a packet have in
// common: source, destination, identification, and in IPv4 the protocol. See `fragments` in
// tables.h.
//
// A table of fixed size, no list, no timer: an entry's place is taken when it is old, and by
// chance when all of its line are young.
#pragma once

#include "hash.h"
#include "track.h"

// The key of a fragment's packet.
static __always_inline __u64 lb_fragment_hash(struct lb_env *env, const struct lb_packet *p)
{
	const __u8 protocol = p->family == 4 ? p->protocol : LB_IP_FRAGMENT;
	const __u64 *keys = lb_meta(env)->flow_keys;

	return lb_hash_whole(lb_hash_tuple(keys, p->family, &p->source, &p->destination, protocol,
					   p->fragment_id),
			     keys, p->family, &p->source, p->fragment_id,
			     lb_hash_to(&p->destination, protocol));
}

// What varies a tunnel's source with the flow (encap.h), made of what an entry keeps of a flow's
// hash: the same for all fragments of a packet.
static __always_inline __u64 lb_fragment_spread(__u64 flow_hash)
{
	return (flow_hash & LB_FRAGMENT_HASH_MASK) * 0x9e3779b97f4a7c15ull;
}

static __always_inline int lb_fragment_is_old(__u64 word, __u32 now_s)
{
	return word == 0 || lb_track_is_expired(word, LB_FRAGMENT_S, now_s);
}

// The place for @hash in its line: its own, else one that is free or old, else one by chance.
static __always_inline struct lb_entry *lb_fragment_place(struct lb_entry_line *line, __u64 hash,
							  __u32 now_s)
{
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++)
		if (lb_load64(&line->entries[i].fingerprint) == hash)
			return &line->entries[i];
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++)
		if (lb_fragment_is_old(lb_load64(&line->entries[i].word), now_s))
			return &line->entries[i];
	return &line->entries[(hash >> 32) % LB_ENTRIES_PER_LINE];
}

// Remembers that the packet of @hash goes to @backend (row); @more: LB_FRAGMENT_REPLY, and bits of
// the flow's hash from bit 1 on. Where another CPU writes the same place, one of them is forgotten.
// Returns 0 (BPF wants a number).
LB_CALLED int lb_fragment_remember(struct lb_env *env, __u64 hash, __u32 backend, __u32 more)
{
	struct lb_entry_line *line =
		lb_fragment_line(env, (__u32)hash & lb_meta(env)->fragment_mask);
	__u32 now_s = lb_now_s(env);
	struct lb_entry *entry;
	__u64 old;

	if (!line)
		return 0;
	entry = lb_fragment_place(line, hash, now_s);
	old = lb_load64(&entry->word);
	if (LB_ENTRY_STATE(old) == LB_ENTRY_BUSY && !lb_fragment_is_old(old, now_s))
		return 0;
	if (lb_cas64(&entry->word, old, LB_ENTRY_WORD(0, 0, LB_ENTRY_BUSY, now_s)) != old)
		return 0;
	lb_store64(&entry->fingerprint, hash);
	lb_store64(&entry->word, LB_ENTRY_WORD(backend, more, LB_ENTRY_ESTABLISHED, now_s));
	return 0;
}

// The word of the packet of @hash, or 0.
LB_CALLED __u64 lb_fragment_lookup(struct lb_env *env, __u64 hash)
{
	const struct lb_entry_line *line =
		lb_fragment_line(env, (__u32)hash & lb_meta(env)->fragment_mask);
	__u32 now_s = lb_now_s(env);

	if (!line)
		return 0;
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		const struct lb_entry *entry = &line->entries[i];
		__u64 word = lb_load64(&entry->word);

		if (lb_load64(&entry->fingerprint) != hash || lb_load64(&entry->word) != word ||
		    LB_ENTRY_STATE(word) != LB_ENTRY_ESTABLISHED)
			continue;
		return lb_track_is_expired(word, LB_FRAGMENT_S, now_s) ? 0 : word;
	}
	return 0;
}
