// SPDX-License-Identifier: BSD-2-Clause
//
// tools/lbctl/pcapng.c: the bytes of a small capture, written out by hand from the format's
// description (draft-ietf-opsawg-pcapng, section 4). That others read it: tests/net/trace.sh.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/pcapng.h"

// Words in this machine's byte order, as the format wants them; text as it stands.
static const uint32_t section[] = {0x0a0d0d0a, 40, 0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX};
static const char section_options[] = "\4\0\1\0"
				      "x\0\0\0"
				      "\0\0\0\0";
static const uint32_t section_end[] = {40};

static const uint32_t in[] = {1, 44, 1, 0};
static const char in_options[] = "\2\0\7\0"
				 "eth0 in\0"
				 "\11\0\1\0"
				 "\11\0\0\0"
				 "\0\0\0\0";
static const uint32_t in_end[] = {44};

static const uint32_t first[] = {6, 60, 0, 0x18000000, 0x12345678, 5, 60};
static const char first_options[] = "abcde\0\0\0"
				    "\1\0\3\0"
				    "one\0"
				    "\2\0\4\0"
				    "\1\0\0\0"
				    "\0\0\0\0";
static const uint32_t first_end[] = {60};

static const uint32_t out[] = {1, 44, 1, 0};
static const char out_options[] = "\2\0\10\0"
				  "eth0 out"
				  "\11\0\1\0"
				  "\11\0\0\0"
				  "\0\0\0\0";
static const uint32_t out_end[] = {44};

static const uint32_t second[] = {6, 56, 1, 0, 7, 4, 4};
static const char second_options[] = "abcd"
				     "\1\0\4\0"
				     "zwei"
				     "\2\0\4\0"
				     "\2\0\0\0"
				     "\0\0\0\0";
static const uint32_t second_end[] = {56};

static const struct {
	const void *bytes;
	size_t len;
} expected[] = {
#define WORDS(name)                                                                                \
	{                                                                                          \
		name, sizeof(name)                                                                 \
	}
#define TEXT(name)                                                                                 \
	{                                                                                          \
		name, sizeof(name) - 1                                                             \
	}
	WORDS(section), TEXT(section_options), WORDS(section_end),
	WORDS(in),	TEXT(in_options),      WORDS(in_end),
	WORDS(first),	TEXT(first_options),   WORDS(first_end),
	WORDS(out),	TEXT(out_options),     WORDS(out_end),
	WORDS(second),	TEXT(second_options),  WORDS(second_end),
	WORDS(first),	TEXT(first_options),   WORDS(first_end), // its interface is known
};

static void assert_expected(const char *bytes, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		assert_true(at + expected[i].len <= len);
		if (memcmp(bytes + at, expected[i].bytes, expected[i].len))
			fail_msg("part %zu, at byte %zu", i, at);
		at += expected[i].len;
	}
	assert_int_equal(at, len);
}

static const struct pcapng_packet packets[] = {
	{"eth0 in", 0x1800000012345678, (const uint8_t *)"abcdeX", 5, 60, false, "one"},
	{"eth0 out", 7, (const uint8_t *)"abcd", 4, 4, true, "zwei"},
	{"eth0 in", 0x1800000012345678, (const uint8_t *)"abcdeX", 5, 60, false, "one"},
};

static void bytes(void **state)
{
	struct pcapng p;
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	assert_true(pcapng_begin(&p, to, "x"));
	for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
		assert_true(pcapng_add(&p, &packets[i]));
	pcapng_end(&p);
	fclose(to);
	assert_expected(text, len);
	free(text);
}

static void says_when_the_disk_is_full(void **state)
{
	FILE *to = fopen("/dev/full", "w");
	struct pcapng p;

	assert_non_null(to);
	setvbuf(to, NULL, _IONBF, 0);
	assert_false(pcapng_begin(&p, to, "x"));
	assert_false(pcapng_add(&p, &packets[0]));
	pcapng_end(&p);
	fclose(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(says_when_the_disk_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
