// SPDX-License-Identifier: BSD-2-Clause
//
// The core's native driver, with a gap in it: where a packet has read its slot and is
// about to look at the connection table, and before each compare-and-swap (the sweep's
// too), the test may let other packets and lbd act. So a packet is under way while the
// world changes.
#pragma once

struct lb_env;
void world_packet_under_way(struct lb_env *env);
void world_swap_under_way(void);

#define lb_now_s lb_native_now_s
#define lb_cas64 lb_native_cas64
#include "dataplane/native/platform_impl.h"
#undef lb_now_s
#undef lb_cas64

static __always_inline __u32 lb_now_s(struct lb_env *env)
{
	world_packet_under_way(env);
	return lb_native_now_s(env);
}

static __always_inline __u64 lb_cas64(__u64 *p, __u64 old, __u64 new)
{
	world_swap_under_way();
	return lb_native_cas64(p, old, new);
}
