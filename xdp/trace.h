// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// `trace` in XDP: what lb_xdp_traced() does beside the walk. It keeps the head of the packet as
// it came, notes what is parsed and decided, and at the end, where the filter wants the packet,
// hands both forms to lbd by a ring buffer. (Perf buffers would ask lbd for more than its unit lets
// it have: Debian's kernel keeps perf_event_open() for CAP_SYS_ADMIN.) Included by lb.bpf.c alone.
// The maps are made with the program by each `lbctl trace`, and go with it; the plain program knows
// none of them.
#pragma once

#include "dataplane/core/trace.h"

// Of all CPUs: some thousand packets of 1,500 bytes.
#define LB_TRACE_RING_BYTES (1 << 23)

// Set before loading; to the verifier it is constant.
const volatile struct lb_trace_filter lb_trace_filter = {};

// Of the packet that a CPU has in hand.
struct lb_xdp_trace {
	struct lb_trace_record record;
	__u8 bytes[2 * LB_TRACE_SNAP_MAX]; // behind the record, as lbd reads them
	struct lb_trace_tuple tuple;
	__u32 is_noted; // it was decided
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_xdp_trace);
} trace_aside SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_trace_counts);
} trace_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} trace_window SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LB_TRACE_RING_BYTES);
} trace_events SEC(".maps");

static __always_inline struct lb_xdp_trace *lb_xdp_trace(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&trace_aside, &zero);
}

// (The compiler must not read the filter's zeros out of this file.)
static __always_inline const struct lb_trace_filter *lb_xdp_trace_filter(void)
{
	const struct lb_trace_filter *filter = (const void *)&lb_trace_filter;

	asm volatile("" : "+r"(filter));
	return filter;
}

// How many bytes of a frame of @len are kept. (In 64 bits, and each time in one register: Linux 6.1
// forgets the bounds of what a compiler for an older BPF shortens to 32, and of copies.)
static __always_inline __u64 lb_xdp_trace_snap(__u64 len)
{
	__u64 snap = lb_trace_filter.snap;

	if (len < snap)
		snap = len;
	asm volatile("" : "+r"(snap));
	if (snap > LB_TRACE_SNAP_MAX)
		snap = LB_TRACE_SNAP_MAX;
	asm volatile("" : "+r"(snap));
	return snap;
}

// Copies the head of a frame of @len to @to; returns how many bytes.
static __always_inline __u64 lb_xdp_trace_copy(struct xdp_md *ctx, __u8 *to, __u32 len)
{
	__u64 snap = lb_xdp_trace_snap(len);

	if (snap < LB_ETH_LEN || bpf_xdp_load_bytes(ctx, 0, to, (__u32)snap))
		return 0;
	return snap;
}

// The packet as it came.
__noinline int lb_xdp_trace_begin(struct xdp_md *ctx)
{
	struct lb_xdp_trace *t = lb_xdp_trace();
	__u32 len = (__u32)((long)ctx->data_end - (long)ctx->data);

	if (!t)
		return 0;
	t->is_noted = 0;
	t->tuple = (struct lb_trace_tuple){};
	t->record = (struct lb_trace_record){.in_ifindex = ctx->ingress_ifindex, .before_len = len};
	t->record.before_snap = (__u32)lb_xdp_trace_copy(ctx, t->bytes, len);
	return 0;
}

static __always_inline void lb_xdp_trace_packet(const struct lb_packet *p)
{
	struct lb_xdp_trace *t = lb_xdp_trace();

	if (t)
		lb_trace_note_packet(&t->tuple, p);
}

static __always_inline void lb_xdp_trace_decision(const struct lb_decision *d)
{
	struct lb_xdp_trace *t = lb_xdp_trace();

	if (!t)
		return;
	lb_trace_note_decision(&t->record, d);
	t->is_noted = 1;
}

static __always_inline void lb_xdp_trace_redirect(__u32 ifindex)
{
	struct lb_xdp_trace *t = lb_xdp_trace();

	if (t)
		t->record.out_ifindex = ifindex;
}

// The packet as it leaves: @action is what becomes of it.
__noinline int lb_xdp_trace_end(struct xdp_md *ctx, int action)
{
	const struct lb_trace_filter *filter = lb_xdp_trace_filter();
	struct lb_xdp_trace *t = lb_xdp_trace();
	struct lb_trace_counts *counts;
	__u64 *window, now_ns, before_snap, after_snap = 0;
	__u32 zero = 0;

	if (!t || !t->is_noted || !lb_trace_is_wanted(filter, &t->tuple, &t->record))
		return 0;
	counts = bpf_map_lookup_elem(&trace_counts, &zero);
	window = bpf_map_lookup_elem(&trace_window, &zero);
	if (!counts || !window)
		return 0;
	now_ns = bpf_ktime_get_ns();
	if (!lb_trace_take(window, filter->rate, (__u32)(now_ns / 1000000000))) {
		counts->left_out++;
		return 0;
	}
	t->record.time_ns = now_ns;
	if (action == XDP_TX)
		t->record.out_ifindex = t->record.in_ifindex;
	before_snap = lb_xdp_trace_snap(t->record.before_snap);
	if (action == XDP_TX || action == XDP_REDIRECT) {
		t->record.after_len = (__u32)((long)ctx->data_end - (long)ctx->data);
		after_snap = lb_xdp_trace_copy(ctx, t->bytes + before_snap, t->record.after_len);
		t->record.after_snap = (__u32)after_snap;
	}
	if (bpf_ringbuf_output(&trace_events, &t->record,
			       sizeof(t->record) + before_snap + after_snap, 0))
		counts->lost++;
	return 0;
}
