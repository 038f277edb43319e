// SPDX-License-Identifier: BSD-2-Clause
//
// dataplane/core/like.h: what it takes, lb_packet_parse_plain() takes too, and as the same; and of
// frames that are long enough, the other way round. Of packets that are sound, and then changed in
// a few bytes of their headers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/native/platform_impl.h"

#include "dataplane/core/like.h"
#include "tests/packet/differential/random.h"

#define ROUNDS 400000
#define FRAME_MAX 128

static struct random source = {1};

static uint32_t next(uint32_t below)
{
	return random_below(&source, below);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

// A sound one. Returns bytes of the frame.
static uint32_t make(uint8_t *frame, int family, uint8_t protocol)
{
	const uint32_t l3_len = family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN;
	const uint32_t l4_len = LB_TCP_LEN + next(24);
	uint8_t *ip = frame + LB_ETH_LEN, *l4 = ip + l3_len;

	for (size_t i = 0; i < FRAME_MAX; i++)
		frame[i] = (uint8_t)next(256);
	put16(frame + 12, family == 4 ? 0x0800 : 0x86dd);
	if (family == 4) {
		ip[0] = 0x45;
		put16(ip + 2, l3_len + l4_len);
		put16(ip + 6, next(2) ? 0x4000 : 0);
		ip[9] = protocol;
	} else {
		ip[0] = (uint8_t)(0x60 | (ip[0] & 0xf));
		put16(ip + 4, l4_len);
		ip[6] = protocol;
	}
	if (protocol == LB_IP_TCP)
		l4[12] = (uint8_t)(0x50 + (next(2) << 4 & (l4_len >= 24 ? 0xf0 : 0)));
	else
		put16(l4 + 4, LB_UDP_LEN + next(l4_len - LB_UDP_LEN + 1));
	return LB_ETH_LEN + l3_len + l4_len + next(20);
}

static void change(uint8_t *frame, int family)
{
	static const uint8_t ipv4[] = {12, 13, 14, 16, 17, 20, 21, 23, 30, 33, 36, 37, 38, 39, 46};
	static const uint8_t ipv6[] = {12, 14, 18, 19, 20, 22, 38, 53, 56, 57, 58, 59, 66};
	uint8_t *at = frame + (family == 4 ? ipv4[next(sizeof(ipv4))] : ipv6[next(sizeof(ipv6))]);

	*at = (uint8_t)(next(2) ? next(256) : *at ^ 1u << next(8));
	if (family == 6 && next(8) == 0) // as mapped ones begin
		memset(frame + (next(2) ? 22 : 38), 0, 8);
}

// As a driver asks it. Returns whether the packet is plain, and for whom *ret.
static bool is_plain_like(uint8_t *frame, uint32_t len, int family,
			  const struct lb_packet_like *like, struct lb_packet *ret)
{
	struct lb_packet_like_words words;
	uint8_t protocol;

	if (len < LB_LIKE_BYTES(family) || !lb_packet_like_is_family(frame, family))
		return false;
	protocol = lb_packet_like_protocol(frame, family);
	if (like && !lb_packet_is_like(like, frame, family))
		return false;
	if (!protocol)
		return false;
	words = lb_packet_like_words(frame, family, lb_packet_like_l4_length_at(family, protocol));
	lb_packet_parse_plain_again(frame, frame + len, len, family, protocol, ret);
	assert_true(ret->ip_len > 0xffff ||
		    lb_packet_like_ip_len(words.ip, family == 6) == ret->ip_len);
	return lb_packet_like_is_sound(words.ip, words.l4, (uint16_t)len, family == 6,
				       protocol == LB_IP_UDP);
}

static void test_as_the_parse(void **state)
{
	uint32_t plain_n = 0, other_n = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const int family = next(2) ? 4 : 6;
		uint8_t frame[FRAME_MAX];
		uint32_t len = make(frame, family, next(2) ? LB_IP_TCP : LB_IP_UDP);
		struct lb_packet one, other;
		bool is_plain, is_like;

		for (uint32_t n = next(4); n > 0; n--)
			change(frame, family);
		if (next(8) == 0)
			len = LB_LIKE_BYTES(family) + next(8);
		is_plain = lb_packet_family(frame, frame + len) == family &&
			   lb_packet_parse_plain(frame, frame + len, len, family, &one);
		is_like = is_plain_like(frame, len, family, NULL, &other);
		assert_int_equal(is_plain, is_like);
		plain_n += is_plain;
		other_n += !is_plain;
		if (is_plain)
			assert_memory_equal(&one, &other, sizeof(one));
	}
	assert_true(plain_n > ROUNDS / 10 && other_n > ROUNDS / 10);
}

// One that is like another is for the same address, port and protocol; and one that is for these,
// and plain, is like it.
static void test_for_the_same(void **state)
{
	uint32_t like_n = 0, other_n = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const int family = next(2) ? 4 : 6;
		const uint8_t protocol = next(2) ? LB_IP_TCP : LB_IP_UDP;
		uint8_t frame[FRAME_MAX];
		uint32_t len = make(frame, family, protocol);
		struct lb_packet one, other, ignored;
		struct lb_packet_like like;
		bool is_same;

		if (!lb_packet_parse_plain(frame, frame + len, len, family, &one))
			continue;
		like = lb_packet_like_of(&one);
		for (uint32_t n = next(4); n > 0; n--)
			change(frame, family);
		is_same = lb_packet_family(frame, frame + len) == family &&
			  lb_packet_parse_plain(frame, frame + len, len, family, &other) &&
			  lb_address_is_equal(&one.destination, &other.destination) &&
			  lb_packet_destination_port(&one) == lb_packet_destination_port(&other) &&
			  one.protocol == other.protocol;
		assert_int_equal(is_same, is_plain_like(frame, len, family, &like, &ignored));
		like_n += is_same;
		other_n += !is_same;
		if (is_same) {
			const struct lb_packet_like again = lb_packet_like_of(&other);

			assert_true(lb_packet_like_is_equal(&like, &again));
		}
	}
	assert_true(like_n > ROUNDS / 10 && other_n > ROUNDS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_parse),
		cmocka_unit_test(test_for_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
