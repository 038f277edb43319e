// SPDX-License-Identifier: BSD-2-Clause
//
// dataplane/dpdk/walk_flows.c, with each kind of vector register that this processor has: of a
// burst's rows the hash, slot, index hash and length that the core computes of one, and nothing
// unsound goes unnoticed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/dpdk/walk_flows.c"
#include "tests/packet/differential/random.h"

#define ROUNDS 20000

typedef bool flows_fn(const __u64 *keys, struct walk_flows *f, enum walk_families families,
		      bool has_replies);

static bool flows_plain(const __u64 *keys, struct walk_flows *f, enum walk_families families,
			bool has_replies)
{
	return flows_any(keys, f, families, has_replies);
}

static struct random source = {1};

static uint64_t next64(void)
{
	return random_next(&source);
}

static uint32_t next(uint32_t below)
{
	return random_below(&source, below);
}

static struct lb_address source_of(const struct walk_flows *f, size_t i)
{
	struct lb_address a;

	if (f->marks[i] & LANE_IPV6)
		a = (struct lb_address){.halves = {f->source_halves[0][i], f->source_halves[1][i]}};
	else
		lb_address_set_ipv4(&a, f->source_ipv4[i]);
	return a;
}

// A burst of @n, of requests of @families and replies. Some are unsound where @is_sound is not set.
static void make(struct walk_flows *f, const uint64_t *services, size_t n,
		 enum walk_families families, bool has_replies, bool is_sound)
{
	memset(f, 0xa5, sizeof(*f));
	memset(f->marks, 0, sizeof(f->marks));
	f->targets_n = 1 + next(3);
	for (unsigned int t = 0; t < f->targets_n; t++)
		f->targets[t] = (struct walk_target){
			.to = next64(), .ring = WALK_RING(services[t]), .service = services[t]};
	for (size_t i = 0; i < n; i++) {
		const bool is_6 = families == WALK_BOTH ? next(2) : families == WALK_IPV6;
		const bool is_udp = next(2), is_reply = has_replies && next(2);
		const uint32_t l4_len = 20 + next(1000), over = is_6 ? 0 : LB_IPV4_LEN;

		f->marks[i] =
			LANE_MARK(LANE_PLAIN | (is_6 ? LANE_IPV6 : 0) | (is_udp ? LANE_UDP : 0) |
					  (is_reply ? WAY_REPLY : WAY_CURRENT),
				  is_reply ? 0 : next(f->targets_n));
		f->source_ipv4[i] =
			1 + next(0x7f - 1) + (next(1 << 24) << 8); // 1.x.x.x to 126.x.x.x
		f->source_halves[0][i] = (next64() & ~0xffull) | 0x20;
		f->source_halves[1][i] = next64();
		f->ports[i] = (uint32_t)next64();
		f->ip_words[i] = LB_BE16(over + l4_len);
		f->l4_words[i] = is_udp ? LB_BE16(l4_len) : 0x1050;
		f->frame_lens[i] = (uint16_t)(LB_ETH_LEN + (is_6 ? LB_IPV6_LEN : LB_IPV4_LEN) +
					      l4_len + next(10));
		if (is_sound || next(8))
			continue;
		switch (next(4)) {
		case 0:
			f->frame_lens[i] = (uint16_t)(f->frame_lens[i] - 1 - next(12));
			break;
		case 1:
			f->l4_words[i] = (uint16_t)next64();
			break;
		case 2:
			f->source_ipv4[i] = (uint32_t)(next(256) | 224);
			f->source_halves[0][i] = next(2) ? 0 : 0xff;
			break;
		default:
			f->ip_words[i] = (uint16_t)next64();
		}
	}
}

