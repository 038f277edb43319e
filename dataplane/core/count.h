// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Counts a packet, once, when its verdict is final: its reason always (so that the
// packets that came in equal the sum of the reasons), its service and backend where
// it has them. What each counter means: tables.h. Rows are this CPU's own, so
// nothing here is atomic.
#pragma once

#include "decide.h"

static __always_inline void lb_count_service_drop(struct lb_env *env, const struct lb_decision *d)
{
	struct lb_service_counters *c = lb_service_counters(env, d->service);

	if (c)
		c->drops++;
}

static __always_inline void lb_count_backend(struct lb_env *env, const struct lb_packet *p,
					     const struct lb_decision *d)
{
	struct lb_backend_counters *c = lb_backend_counters(env, d->backend);

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
static __always_inline void lb_count_reason(struct lb_env *env, enum lb_reason reason, __u32 n)
{
	struct lb_reason_line *line = lb_reason_line(env, reason / LB_REASONS_PER_LINE);

	if (line)
		line->pkts[reason % LB_REASONS_PER_LINE] += n;
}

static __always_inline void lb_count(struct lb_env *env, const struct lb_packet *p,
				     const struct lb_decision *d)
{
	if (d->verdict == LB_TRANSMIT)
		lb_count_backend(env, p, d);
	else if (d->verdict != LB_PASS && d->service)
		lb_count_service_drop(env, d);
	lb_count_reason(env, d->reason, 1);
}
