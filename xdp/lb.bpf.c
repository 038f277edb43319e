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

SEC("xdp")
int lb_xdp(struct xdp_md *ctx)
{
	struct lb_env env = {.ctx = ctx, .cpu = bpf_get_smp_processor_id()};
	__u8 *start = LB_START(ctx), *end = LB_END(ctx);
	struct lb_decision decision;
	struct lb_packet packet;

	lb_decide(&env, start, end, (__u32)(end - start), &packet, &decision);
	if (decision.grow && decision.verdict == LB_TRANSMIT) {
		if (bpf_xdp_adjust_head(ctx, -(int)decision.grow))
			lb_decide_set(&decision, LB_REASON_HEADROOM);
		start = LB_START(ctx);
		end = LB_END(ctx);
	}
	lb_count(&env, &packet, &decision);
	if (decision.verdict != LB_TRANSMIT)
		return decision.verdict == LB_PASS ? XDP_PASS : XDP_DROP;
	if (!lb_apply(&env, start, end, &packet, &decision))
		return XDP_DROP;
	if (decision.link.ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(decision.link.ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
