// SPDX-License-Identifier: BSD-2-Clause
//
// What carries copies of packets from the workers of lb-dpdk to lbd while a trace runs: a file
// beside the tables (RUN_DIR/tables.trace) that lbd makes, locks for as long as it wants copies,
// and removes. lb-dpdk maps it when it finds it locked, and lets go of it when the lock is gone,
// as it is however lbd ends. A page that says what is wanted, then a ring a worker: bytes, with
// one writer and one reader.
//
// Either side may be killed at any moment and another take its place: a record is there when
// `head` has moved past it, and not before. Neither trusts what the other wrote: positions are
// cut to the ring, lengths to a record. A ring that is full is not waited for.
#pragma once

#include <stdbool.h>
#include <string.h>

#include "dataplane/core/trace.h"

#define LB_TRACE_FILE_SUFFIX ".trace" // behind the path of the tables
#define LB_TRACE_MAGIC 0x6563617274ull
#define LB_TRACE_VERSION 2	       // of all that is here, and of core/trace.h
#define LB_TRACE_RING_BYTES (1u << 18) // a power of two
#define LB_TRACE_PAGE 4096

// Why lb-dpdk does not copy. Append only.
enum lb_trace_refusal {
	LB_TRACE_REFUSED_NOT,
	LB_TRACE_REFUSED_VERSION,
	LB_TRACE_REFUSED_RINGS,
	LB_TRACE_REFUSED_SIZE,
	LB_TRACE_REFUSED_MEMORY,
};

struct lb_trace_head {
	// In every version.
	__u64 magic;
	__u32 version;
	__u32 refusal; // live word: enum lb_trace_refusal
	// In this one.
	__u32 ring_n;
	__u32 pad;
	struct lb_trace_filter filter; // fixed
	__u64 window;		       // lb_trace_take()
	__u32 pid;		       // live word: of the lb-dpdk that copies; 0: none did yet
};

struct lb_trace_ring {
	__u64 head; // live word: bytes written since the file was made
	struct lb_trace_counts counts;
	__u64 pad[5];
	// The reader's line.
	__u64 tail; // live word: bytes read
	__u64 pad_tail[7];
	__u8 pad_page[LB_TRACE_PAGE - 128];
	__u8 bytes[LB_TRACE_RING_BYTES];
};

_Static_assert(sizeof(struct lb_trace_head) <= LB_TRACE_PAGE, "the head is a page");

// Of lb-dpdk, for a sentence that says that it refuses a trace.
static inline const char *lb_trace_refusal_text(__u32 refusal)
{
	switch (refusal) {
	case LB_TRACE_REFUSED_VERSION:
		return "it is of another version than lbd: start it again (`systemctl restart "
		       "lb-dpdk`)";
	case LB_TRACE_REFUSED_RINGS:
		return "it has more workers than lbd counts for: start both again";
	case LB_TRACE_REFUSED_SIZE:
		return "the file for the copies is not of the size that its head says";
	case LB_TRACE_REFUSED_MEMORY:
		return "it has no memory for it";
	default:
		return "its log says why";
	}
}

static inline __u64 lb_trace_file_bytes(__u32 ring_n)
{
	return LB_TRACE_PAGE + (__u64)ring_n * sizeof(struct lb_trace_ring);
}

static inline struct lb_trace_ring *lb_trace_ring(struct lb_trace_head *head, __u32 i)
{
	return (struct lb_trace_ring *)((__u8 *)head + LB_TRACE_PAGE) + i;
}

static inline __u32 lb_trace_record_bytes(const struct lb_trace_record *r)
{
	return ((__u32)sizeof(*r) + r->before_snap + r->after_snap + 7) & ~7u;
}

static inline void lb_trace_ring_write(struct lb_trace_ring *ring, __u64 at, const void *from,
				       __u32 n)
{
	const __u32 start = (__u32)at & (LB_TRACE_RING_BYTES - 1);
	const __u32 first = n < LB_TRACE_RING_BYTES - start ? n : LB_TRACE_RING_BYTES - start;

	memcpy(ring->bytes + start, from, first);
	memcpy(ring->bytes, (const __u8 *)from + first, n - first);
}

static inline void lb_trace_ring_read(const struct lb_trace_ring *ring, __u64 at, void *to, __u32 n)
{
	const __u32 start = (__u32)at & (LB_TRACE_RING_BYTES - 1);
	const __u32 first = n < LB_TRACE_RING_BYTES - start ? n : LB_TRACE_RING_BYTES - start;

	memcpy(to, ring->bytes + start, first);
	memcpy((__u8 *)to + first, ring->bytes, n - first);
}

// By the ring's worker alone. @r: snaps of at most LB_TRACE_SNAP_MAX. Counts what has no room.
static inline void lb_trace_ring_put(struct lb_trace_ring *ring, const struct lb_trace_record *r,
				     const __u8 *before, const __u8 *after)
{
	const __u64 head = ring->head;
	const __u64 used = head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
	const __u32 len = lb_trace_record_bytes(r);

	if (used > LB_TRACE_RING_BYTES || LB_TRACE_RING_BYTES - used < len) {
		ring->counts.lost++;
		return;
	}
	lb_trace_ring_write(ring, head, r, sizeof(*r));
	lb_trace_ring_write(ring, head + sizeof(*r), before, r->before_snap);
	lb_trace_ring_write(ring, head + sizeof(*r) + r->before_snap, after, r->after_snap);
	__atomic_store_n(&ring->head, head + len, __ATOMIC_RELEASE);
}

// By lbd alone. @ret_bytes: [2 * LB_TRACE_SNAP_MAX], before and after. False: there is none. What
// cannot be a record is left behind, with all that follows it.
static inline bool lb_trace_ring_get(struct lb_trace_ring *ring, struct lb_trace_record *ret,
				     __u8 *ret_bytes)
{
	const __u64 head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	const __u64 tail = ring->tail, used = head - tail;
	__u64 next = head;
	bool is_sound = used >= sizeof(*ret) && used <= LB_TRACE_RING_BYTES;

	if (!used)
		return false;
	if (is_sound) {
		lb_trace_ring_read(ring, tail, ret, sizeof(*ret));
		is_sound = ret->before_snap <= LB_TRACE_SNAP_MAX &&
			   ret->after_snap <= LB_TRACE_SNAP_MAX &&
			   lb_trace_record_bytes(ret) <= used;
	}
	if (is_sound) {
		lb_trace_ring_read(ring, tail + sizeof(*ret), ret_bytes,
				   ret->before_snap + ret->after_snap);
		next = tail + lb_trace_record_bytes(ret);
	}
	__atomic_store_n(&ring->tail, next, __ATOMIC_RELEASE);
	return is_sound;
}
