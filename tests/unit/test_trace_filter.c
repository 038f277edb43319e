// SPDX-License-Identifier: BSD-2-Clause
//
// control/trace_filter.c: what the parameters of a trace mean, and what is refused; and, by
// core/trace.h, which packets a filter made of them wants.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"
#include "control/trace_filter.h"

// "name=value name=value": no value has a blank.
static const char *get(void *arg, const char *name)
{
	static char values[16][128];
	static unsigned int next;
	const char *at = arg;
	size_t len = strlen(name);

	for (; *at; at += strcspn(at, " "), at += *at == ' ') {
		if (strncmp(at, name, len) || at[len] != '=')
			continue;
		next = (next + 1) % 16;
		snprintf(values[next], sizeof(values[0]), "%.*s", (int)strcspn(at + len + 1, " "),
			 at + len + 1);
		return values[next];
	}
	return NULL;
}

static struct lb_trace_filter parse(const char *parameters)
{
	struct lb_trace_filter f;
	struct err e = {};

	if (trace_filter_parse(get, (void *)parameters, &f, &e))
		fail_msg("%s: %s: %s", parameters, e.field, e.text);
	return f;
}

static struct lb_trace_tuple tuple(uint8_t protocol, const char *source, const char *destination)
{
	struct lb_trace_tuple t = {.protocol = protocol};
	uint16_t port;

	assert_int_equal(address_parse_port(source, &t.source, &port), 0);
	t.source_port = htons(port);
	assert_int_equal(address_parse_port(destination, &t.destination, &port), 0);
	t.destination_port = htons(port);
	return t;
}

