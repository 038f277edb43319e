// SPDX-License-Identifier: BSD-2-Clause
//
// A burst of packets through the core's walk: what a worker of lb-dpdk does between
// receiving and sending. It knows mbufs and tables, and nothing of ports and rings, so
// that tests and benches call it on mbufs in memory. One struct walk a worker, used by
// its thread alone; no system call, no lock, no allocation.
#pragma once

#include <rte_mbuf.h>

#include "platform_impl.h"
#include "trace_ring.h"

#define WALK_BURST_MAX 32
#define WALK_CONTIGUOUS_MAX 1280

struct walk {
	// Filled by the owner: lb_env_init(), route, routes; and now_s before each burst.
	struct lb_env env;
};

// Where the packets of a burst are to go; each list in the order in which they came in.
struct walk_result {
	unsigned int send_n;
	unsigned int kernel_n;
	struct rte_mbuf *send[WALK_BURST_MAX];
	__u32 ifindex[WALK_BURST_MAX];		 // of send[i]: where it leaves
	struct rte_mbuf *kernel[WALK_BURST_MAX]; // the kernel's, unchanged
	unsigned int back_n;
	struct rte_mbuf *back[WALK_BURST_MAX]; // answers: out of the port that they came in by
};

// Takes @n (at most WALK_BURST_MAX) packets through the walk, stage by stage. They belong to it:
// those in *ret are the caller's again, the others are freed. An mbuf may have several segments;
// its first one must be writable, not shared, and have room for WALK_CONTIGUOUS_MAX bytes of the
// frame, for in it is gathered what is read; with less room a packet reads as one that is cut.
void walk_burst(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret);

// The same, one packet after the other: what the stages are compared with (tools/bench dpdk).
void walk_plain(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret);

// Where a worker's copies go, and of what. @ring, @window: in memory that others write too.
struct walk_trace {
	struct lb_trace_filter filter; // its snap is at most LB_TRACE_SNAP_MAX
	__u64 *window;
	struct lb_trace_ring *ring;
};

// walk_plain(), which copies what the filter wants. @ifindex: where the packets came in.
void walk_traced(struct walk *w, struct walk_trace *t, __u32 ifindex, struct rte_mbuf **pkts,
		 unsigned int n, struct walk_result *ret);
