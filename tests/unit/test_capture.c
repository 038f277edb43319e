// SPDX-License-Identifier: BSD-2-Clause
//
// control/capture.c: captures of every byte order, clock and link, and those that are cut
// off, damaged or none: refused as a whole, in words.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/capture.h"

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define IPV4_LEN 20

// A capture that is being made.
struct maker {
	uint8_t bytes[4096];
	size_t len;
	bool is_swapped;
};

static void add32(struct maker *m, uint32_t value)
{
	value = m->is_swapped ? __builtin_bswap32(value) : value;
	memcpy(m->bytes + m->len, &value, 4);
	m->len += 4;
}

static struct maker make(uint32_t magic, uint32_t link, bool is_swapped)
{
	struct maker m = {.is_swapped = is_swapped};

	add32(&m, magic);
	add32(&m, is_swapped ? 0x00020004 : 0x00040002); // version 2.4, two numbers
	add32(&m, 0);
	add32(&m, 0);
	add32(&m, 262144);
	add32(&m, link);
	return m;
}

static void add_packet(struct maker *m, uint32_t s, uint32_t fraction, const void *bytes,
		       uint32_t captured_len, uint32_t len)
{
	add32(m, s);
	add32(m, fraction);
	add32(m, captured_len);
	add32(m, len);
	memcpy(m->bytes + m->len, bytes, captured_len);
	m->len += captured_len;
}

// What capture_open() says, of bytes on the heap, just as long: ASan sees a read beyond the end.
static int open_exactly(const struct maker *m, size_t len, struct capture *ret, struct err *e)
{
	static uint8_t *bytes;

	free(bytes);
	bytes = malloc(len ? len : 1);
	memcpy(bytes, m->bytes, len);
	*e = (struct err){0};
	return capture_open(bytes, len, ret, e);
}

static void packets_come_with_their_times_and_lengths(void **state)
{
	static const struct {
		uint32_t magic;
		bool is_swapped;
		uint64_t time_ns;
	} kinds[] = {
		{MAGIC_US, false, 1700000000000007000},
		{MAGIC_US, true, 1700000000000007000},
		{MAGIC_NS, false, 1700000000000000007},
		{MAGIC_NS, true, 1700000000000000007},
	};
	uint8_t frame[60] = "an Ethernet frame";
	struct capture_packet p;
	struct capture c;
	struct err e;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		// Above the link type's 16 bits: that a checksum of four bytes follows.
		struct maker m = make(kinds[i].magic, 1 | 0x24000000, kinds[i].is_swapped);

		add_packet(&m, 1700000000, 7, frame, sizeof(frame), 1514);
		add_packet(&m, 1700000001, 7, frame, 14, 14);
		assert_int_equal(open_exactly(&m, m.len, &c, &e), 0);
		assert_int_equal(c.packets_n, 2);
		assert_string_equal(capture_link_name(&c), "Ethernet");
		assert_true(capture_next(&c, &p));
		assert_true(p.time_ns == kinds[i].time_ns);
		assert_int_equal(p.captured_len, 60);
		assert_int_equal(p.len, 1514);
		assert_memory_equal(p.frame, frame, 60);
		assert_true(capture_next(&c, &p));
		assert_int_equal(p.len, 14);
		assert_false(capture_next(&c, &p));
	}
}

static void long_frames_are_handed_out_as_far_as_they_are_looked_at(void **state)
{
	static uint8_t frame[3000] = {1, 2, 3};
	struct maker m = make(MAGIC_US, 1, false);
	struct capture_packet p;
	struct capture c;
	struct err e;

	add_packet(&m, 0, 0, frame, sizeof(frame), 3000);
	assert_int_equal(open_exactly(&m, m.len, &c, &e), 0);
	assert_true(capture_next(&c, &p));
	assert_int_equal(p.captured_len, CAPTURE_FRAME_MAX);
	assert_int_equal(p.len, 3000);
}

