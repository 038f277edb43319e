// SPDX-License-Identifier: BSD-2-Clause
//
// The core's functions, built once for each kind of vector register: the compiler makes the vectors
// of these loops. Which is taken the processor says.
#include "walk_flows.h"

#include "dataplane/core/decide.h"
#include "dataplane/core/like.h"
#include "dataplane/core/slot.h"

static __always_inline void spread_targets(struct walk_flows *f)
{
	const __u64 to = f->targets[0].to, ring = f->targets[0].ring;

	if (f->targets_n == 1) {
#pragma omp simd
		for (size_t i = 0; i < WALK_BURST_MAX; i++) {
			f->to[i] = to;
			f->ring[i] = ring;
		}
		return;
	}
	for (size_t i = 0; i < WALK_BURST_MAX; i++) {
		const struct walk_target *target = &f->targets[LANE_TARGET(f->marks[i])];

		f->to[i] = target->to;
		f->ring[i] = target->ring;
	}
}

static __always_inline int is_ipv6(__u16 mark, enum walk_families families)
{
	return families == WALK_BOTH ? mark & LANE_IPV6 : families == WALK_IPV6;
}

// Whether the row is of a plain request or reply.
static __always_inline int is_under_way(__u16 mark)
{
	_Static_assert(WAY_WHOLE == 0, "the least of all");
	return (mark & (LANE_PLAIN | LANE_WAY_MASK)) > LANE_PLAIN;
}

static __always_inline int is_request(__u16 mark)
{
	return (mark & (LANE_PLAIN | LANE_WAY_MASK)) == (LANE_PLAIN | WAY_CURRENT);
}

// What hinders a row: bits; 0: nothing. (A column, not a sum over it: that is one chain in gcc.)
static __always_inline void length_all(struct walk_flows *f, __u16 *ret_bad)
{
#pragma omp simd
	for (size_t i = 0; i < WALK_BURST_MAX; i++) {
		const __u16 mark = f->marks[i];
		const __u16 is_6 = mark / LANE_IPV6 & 1, is_udp = mark / LANE_UDP & 1;

		f->ip_lens[i] = lb_packet_like_ip_len(f->ip_words[i], is_6);
		ret_bad[i] = (__u16)(is_under_way(mark) &
				     !lb_packet_like_is_sound(f->ip_words[i], f->l4_words[i],
							      f->frame_lens[i], is_6, is_udp));
	}
}

// The sum of the hash that @keys are of. @family: a constant.
static __always_inline __u64 sum(const __u64 *keys, const struct walk_flows *f, size_t i,
				 __u8 family)
{
	const struct lb_address source = walk_flow_source(f, i, family);

	return lb_hash_sum(keys, family, &source, f->ports[i]) + f->to[i];
}

__u64 walk_flows_whole(const __u64 *keys, const struct walk_flows *f, size_t i)
{
	const __u8 family = f->marks[i] & LANE_IPV6 ? 6 : 4;
	const struct lb_address source = walk_flow_source(f, i, family);

	return lb_hash_whole(f->hash[i], keys, family, &source, f->ports[i], f->to[i]);
}

// Of one flow. Of a burst with both families each flow is hashed as both, and one is chosen by a
// mask: no vector takes a branch. @families: a constant.
static __always_inline void hash_one(const __u64 *keys, struct walk_flows *f, size_t i,
				     enum walk_families families)
{
	const __u64 mask = 0 - (__u64)(is_ipv6(f->marks[i], families) != 0);
	const __u64 ring = f->ring[i];
	__u64 hash;

	if (families == WALK_IPV4)
		hash = sum(keys, f, i, 4);
	else if (families == WALK_IPV6)
		hash = sum(keys, f, i, 6);
	else
		hash = (sum(keys, f, i, 4) & ~mask) | (sum(keys, f, i, 6) & mask);
	hash = lb_hash_finish(hash);
	f->hash[i] = hash;
	f->slot[i] = lb_slot_at((__u32)ring, (__u32)(ring >> 32), hash);
}

static __always_inline void hash_all(const __u64 *keys, struct walk_flows *f,
				     enum walk_families families)
{
#pragma omp simd
	for (size_t i = 0; i < WALK_BURST_MAX; i++)
		hash_one(keys, f, i, families);
}

