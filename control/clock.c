// SPDX-License-Identifier: BSD-2-Clause
#include "control/clock.h"

#include <stdio.h>
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

const char *clock_render(uint64_t time_ns, int digits, char *buf)
{
	const time_t seconds = (time_t)(time_ns / 1000000000);
	char date[32], fraction[16];
	struct tm tm;

	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
	snprintf(fraction, sizeof(fraction), "%09u", (unsigned int)(time_ns % 1000000000));
	snprintf(buf, CLOCK_TEXT_MAX, "%s.%.*sZ", date, digits, fraction);
	return buf;
}