// Whether all that is under way is sound, by the core's functions.
static bool is_all_sound(const struct walk_flows *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const uint16_t mark = f->marks[i];
		struct lb_packet p = {.family = mark & LANE_IPV6 ? 6 : 4,
				      .source = source_of(f, i)};

		if (!lb_packet_like_is_sound(f->ip_words[i], f->l4_words[i], f->frame_lens[i],
					     p.family == 6, (mark & LANE_UDP) != 0))
			return false;
		if (LANE_WAY(LANE_KIND(mark)) == WAY_CURRENT &&
		    (!lb_decide_is_unicast_source(&p) || (p.family == 6 && !p.source.halves[0])))
			return false;
	}
	return true;
}

static void check(const struct walk_flows *f, const __u64 *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct walk_target *t = &f->targets[LANE_TARGET(f->marks[i])];
		const struct lb_address a = source_of(f, i);
		const int family = f->marks[i] & LANE_IPV6 ? 6 : 4;
		uint64_t hash;

		assert_int_equal(f->ip_lens[i], (uint16_t)(__builtin_bswap16(f->ip_words[i]) +
							   (family == 6 ? 40 : 0)));
		if (LANE_WAY(LANE_KIND(f->marks[i])) == WAY_REPLY) {
			assert_int_equal(
				f->reverse[i],
				lb_index_hash_words(a.halves[0], a.halves[1], f->ports[i]));
			continue;
		}
		hash = lb_hash_finish(lb_hash_sum(keys, (uint8_t)family, &a, f->ports[i]) + t->to);
		assert_int_equal(f->hash[i], hash);
		assert_int_equal(f->slot[i], lb_slot_of(t->service, hash));
	}
}

static void test_kind(flows_fn *fn)
{
	uint64_t services[3];
	__u64 keys[LB_FLOW_KEYS];
	uint32_t sound_n = 0;

	for (size_t i = 0; i < 3; i++)
		services[i] =
			LB_SERVICE_WORD(1 + i, LB_TRACK_NONE, next(1 << 20), 1 + next(1 << 20));
	for (size_t i = 0; i < LB_FLOW_KEYS; i++)
		keys[i] = next64();
	for (int round = 0; round < ROUNDS; round++) {
		const enum walk_families families = (enum walk_families)(1 + next(3));
		const size_t n = 1 + next(WALK_BURST_MAX);
		const bool has_replies = next(2), is_sound = next(2);
		static struct walk_flows f;
		bool is_said;

		make(&f, services, n, families, has_replies, is_sound);
		is_said = fn(keys, &f, families, has_replies);
		assert_int_equal(is_said, is_all_sound(&f, n));
		assert_true(is_said || !is_sound);
		check(&f, keys, n);
		sound_n += is_said;
	}
	assert_true(sound_n > ROUNDS / 2 && sound_n < ROUNDS);
}

static void test_without_vectors(void **state)
{
	test_kind(flows_plain);
}

static void test_avx2(void **state)
{
	if (!__builtin_cpu_supports("avx2"))
		skip();
	test_kind(flows_avx2);
}

static void test_avx512(void **state)
{
	if (!__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
	    !__builtin_cpu_supports("avx512bw"))
		skip();
	test_kind(flows_avx512);
}

// A sound packet of a kind that walk_flows() is not asked of is not doubted.
static void test_others_are_not_asked(void **state)
{
	static struct walk_flows f;
	const __u64 keys[LB_FLOW_KEYS] = {0};

	memset(&f, 0, sizeof(f));
	f.marks[0] = LANE_MARK(LANE_PLAIN | WAY_WHOLE, 0);
	f.marks[1] = LANE_MARK(WAY_CURRENT, 0);
	f.marks[2] = LANE_MARK(WAY_DECIDED, 0);
	assert_true(walk_flows(keys, &f, (enum walk_families)0, false));
	f.marks[0] = LANE_MARK(LANE_PLAIN | WAY_REPLY, 0);
	assert_false(walk_flows(keys, &f, (enum walk_families)0, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_vectors),
		cmocka_unit_test(test_avx2),
		cmocka_unit_test(test_avx512),
		cmocka_unit_test(test_others_are_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