// Whether the source is that of a plain packet that can be answered. @family: a constant.
static __always_inline unsigned int is_source(const struct walk_flows *f, size_t i, int family)
{
	const __u64 half0 = f->source_halves[0][i];

	if (family == 4)
		return (unsigned int)lb_decide_is_unicast_ipv4(f->source_ipv4[i]);
	// Where the first half is not 0 the other says nothing.
	return (unsigned int)lb_decide_is_unicast_ipv6(half0, 0) & (half0 != 0);
}

static __always_inline unsigned int source_one(const struct walk_flows *f, size_t i,
					       enum walk_families families)
{
	const unsigned int is_6 = is_ipv6(f->marks[i], families) != 0;

	if (families == WALK_IPV4)
		return is_source(f, i, 4);
	if (families == WALK_IPV6)
		return is_source(f, i, 6);
	return (is_source(f, i, 6) & is_6) | (is_source(f, i, 4) & !is_6);
}

static __always_inline void source_all(struct walk_flows *f, enum walk_families families,
				       __u16 *ret_bad)
{
#pragma omp simd
	for (size_t i = 0; i < WALK_BURST_MAX; i++)
		ret_bad[i] |= (__u16)(is_request(f->marks[i]) & !source_one(f, i, families));
}

static __always_inline void reverse_all(struct walk_flows *f)
{
#pragma omp simd
	for (size_t i = 0; i < WALK_BURST_MAX; i++) {
		const __u64 mask = 0 - (__u64)((f->marks[i] & LANE_IPV6) != 0);
		struct lb_address ipv4;

		lb_address_set_ipv4(&ipv4, f->source_ipv4[i]);
		f->reverse[i] = lb_index_hash_words(
			f->source_halves[0][i] & mask,
			(f->source_halves[1][i] & mask) | (ipv4.halves[1] & ~mask), f->ports[i]);
	}
}

static __always_inline void requests_of(const __u64 *keys, struct walk_flows *f,
					enum walk_families families, __u16 *ret_bad)
{
	spread_targets(f);
	source_all(f, families, ret_bad);
	hash_all(keys, f, families);
}

static __always_inline bool flows_any(const __u64 *keys, struct walk_flows *f,
				      enum walk_families families, bool has_replies)
{
	union {
		__u16 rows[WALK_BURST_MAX];
		__u64 words[WALK_BURST_MAX / 4];
	} bad;
	__u64 any = 0;

	length_all(f, bad.rows);
	if (has_replies)
		reverse_all(f);
	if (families == WALK_IPV4)
		requests_of(keys, f, WALK_IPV4, bad.rows);
	else if (families == WALK_IPV6)
		requests_of(keys, f, WALK_IPV6, bad.rows);
	else if (families == WALK_BOTH)
		requests_of(keys, f, WALK_BOTH, bad.rows);
	for (size_t i = 0; i < WALK_BURST_MAX / 4; i++)
		any |= bad.words[i];
	return any == 0;
}

#ifdef __x86_64__
#ifdef __clang__
#define AVX512 "avx512dq,avx512vl,avx512bw"
#else // gcc would take half of them
#define AVX512 "avx512dq,avx512vl,avx512bw,prefer-vector-width=512"
#endif
__attribute__((target(AVX512))) static bool
flows_avx512(const __u64 *keys, struct walk_flows *f, enum walk_families families, bool has_replies)
{
	return flows_any(keys, f, families, has_replies);
}

__attribute__((target("avx2"))) static bool
flows_avx2(const __u64 *keys, struct walk_flows *f, enum walk_families families, bool has_replies)
{
	return flows_any(keys, f, families, has_replies);
}
#endif

bool walk_flows(const __u64 *keys, struct walk_flows *flows, enum walk_families families,
		bool has_replies)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512bw"))
		return flows_avx512(keys, flows, families, has_replies);
	if (__builtin_cpu_supports("avx2"))
		return flows_avx2(keys, flows, families, has_replies);
#endif
	return flows_any(keys, flows, families, has_replies);
}
