// SPDX-License-Identifier: BSD-2-Clause
//
// control/address.c and err.c: text to address and back. What is written after
// RFC 5952 comes back as it was; what no person means is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "control/address.h"
#include "control/err.h"

static void addresses_come_back(void **state)
{
	static const char *const texts[] = {
		"10.0.0.1", "255.255.255.255", "0.0.0.0", "2001:db8::1", "::",
		"::1",	    "2001:db8:0:1::"};
	char text[ADDRESS_TEXT_MAX];
	struct lb_address a;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(address_parse(texts[i], &a), 0);
		assert_string_equal(address_render(&a, text), texts[i]);
		assert_int_equal(address_family(&a), strchr(texts[i], ':') ? 6 : 4);
	}
	assert_int_equal(address_parse("10.1.2.3", &a), 0);
	assert_memory_equal(a.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\1\2\3", 16);
}

static void bad_addresses_are_refused(void **state)
{
	static const char *const texts[] = {
		"",	      "10.0.0",	     "10.0.0.256",	"10.0.0.1 ",
		" 10.0.0.1",  "010.0.0.1x",  "2001:db8",	"fe80::1%eth0",
		"[::1]",      "10.0.0.1:80", "::ffff:10.0.0.1", "localhost",
		"10.0.0.0/8", ":::",
	};
	struct lb_address a = {.bytes = {1}}, before = a;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		assert_int_equal(address_parse(texts[i], &a), -EINVAL);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void ports_come_back(void **state)
{
	static const struct {
		const char *text, *back;
		uint16_t port;
	} cases[] = {
		{"10.0.0.1:80", "10.0.0.1:80", 80},
		{"10.0.0.1", "10.0.0.1", 0},
		{"[2001:db8::1]:65535", "[2001:db8::1]:65535", 65535},
		{"2001:db8::1", "2001:db8::1", 0},
		{"[2001:db8::1]", "2001:db8::1", 0},
		{"2001:db8::1:80", "2001:db8::1:80", 0},
	};
	static const char *const bad[] = {
		"10.0.0.1:",
		"10.0.0.1:0",
		"10.0.0.1:65536",
		"10.0.0.1:+80",
		"10.0.0.1:80x",
		"[10.0.0.1]:80",
		"[::1",
		"[::1]80",
		"[::1]:",
		":80",
		"10.0.0.1:99999999999999999999",
		"[]:80",
	};
	char text[ADDRESS_TEXT_MAX];
	struct lb_address a;
	uint16_t port;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(address_parse_port(cases[i].text, &a, &port), 0);
		assert_int_equal(port, cases[i].port);
		assert_string_equal(address_render_port(&a, port, text), cases[i].back);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(address_parse_port(bad[i], &a, &port), -EINVAL);
}

static void prefixes_come_back(void **state)
{
	static const char *const good[] = {"10.0.0.0/8",    "0.0.0.0/0", "10.0.0.1/32",
					   "2001:db8::/32", "::/0",	 "::1/128"};
	static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
					  "::/129",	 "/8",	      "10.0.0.0/8/8"};
	char text[ADDRESS_TEXT_MAX];
	struct prefix p;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(prefix_parse(good[i], &p), 0);
		assert_string_equal(prefix_render(&p, text), good[i]);
	}
	assert_int_equal(prefix_parse("10.0.0.1", &p), 0);
	assert_int_equal(p.len, 32);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(prefix_parse(bad[i], &p), -EINVAL);
}

static void usable_is_unicast_of_a_host(void **state)
{
	static const struct {
		const char *text;
		bool usable;
	} cases[] = {
		{"10.0.0.1", true},    {"192.0.2.1", true},	   {"240.0.0.1", true},
		{"0.0.0.0", false},    {"0.1.2.3", false},	   {"127.0.0.1", false},
		{"224.0.0.1", false},  {"239.255.255.255", false}, {"255.255.255.255", false},
		{"2001:db8::1", true}, {"fd00::1", true},	   {"::", false},
		{"::1", false},	       {"ff02::1", false},	   {"fe80::1", false},
		{"febf::1", false},    {"fec0::1", true},
	};
	struct lb_address a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(address_parse(cases[i].text, &a), 0);
		assert_int_equal(address_is_usable(&a), cases[i].usable);
	}
}

static void errors_render_what_they_have(void **state)
{
	char buf[256], small[8];
	struct err e;

	assert_int_equal(err_set(&e, -ENOENT, "no %s", "x"), -ENOENT);
	assert_string_equal(err_render(&e, NULL, buf, sizeof(buf)), "no x");
	assert_string_equal(err_render(&e, "web.yaml", buf, sizeof(buf)), "web.yaml: no x");
	assert_int_equal(err_set_field(&e, -EINVAL, 14, "services[2].port", "must be %d", 1),
			 -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(err_render(&e, "web.yaml", buf, sizeof(buf)),
			    "services[2].port: must be 1 (web.yaml:14)");
	assert_string_equal(err_render(&e, NULL, buf, sizeof(buf)),
			    "services[2].port: must be 1 (line 14)");
	assert_string_equal(err_render(&e, NULL, small, sizeof(small)), "service");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_come_back),
		cmocka_unit_test(bad_addresses_are_refused),
		cmocka_unit_test(ports_come_back),
		cmocka_unit_test(prefixes_come_back),
		cmocka_unit_test(usable_is_unicast_of_a_host),
		cmocka_unit_test(errors_render_what_they_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
