// SPDX-License-Identifier: BSD-2-Clause
//
// Every input that is refused, with the sentence that a person reads: field, what
// was expected, what is there, file and line. The table is the specification.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/schema.h"

// A whole document with one good service; @lines come after it in the same list.
#define WEB                                                                                        \
	"services:\n"                                                                              \
	"  - name: web\n"                                                                          \
	"    vips: [203.0.113.10]\n"                                                               \
	"    port: 80\n"
#define WEB_BACKENDS                                                                               \
	WEB "    backends:\n"                                                                      \
	    "      - {address: 10.1.0.11, port: 8080}\n"

struct bad {
	const char *text, *error;
};

// clang-format off
static const struct bad no_tree[] = {
	{"", "is empty (web.yaml:1)"},
	{"# nothing\n", "is empty (web.yaml:1)"},
	{"services: [\n", "is neither YAML nor JSON: while parsing a flow node, did not find expected node content (web.yaml:2)"},
	{"services:\n\t- a\n", "is neither YAML nor JSON: while scanning for the next token, found character that cannot start any token (web.yaml:2)"},
	{"a: 1\nb: \x01\n", "is neither YAML nor JSON: control characters are not allowed (web.yaml:2)"},
	{"a: 1\nb: \xff\n", "is neither YAML nor JSON: invalid leading UTF-8 octet (web.yaml:2)"},
	{"a: \"\\0\"\n", "a NUL in a text is not allowed (web.yaml:1)"},
	{"services: []\n---\nservices: []\n", "a second document (---) is not taken (web.yaml:2)"},
	{"services: &a []\n", "aliases (*), anchors (&) and tags (!) are not taken; write it out (web.yaml:1)"},
	{"services: *a\n", "aliases (*), anchors (&) and tags (!) are not taken; write it out (web.yaml:1)"},
	{"services: !!seq []\n", "aliases (*), anchors (&) and tags (!) are not taken; write it out (web.yaml:1)"},
	{"[1, 2]: 3\n", "a key must be a word, is a list or a map (web.yaml:1)"},
	{"services: []\n\nservices: []\n", "key \"services\" is given twice, first in line 1 (web.yaml:3)"},
	{WEB "    port: 81\n", "key \"port\" is given twice, first in line 4 (web.yaml:5)"},
};

static const struct bad wrong_shape[] = {
	{"hello\n", "must be a map (key: value), is \"hello\" (web.yaml:1)"},
	{"[]\n", "must be a map (key: value), is a list (web.yaml:1)"},
	{"{}\n", "services: is missing: must be a list ([ONE, MORE]) (web.yaml:1)"},
	{"services:\n", "services: must be a list ([ONE, MORE]), is empty (web.yaml:1)"},
	{"service: []\n", "service: is no known key; did you mean `services`? (web.yaml:1)"},
	{"services: {}\n", "services: must be a list ([ONE, MORE]), is a map (web.yaml:1)"},
	{"services:\n  - web\n", "services[0]: must be a map (key: value), is \"web\" (web.yaml:2)"},
	{"services:\n  - vips: [203.0.113.10]\n    port: 80\n", "services[0].name: is missing: must be a text of 1 to 63 characters (web.yaml:2)"},
	{"services:\n  - name: web\n    port: 80\n", "services[0].vips: is missing: must be a list ([ONE, MORE]) (web.yaml:2)"},
	{"services:\n  - name: web\n    vips: [203.0.113.10]\n", "services[0].port: is missing: must be 1 to 65535 or any (web.yaml:2)"},
	{WEB "    mod: l2\n", "services[0].mod: is no known key; did you mean `mode`? (web.yaml:5)"},
	{WEB "    idle: 1s\n", "services[0].idle: is no known key; did you mean `idle_timeout`? (web.yaml:5)"},
	{WEB "    colour: red\n", "services[0].colour: is no known key; known are name, vips, protocol, port, mode, tracking, idle_timeout, ring, on_empty, on_down, check, backends (web.yaml:5)"},
	{WEB "    \"a\\nb\": red\n", "services[0].a?b: is no known key; known are name, vips, protocol, port, mode, tracking, idle_timeout, ring, on_empty, on_down, check, backends (web.yaml:5)"},
	{WEB "    check.type: tcp\n", "services[0].check.type: is no known key; known are name, vips, protocol, port, mode, tracking, idle_timeout, ring, on_empty, on_down, check, backends (web.yaml:5)"},
	{WEB "    backends: 10.1.0.11\n", "services[0].backends: must be a list ([ONE, MORE]), is \"10.1.0.11\" (web.yaml:5)"},
	{WEB "    backends: [10.1.0.11]\n", "services[0].backends[0]: must be a map (key: value), is \"10.1.0.11\" (web.yaml:5)"},
	{WEB "    backends:\n      - {weight: 1}\n", "services[0].backends[0].address: is missing: must be an address such as 10.1.0.11 or 2001:db8::11 (web.yaml:6)"},
	{WEB "    backends:\n      - {address: 10.1.0.11, weihgt: 1}\n", "services[0].backends[0].weihgt: is no known key; did you mean `weight`? (web.yaml:6)"},
	{WEB "    mode: [nat]\n", "services[0].mode: must be nat, l2, ipip or gue, is a list (web.yaml:5)"},
	{WEB "    check: [tcp]\n", "services[0].check: must be a map (key: value), is a list (web.yaml:5)"},
};