static void other_links_become_ethernet(void **state)
{
	const uint8_t cooked[16] = {0, 2, [14] = 0x08, 0x00};
	const uint8_t cooked2[20] = {0x86, 0xdd, [10] = 0};
	const struct {
		uint32_t link;
		const uint8_t *header;
		uint32_t header_len;
		uint8_t version, type[2];
		bool is_to_many;
	} links[] = {
		{101, NULL, 0, 0x45, {0x08, 0x00}, false},
		{12, NULL, 0, 0x60, {0x86, 0xdd}, false},
		{228, NULL, 0, 0x45, {0x08, 0x00}, false},
		{229, NULL, 0, 0x60, {0x86, 0xdd}, false},
		{113, cooked, 16, 0x45, {0x08, 0x00}, true},
		{276, cooked2, 20, 0x60, {0x86, 0xdd}, false},
	};
	struct capture_packet p;
	struct capture c;
	struct err e;

	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		struct maker m = make(MAGIC_US, links[i].link, false);
		uint8_t bytes[64] = {0};
		const uint32_t len = links[i].header_len + IPV4_LEN;

		if (links[i].header)
			memcpy(bytes, links[i].header, links[i].header_len);
		bytes[links[i].header_len] = links[i].version;
		add_packet(&m, 0, 0, bytes, len, len + 1000);
		add_packet(&m, 0, 0, bytes, 1, 100); // less than its header
		assert_int_equal(open_exactly(&m, m.len, &c, &e), 0);
		assert_true(capture_next(&c, &p));
		assert_int_equal(p.captured_len, 14 + IPV4_LEN);
		assert_int_equal(p.len, 14 + IPV4_LEN + 1000);
		assert_memory_equal(p.frame + 12, links[i].type, 2);
		assert_int_equal(p.frame[14], links[i].version);
		assert_int_equal(p.frame[0] & 1, links[i].is_to_many);
		assert_true(capture_next(&c, &p));
		assert_true(p.captured_len < p.len);
		assert_false(capture_next(&c, &p));
	}
}

static void assert_refused(const struct maker *m, size_t len, const char *why)
{
	struct capture c = {.link = 99};
	struct err e;

	assert_int_equal(open_exactly(m, len, &c, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("of %zu bytes it says \"%s\", not \"%s\"", len, e.text, why);
	assert_int_equal(c.link, 99); // written on success only
}

static void what_is_no_whole_capture_is_refused(void **state)
{
	static const struct maker text = {.bytes = "services: []", .len = 12};
	static const struct maker pcapng = {.bytes = {0x0a, 0x0d, 0x0d, 0x0a}, .len = 28};
	struct maker m = make(MAGIC_US, 1, false), damaged;
	uint8_t frame[60] = {0};
	struct capture c;
	struct err e;

	add_packet(&m, 0, 0, frame, 60, 60);
	damaged = m;
	add_packet(&m, 0, 0, frame, 60, 60);
	assert_refused(&text, 0, "empty");
	assert_refused(&text, text.len, "no capture");
	assert_refused(&pcapng, pcapng.len, "pcapng");
	for (size_t len = 4; len < CAPTURE_HEADER_LEN; len++)
		assert_refused(&m, len, "inside its header");
	assert_int_equal(open_exactly(&m, CAPTURE_HEADER_LEN, &c, &e), 0); // no packet
	assert_int_equal(c.packets_n, 0);
	for (size_t len = CAPTURE_HEADER_LEN + 1; len < CAPTURE_HEADER_LEN + 76; len++)
		assert_refused(&m, len, "inside packet 1:");
	for (size_t len = CAPTURE_HEADER_LEN + 77; len < m.len; len++)
		assert_refused(&m, len, "inside packet 2:");
	add_packet(&damaged, 0, 0, frame, 0, 0);
	memset(damaged.bytes + damaged.len - 8, 0xff, 4);
	assert_refused(&damaged, damaged.len, "packet 2 of the capture has 4294967295 bytes");
	m = make(MAGIC_US, 105, false);
	assert_refused(&m, m.len, "link type 105");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_with_their_times_and_lengths),
		cmocka_unit_test(long_frames_are_handed_out_as_far_as_they_are_looked_at),
		cmocka_unit_test(other_links_become_ethernet),
		cmocka_unit_test(what_is_no_whole_capture_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
