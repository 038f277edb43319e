// SPDX-License-Identifier: BSD-2-Clause
//
// The Internet checksum (RFC 1071): the one's complement of the one's complement sum of all
// 16-bit words. Where a packet changes, its checksum must change by as much and no more, so that
// what came wrong stays wrong. By RFC 1624, equation 3, HC' = ~(~HC + ~m + m'). Here m and m' are
// the sums of all that the checksum covers, before and after: nobody needs to know which words
// changed.
#include "tests/packet/reference/reference.h"

// The carry out of the highest bit comes back in at the lowest.
uint32_t ref_sum16(uint32_t sum, uint32_t word)
{
	sum += word & 0xffff;
	return sum > 0xffff ? sum - 0xffff : sum;
}

uint32_t ref_sum(uint32_t sum, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum = ref_sum16(sum, ref_get16(bytes + i));
	if (n % 2 != 0) // an odd byte is the first of its word
		sum = ref_sum16(sum, (uint32_t)bytes[n - 1] << 8);
	return sum;
}

uint32_t ref_sum_address(uint32_t sum, const struct ref_address *address)
{
	return ref_sum(sum, address->bytes, 16);
}

uint32_t ref_check(uint32_t sum)
{
	return ~sum & 0xffff;
}

uint32_t ref_mend(uint32_t check, uint32_t before, uint32_t after)
{
	return ref_check(ref_sum16(ref_sum16(~check & 0xffff, ~before), after));
}