static const struct bad wrong_value[] = {
	{"services:\n  - name: ''\n    vips: [203.0.113.10]\n    port: 80\n", "services[0].name: must be a text of 1 to 63 characters, is \"\" (web.yaml:2)"},
	{"services:\n  - name: -web\n    vips: [203.0.113.10]\n    port: 80\n", "services[0].name: must start with a letter or digit (web.yaml:2)"},
	{"services:\n  - name: w eb\n    vips: [203.0.113.10]\n    port: 80\n", "services[0].name: must be letters, digits, '.', '_' and '-' only (web.yaml:2)"},
	{"services:\n  - name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "services[0].name: must be a text of 1 to 63 characters, is \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" (web.yaml:2)"},
	{"services:\n  - {name: web, port: 0, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is 0 (web.yaml:2)"},
	{"services:\n  - {name: web, port: 65536, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is 65536 (web.yaml:2)"},
	{"services:\n  - {name: web, port: -1, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is -1 (web.yaml:2)"},
	{"services:\n  - {name: web, port: 080, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is 080 (web.yaml:2)"},
	{"services:\n  - {name: web, port: 8e1, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is \"8e1\" (web.yaml:2)"},
	{"services:\n  - {name: web, port: \"80\", vips: []}\n", "services[0].port: must be 1 to 65535 or any, without quotes, is \"80\" (web.yaml:2)"},
	{"services:\n  - {name: web, port: 99999999999999999999999, vips: []}\n", "services[0].port: must be 1 to 65535 or any, is 99999999999999999999999 (web.yaml:2)"},
	{WEB "    protocol: sctp\n", "services[0].protocol: must be tcp or udp, is \"sctp\" (web.yaml:5)"},
	{WEB "    protocol: TCP\n", "services[0].protocol: must be tcp or udp, is \"TCP\" (web.yaml:5)"},
	{WEB "    mode: dnat\n", "services[0].mode: must be nat, l2, ipip or gue, is \"dnat\" (web.yaml:5)"},
	{WEB "    tracking: on\n", "services[0].tracking: must be adaptive, always or none, is \"on\" (web.yaml:5)"},
	{WEB "    idle_timeout: 900\n", "services[0].idle_timeout: must have a unit (ms, s, m, h), is the bare number 900 (web.yaml:5)"},
	{WEB "    idle_timeout: 0s\n", "services[0].idle_timeout: must be 1s to 4194303s, is \"0s\" (web.yaml:5)"},
	{WEB "    idle_timeout: 1500ms\n", "services[0].idle_timeout: must be a multiple of 1s, is \"1500ms\" (web.yaml:5)"},
	{WEB "    idle_timeout: 99999h\n", "services[0].idle_timeout: must be 1s to 4194303s, is \"99999h\" (web.yaml:5)"},
	{WEB "    idle_timeout: 99999999999999999h\n", "services[0].idle_timeout: must be 1s to 4194303s, is \"99999999999999999h\" (web.yaml:5)"},
	{WEB "    idle_timeout: 1.5m\n", "services[0].idle_timeout: must be a duration such as 250ms, 2s, 15m or 1h, is \"1.5m\" (web.yaml:5)"},
	{WEB "    idle_timeout: 1d\n", "services[0].idle_timeout: must be a duration such as 250ms, 2s, 15m or 1h, is \"1d\" (web.yaml:5)"},
	{WEB "    ring: 2\n", "services[0].ring: must be 3 to 16777215, is 2 (web.yaml:5)"},
	{WEB "    ring: 16777216\n", "services[0].ring: must be 3 to 16777215, is 16777216 (web.yaml:5)"},
	{WEB "    ring: 65536\n", "services[0].ring: must be a prime, is 65536; the nearest is 65537 (web.yaml:5)"},
	{WEB "    ring: 16384\n", "services[0].ring: must be a prime, is 16384; the nearest is 16381 (web.yaml:5)"},
	{WEB "    ring: 16777215\n", "services[0].ring: must be a prime, is 16777215; the nearest is 16777213 (web.yaml:5)"},
	{WEB "    on_empty: refuse\n", "services[0].on_empty: must be reject or drop, is \"refuse\" (web.yaml:5)"},
	{WEB "    on_down: drop\n", "services[0].on_down: must be reset or keep, is \"drop\" (web.yaml:5)"},
	{WEB "    check: icmp\n", "services[0].check.type: must be none, tcp or http, is \"icmp\" (web.yaml:5)"},
	{WEB "    check: {interval: 2s}\n", "services[0].check.type: is missing: must be tcp or http (web.yaml:5)"},
	{WEB "    check: {type: tcp, path: /x}\n", "services[0].check.path: is for `type: http` only (web.yaml:5)"},
	{WEB "    check:\n      type: http\n      path: x\n", "services[0].check.path: must start with / and have no blanks or control characters (web.yaml:7)"},
	{WEB "    check:\n      type: http\n      path: \"/x\\r\\nHost: y\"\n", "services[0].check.path: must start with / and have no blanks or control characters (web.yaml:7)"},
	{WEB "    check: {type: http, host: \"a\\r\\nb\"}\n", "services[0].check.host: must be a name without blanks or control characters (web.yaml:5)"},
	{WEB "    check: {type: tcp, interval: 1ms}\n", "services[0].check.interval: must be 10ms to 1h, is \"1ms\" (web.yaml:5)"},
	{WEB "    check: {type: tcp, timeout: 2s}\n", "services[0].check.timeout: must be above 0 and at most the interval (1000ms), so that a probe ends before the next (web.yaml:5)"},
	{WEB "    check: {type: tcp, rise: 0}\n", "services[0].check.rise: must be 1 to 1000, is 0 (web.yaml:5)"},
	{WEB "    check: {type: tcp, address: 127.0.0.1}\n", "services[0].check.address: must be a unicast address, neither loopback nor link-local (web.yaml:5)"},
	{"services:\n  - {name: web, port: 80, vips: [203.0.113.300]}\n", "services[0].vips[0]: must be an address such as 10.1.0.11 or 2001:db8::11, is \"203.0.113.300\" (web.yaml:2)"},
	{"services:\n  - {name: web, port: 80, vips: []}\n", "services[0].vips: must be 1 to 16 addresses, is 0 (web.yaml:2)"},
	{"services:\n  - {name: web, port: 80, vips: [1.0.0.1, 1.0.0.2, 1.0.0.3, 1.0.0.4, 1.0.0.5, 1.0.0.6, 1.0.0.7, 1.0.0.8, 1.0.0.9, 1.0.0.10, 1.0.0.11, 1.0.0.12, 1.0.0.13, 1.0.0.14, 1.0.0.15, 1.0.0.16, 1.0.0.17]}\n", "services[0].vips: must have at most 16 items, has 17 (web.yaml:2)"},
	{WEB_BACKENDS "      - {address: 10.1.0.12, weight: 3000}\n", "services[0].backends[1].weight: must be 0 to 1000, is 3000 (web.yaml:7)"},
	{WEB_BACKENDS "      - {address: 10.1.0.12, state: off}\n", "services[0].backends[1].state: must be enabled, drain or disabled, is \"off\" (web.yaml:7)"},
	{WEB_BACKENDS "      - {address: 10.1.0.12:80}\n", "services[0].backends[1].address: must be an address such as 10.1.0.11 or 2001:db8::11, is \"10.1.0.12:80\" (web.yaml:7)"},
};

