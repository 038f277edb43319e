// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// How a packet leaves the program: it is counted, and dropped, given to the kernel, or written
// and sent. Included by lb.bpf.c alone.
#pragma once

#include "platform_impl.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"
#include "trace.h"

#define LB_START(ctx) ((__u8 *)(long)(ctx)->data)
#define LB_END(ctx) ((__u8 *)(long)(ctx)->data_end)

// Where the program runs. Asked at its start: each answer takes some loads, one after the other,
// for which nothing has to wait there.
struct lb_xdp_here {
	__u32 cpu;
	__u32 ifindex; // of the interface by which the packet came
};

static __always_inline struct lb_xdp_here lb_xdp_here(struct xdp_md *ctx)
{
	return (struct lb_xdp_here){.cpu = lb_cpu(ctx), .ifindex = ctx->ingress_ifindex};
}

static __always_inline void lb_xdp_count(struct xdp_md *ctx, const struct lb_xdp_here *here,
					 const struct lb_packet *p, const struct lb_decision *d,
					 int is_traced)
{
	lb_count_on(ctx, here->cpu, p, d);
	if (is_traced)
		lb_xdp_trace_decision(d);
}

static __always_inline int lb_xdp_end(struct xdp_md *ctx, const struct lb_xdp_here *here,
				      const struct lb_packet *p, const struct lb_decision *d,
				      int is_traced)
{
	lb_xdp_count(ctx, here, p, d, is_traced);
	return d->verdict == LB_PASS ? XDP_PASS : XDP_DROP;
}

static __always_inline int lb_xdp_out(const struct lb_xdp_here *here, const struct lb_decision *d,
				      int is_written, int is_traced)
{
	if (!is_written)
		return XDP_DROP;
	if (d->link->ifindex == here->ifindex)
		return XDP_TX;
	if (is_traced)
		lb_xdp_trace_redirect(d->link->ifindex);
	return bpf_redirect(d->link->ifindex, 0);
}

// Sends on behind an outer header. @grow, @is_plain: constants.
static __always_inline int lb_xdp_tunnel(struct xdp_md *ctx, const struct lb_xdp_here *here,
					 const struct lb_packet *p, struct lb_decision *d,
					 __u32 grow, int is_plain, int is_traced)
{
	int is_written;

	if (bpf_xdp_adjust_head(ctx, -(int)grow)) {
		lb_decide_end(d, LB_REASON_HEADROOM);
		return lb_xdp_end(ctx, here, p, d, is_traced);
	}
	lb_xdp_count(ctx, here, p, d, is_traced);
	is_written = lb_apply_tunnel(ctx, LB_START(ctx), LB_END(ctx), grow,
				     is_plain ? LB_ETH_LEN : p->l3_at, p, d);
	return lb_xdp_out(here, d, is_written, is_traced);
}

// Sends on without an outer header. @is_plain: a constant.
static __always_inline int lb_xdp_in_place(struct xdp_md *ctx, const struct lb_xdp_here *here,
					   const struct lb_packet *p, const struct lb_decision *d,
					   int is_plain, int is_traced)
{
	int is_written;

	lb_xdp_count(ctx, here, p, d, is_traced);
	is_written = is_plain ? lb_apply_in_place_plain(p, d) : lb_apply_in_place(p, d);
	return lb_xdp_out(here, d, is_written, is_traced);
}

// Sends a plain packet on by d->link; @way: lb_way(), a constant.
static __always_inline int lb_xdp_by_way(struct xdp_md *ctx, const struct lb_xdp_here *here,
					 const struct lb_packet *p, struct lb_decision *d,
					 __u32 way, int is_traced)
{
	if (way > LB_MODE_L2)
		return lb_xdp_tunnel(ctx, here, p, d, way, 1, is_traced);
	lb_xdp_count(ctx, here, p, d, is_traced);
	lb_apply_request_plain(p, d, (enum lb_mode)way);
	return lb_xdp_out(here, d, 1, is_traced);
}

// Sends on. @is_plain: a constant. Each outer header has its own straight way.
static __always_inline int lb_xdp_transmit(struct xdp_md *ctx, const struct lb_xdp_here *here,
					   const struct lb_packet *p, struct lb_decision *d,
					   int is_plain, int is_traced)
{
	switch (lb_decision_grow(d)) {
	case 0:
		return lb_xdp_in_place(ctx, here, p, d, is_plain, is_traced);
	case LB_IPV4_LEN:
		return lb_xdp_tunnel(ctx, here, p, d, LB_IPV4_LEN, is_plain, is_traced);
	case LB_IPV4_LEN + LB_UDP_LEN:
		return lb_xdp_tunnel(ctx, here, p, d, LB_IPV4_LEN + LB_UDP_LEN, is_plain,
				     is_traced);
	case LB_IPV6_LEN:
		return lb_xdp_tunnel(ctx, here, p, d, LB_IPV6_LEN, is_plain, is_traced);
	default:
		return lb_xdp_tunnel(ctx, here, p, d, LB_IPV6_LEN + LB_UDP_LEN, is_plain,
				     is_traced);
	}
}
