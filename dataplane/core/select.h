// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Tracking on demand: from a flow's slot to its backend. The invariant that every
// line here keeps: each live connection either has an entry, or lives on its slot's
// settled backend.
//
// In the steady state (`lookup` clear, adaptive) nothing here is called but
// lb_select(): no connection is looked up, none is stored. Who changes slots, and
// when they settle: control/publish. A slot's time is stamped only while its
// `lookup` is set: before that current == settled, and lbd itself stamps the slot
// when it makes them differ.
#pragma once

#include "packet.h"
#include "slot.h"
#include "track.h"

// In: what select is asked. Out: what it answers.
struct lb_choice {
	struct lb_track_flow flow; // now_s is filled in here
	__u32 slot_word;
	__u8 tracking; // enum lb_tracking
	__u8 is_tcp;
	__u8 is_syn;
	__u8 tcp_flags;
	// out
	__u8 is_tracked;   // it has an entry now, or had one that was used
	__u8 is_untracked; // it went to settled without one
	__u16 pad;
	enum lb_reason reason; // a reason with verdict TRANSMIT, or NO_BACKEND
	__u32 backend;	       // row; 0 with NO_BACKEND
	__u32 pad32;
	__u64 entry; // the word that was found; 0: none
};

static __always_inline void lb_select_found(struct lb_choice *c, __u64 word)
{
	c->reason = LB_REASON_TRACKED;
	c->backend = LB_ENTRY_BACKEND(word);
	c->is_tracked = 1;
}

// The state in which this packet leaves an entry that is in @state.
static __always_inline enum lb_entry_state lb_select_state(const struct lb_choice *c,
							   enum lb_entry_state state)
{
	if (c->tcp_flags & (LB_TCP_FIN | LB_TCP_RST))
		return LB_ENTRY_CLOSING;
	if (c->tcp_flags & LB_TCP_SYN)
		return state;
	return LB_ENTRY_ESTABLISHED;
}

// Whether an entry that names this row reads as a miss: the backend is down under `on_down: reset`,
// or the row was never anybody's.
static __always_inline int lb_select_is_miss(const struct lb_backend *backend)
{
	return !backend || backend->flags & LB_BACKEND_RESET || backend->state == LB_ROW_FREE;
}

// Goes by the flow's live entry, if the entry holds for this packet: it does not where it is a
// miss, and a SYN does not follow one that is closing or whose backend is down (decided anew).
static __always_inline int lb_select_by_entry(struct lb_env *env, struct lb_choice *c,
					      struct lb_entry *entry, __u64 word)
{
	const struct lb_backend *backend = lb_backend_row(env, LB_ENTRY_BACKEND(word));
	enum lb_entry_state state = LB_ENTRY_STATE(word);

	if (lb_select_is_miss(backend))
		return 0;
	if (c->is_syn && (state == LB_ENTRY_CLOSING || backend->flags & LB_BACKEND_DOWN ||
			  backend->state != LB_ROW_LIVE))
		return 0;
	// An entry of a row that is no more must expire, so it is not refreshed.
	if (backend->state == LB_ROW_LIVE)
		lb_track_refresh(entry, word, lb_select_state(c, state), c->flow.now_s);
	lb_select_found(c, word);
	return 1;
}

// Goes to settled without an entry. Where there is no settled backend nothing lives, and nothing is
// stamped.
static __always_inline void lb_select_untracked(struct lb_env *env, struct lb_choice *c,
						enum lb_reason reason)
{
	__u32 slot = c->flow.slot;
	struct lb_slot_time_line *line;
	volatile __u32 *time_s;

	c->backend = LB_SLOT_SETTLED(c->slot_word);
	c->reason = c->backend ? reason : LB_REASON_NO_BACKEND;
	c->is_untracked = c->backend != 0;
	if (!c->backend || !(c->slot_word & LB_SLOT_LOOKUP))
		return;
	line = lb_slot_time_line(env, slot / LB_SLOTS_PER_LINE);
	if (!line)
		return;
	time_s = &line->times_s[slot % LB_SLOTS_PER_LINE];
	if (*time_s != c->flow.now_s)
		*time_s = c->flow.now_s;
}

