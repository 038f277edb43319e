// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Counts a packet, once, when its verdict is final: its reason always (so that the
// packets that came in equal the sum of the reasons), its service and backend where
// it has them. What each counter means: tables.h. Rows are this CPU's own, so
// nothing here is atomic.
#pragma once

#include "decide.h"

static __always_inline void lb_count_service_drop(struct lb_env *env, __u32 cpu,
						  const struct lb_decision *d)
{
	struct lb_service_counters *c = lb_service_counters(env, cpu, d->service);

	if (c)
		c->drops++;
}

static __always_inline void lb_count_backend(struct lb_env *env, __u32 cpu,
					     const struct lb_packet *p, const struct lb_decision *d)
{
	struct lb_backend_counters *c = lb_backend_counters(env, cpu, d->backend);

	if (!c)
		return;
	if (d->is_reply) {
		if (p->tcp_flags & LB_TCP_RST)
			c->reply_rsts++;
		c->reply_pkts++;
		c->reply_bytes += p->frame_len;
	} else {
		if (lb_packet_is_syn(p)) // first: what was read of the packet is done with then
			c->syns++;
		c->pkts++;
		c->bytes += p->frame_len;
		if (d->reason != LB_REASON_CURRENT && d->is_untracked)
			c->untracked++;
	}
}

// @n packets ended with it.
static __always_inline void lb_count_reason(struct lb_env *env, __u32 cpu, enum lb_reason reason,
					    __u32 n)
{
	struct lb_reason_line *line = lb_reason_line(env, cpu, reason / LB_REASONS_PER_LINE);

	if (line)
		line->pkts[reason % LB_REASONS_PER_LINE] += n;
}

// @cpu: lb_cpu(), which is best asked early: what is counted in waits for it.
static __always_inline void lb_count_on(struct lb_env *env, __u32 cpu, const struct lb_packet *p,
					const struct lb_decision *d)
{
	if (d->verdict == LB_TRANSMIT)
		lb_count_backend(env, cpu, p, d);
	else if (d->verdict != LB_PASS && d->service)
		lb_count_service_drop(env, cpu, d);
	lb_count_reason(env, cpu, d->reason, 1);
}

static __always_inline void lb_count(struct lb_env *env, const struct lb_packet *p,
				     const struct lb_decision *d)
{
	lb_count_on(env, lb_cpu(env), p, d);
}
