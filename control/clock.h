// SPDX-License-Identifier: BSD-2-Clause
//
// CLOCK_MONOTONIC, which no step of the wall clock moves; for lbd and for the main lcore
// of lb-dpdk. And times of the wall clock as text.
#pragma once

#include <stdint.h>

uint64_t clock_now_ns(void);
uint64_t clock_now_ms(void);
uint32_t clock_now_s(void); // as the tables' times

#define CLOCK_TEXT_MAX 48
// Renders "2026-11-26T04:00:00.123Z" (RFC 3339) into @buf of CLOCK_TEXT_MAX bytes; returns @buf.
// @time_ns: since 1970. @digits: behind the point, 1 to 9; what is finer is cut off.
const char *clock_render(uint64_t time_ns, int digits, char *buf);