static const struct bad contradictions[] = {
	{WEB "    protocol: udp\n    tracking: adaptive\n", "services[0].tracking: adaptive is for tcp, since udp has no first packet to tell new flows by; use always or none (web.yaml:6)"},
	{"services:\n  - {name: web, port: any, vips: [203.0.113.10]}\n", "services[0].port: any is not possible with nat, which rewrites ports; give a port, or use l2, ipip or gue (web.yaml:2)"},
	{"services:\n  - name: web\n    port: 80\n    vips:\n      - 203.0.113.10\n      - 203.0.113.11\n", "services[0].vips[1]: nat takes one VIP of each family, and 203.0.113.11 is another of IPv4; make it a service of its own, with backend ports of its own (web.yaml:6)"},
	{"services:\n  - {name: web, port: 80, mode: l2, vips: [203.0.113.10, 203.0.113.10]}\n", "services[0].vips[1]: 203.0.113.10 is given twice (web.yaml:2)"},
	{"services:\n  - {name: web, port: 80, vips: [127.0.0.1]}\n", "services[0].vips[0]: 127.0.0.1 cannot be a VIP: give a unicast address that is neither loopback nor link-local (web.yaml:2)"},
	{"services:\n  - {name: web, port: 80, vips: [fe80::1]}\n", "services[0].vips[0]: fe80::1 cannot be a VIP: give a unicast address that is neither loopback nor link-local (web.yaml:2)"},
	{WEB "    backends:\n      - address: 224.0.0.1\n", "services[0].backends[0].address: 224.0.0.1 cannot be a backend: give a unicast address that is neither loopback nor link-local (web.yaml:6)"},
	{WEB "    backends:\n      - address: fd00::11\n", "services[0].backends[0].address: fd00::11 is of IPv6, and no VIP of the service is; only ipip and gue carry one family in the other (web.yaml:6)"},
	{WEB "    mode: l2\n    backends:\n      - address: fd00::11\n", "services[0].backends[0].address: fd00::11 is of IPv6, and no VIP of the service is; only ipip and gue carry one family in the other (web.yaml:7)"},
	{WEB "    mode: l2\n    backends:\n      - address: 10.1.0.11\n        port: 8080\n", "services[0].backends[0].port: must be the service's, 80, is 8080: only nat rewrites ports (web.yaml:8)"},
	{WEB "    mode: ipip\n    backends:\n      - {address: 10.1.0.11, port: 8080}\n", "services[0].backends[0].port: must be the service's, 80, is 8080: only nat rewrites ports (web.yaml:7)"},
	{"services:\n  - {name: web, port: any, mode: l2, vips: [203.0.113.10], backends: [{address: 10.1.0.11, port: 80}]}\n", "services[0].backends[0].port: must be left out, since the service's port is any (web.yaml:2)"},
	{"services:\n  - {name: web, port: any, mode: l2, vips: [203.0.113.10], check: tcp}\n", "services[0].check.port: must be given, since the service's port is any (web.yaml:2)"},
	{WEB_BACKENDS "      - {address: 10.1.0.12}\n      - {address: 10.1.0.11, port: 8080, weight: 5}\n", "services[0].backends[2]: 10.1.0.11:8080 is backends[0] already; a service names a backend once (web.yaml:8)"},
	{WEB "    backends:\n      - {address: 203.0.113.10}\n", "services[0].backends[0].address: 203.0.113.10 is a VIP of service \"web\"; a backend needs an address of its own (web.yaml:6)"},
	{WEB "  - {name: web, port: 81, vips: [203.0.113.10]}\n", "services[1].name: \"web\" is the name of services[0] already (web.yaml:5)"},
	{WEB "  - {name: api, port: 80, vips: [203.0.113.10]}\n", "services[1].vips[0]: 203.0.113.10, tcp, port 80 is service \"web\" already; change the VIP, the protocol or the port (web.yaml:5)"},
	{WEB "  - {name: a, port: any, mode: l2, vips: [203.0.113.10]}\n  - {name: b, port: any, mode: ipip, vips: [203.0.113.9, 203.0.113.10]}\n", "services[2].vips[1]: 203.0.113.10, tcp, port any is service \"a\" already; change the VIP, the protocol or the port (web.yaml:6)"},
	{WEB_BACKENDS "  - name: api\n    vips: [203.0.113.11]\n    port: 81\n    backends:\n      - {address: 10.1.0.11, port: 8080}\n", "services[1].backends[0]: 10.1.0.11:8080 (tcp) is a backend of service \"web\" too, and with nat its replies could not be told apart; give it another port (web.yaml:11)"},
};
// clang-format on