static void ends_and_protocol(void **state)
{
	static const struct {
		const char *parameters;
		uint8_t protocol;
		const char *source, *destination;
		int is_wanted;
	} cases[] = {
		{"", 6, "198.51.100.7:40000", "203.0.113.10:80", 1},
		{"protocol=tcp", 6, "198.51.100.7:40000", "203.0.113.10:80", 1},
		{"protocol=udp", 6, "198.51.100.7:40000", "203.0.113.10:80", 0},
		{"protocol=icmpv6", 58, "2001:db8::7", "2001:db8::10", 1},
		{"protocol=0", 0, "2001:db8::7", "2001:db8::10", 1},
		{"protocol=0", 6, "2001:db8::7", "2001:db8::10", 0},
		{"source=198.51.100.7", 6, "198.51.100.7:40000", "203.0.113.10:80", 1},
		{"source=198.51.100.7", 6, "198.51.100.8:40000", "203.0.113.10:80", 0},
		{"source=198.51.100.7:40000", 6, "198.51.100.7:40000", "203.0.113.10:80", 1},
		{"source=198.51.100.7:40000", 6, "198.51.100.7:40001", "203.0.113.10:80", 0},
		{"source=:40000", 6, "198.51.100.7:40000", "203.0.113.10:80", 1},
		{"source=:40000", 6, "[2001:db8::7]:40000", "[2001:db8::10]:80", 1},
		{"source=:40000", 6, "198.51.100.7:80", "203.0.113.10:40000", 0},
		{"source=198.51.100.99/25", 6, "198.51.100.127:1", "203.0.113.10:80", 1},
		{"source=198.51.100.99/25", 6, "198.51.100.128:1", "203.0.113.10:80", 0},
		{"source=198.51.96.0/19:7", 6, "198.51.127.1:7", "203.0.113.10:80", 1},
		{"source=198.51.96.0/19:7", 6, "198.51.127.1:8", "203.0.113.10:80", 0},
		{"source=198.51.96.0/19:7", 6, "198.51.128.1:7", "203.0.113.10:80", 0},
		{"source=0.0.0.0/0", 6, "198.51.100.7:1", "203.0.113.10:80", 1},
		{"source=0.0.0.0/0", 6, "[2001:db8::7]:1", "[2001:db8::10]:80", 0},
		{"source=::/0", 6, "198.51.100.7:1", "203.0.113.10:80", 1},
		{"source=2001:db8::/33", 6, "[2001:db8:7fff::7]:1", "[2001:db8::10]:80", 1},
		{"source=2001:db8::/33", 6, "[2001:db8:8000::7]:1", "[2001:db8::10]:80", 0},
		{"source=[2001:db8::/33]:1", 6, "[2001:db8::7]:1", "[2001:db8::10]:80", 1},
		{"source=[2001:db8::7]:1", 6, "[2001:db8::7]:2", "[2001:db8::10]:80", 0},
		{"destination=203.0.113.10:80", 17, "198.51.100.7:1", "203.0.113.10:80", 1},
		{"destination=203.0.113.10:80", 17, "198.51.100.7:1", "203.0.113.10:81", 0},
		{"destination=203.0.113.10:80", 17, "203.0.113.10:80", "198.51.100.7:1", 0},
		{"source=198.51.100.0/24 destination=203.0.113.0/24", 17, "198.51.100.7:1",
		 "203.0.113.10:81", 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct lb_trace_filter f = parse(cases[i].parameters);
		const struct lb_trace_tuple t =
			tuple(cases[i].protocol, cases[i].source, cases[i].destination);
		const struct lb_trace_record r = {.reason = LB_REASON_CURRENT};

		if (lb_trace_is_wanted(&f, &t, &r) != cases[i].is_wanted)
			fail_msg("\"%s\", %s > %s", cases[i].parameters, cases[i].source,
				 cases[i].destination);
	}
}

// What ended before its addresses has none, and is wanted only where none is asked for.
static void packets_without_addresses(void **state)
{
	const struct lb_trace_tuple none = {};
	const struct lb_trace_record r = {.reason = LB_REASON_NOT_IP};
	struct lb_trace_filter f = parse("reason=not_ip");

	assert_true(lb_trace_is_wanted(&f, &none, &r));
	f = parse("source=0.0.0.0/0");
	assert_false(lb_trace_is_wanted(&f, &none, &r));
}

static void reasons_and_verdicts(void **state)
{
	struct lb_trace_filter f = parse("reason=no_service,ttl");

	assert_true(f.reasons == (1ull << LB_REASON_NO_SERVICE | 1ull << LB_REASON_TTL));
	f = parse("verdict=answer");
	for (uint32_t i = 0; i < LB_REASON_N; i++)
		assert_int_equal(f.reasons >> i & 1,
				 lb_reason_verdict((enum lb_reason)i) == LB_ANSWER);
	f = parse("verdict=answer,drop reason=ttl,current,source");
	assert_true(f.reasons == (1ull << LB_REASON_SOURCE | 1ull << LB_REASON_TTL));
	for (uint32_t i = 0; i < LB_REASON_N; i++) {
		const struct lb_trace_record r = {.reason = i};
		const struct lb_trace_tuple none = {};

		assert_int_equal(lb_trace_is_wanted(&f, &none, &r), f.reasons >> i & 1);
	}
}

static void services(void **state)
{
	const struct lb_trace_tuple none = {};
	struct lb_trace_record r = {};
	struct lb_trace_filter f = parse("");

	for (r.service = 0; r.service < 5; r.service++)
		assert_true(lb_trace_is_wanted(&f, &none, &r));
	f.services[0] = 2;
	f.services[1] = 3;
	for (r.service = 0; r.service < 5; r.service++)
		assert_int_equal(lb_trace_is_wanted(&f, &none, &r),
				 r.service == 2 || r.service == 3);
}

static void limits(void **state)
{
	struct lb_trace_filter f = parse("");

	assert_int_equal(f.rate, TRACE_RATE_DEFAULT);
	assert_int_equal(f.snap, TRACE_SNAP_DEFAULT);
	f = parse("rate=5 snap=2048");
	assert_int_equal(f.rate, 5);
	assert_int_equal(f.snap, 2048);
}

static void refused(void **state)
{
	static const struct {
		const char *parameters, *field, *says;
	} cases[] = {
		{"protocol=sctp", "protocol", "tcp, udp, icmp"},
		{"protocol=256", "protocol", "up to 255"},
		{"protocol=", "protocol", "up to 255"},
		{"source=", "source", "must be an address"},
		{"source=1.2.3", "source", "1.2.3"},
		{"source=1.2.3.4/33", "source", "must be"},
		{"source=1.2.3.4:0", "source", "must be"},
		{"source=1.2.3.4:", "source", "must be"},
		{"source=1.2.3.4:65536", "source", "must be"},
		{"source=[2001:db8::1", "source", "must be"},
		{"source=[2001:db8::1]80", "source", "must be"},
		{"destination=:x", "destination", "must be"},
		{"source=1.2.3.4 destination=2001:db8::1", "destination", "IPv4"},
		{"reason=currant", "reason", "did you mean current"},
		{"reason=", "reason", "lbctl drops --all"},
		{"reason=current,", "reason", "there is no"},
		{"verdict=drops", "verdict", "did you mean drop"},
		{"verdict=drop reason=current", "verdict", "nothing would be shown"},
		{"rate=0", "rate", "must be 1 to"},
		{"rate=-1", "rate", "must be 1 to"},
		{"rate=99999999999999999999", "rate", "must be 1 to"},
		{"snap=63", "snap", "must be 64 to 2048"},
		{"snap=2049", "snap", "must be 64 to 2048"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lb_trace_filter f = {.rate = 77};
		struct err e = {};

		if (trace_filter_parse(get, (void *)cases[i].parameters, &f, &e) != -EPROTO)
			fail_msg("\"%s\" is taken", cases[i].parameters);
		assert_string_equal(e.field, cases[i].field);
		if (!strstr(e.text, cases[i].says))
			fail_msg("\"%s\": %s", cases[i].parameters, e.text);
		assert_int_equal(f.rate, 77);
	}
}

// Of a rate of three a second: as many in each second, whatever was left of the one before.
static void takes_by_the_second(void **state)
{
	__u64 window = 0;

	for (uint32_t second = 1; second < 9; second += second < 4 ? 1 : 3) {
		for (int i = 0; i < 6; i++)
			assert_int_equal(lb_trace_take(&window, 3, second), i < 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_and_protocol),
		cmocka_unit_test(packets_without_addresses),
		cmocka_unit_test(reasons_and_verdicts),
		cmocka_unit_test(services),
		cmocka_unit_test(limits),
		cmocka_unit_test(refused),
		cmocka_unit_test(takes_by_the_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
