// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// From a flow's hash to its slot. A packet reads one slot, once: lbd may store
// another word at any time, and each word is right by itself.
#pragma once

#include "tables.h"

// Position in `slots` of a flow's slot: the hash's high half, scaled to the ring (Lemire: fast
// random integer generation, 2019; no division).
static __always_inline __u32 lb_slot_at(__u32 ring_offset, __u32 ring_len, __u64 hash)
{
	return ring_offset + (__u32)((hash >> 32) * ring_len >> 32);
}

// @service: LB_SERVICE_WORD().
static __always_inline __u32 lb_slot_of(__u64 service, __u64 hash)
{
	return lb_slot_at(LB_SERVICE_RING_OFFSET(service), LB_SERVICE_RING_LEN(service), hash);
}

// @at: lb_slot()'s.
static __always_inline __u32 lb_slot_read(const __u32 *at)
{
	return *(const volatile __u32 *)at;
}
