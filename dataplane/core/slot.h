// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// From a flow's hash to its slot. A packet reads one slot, once: lbd may store
// another word at any time, and each word is right by itself.
#pragma once

#include "tables.h"

// Position of the flow's slot in `slots`: the hash's high half, scaled to the ring (Lemire: fast
// random integer generation, 2019; no division).
static __always_inline __u32 lb_slot_of(const struct lb_service *service, __u64 hash)
{
	return service->ring_offset + (__u32)((hash >> 32) * service->ring_len >> 32);
}

// @at: lb_slot()'s.
static __always_inline __u32 lb_slot_read(const __u32 *at)
{
	return *(const volatile __u32 *)at;
}
