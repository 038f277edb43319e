// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Rate limits of what the dataplane itself sends or lets through (enum lb_rate). Each CPU
// counts for itself, in its own row; nothing is atomic.
#pragma once

#include "platform.h"

// Whether one more packet may pass; counts it if so. Not in line: no balanced packet comes here.
LB_CALLED __u32 lb_limit_take(struct lb_env *env, enum lb_rate rate)
{
	struct lb_limit_line *line = lb_limit_line(env);
	__u32 i = (__u32)rate % LB_RATE_MAX;
	__u32 now_s = lb_now_s(env), max;
	struct lb_limit *limit;

	if (!line)
		return 0;
	max = *(const volatile __u32 *)&lb_meta(env)->rates[i];
	if (!max)
		return 1;
	limit = &line->limits[i];
	if (limit->second != now_s) {
		limit->second = now_s;
		limit->pkts = 0;
	}
	if (limit->pkts >= max)
		return 0;
	limit->pkts++;
	return 1;
}
