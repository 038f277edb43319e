// SPDX-License-Identifier: BSD-2-Clause
//
// dataplane/core/hash.h: SipHash against published vectors; the flow hash against an
// implementation written apart (tests/packet/world.py, byte by byte, which is held to
// the same vectors); and that flows which differ little spread evenly over slots and
// over lines of connections. Inputs are fixed, so a run repeats.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/hash.h"
#include "dataplane/core/slot.h"

static const __u64 key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};

// SipHash of 0, 1, 2, ... @len - 1 by the core's steps.
static uint64_t sip(size_t len, int c, int d)
{
	uint8_t message[64] = {};
	struct lb_sip s;

	for (size_t i = 0; i < len; i++)
		message[i] = (uint8_t)i;
	message[len / 8 * 8 + 7] = (uint8_t)len;
	lb_sip_init(&s, key);
	for (size_t i = 0; i <= len / 8; i++)
		lb_sip_absorb(&s, lb_get64(message + i * 8), c);
	return lb_sip_finish(&s, d);
}

static void test_published(void **state)
{
	// SipHash-2-4: the paper's appendix A, and its reference implementation's vectors.
	assert_true(sip(15, 2, 4) == 0xa129ca6149be45e5ull);
	assert_true(sip(0, 2, 4) == 0x726fdb47dd0e0e31ull);
	assert_true(sip(1, 2, 4) == 0x74f839c593dc67fdull);
	assert_true(sip(8, 2, 4) == 0x93f5f5799a932462ull);
	// SipHash-1-3: the vectors of Rust's core library.
	assert_true(sip(0, 1, 3) == 0xabac0158050fc4dcull);
	assert_true(sip(1, 1, 3) == 0xc9f49bf37d57ca93ull);
	assert_true(sip(7, 1, 3) == 0xd3927d989bb11140ull);
	assert_true(sip(8, 1, 3) == 0x369095118d299a8eull);
}

static uint64_t hash_whole(const __u64 keys[LB_FLOW_KEYS], const struct lb_packet *p)
{
	return lb_hash_whole_flow(lb_hash_flow(keys, p), keys, p);
}

static uint64_t hash_flow(const __u64 secret[2], const struct lb_packet *p)
{
	__u64 keys[LB_FLOW_KEYS];

	lb_hash_expand_key(secret, keys);
	return hash_whole(keys, p);
}

static struct lb_packet flow(const char *source, const char *destination, uint16_t source_port,
			     uint16_t destination_port, uint8_t protocol)
{
	struct lb_packet p = {.family = strchr(source, ':') ? 6 : 4,
			      .ports = htons(source_port) | (uint32_t)htons(destination_port) << 16,
			      .protocol = protocol,
			      .has_ports = 1};
	__be32 ipv4;

	if (p.family == 6) {
		assert_int_equal(inet_pton(AF_INET6, source, &p.source), 1);
		assert_int_equal(inet_pton(AF_INET6, destination, &p.destination), 1);
	} else {
		assert_int_equal(inet_pton(AF_INET, source, &ipv4), 1);
		lb_address_set_ipv4(&p.source, ipv4);
		assert_int_equal(inet_pton(AF_INET, destination, &ipv4), 1);
		lb_address_set_ipv4(&p.destination, ipv4);
	}
	return p;
}

static void test_flows(void **state)
{
	static const struct {
		const char *source, *destination;
		uint16_t source_port, destination_port;
		uint8_t protocol;
		uint64_t hash; // world.py: whole_hash()
	} vectors[] = {
		{"198.51.100.7", "203.0.113.10", 40000, 80, 6, 0x3066cfca145bd11b},
		{"0.0.0.0", "255.255.255.255", 0, 65535, 17, 0xbce5213c4090c8f6},
		{"192.0.2.1", "192.0.2.2", 1, 2, 6, 0xf54ecdf235bd490b},
		{"2001:db8:c::7", "2001:db8:53::10", 40000, 80, 6, 0xc82d0782a77bf4fe},
		{"::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 0, 17,
		 0x715a97d13898d11c},
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct lb_packet p =
			flow(vectors[i].source, vectors[i].destination, vectors[i].source_port,
			     vectors[i].destination_port, vectors[i].protocol);

		assert_true(hash_flow(key, &p) == vectors[i].hash);
	}
}

// ---- distribution ----

// Pearson's statistic for @n balls in @bins; its mean is bins - 1, its deviation sqrt(2 (bins -
// 1)).
static double chi_squared(const uint32_t *counts, uint32_t bins, uint32_t n)
{
	double mean = (double)n / bins, sum = 0;

	for (uint32_t i = 0; i < bins; i++)
		sum += (counts[i] - mean) * (counts[i] - mean) / mean;
	return sum;
}

