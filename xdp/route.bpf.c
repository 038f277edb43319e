// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// What the dataplane's look-up of a route would say, for `lbctl explain`: the packet is
// the question (struct lb_route_query), and becomes the answer (struct lb_route_answer).
// Run by control/kernel_route.c; attached nowhere.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "fib.h"

SEC("xdp")
int lb_route(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct lb_route_answer answer = {};
	struct lb_route_query query;

	if (data + sizeof(query) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(&query, data, sizeof(query));
	lb_route_ask(ctx, ctx->ingress_ifindex, &query, &answer);
	_Static_assert(sizeof(answer) <= sizeof(query), "in its place");
	__builtin_memcpy(data, &answer, sizeof(answer));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
