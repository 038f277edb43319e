// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Last step of the walk: writes what lb_decide() decided into the packet. Called by a
// driver for verdict TRANSMIT only, after it made the room that d->grow asks for.
#pragma once

#include "encap.h"
#include "rewrite.h"

// @start, @end: of the frame as it is now, d->grow bytes longer than when it was decided.
// Returns 0 where the packet does not fit its decision; it must then be dropped (never happens).
static __always_inline int lb_apply(struct lb_env *env, __u8 *start, __u8 *end,
				    const struct lb_packet *p, const struct lb_decision *d)
{
	if (!d->row)
		return 0;
	if (d->grow)
		return lb_encap(env, start, end, p, d);
	if (d->is_reply)
		lb_rewrite_nat_reply(p, d->row);
	else if (d->mode == LB_MODE_NAT)
		lb_rewrite_nat_request(p, d->row);
	else
		lb_rewrite_ttl(p, 0);
	lb_rewrite_macs(p->start, &d->link);
	return 1;
}
