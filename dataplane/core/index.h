// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The rule of the two indexes (service_index, reverse_index; see tables.h), in one
// place for packets, which look up, and for lbd, which adds: which line a key hashes
// to, what matches, and when a look-up goes on to the next line. Pure.
//
// The hash is not keyed: keys are the operator's addresses, so nobody can aim at it,
// and a look-up reads LB_INDEX_PROBE lines at most.
#pragma once

#include "tables.h"

// Port (network order) and protocol as they stand in an entry's first three bytes.
static __always_inline __u64 lb_index_port_protocol(__be16 port, __u8 protocol)
{
	return port | (__u64)protocol << 16;
}

// The same of an entry, in one load.
static __always_inline __u64 lb_index_entry_port_protocol(const struct lb_index_entry *e)
{
	_Static_assert(__builtin_offsetof(struct lb_index_entry, protocol) ==
			       __builtin_offsetof(struct lb_index_entry, port) + 2,
		       "");
	return *(const __u32 *)&e->port & 0xffffff;
}

// What the hashes of an address have in common: a packet computes it once for the filter, the index
// and its flow's hash (hash.h).
static __always_inline __u64 lb_index_mix(__u64 half0, __u64 half1)
{
	return half0 * 0x9e3779b97f4a7c15ull ^ half1 * 0xc2b2ae3d27d4eb4full;
}

// What the key's line follows from (lb_index_at()). The products' highest bits depend on all of the
// key, and keys in a row, as operators choose them, lie farther apart by it than at random
// (multiplicative hashing: Knuth, The Art of Computer Programming, vol. 3, 6.4).
static __always_inline __u32 lb_index_hash_words(__u64 half0, __u64 half1, __u64 port_protocol)
{
	return (__u32)((lb_index_mix(half0, half1) + port_protocol * 0x165667b19e3779f9ull) >> 32);
}

static __always_inline __u32 lb_index_hash(const struct lb_address *address, __u8 protocol,
					   __be16 port)
{
	return lb_index_hash_words(address->halves[0], address->halves[1],
				   lb_index_port_protocol(port, protocol));
}

// Of an index of 2^(32 - @shift) lines: the number of the key's first line, or of the @i-th behind
// it. @hash: lb_index_hash().
static __always_inline __u32 lb_index_at(__u32 hash, __u32 shift, __u32 i)
{
	__u32 first = hash >> shift;

	return i ? (first + i) & ~0u >> shift : first;
}

// The value of the key in this one line, or 0.
static __always_inline __u64 lb_index_line_find(const struct lb_index_line *line, __u64 half0,
						__u64 half1, __u64 port_protocol)
{
	for (int i = 0; i < LB_INDEX_ENTRIES; i++) {
		const struct lb_index_entry *e = &line->entries[i];

		if (((e->address.halves[0] ^ half0) | (e->address.halves[1] ^ half1) |
		     (lb_index_entry_port_protocol(e) ^ port_protocol)) == 0) {
			__u64 value = *(const volatile __u64 *)&e->value;

			if (value)
				return value;
		}
	}
	return 0;
}

// Whether keys that hash to this line, or to one before it, may stand in the next one.
static __always_inline int lb_index_line_has_more(const struct lb_index_line *line)
{
	return *(const volatile __u8 *)&line->entries[0].more;
}

// For writers with the table in memory. Sets `more` on the lines between the key's first line and
// its @n-th (below LB_INDEX_PROBE), before the entry there gets its value.
static __always_inline void lb_index_set_more(struct lb_index_line *lines, __u32 shift, __u32 hash,
					      __u32 n)
{
	for (__u32 i = 0; i < n; i++)
		*(volatile __u8 *)&lines[lb_index_at(hash, shift, i)].entries[0].more = 1;
}

// ---- the filter in front of service_index: may this address be a VIP? ----

// The address's byte in meta.vip_filter.
static __always_inline __u32 lb_index_filter_at(const struct lb_address *address)
{
	return (__u32)(lb_index_mix(address->halves[0], address->halves[1]) >> 52) %
	       LB_VIP_FILTER_BYTES;
}

// 0: no entry of service_index has this address.
static __always_inline int lb_index_filter_has(const struct lb_meta *meta,
					       const struct lb_address *address)
{
	return *(const volatile __u8 *)&meta->vip_filter[lb_index_filter_at(address)];
}