static void assert_refused(const struct bad *cases, size_t n)
{
	char is[1024];
	struct err e;

	for (size_t i = 0; i < n; i++) {
		struct model *m = NULL;
		int r = schema_decode_model(cases[i].text, strlen(cases[i].text), &m, &e);

		if (r == 0)
			fail_msg("taken, though it should be refused: %s", cases[i].text);
		assert_int_equal(r, -EINVAL);
		assert_int_equal(e.code, -EINVAL);
		assert_null(m);
		assert_string_equal(err_render(&e, "web.yaml", is, sizeof(is)), cases[i].error);
	}
}

static void text_that_is_no_tree(void **state)
{
	assert_refused(no_tree, FIELDS_N(no_tree));
}

static void keys_and_kinds(void **state)
{
	assert_refused(wrong_shape, FIELDS_N(wrong_shape));
}

static void values(void **state)
{
	assert_refused(wrong_value, FIELDS_N(wrong_value));
}

static void values_that_do_not_go_together(void **state)
{
	assert_refused(contradictions, FIELDS_N(contradictions));
}

// What looks like the refused, and is allowed.
static void the_allowed_beside_them(void **state)
{
	static const char *const texts[] = {
		"services: []\n",
		"{\"services\": []}",
		WEB_BACKENDS "      - {address: 10.1.0.11, port: 8081}\n",
		WEB "  - {name: web-udp, protocol: udp, port: 80, vips: [203.0.113.10]}\n",
		// Any port beside a port of the same VIP: the port is looked up first.
		WEB "  - {name: rest, port: any, mode: l2, vips: [203.0.113.10]}\n",
		// The same backend for tcp and udp, and in several services that are not nat.
		WEB_BACKENDS "  - {name: u, protocol: udp, port: 1, vips: [203.0.113.10], "
			     "backends: [{address: 10.1.0.11, port: 8080}]}\n",
		WEB_BACKENDS "  - {name: l, mode: l2, port: 8080, vips: [203.0.113.10], "
			     "backends: [{address: 10.1.0.11}]}\n",
		"services:\n"
		"  - {name: a, mode: l2, port: 1, vips: [203.0.113.10], backends: [{address: "
		"10.1.0.11}]}\n"
		"  - {name: b, mode: l2, port: 1, vips: [203.0.113.11], backends: [{address: "
		"10.1.0.11}]}\n"
		"  - {name: c, port: 1, vips: [203.0.113.12], backends: [{address: 10.1.0.11}]}\n",
		WEB "    mode: ipip\n    backends: [{address: fd00::11}]\n",
		("services:\n  - {name: web, port: 80, vips: [203.0.113.10, 2001:db8::10], "
		 "backends: [{address: 10.1.0.11}, {address: fd00::11}]}\n"),
	};
	char is[1024];
	struct err e = {0};

	for (size_t i = 0; i < FIELDS_N(texts); i++) {
		struct model *m;

		if (schema_decode_model(texts[i], strlen(texts[i]), &m, &e) < 0)
			fail_msg("%s: %s", texts[i], err_render(&e, NULL, is, sizeof(is)));
		model_free(m);
	}
}

