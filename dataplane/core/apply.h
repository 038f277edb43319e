// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Last step of the walk: writes what lb_decide() decided into the packet. Called by a
// driver for verdict TRANSMIT only, after it made the room that lb_decision_grow() asks for.
#pragma once

#include "encap.h"
#include "rewrite.h"

// @start, @end: of the frame as it is now, @grow bytes (lb_decision_grow()) longer than when it was
// decided.
// Returns 0 where the packet does not fit its decision; it must then be dropped (never happens).
static __always_inline int lb_apply(struct lb_env *env, __u8 *start, __u8 *end, __u32 grow,
				    const struct lb_packet *p, const struct lb_decision *d)
{
	if (!d->row)
		return 0;
	if (grow)
		return lb_encap(env, start, end, grow, p, d);
	if (d->is_reply)
		lb_rewrite_nat_reply(p, d->row);
	else if (d->row->mode == LB_MODE_NAT)
		lb_rewrite_nat_request(p, d->row);
	else
		lb_rewrite_ttl(p, 0);
	lb_rewrite_macs(p->start, d->link);
	return 1;
}
