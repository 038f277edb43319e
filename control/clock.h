// SPDX-License-Identifier: BSD-2-Clause
//
// CLOCK_MONOTONIC, which no step of the wall clock moves; for lbd and for the main lcore
// of lb-dpdk.
#pragma once

#include <stdint.h>

uint64_t clock_now_ns(void);
uint64_t clock_now_ms(void);
uint32_t clock_now_s(void); // as the tables' times
