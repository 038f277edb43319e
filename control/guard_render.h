// SPDX-License-Identifier: BSD-2-Clause
//
// What guard.c gives to nftables, as text. Pure.
#pragma once

#include "control/guard.h"

#define GUARD_TABLE "inet sluice"

// Sorts, and leaves out duplicates.
void guard_sort(struct guard_keys *k);
// Into @ret (the caller frees its keys) what @put becomes by *left of the changes that make it
// @wanted, all three sorted; *left is what is left of them: above 0, it is @wanted. 0 or -ENOMEM.
int guard_approach(const struct guard_wanted *put, const struct guard_wanted *wanted, size_t *left,
		   struct guard_wanted *ret);
// What makes a table that holds @put hold @wanted, both sorted; "" where it does. @put NULL: what
// it holds is not known, or there is none, and all of it is made anew; counts stay. The caller
// frees it. NULL: out of memory.
char *guard_render(const struct settings *s, const struct guard_wanted *put,
		   const struct guard_wanted *wanted);
