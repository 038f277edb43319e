// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The kernel's routes and neighbours, asked for a reply of nat: for lb.bpf.c
// (platform_impl.h) and route.bpf.c.
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "dataplane/core/route.h"

#define LB_AF_INET 2
#define LB_AF_INET6 10

// What bpf_fib_lookup() returns. It does not tell a missing route from one that is not forwarded
// (local, broadcast): both are left to the kernel, which answers either as it should.
static __always_inline enum lb_reason lb_route_reason(long fib)
{
	switch (fib) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_FRAG_NEEDED:
		return LB_REASON_REPLY;
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
		return LB_REASON_ROUTE_REFUSED;
	case BPF_FIB_LKUP_RET_NOT_FWDED:
	case BPF_FIB_LKUP_RET_UNSUPP_LWT:
		return LB_REASON_ROUTE_LOCAL;
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return LB_REASON_FORWARDING_OFF;
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		return LB_REASON_ROUTE_NEIGHBOUR;
	default:
		return LB_REASON_ROUTE_NONE;
	}
}

// As if it had come in by the interface @ifindex.
static __always_inline void lb_route_ask(struct xdp_md *ctx, __u32 ifindex,
					 const struct lb_route_query *q,
					 struct lb_route_answer *ret)
{
	struct bpf_fib_lookup fib = {.ifindex = ifindex};

	fib.l4_protocol = q->protocol;
	fib.sport = q->source_port;
	fib.dport = q->destination_port;
	fib.tot_len = q->ip_len;
	if (q->family == 4) {
		fib.family = LB_AF_INET;
		fib.tos = q->tos;
		fib.ipv4_src = q->source.words[3];
		fib.ipv4_dst = q->destination.words[3];
	} else {
		fib.family = LB_AF_INET6;
		fib.flowinfo = __builtin_bswap32((__u32)q->tos << 20);
		__builtin_memcpy(fib.ipv6_src, q->source.words, sizeof(fib.ipv6_src));
		__builtin_memcpy(fib.ipv6_dst, q->destination.words, sizeof(fib.ipv6_dst));
	}
	ret->reason = lb_route_reason(bpf_fib_lookup(ctx, &fib, sizeof(fib), 0));
	ret->link.ifindex = fib.ifindex;
	ret->link.mtu = fib.mtu_result;
	__builtin_memcpy(ret->link.macs, fib.dmac, 6);
	__builtin_memcpy(ret->link.macs + 6, fib.smac, 6);
}
