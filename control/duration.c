// SPDX-License-Identifier: BSD-2-Clause
//
// Durations: one table of units, greatest first, for both directions. What is
// rendered parses to the same number of nanoseconds, if it had whole milliseconds.
// Used by the schema, the settings and whatever shows a time span. Pure.
#include "control/duration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{"h", 3600 * DURATION_S_NS},
	{"m", 60 * DURATION_S_NS},
	{"s", DURATION_S_NS},
	{"ms", DURATION_MS_NS},
};

#define UNITS_N (sizeof(units) / sizeof(*units))

int duration_parse(const char *text, uint64_t *ret_ns)
{
	const char *p = text;
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return -ERANGE;
	if (p == text)
		return -EINVAL;
	for (size_t i = 0; i < UNITS_N; i++) {
		if (strcmp(p, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(n, units[i].ns, &n))
			return -ERANGE;
		*ret_ns = n;
		return 0;
	}
	return -EINVAL;
}

const char *duration_render(uint64_t ns, char *buf)
{
	const uint64_t whole_ms_ns = ns - ns % DURATION_MS_NS;
	size_t i = 0;

	// The greatest unit that divides it has the fewest digits.
	while (whole_ms_ns % units[i].ns)
		i++;
	if (!whole_ms_ns)
		snprintf(buf, DURATION_TEXT_MAX, "0s");
	else
		snprintf(buf, DURATION_TEXT_MAX, "%llu%s",
			 (unsigned long long)(whole_ms_ns / units[i].ns), units[i].name);
	return buf;
}
