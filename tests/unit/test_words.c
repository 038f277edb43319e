// SPDX-License-Identifier: BSD-2-Clause
//
// control/duration.c and nearest.c: durations as people write them, and how far a
// mistyped word is from a known one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "control/duration.h"
#include "control/nearest.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void durations_come_back_in_their_shortest_form(void **state)
{
	static const struct {
		const char *text, *back;
	} cases[] = {
		{"250ms", "250ms"}, {"1000ms", "1s"}, {"1500ms", "1500ms"}, {"60s", "1m"},
		{"90s", "90s"},	    {"15m", "15m"},   {"900s", "15m"},	    {"60m", "1h"},
		{"90m", "90m"},	    {"24h", "24h"},   {"0ms", "0s"},	    {"3661s", "3661s"},
	};
	static const char *const bad[] = {"", "s", "1", "1.5s", "-1s", "1 s", "1S", "1d", "1s1"};
	char text[DURATION_TEXT_MAX];
	uint64_t ns;

	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(duration_parse(cases[i].text, &ns), 0);
		assert_string_equal(duration_render(ns, text), cases[i].back);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(duration_parse(bad[i], &ns), -EINVAL);
	assert_int_equal(duration_parse("99999999999999999999s", &ns), -ERANGE);
	assert_int_equal(duration_parse("18446744073709551615ms", &ns), -ERANGE);
	srand(4);
	for (int i = 0; i < 10000; i++) {
		uint64_t ms = ((uint64_t)rand() << 10 | (uint64_t)rand()) >> rand() % 32, back;

		assert_int_equal(duration_parse(duration_render(ms * DURATION_MS_NS, text), &back),
				 0);
		assert_int_equal(back, ms * DURATION_MS_NS);
	}
}

static void distances_are_those_of_typing_errors(void **state)
{
	assert_int_equal(nearest_distance("port", "port"), 0);
	assert_int_equal(nearest_distance("prot", "port"), 1);
	assert_int_equal(nearest_distance("", "port"), 4);
	assert_int_equal(nearest_distance("kitten", "sitting"), 3);
	assert_int_equal(nearest_distance("ca", "abc"), 3); // not 2: no letter is moved twice
	assert_true(nearest_is_close("wieght", "weight"));
	assert_true(nearest_is_close("addr", "address"));
	assert_false(nearest_is_close("colour", "port"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations_come_back_in_their_shortest_form),
		cmocka_unit_test(distances_are_those_of_typing_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
