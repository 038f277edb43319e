// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Last step of the walk: writes what lb_decide() decided into the packet. Called by a
// driver for verdict TRANSMIT only, after it made the room that lb_decision_grow() asks for.
// (For verdict ANSWER: answer.h.)
#pragma once

#include "encap.h"
#include "icmp.h"
#include "rewrite.h"

// In place, in nat and l2: what is not plain (packet.h). Returns 0 where the packet does not fit
// its decision; it must then be dropped (never happens).
static __always_inline int lb_apply_in_place(const struct lb_packet *p, const struct lb_decision *d)
{
	int is_written = 1;

	if (!d->row || p->start + LB_ETH_LEN > p->end)
		return 0;
	if (d->is_reply && p->quote.at)
		is_written = lb_icmp_rewrite_reply(p, d->row);
	else if (d->is_reply)
		lb_rewrite_nat_reply(p, d->row, p->l4_check != 0);
	else if (d->row->mode == LB_MODE_NAT && p->quote.at)
		is_written = lb_icmp_rewrite_request(p, d->row);
	else if (d->row->mode == LB_MODE_NAT)
		lb_rewrite_nat_request(p, d->row, p->l4_check != 0);
	else
		lb_rewrite_ttl_alone(p);
	lb_rewrite_macs(p->start, d->link);
	return is_written;
}

// The same for a plain packet that goes to a backend. @mode: its row's.
static __always_inline void lb_apply_request_plain(const struct lb_packet *p,
						   const struct lb_decision *d, enum lb_mode mode)
{
	if (mode == LB_MODE_NAT)
		lb_rewrite_nat_request(p, d->row, 1);
	else
		lb_rewrite_ttl_alone(p);
	lb_rewrite_macs(p->start, d->link);
}

// For any plain packet.
static __always_inline int lb_apply_in_place_plain(const struct lb_packet *p,
						   const struct lb_decision *d)
{
	if (!d->row)
		return 0;
	if (!d->is_reply) {
		lb_apply_request_plain(p, d, (enum lb_mode)d->row->mode);
		return 1;
	}
	lb_rewrite_nat_reply(p, d->row, 1);
	lb_rewrite_macs(p->start, d->link);
	return 1;
}

// Behind outer headers. @start, @end: of the frame as it is now, @grow bytes (lb_decision_grow())
// longer than when it was decided. @l3_at: p->l3_at, a constant where the packet is plain.
static __always_inline int lb_apply_tunnel(struct lb_env *env, __u8 *start, __u8 *end, __u32 grow,
					   __u32 l3_at, const struct lb_packet *p,
					   const struct lb_decision *d)
{
	if (!d->row)
		return 0;
	return lb_encap(env, start, end, grow, l3_at & 0x3f, p, d);
}

// All of it, for a driver that needs no straight way: any packet. Returns 0 as above.
static __always_inline int lb_apply(struct lb_env *env, __u8 *start, __u8 *end, __u32 grow,
				    const struct lb_packet *p, const struct lb_decision *d)
{
	if (grow)
		return lb_apply_tunnel(env, start, end, grow, p->l3_at, p, d);
	return lb_apply_in_place(p, d);
}
