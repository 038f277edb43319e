// SPDX-License-Identifier: BSD-2-Clause
//
// The core's hash, built once for each kind of vector register: the compiler makes the vectors of
// its loop. Which is taken the processor says.
#include "walk_hash.h"

#include "dataplane/core/hash.h"
#include "dataplane/core/slot.h"

// The hash before its finalizer. @family: a constant.
static __always_inline __u64 from(const __u64 *keys, const struct walk_flows *f, size_t i,
				  __u8 family)
{
	struct lb_address source;

	if (family == 4)
		lb_address_set_ipv4(&source, f->source_ipv4[i]);
	else
		source = (struct lb_address){
			.halves = {f->source_halves[0][i], f->source_halves[1][i]}};
	return lb_hash_from(keys, family, &source, f->ports[i], f->targets[i].to);
}

// Of one flow. Of a burst with both families each flow is hashed as both, and one is chosen by a
// mask: no vector takes a branch. @families: a constant.
static __always_inline void hash_one(const __u64 *keys, struct walk_flows *f, size_t i,
				     enum walk_families families)
{
	const __u64 is_ipv6 = 0 - (__u64)f->is_ipv6[i];
	const __u64 ring = f->targets[i].ring;
	__u64 hash;

	if (families == WALK_IPV4)
		hash = from(keys, f, i, 4);
	else if (families == WALK_IPV6)
		hash = from(keys, f, i, 6);
	else
		hash = (from(keys, f, i, 4) & ~is_ipv6) | (from(keys, f, i, 6) & is_ipv6);
	hash = lb_hash_finish(hash);
	f->hash[i] = hash;
	f->slot[i] = lb_slot_at((__u32)ring, (__u32)(ring >> 32), hash);
}

static __always_inline void hash_of(const __u64 *keys, struct walk_flows *f, unsigned int n,
				    enum walk_families families)
{
	for (size_t i = 0; i < n; i += WALK_HASH_STEP) {
#pragma omp simd
		for (size_t j = i; j < i + WALK_HASH_STEP; j++)
			hash_one(keys, f, j, families);
	}
}

static __always_inline void hash_all(const __u64 *keys, struct walk_flows *f, unsigned int n,
				     enum walk_families families)
{
	if (families == WALK_IPV4)
		hash_of(keys, f, n, WALK_IPV4);
	else if (families == WALK_IPV6)
		hash_of(keys, f, n, WALK_IPV6);
	else
		hash_of(keys, f, n, WALK_BOTH);
}

#ifdef __x86_64__
__attribute__((target("avx512dq,avx512vl"))) static void
hash_avx512(const __u64 *keys, struct walk_flows *f, unsigned int n, enum walk_families families)
{
	hash_all(keys, f, n, families);
}

__attribute__((target("avx2"))) static void hash_avx2(const __u64 *keys, struct walk_flows *f,
						      unsigned int n, enum walk_families families)
{
	hash_all(keys, f, n, families);
}
#endif

void walk_hash(const __u64 *keys, struct walk_flows *flows, unsigned int n,
	       enum walk_families families)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
		hash_avx512(keys, flows, n, families);
		return;
	}
	if (__builtin_cpu_supports("avx2")) {
		hash_avx2(keys, flows, n, families);
		return;
	}
#endif
	hash_all(keys, flows, n, families);
}
