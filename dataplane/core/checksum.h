// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The Internet checksum, mended where a packet changes and never computed anew
// (RFC 1071, RFC 1624 equation 3): so a packet that came with a wrong checksum
// leaves with a wrong one. Called by rewrite.h and encap.h, pure.
//
// A change is a 64-bit sum of what was taken away (as its complement) and what was
// put in its place; one sum serves every checksum that covers the change. Sums are
// of words as they lie in the packet: the sum's byte order follows (RFC 1071, 2 B).
#pragma once

#include "tables.h"

// Adds to @sum that @from became @to. Room for 2^31 calls before the sum overflows.
static __always_inline __u64 lb_checksum_replace32(__u64 sum, __u32 from, __u32 to)
{
	return sum + (__u32)~from + to;
}

static __always_inline __u64 lb_checksum_replace16(__u64 sum, __u16 from, __u16 to)
{
	return sum + (__u16)~from + to;
}

static __always_inline __u64 lb_checksum_replace_address(__u64 sum, const struct lb_address *from,
							 const struct lb_address *to)
{
	for (int i = 0; i < 4; i++)
		sum = lb_checksum_replace32(sum, from->words[i], to->words[i]);
	return sum;
}

// Any sum to 16 bits, carries added back. (A word and itself turned by half hold the sum of both
// halves, with the carry of the low ones, in the high half.)
static __always_inline __u16 lb_checksum_fold(__u64 sum)
{
	__u32 half;

	sum += sum >> 32 | sum << 32;
	half = (__u32)(sum >> 32);
	half += half >> 16 | half << 16;
	return (__u16)(half >> 16);
}

// The change taken back: from @sum, of 16 bits, what leads from the new words to the old ones.
// Never 0, so that it mends as a sum of words does.
static __always_inline __u16 lb_checksum_reverse(__u16 sum)
{
	return lb_checksum_fold(2 * 0xffff - (__u32)sum);
}

// @check, as it stands in a packet, after the changes in @sum.
static __always_inline __u16 lb_checksum_mend(__u16 check, __u64 sum)
{
	return (__u16)~lb_checksum_fold(sum + (__u16)~check);
}

// The same where @sum is folded: one carry comes of two words, and adding it back makes no other.
static __always_inline __u16 lb_checksum_mend16(__u16 check, __u16 sum)
{
	__u32 both = (__u32)sum + (0xffff ^ check);

	return (__u16) ~(both + (both >> 16));
}

// What a TTL one less adds to a header's sum: it is the first byte of its word.
#define LB_CHECKSUM_TTL 0xfffe

// Fills in what a nat backend's row says of checksums, from its addresses and ports. By whoever
// makes the row. (IPv4 addresses differ in their last word only, so one sum serves both families.)
static __always_inline void lb_checksum_set_nat(struct lb_backend *backend)
{
	__u64 sum = lb_checksum_replace_address(0, &backend->vip, &backend->address);
	__u64 flow = lb_checksum_replace16(sum, backend->vip_port, backend->port);
	__u32 back = lb_checksum_reverse(lb_checksum_fold(sum));

	backend->header_sum = lb_checksum_fold(sum + LB_CHECKSUM_TTL);
	backend->flow_sum = lb_checksum_fold(flow);
	backend->reply_header_sum = lb_checksum_fold(back + LB_CHECKSUM_TTL);
	backend->reply_flow_sum = lb_checksum_reverse(backend->flow_sum);
}