static void assert_even(const uint32_t *counts, uint32_t bins, uint32_t n)
{
	double chi = chi_squared(counts, bins, n), df = bins - 1;

	// Five deviations: one run in millions would fail by chance, and the inputs are fixed.
	assert_true((chi - df) * (chi - df) < 25 * 2 * df);
}

// Less is asked of what varies a tunnel's source: it may be more even than by chance, or a little
// less. (Where one bit says nothing the statistic is greater by n.)
static void assert_spread(const uint32_t *counts, uint32_t bins, uint32_t n)
{
	assert_true(chi_squared(counts, bins, n) < 1.25 * bins);
}

// Makes the @i-th flow of a pattern.
typedef void (*pattern_fn)(struct lb_packet *p, uint32_t i);

static void by_port(struct lb_packet *p, uint32_t i)
{
	p->ports = (p->ports & 0xffff0000) | htons((uint16_t)i);
	lb_address_set_ipv4(&p->source, htonl(0xc6336400 + (i >> 16)));
}

static void by_address(struct lb_packet *p, uint32_t i)
{
	lb_address_set_ipv4(&p->source, htonl(0x0a000000 + i));
}

static void by_high_bits(struct lb_packet *p, uint32_t i)
{
	lb_address_set_ipv4(&p->source, htonl(i << 12));
}

static void by_address6(struct lb_packet *p, uint32_t i)
{
	p->source.words[3] = htonl(i);
}

static void by_network6(struct lb_packet *p, uint32_t i)
{
	p->source.words[1] = htonl(i);
}

static void check_even(const char *source, const char *destination, pattern_fn pattern)
{
	enum { FLOWS_N = 1 << 20, LINES_N = 1 << 14, RING_LEN = 16381 };
	const uint64_t service = LB_SERVICE_WORD(1, LB_TRACK_NONE, 160, RING_LEN);
	uint32_t *slots = calloc(RING_LEN, sizeof(*slots));
	uint32_t *lines = calloc(LINES_N, sizeof(*lines));
	uint32_t *ports = calloc(LINES_N, sizeof(*ports));
	struct lb_packet p = flow(source, destination, 40000, 80, 6);
	__u64 keys[LB_FLOW_KEYS];

	lb_hash_expand_key(key, keys);
	for (uint32_t i = 0; i < FLOWS_N; i++) {
		uint64_t hash;
		uint32_t slot;

		pattern(&p, i);
		hash = hash_whole(keys, &p);
		slot = lb_slot_of(service, hash);
		assert_in_range(slot, 160, 160 + 16380);
		slots[slot - 160]++;
		lines[hash % LINES_N]++;
		ports[lb_hash_flow(keys, &p) % LINES_N]++;
	}
	assert_even(slots, RING_LEN, FLOWS_N);
	assert_even(lines, LINES_N, FLOWS_N);
	assert_spread(ports, LINES_N, FLOWS_N);
	free(slots);
	free(lines);
	free(ports);
}

static void test_even(void **state)
{
	check_even("198.51.100.7", "203.0.113.10", by_port);
	check_even("198.51.100.7", "203.0.113.10", by_address);
	check_even("198.51.100.7", "203.0.113.10", by_high_bits);
	check_even("2001:db8:c::7", "2001:db8:53::10", by_address6);
	check_even("2001:db8:c::7", "2001:db8:53::10", by_network6);
}

// Another key, or another bit anywhere in the five-tuple, changes about half of the hash's bits.
static void test_every_bit_counts(void **state)
{
	static const char *const ends[][2] = {{"198.51.100.7", "203.0.113.10"},
					      {"2001:db8:c::7", "2001:db8:53::10"}};
	const __u64 other_key[2] = {key[0] ^ 1, key[1]};

	for (int f = 0; f < 2; f++) {
		struct lb_packet p = flow(ends[f][0], ends[f][1], 40000, 80, 6);
		uint64_t hash = hash_flow(key, &p);
		uint8_t *fields[] = {p.source.bytes, p.destination.bytes};

		assert_in_range(__builtin_popcountll(hash ^ hash_flow(other_key, &p)), 12, 52);
		for (int bit = 0; bit < 2 * 128; bit++) {
			uint8_t *byte = &fields[bit / 128][bit % 128 / 8];

			if (p.family == 4 && bit % 128 < 96)
				continue;
			*byte ^= (uint8_t)(1 << bit % 8);
			assert_in_range(__builtin_popcountll(hash ^ hash_flow(key, &p)), 12, 52);
			*byte ^= (uint8_t)(1 << bit % 8);
		}
		for (int bit = 0; bit < 16; bit++) {
			p.ports ^= 1u << bit;
			assert_in_range(__builtin_popcountll(hash ^ hash_flow(key, &p)), 12, 52);
			p.ports ^= 1u << bit;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_even),
		cmocka_unit_test(test_every_bit_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
