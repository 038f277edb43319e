// SPDX-License-Identifier: BSD-2-Clause
//
// What guard.c gives to nftables, as text. Pure.
#pragma once

#include "control/guard.h"

#define GUARD_TABLE "inet sluice"

// Sorts, and leaves out duplicates.
void guard_sort(struct guard_keys *k);
// What makes a table that holds @put hold @wanted, both sorted; "" where it does. @put NULL: what
// it holds is not known, or there is none, and all of it is made anew; counts stay. The caller
// frees it. NULL: out of memory.
char *guard_render(const struct settings *s, const struct guard_wanted *put,
		   const struct guard_wanted *wanted);
