// SPDX-License-Identifier: BSD-2-Clause
//
// control/plan.c: what a person reads before a change, and the share of slots that
// really moves. Models are given as text, so that a case reads like a change.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/maglev.h"
#include "control/plan.h"
#include "control/schema.h"

static const uint64_t key[2] = {1, 2};

static struct model *decode(const char *text)
{
	struct model *m = NULL;
	char is[1024];
	struct err e;

	if (schema_decode_model(text, strlen(text), &m, &e) < 0)
		fail_msg("%s: %s", text, err_render(&e, NULL, is, sizeof(is)));
	return m;
}

static struct plan *plan(const char *before, const char *after)
{
	struct model *a = decode(before), *b = decode(after);
	struct plan *p = NULL;
	struct err e;

	assert_int_equal(plan_build(a, b, key, &p, &e), 0);
	model_free(a);
	model_free(b);
	return p;
}

// "added web: text", "changed web 10.1.0.11:80: text", a line each.
static const char *render(const struct plan *p, char *buf, size_t buf_len)
{
	static const char *const kinds[] = {"added", "changed", "removed", "replaced"};
	size_t used = 0;

	buf[0] = 0;
	for (size_t i = 0; i < p->items_n && used < buf_len; i++) {
		const struct plan_item *item = &p->items[i];

		used += (size_t)snprintf(buf + used, buf_len - used, "%s %s%s%s: %s\n",
					 kinds[item->kind], item->service,
					 item->backend[0] ? " " : "", item->backend, item->text);
	}
	return buf;
}

#define SERVICES(...) "services: [" __VA_ARGS__ "]"
#define WEB(keys, backends)                                                                        \
	"{name: web, vips: [203.0.113.10], port: 80, " keys " backends: [" backends "]}"
#define API "{name: api, vips: [203.0.113.11], port: 443}"
#define B1 "{address: 10.1.0.11, port: 8080}"
#define B2 "{address: 10.1.0.12, port: 8080}"
#define B3 "{address: 10.1.0.13, port: 8080}"

// clang-format off
static const struct {
	const char *before, *after, *plan;
} cases[] = {
	{SERVICES(), SERVICES(), ""},
	{SERVICES(WEB("", B1)), SERVICES(WEB("", B1)), ""},
	{SERVICES(WEB("", B1 "," B2) "," API), SERVICES(API "," WEB("", B2 "," B1)), ""},
	{SERVICES(), SERVICES(WEB("", B1 "," B2)), "added web: nat, 203.0.113.10:80; 2 backends\n"},
	{SERVICES(), SERVICES(WEB("", B1)), "added web: nat, 203.0.113.10:80; 1 backend\n"},
	{SERVICES(WEB("", B1) "," API), SERVICES(WEB("", B1)), "removed api: with 0 backends (its connections break)\n"},
	{SERVICES(WEB("", B1)), SERVICES(WEB("", B1 "," B2)), "added web 10.1.0.12:8080: weight 100\n"},
	{SERVICES(WEB("", B1)), SERVICES(WEB("", B1 ", {address: 10.1.0.12, weight: 5, state: drain}")), "added web 10.1.0.12:80: weight 5, drain\n"},
	{SERVICES(WEB("", B1 "," B2)), SERVICES(WEB("", B2)), "removed web 10.1.0.11:8080: no new connections; it goes when the old ones are over\n"},
	{SERVICES(WEB("", B1)), SERVICES(WEB("", "{address: 10.1.0.11, port: 8080, weight: 50, state: disabled}")), "changed web 10.1.0.11:8080: weight 100 -> 50, state enabled -> disabled\n"},
	{SERVICES(WEB("", B1)), SERVICES(WEB("tracking: always, idle_timeout: 1h, on_empty: drop, on_down: keep,", B1)), "changed web: tracking adaptive -> always, idle_timeout 15m -> 1h, on_empty reject -> drop, on_down reset -> keep\n"},
	{SERVICES(WEB("", B1)), SERVICES(WEB("check: http,", B1)), "changed web: check none -> http\n"},
	{SERVICES(WEB("check: tcp,", B1)), SERVICES(WEB("", B1)), "changed web: check tcp -> none\n"},
	{SERVICES(WEB("check: tcp,", B1)), SERVICES(WEB("check: {type: http, fall: 5},", B1)), "changed web: check.type tcp -> http, check.path none -> /, check.fall 3 -> 5\n"},
	{SERVICES("{name: web, vips: [203.0.113.10], port: 80}"), SERVICES("{name: web, vips: [203.0.113.11, 2001:db8::1], port: 80}"), "changed web: VIP 203.0.113.11 added, VIP 2001:db8::1 added, VIP 203.0.113.10 removed (its connections break)\n"},
	{SERVICES(WEB("", "")), SERVICES(WEB("mode: l2,", "")), "replaced web: mode nat -> l2 (its connections break)\n"},
	{SERVICES(WEB("", "")), SERVICES("{name: web, vips: [203.0.113.10], port: 81, protocol: udp}"), "replaced web: protocol tcp -> udp, port 80 -> 81, tracking adaptive -> always, idle_timeout 15m -> 1m (its connections break)\n"},
	{SERVICES("{name: web, vips: [203.0.113.10], port: 80, mode: l2}"), SERVICES("{name: web, vips: [203.0.113.10], port: any, mode: l2}"), "replaced web: port 80 -> any (its connections break)\n"},
};
// clang-format on

