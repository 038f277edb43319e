// SPDX-License-Identifier: BSD-2-Clause
//
// Durations as people write them: 250ms, 2s, 15m, 1h. Pure.
#pragma once

#include <stdint.h>

#define DURATION_TEXT_MAX 32
#define DURATION_MS_NS 1000000ull
#define DURATION_S_NS 1000000000ull

// A whole number and one of ms, s, m, h. 0, -EINVAL, or -ERANGE (more than 64 bits of nanoseconds).
int duration_parse(const char *text, uint64_t *ret_ns);
// The shortest exact form, rounded down to milliseconds, into @buf of DURATION_TEXT_MAX; returns
// @buf.
const char *duration_render(uint64_t ns, char *buf);
