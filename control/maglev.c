// SPDX-License-Identifier: BSD-2-Clause
#include "control/maglev.h"

bool maglev_is_prime(uint32_t n)
{
	if (n < 4)
		return n > 1;
	if (!(n & 1))
		return false;
	for (uint32_t d = 3; (uint64_t)d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}
