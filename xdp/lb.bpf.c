// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The XDP driver of the forwarding core: a thin one. It hands a frame to the core
// and carries out the answer. Loaded, pinned and attached by lbd (control/xdp.c) onto
// the maps that lbd made (see platform_impl.h for how they must be given).
#include "platform_impl.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"

#define LB_START(ctx) ((__u8 *)(long)(ctx)->data)
#define LB_END(ctx) ((__u8 *)(long)(ctx)->data_end)

static __always_inline int lb_xdp_end(struct lb_env *env, const struct lb_packet *p,
				      const struct lb_decision *d)
{
	lb_count(env, p, d);
	return d->verdict == LB_PASS ? XDP_PASS : XDP_DROP;
}

static __always_inline int lb_xdp_transmit(struct lb_env *env, const struct lb_packet *p,
					   struct lb_decision *d)
{
	const __u32 grow = lb_decision_grow(d);

	if (grow && bpf_xdp_adjust_head(env->ctx, -(int)grow)) {
		lb_decide_end(d, LB_REASON_HEADROOM);
		return lb_xdp_end(env, p, d);
	}
	lb_count(env, p, d);
	if (!lb_apply(env, LB_START(env->ctx), LB_END(env->ctx), grow, p, d))
		return XDP_DROP;
	if (d->link->ifindex == env->ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(d->link->ifindex, 0);
}

// A frame whose family is known. In line for each family, and on for each kind of end, so that each
// has its own straight way: where they meet, the values of all of them go over the stack.
static __always_inline int lb_xdp_family(struct lb_env *env, __u8 *start, __u8 *end, int family)
{
	struct lb_decision decision;
	struct lb_packet packet;

	lb_decide_family(env, start, end, (__u32)(end - start), family, &packet, &decision);
	if (decision.verdict != LB_TRANSMIT)
		return lb_xdp_end(env, &packet, &decision);
	if (decision.reason == LB_REASON_CURRENT)
		return lb_xdp_transmit(env, &packet, &decision);
	if (decision.reason == LB_REASON_REPLY)
		return lb_xdp_transmit(env, &packet, &decision);
	return lb_xdp_transmit(env, &packet, &decision);
}

SEC("xdp")
int lb_xdp(struct xdp_md *ctx)
{
	__u8 *start = LB_START(ctx), *end = LB_END(ctx);
	struct lb_env env; // not cleared: its answer is written before it is read

	env.ctx = ctx;
	env.cpu = bpf_get_smp_processor_id();
	switch (lb_packet_family(start, end)) {
	case 4:
		return lb_xdp_family(&env, start, end, 4);
	case 6:
		return lb_xdp_family(&env, start, end, 6);
	default:
		return lb_xdp_family(&env, start, end, 0);
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
