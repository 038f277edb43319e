// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The connection table: finding, making and refreshing entries. What an entry means
// for a packet is select.h's. Used by packets; the first part, which is pure, also
// by lbd's sweep.
//
// A line is a bucket of four entries; a flow's line is its hash & connection_mask.
// Packets on all CPUs write at once, without locks:
//  - an entry is made by claiming its word with compare-and-swap (busy), storing the
//    fingerprint, and releasing the word;
//  - a reader reads word, fingerprint, word; what it found holds if both words name
//    the same backend and slot (times and states may change meanwhile);
//  - an entry's word is changed by compare-and-swap against the word that was read.
// Only an entry that is free, or surely expired, is ever claimed. An established
// entry's life is its service's, so a packet takes only those of its own ring; the
// others are lbd's to clear. A closing entry is read for as long as an established
// one, for its connection may be half closed and silent (RFC 9293, 3.6: the other
// side may go on sending); but after LB_CLOSING_S its place may be taken.
#pragma once

#include "platform.h"

// ---- pure ----

// How long an entry is read after its time. @idle_s: its service's.
static __always_inline __u32 lb_track_life_s(__u64 word, __u32 idle_s)
{
	return LB_ENTRY_STATE(word) >= LB_ENTRY_ESTABLISHED ? idle_s : LB_EMBRYONIC_S;
}

// Seconds since an entry's time, modulo its 23 bits.
static __always_inline __u32 lb_track_age_s(__u64 word, __u32 now_s)
{
	return (now_s - LB_ENTRY_TIME(word)) & LB_ENTRY_TIME_MASK;
}

// Times wrap; one that lies a little ahead (another CPU read the clock later) is not old.
static __always_inline int lb_track_is_expired(__u64 word, __u32 idle_s, __u32 now_s)
{
	__u32 age_s = lb_track_age_s(word, now_s);

	return age_s <= LB_IDLE_MAX_S && age_s > lb_track_life_s(word, idle_s);
}

// Whether two words are of one entry that names one backend.
static __always_inline int lb_track_is_same(__u64 a, __u64 b)
{
	const __u64 mask = LB_ENTRY_WORD(LB_BACKEND_MAX, LB_SLOT_MAX - 1, 0, 0);

	return ((a ^ b) & mask) == 0;
}

// ---- the flow ----

// What the table needs to know of a packet.
struct lb_track_flow {
	__u64 hash;
	__u32 slot;
	__u32 ring_offset; // of its service: an entry with a slot of this ring lives idle_s
	__u32 ring_len;
	__u32 idle_s;
	__u32 now_s;
	__u32 pad;
};

// @closing: one that is closing is in question too, not only free and expired ones.
static __always_inline int lb_track_may_claim(__u64 word, const struct lb_track_flow *flow,
					      int closing)
{
	if (word == 0)
		return 1;
	if (LB_ENTRY_STATE(word) == LB_ENTRY_CLOSING && closing)
		return lb_track_is_expired(word, LB_CLOSING_S, flow->now_s);
	if (LB_ENTRY_STATE(word) >= LB_ENTRY_ESTABLISHED &&
	    LB_ENTRY_SLOT(word) - flow->ring_offset >= flow->ring_len)
		return 0;
	return lb_track_is_expired(word, flow->idle_s, flow->now_s);
}

// The word of @entry if it is @flow's and lives, else 0.
static __always_inline __u64 lb_track_read(struct lb_entry *entry, const struct lb_track_flow *flow)
{
	__u64 word = lb_load64(&entry->word);

	// Twice: once more where a SYN gave the entry another backend while it was read.
	for (int i = 0; i < 2; i++) {
		__u64 fingerprint = lb_load64(&entry->fingerprint);
		__u64 again = lb_load64(&entry->word);

		if (fingerprint != flow->hash || LB_ENTRY_STATE(again) == LB_ENTRY_BUSY ||
		    LB_ENTRY_SLOT(again) != flow->slot)
			return 0;
		if (lb_track_is_same(word, again))
			return lb_track_is_expired(again, flow->idle_s, flow->now_s) ? 0 : again;
		word = again;
	}
	return 0;
}

// The flow's live entry in its line, and its word; NULL: none.
static __always_inline struct lb_entry *
lb_track_lookup(struct lb_entry_line *line, const struct lb_track_flow *flow, __u64 *ret_word)
{
	for (int i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		__u64 word = lb_track_read(&line->entries[i], flow);

		if (word) {
			*ret_word = word;
			return &line->entries[i];
		}
	}
	return 0;
}

// Makes an entry for @flow with @word. Returns 0 where the line is full of live entries.
static __always_inline int lb_track_add(struct lb_entry_line *line,
					const struct lb_track_flow *flow, __u64 word)
{
	const __u64 busy = LB_ENTRY_WORD(0, flow->slot, LB_ENTRY_BUSY, flow->now_s);

	// The whole line twice: a closing entry gives its place only where there is no other.
	for (int i = 0; i < LB_ENTRIES_PER_LINE * 2; i++) {
		struct lb_entry *entry = &line->entries[i % LB_ENTRIES_PER_LINE];
		__u64 old = lb_load64(&entry->word);

		if (!lb_track_may_claim(old, flow, i >= LB_ENTRIES_PER_LINE) ||
		    lb_cas64(&entry->word, old, busy) != old)
			continue;
		lb_store64(&entry->fingerprint, flow->hash);
		lb_store64(&entry->word, word);
		return 1;
	}
	return 0;
}

// Gives the entry another word: @old was read from it. Returns 0 where another packet's change came
// between twice, or the entry is another flow's now.
static __always_inline int lb_track_replace(struct lb_entry *entry, __u64 old, __u64 word)
{
	__u64 found = lb_cas64(&entry->word, old, word);

	if (found == old)
		return 1;
	return lb_track_is_same(found, old) && lb_cas64(&entry->word, found, word) == found;
}

// Notes that a packet used the entry: its time, and its state if that changes. That another packet
// did so meanwhile is as good. Nothing is written where nothing changes.
static __always_inline void lb_track_refresh(struct lb_entry *entry, __u64 old,
					     enum lb_entry_state state, __u32 now_s)
{
	__u64 word = LB_ENTRY_WORD(LB_ENTRY_BACKEND(old), LB_ENTRY_SLOT(old), state, now_s);

	if (word != old)
		lb_cas64(&entry->word, old, word);
}