// Gives the flow an entry that names @backend: its own (@entry, whose word was @word), or a new
// one.
static __always_inline int lb_select_track(struct lb_choice *c, struct lb_entry_line *line,
					   struct lb_entry *entry, __u64 word, __u32 backend)
{
	enum lb_entry_state state = lb_select_state(c, LB_ENTRY_EMBRYONIC);
	__u64 fresh = LB_ENTRY_WORD(backend, c->flow.slot, state, c->flow.now_s);

	return entry ? lb_track_replace(entry, word, fresh) : lb_track_add(line, &c->flow, fresh);
}

// Where the slot asks for it (`lookup` set), or the service does (`always`).
static __always_inline void lb_select_walk(struct lb_env *env, struct lb_choice *c)
{
	// UDP has no SYN: each packet without an entry starts a flow.
	const int is_start = c->is_syn || (!c->is_tcp && c->tracking == LB_TRACK_ALWAYS);
	const __u32 backend =
		is_start ? LB_SLOT_CURRENT(c->slot_word) : LB_SLOT_SETTLED(c->slot_word);
	struct lb_entry_line *line;
	struct lb_entry *entry;
	__u64 word = 0;

	c->flow.now_s = lb_now_s(env);
	line = lb_entry_line(env, (__u32)c->flow.hash & lb_meta(env)->connection_mask);
	if (!line) {
		lb_select_untracked(env, c, LB_REASON_CROWDED);
		return;
	}
	entry = lb_track_lookup(line, &c->flow, &word);
	c->entry = word;
	if (entry && lb_select_by_entry(env, c, entry, word))
		return;
	// Older than the change, and not to be tracked.
	if (!is_start && c->tracking != LB_TRACK_ALWAYS) {
		lb_select_untracked(env, c, LB_REASON_SETTLED);
		return;
	}
	if (!backend) {
		c->reason = LB_REASON_NO_BACKEND;
		return;
	}
	if (!lb_select_track(c, line, entry, word, backend)) {
		lb_select_untracked(env, c, is_start ? LB_REASON_CROWDED : LB_REASON_SETTLED);
		return;
	}
	c->reason = is_start ? LB_REASON_NEW : LB_REASON_SETTLED;
	c->backend = backend;
	c->is_tracked = 1;
}

// Not in line, for the steady state never comes here. Fills @c's answer; returns c->backend (a
// function that BPF calls must return a number).
LB_CALLED __u32 lb_select_tracked(struct lb_env *env, struct lb_choice *c)
{
	if (!c) // the BPF verifier asks
		return 0;
	lb_select_walk(env, c);
	return c->backend;
}

// @tracking: LB_SERVICE_TRACKING().
static __always_inline int lb_select_is_tracked(__u32 tracking, __u32 slot_word)
{
	_Static_assert(LB_SLOT_LOOKUP >> 30 == LB_TRACK_ADAPTIVE, "");
	return (tracking & (slot_word >> 30 | LB_TRACK_ALWAYS)) != 0;
}

// The live backend of @flow (now_s is filled in here) where its slot or service asks for tracking,
// as its packets would find it; @otherwise: where it has no entry. Changes nothing. Not in line.
LB_CALLED __u32 lb_select_peek(struct lb_env *env, struct lb_track_flow *flow, __u32 otherwise)
{
	struct lb_entry_line *line;
	const struct lb_backend *backend;
	__u64 word = 0;

	if (!flow) // the BPF verifier asks
		return 0;
	line = lb_entry_line(env, (__u32)flow->hash & lb_meta(env)->connection_mask);
	if (!line)
		return otherwise;
	flow->now_s = lb_now_s(env);
	if (!lb_track_lookup(line, flow, &word))
		return otherwise;
	backend = lb_backend_row(env, LB_ENTRY_BACKEND(word));
	if (lb_select_is_miss(backend))
		return otherwise;
	return LB_ENTRY_BACKEND(word);
}
