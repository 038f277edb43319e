// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// `trace`: copies of the packets that a filter matches, as they came and as they left.
// Written by the variant of a dataplane that lbd puts in the place of the plain one while
// somebody looks (xdp/trace.h), read by lbd (control/trace.h). The walk itself knows nothing
// of it: a driver notes the packet when it is parsed and the decision when it is counted, and
// asks at the end of the walk whether the packet is wanted.
#pragma once

#include "decide.h"

#define LB_TRACE_SNAP_MAX 2048	  // bytes kept of a packet, at most
#define LB_TRACE_ANY_PROTOCOL 256 // more than any protocol's number
#define LB_TRACE_REASONS_ALL (~0ull)

// Fixed while a trace runs. What is all zero matches everything, but for reasons and protocol.
struct lb_trace_filter {
	__u64 reasons;		  // a bit a reason that is wanted
	struct lb_address source; // of the packet as it came; what `mask` has no ones for is 0
	struct lb_address source_mask;
	struct lb_address destination;
	struct lb_address destination_mask;
	__be16 source_port; // 0: any
	__be16 destination_port;
	__u16 protocol;
	__u16 snap;	   // bytes kept of a packet
	__u32 services[2]; // rows, of either family (twice the same where there is one); 0: any
	__u32 rate;	   // packets a second that are copied, over all CPUs
	__u32 pad;
};

// The packet as it came.
struct lb_trace_tuple {
	struct lb_address source;
	struct lb_address destination;
	__be16 source_port;
	__be16 destination_port;
	__u8 protocol;
	__u8 pad[3];
};

// Followed by before_snap bytes of the packet as it came, then after_snap bytes as it left.
struct lb_trace_record {
	__u64 time_ns; // CLOCK_MONOTONIC
	__u32 verdict; // enum lb_verdict
	__u32 reason;  // enum lb_reason
	__u32 service; // rows; 0: none
	__u32 backend;
	__u32 in_ifindex;
	__u32 out_ifindex; // 0: it did not leave; it is the kernel's, or ended
	__u32 before_len;  // bytes of the frame
	__u32 after_len;
	__u32 before_snap;
	__u32 after_snap;
};

// Of a CPU (worker): matched, but not told.
struct lb_trace_counts {
	__u64 left_out; // over the rate
	__u64 lost;	// whoever reads the records is too slow
};

static __always_inline int lb_trace_is_wanted(const struct lb_trace_filter *f,
					      const struct lb_trace_tuple *t,
					      const struct lb_trace_record *r)
{
	if (!(f->reasons >> (r->reason & 63) & 1))
		return 0;
	if (f->services[0] && r->service != f->services[0] && r->service != f->services[1])
		return 0;
	if (f->protocol != LB_TRACE_ANY_PROTOCOL && t->protocol != f->protocol)
		return 0;
	if (f->source_port && t->source_port != f->source_port)
		return 0;
	if (f->destination_port && t->destination_port != f->destination_port)
		return 0;
	return lb_address_is_within(&t->source, &f->source, &f->source_mask) &&
	       lb_address_is_within(&t->destination, &f->destination, &f->destination_mask);
}

static __always_inline void lb_trace_note_packet(struct lb_trace_tuple *t,
						 const struct lb_packet *p)
{
	t->source = p->source;
	t->destination = p->destination;
	t->source_port = lb_packet_source_port(p);
	t->destination_port = lb_packet_destination_port(p);
	t->protocol = p->protocol;
}

static __always_inline void lb_trace_note_decision(struct lb_trace_record *r,
						   const struct lb_decision *d)
{
	r->verdict = d->verdict;
	r->reason = d->reason;
	r->service = d->service;
	r->backend = d->backend;
}

// Whether this second has room for another one. @window: of all CPUs; its high half is the second
// that its low half counts in. (Where it is full it is only read, so CPUs do not fight for it.) As
// with the other rates, at most two seconds' worth pass in any one second.
static __always_inline int lb_trace_take(__u64 *window, __u32 rate, __u32 now_s)
{
	__u64 word = *(const volatile __u64 *)window;

	if ((__u32)(word >> 32) != now_s) {
		__sync_val_compare_and_swap(window, word, (__u64)now_s << 32);
		word = *(const volatile __u64 *)window;
	}
	if ((__u32)word >= rate)
		return 0;
	return (__u32)__sync_fetch_and_add(window, 1) < rate;
}