static void changes_read_as_sentences(void **state)
{
	char is[1024];

	for (size_t i = 0; i < FIELDS_N(cases); i++) {
		struct plan *p = plan(cases[i].before, cases[i].after);

		assert_string_equal(render(p, is, sizeof(is)), cases[i].plan);
		assert_int_equal(plan_is_empty(p), !cases[i].plan[0]);
		plan_free(p);
	}
}

static void a_ring_is_fixed(void **state)
{
	struct model *a = decode(SERVICES(API "," WEB("", "")));
	struct model *b = decode(SERVICES(API ",\n" WEB("ring: 65537,", "")));
	struct plan *p = NULL;
	char is[512];
	struct err e;

	assert_int_equal(plan_build(a, b, key, &p, &e), -EINVAL);
	assert_null(p);
	assert_string_equal(
		err_render(&e, "web.yaml", is, sizeof(is)),
		"services[1].ring: is fixed once a service exists: \"web\" has 16381, and "
		"cannot have 65537; keep it, or make a new service beside it and remove the "
		"old one (web.yaml:2)");
	model_free(a);
	model_free(b);
}

// The share by which two rings of these backends differ.
static double moved_between(const char *const *before, size_t before_n, const char *const *after,
			    size_t after_n)
{
	static uint32_t slots[2][MODEL_RING_DEFAULT];
	uint32_t moved = 0;

	for (int side = 0; side < 2; side++) {
		const char *const *texts = side ? after : before;
		struct maglev_backend list[8] = {0};
		size_t n = side ? after_n : before_n;

		for (size_t i = 0; i < n; i++) {
			assert_int_equal(
				address_parse_port(texts[i], &list[i].address, &list[i].port), 0);
			list[i].weight = 100;
			list[i].value = list[i].address.bytes[15];
		}
		assert_int_equal(maglev_build(list, n, key, slots[side], MODEL_RING_DEFAULT), 0);
	}
	for (uint32_t i = 0; i < MODEL_RING_DEFAULT; i++)
		moved += slots[0][i] != slots[1][i];
	return (double)moved / MODEL_RING_DEFAULT;
}

static void shares_are_those_of_the_rings(void **state)
{
	static const char *const two[] = {"10.1.0.11:8080", "10.1.0.12:8080"};
	static const char *const three[] = {"10.1.0.11:8080", "10.1.0.12:8080", "10.1.0.13:8080"};
	struct plan *p = plan(SERVICES(WEB("", B1 "," B2) "," API),
			      SERVICES(WEB("", B1 "," B2 "," B3) "," API));
	double expected = moved_between(two, 2, three, 3);

	assert_int_equal(p->shares_n, 1);
	assert_string_equal(p->shares[0].service, "web");
	assert_true(p->shares[0].moved == expected);
	assert_true(expected > 0.33 && expected < 0.36);
	plan_free(p);
	// Draining is leaving, for the ring.
	p = plan(SERVICES(WEB("", B1 "," B2 "," B3)),
		 SERVICES(WEB("", B1 "," B2 ", {address: 10.1.0.13, port: 8080, state: drain}")));
	assert_int_equal(p->shares_n, 1);
	assert_true(p->shares[0].moved == expected);
	plan_free(p);
	// Of two alike one gets half the weight: of 50 % of the slots it keeps 33 %.
	p = plan(SERVICES(WEB("", B1 "," B2)),
		 SERVICES(WEB("", B1 ", {address: 10.1.0.12, port: 8080, weight: 50}")));
	assert_int_equal(p->shares_n, 1);
	assert_true(p->shares[0].moved > 0.16 && p->shares[0].moved < 0.18);
	plan_free(p);
	// What is drained or has no weight may come and go.
	p = plan(SERVICES(WEB("", B1)), SERVICES(WEB("", B1 ", {address: 10.1.0.13, weight: 0}")));
	assert_int_equal(p->shares_n, 0);
	assert_int_equal(p->items_n, 1);
	plan_free(p);
}

