// SPDX-License-Identifier: BSD-2-Clause
#include "control/clock.h"

#include <time.h>

uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t clock_now_ms(void)
{
	return clock_now_ns() / 1000000;
}

uint32_t clock_now_s(void)
{
	return (uint32_t)(clock_now_ns() / 1000000000);
}