static void bounds(void **state)
{
	size_t len = TREE_TEXT_MAX_BYTES + 1;
	char *text = malloc(len), is[1024];
	struct model *m;
	struct err e;

	assert_non_null(text);
	memset(text, '#', len);
	assert_int_equal(schema_decode_model(text, len, &m, &e), -E2BIG);
	assert_string_equal(err_render(&e, NULL, is, sizeof(is)), "is longer than 8 MiB");
	memset(text, '[', len);
	assert_int_equal(schema_decode_model(text, len - 1, &m, &e), -E2BIG);
	assert_string_equal(err_render(&e, NULL, is, sizeof(is)),
			    "nested deeper than anything that is read here (line 1)");
	// Two bytes a value.
	for (size_t i = 1; i < len - 1; i++)
		text[i] = i % 2 ? '0' : ',';
	assert_int_equal(schema_decode_model(text, len - 1, &m, &e), -E2BIG);
	assert_string_equal(err_render(&e, NULL, is, sizeof(is)),
			    "more values than are read from one text (line 1)");
	len = 1;
	text[0] = '{';
	for (int i = 0; i < 100; i++)
		len += (size_t)sprintf(text + len, "\"k%d\": 1,", i);
	assert_int_equal(schema_decode_model(text, len, &m, &e), -E2BIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_that_is_no_tree),
		cmocka_unit_test(keys_and_kinds),
		cmocka_unit_test(values),
		cmocka_unit_test(values_that_do_not_go_together),
		cmocka_unit_test(the_allowed_beside_them),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