static void each_family_has_its_ring(void **state)
{
#define BOTH(mode, backends)                                                                       \
	SERVICES("{name: web, vips: [203.0.113.10, 2001:db8::1], port: 80, mode: " mode            \
		 ", backends: [" backends "]}")
#define B6 "{address: fd00::11}"
	struct plan *p = plan(BOTH("nat", B1 "," B6), BOTH("nat", B6));

	// All of the IPv4 ring, nothing of the other.
	assert_true(p->shares[0].moved == 0.5);
	plan_free(p);
	p = plan(BOTH("ipip", "{address: 10.1.0.11}," B6), BOTH("ipip", B6));
	assert_true(p->shares[0].moved > 0.49 && p->shares[0].moved < 0.51);
	plan_free(p);
}

static void more_than_half_needs_force(void **state)
{
	static const struct {
		const char *before, *after;
		bool needs_force;
	} these[] = {
		{SERVICES(), SERVICES(), false},
		{SERVICES(API), SERVICES(API), false},
		{SERVICES(API), SERVICES(), true},
		{SERVICES(API "," WEB("", "")), SERVICES(API), false},
		{SERVICES(API "," WEB("", B1)), SERVICES(API), true}, // all backends
		{SERVICES(WEB("", B1 "," B2)), SERVICES(WEB("", B1)), false},
		{SERVICES(WEB("", B1 "," B2 "," B3)), SERVICES(WEB("", B1)), true},
	};

	for (size_t i = 0; i < FIELDS_N(these); i++) {
		struct plan *p = plan(these[i].before, these[i].after);

		assert_int_equal(plan_needs_force(p), these[i].needs_force);
		plan_free(p);
	}
}

static void json_says_the_same(void **state)
{
	struct plan *p = plan(SERVICES(WEB("", B1)), SERVICES(API "," WEB("", B2)));
	json_t *json = plan_render_json(p);
	char *text;

	p->shares[0].moved = 0.5;
	json_decref(json);
	json = plan_render_json(p);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, "{\"changes\":["
				  "{\"kind\":\"added\",\"service\":\"api\",\"text\":\"nat, "
				  "203.0.113.11:443; 0 backends\"},"
				  "{\"kind\":\"added\",\"service\":\"web\",\"backend\":\"10.1.0.12:"
				  "8080\",\"text\":\"weight "
				  "100\"},"
				  "{\"kind\":\"removed\",\"service\":\"web\",\"backend\":\"10.1.0."
				  "11:8080\",\"text\":\"no "
				  "new connections; it goes when the old ones are over\"}],"
				  "\"moved\":[{\"service\":\"web\",\"share\":0.5}]}");
	free(text);
	json_decref(json);
	plan_free(p);
}

// 1,000 services of 10 backends each; @extra: one more in each.
static struct model *make_large(bool extra)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct model *m;

	assert_non_null(out);
	fputs("services:\n", out);
	for (int i = 0; i < 1000; i++) {
		fprintf(out,
			"  - name: s%d\n    vips: [198.18.%d.%d]\n    port: 80\n    backends:\n", i,
			i / 250, i % 250 + 1);
		for (int j = 0; j < 10 + extra; j++)
			fprintf(out, "      - {address: 10.%d.%d.%d, port: 8080}\n", j, i / 250,
				i % 250 + 1);
	}
	fclose(out);
	m = decode(text);
	free(text);
	return m;
}

static double seconds_since(const struct timespec *t0)
{
	struct timespec t1;

	clock_gettime(CLOCK_MONOTONIC, &t1);
	return (double)(t1.tv_sec - t0->tv_sec) + (double)(t1.tv_nsec - t0->tv_nsec) / 1e9;
}

static void times_are_told(void **state)
{
	struct model *empty = model_new(), *a, *b;
	struct timespec t0;
	struct plan *p;
	struct err e;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	a = make_large(false);
	print_message("1000 services of 10 backends: decoded and validated in %.3f s\n",
		      seconds_since(&t0));
	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(plan_build(empty, a, key, &p, &e), 0);
	print_message("planned, all new, in %.3f s\n", seconds_since(&t0));
	assert_int_equal(p->items_n, 1000);
	plan_free(p);
	b = make_large(true);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(plan_build(a, b, key, &p, &e), 0);
	print_message("planned, each ring changed, in %.3f s\n", seconds_since(&t0));
	assert_int_equal(p->shares_n, 1000);
	plan_free(p);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	assert_int_equal(plan_build(a, a, key, &p, &e), 0);
	print_message("planned, nothing changed, in %.3f s\n", seconds_since(&t0));
	assert_true(plan_is_empty(p));
	plan_free(p);
	model_free(empty);
	model_free(a);
	model_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_read_as_sentences),
		cmocka_unit_test(a_ring_is_fixed),
		cmocka_unit_test(shares_are_those_of_the_rings),
		cmocka_unit_test(each_family_has_its_ring),
		cmocka_unit_test(more_than_half_needs_force),
		cmocka_unit_test(json_says_the_same),
		cmocka_unit_test(times_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
