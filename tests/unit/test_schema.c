// SPDX-License-Identifier: BSD-2-Clause
//
// control/schema.c: what is taken, with which defaults; text that comes back; the
// bodies of the API's single changes. What is refused: test_schema_errors.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/duration.h"
#include "control/schema.h"

static struct model *decode(const char *text)
{
	struct model *m = NULL;
	char is[1024];
	struct err e;

	if (schema_decode_model(text, strlen(text), &m, &e) < 0)
		fail_msg("%s\n%s", text, err_render(&e, NULL, is, sizeof(is)));
	return m;
}

static void assert_address(const struct lb_address *a, const char *text)
{
	char is[ADDRESS_TEXT_MAX];

	assert_string_equal(address_render(a, is), text);
}

static void every_key_is_taken(void **state)
{
	struct model *m =
		decode("services:\n"
		       "  - name: web\n"
		       "    vips: [203.0.113.10]\n"
		       "    protocol: tcp\n"
		       "    port: 80\n"
		       "    mode: nat\n"
		       "    tracking: always\n"
		       "    idle_timeout: 1h\n"
		       "    ring: 65537\n"
		       "    on_empty: drop\n"
		       "    on_down: keep\n"
		       "    check: {type: http, path: /healthz, host: a.example, interval: 2s,\n"
		       "            timeout: 250ms, rise: 4, fall: 5, port: 9, address: 10.9.9.9}\n"
		       "    backends:\n"
		       "      - {address: 10.1.0.11, port: 8080, weight: 7}\n"
		       "      - {address: 10.1.0.12, port: 8080, state: drain}\n");
	const struct model_service *s = &m->services[0];

	assert_int_equal(m->services_n, 1);
	assert_string_equal(s->name, "web");
	assert_int_equal(s->vips_n, 1);
	assert_address(&s->vips[0], "203.0.113.10");
	assert_int_equal(s->protocol, IPPROTO_TCP);
	assert_int_equal(s->port, 80);
	assert_int_equal(s->mode, LB_MODE_NAT);
	assert_int_equal(s->tracking, LB_TRACK_ALWAYS);
	assert_int_equal(s->idle_s, 3600);
	assert_int_equal(s->ring, 65537);
	assert_int_equal(s->on_empty, MODEL_DROP);
	assert_int_equal(s->on_down, MODEL_KEEP);
	assert_int_equal(s->line, 2);
	assert_int_equal(s->check.type, MODEL_CHECK_HTTP);
	assert_string_equal(s->check.path, "/healthz");
	assert_string_equal(s->check.host, "a.example");
	assert_int_equal(s->check.interval_ns, 2000000000);
	assert_int_equal(s->check.timeout_ns, 250000000);
	assert_int_equal(s->check.rise, 4);
	assert_int_equal(s->check.fall, 5);
	assert_int_equal(s->check.port, 9);
	assert_true(s->check.has_address);
	assert_address(&s->check.address, "10.9.9.9");
	assert_int_equal(s->backends_n, 2);
	assert_address(&s->backends[0].address, "10.1.0.11");
	assert_int_equal(s->backends[0].port, 8080);
	assert_int_equal(s->backends[0].weight, 7);
	assert_int_equal(s->backends[0].state, MODEL_ENABLED);
	assert_int_equal(s->backends[0].line, 15);
	assert_int_equal(s->backends[1].weight, 100);
	assert_int_equal(s->backends[1].state, MODEL_DRAIN);
	model_free(m);
}

static void what_is_left_out_has_defaults(void **state)
{
	struct model *m = decode("services:\n"
				 "  - {name: a, vips: [203.0.113.10], port: 80, check: tcp,\n"
				 "     backends: [{address: 10.1.0.11}]}\n"
				 "  - {name: b, vips: [203.0.113.10], port: 53, protocol: udp}\n"
				 "  - {name: c, vips: [203.0.113.11], port: any, mode: ipip,\n"
				 "     check: {type: http, port: 80, interval: 100ms},\n"
				 "     backends: [{address: fd00::11}]}\n");
	const struct model_service *a = &m->services[0], *b = a + 1, *c = a + 2;

	assert_int_equal(a->protocol, IPPROTO_TCP);
	assert_int_equal(a->mode, LB_MODE_NAT);
	assert_int_equal(a->tracking, LB_TRACK_ADAPTIVE);
	assert_int_equal(a->idle_s, 900);
	assert_int_equal(a->ring, 16381);
	assert_int_equal(a->on_empty, MODEL_REJECT);
	assert_int_equal(a->on_down, MODEL_RESET);
	assert_int_equal(a->check.type, MODEL_CHECK_TCP);
	assert_null(a->check.path);
	assert_null(a->check.host);
	assert_int_equal(a->check.interval_ns, 1000000000);
	assert_int_equal(a->check.timeout_ns, 500000000);
	assert_int_equal(a->check.rise, 2);
	assert_int_equal(a->check.fall, 3);
	assert_int_equal(a->check.port, 0);
	assert_false(a->check.has_address);
	assert_int_equal(a->backends[0].port, 80);
	assert_int_equal(a->backends[0].weight, 100);
	assert_int_equal(b->tracking, LB_TRACK_ALWAYS);
	assert_int_equal(b->idle_s, 60);
	assert_int_equal(b->check.type, MODEL_CHECK_NONE);
	assert_int_equal(b->backends_n, 0);
	assert_int_equal(c->port, 0);
	assert_int_equal(c->backends[0].port, 0);
	assert_string_equal(c->check.path, "/");
	assert_int_equal(c->check.timeout_ns, 100000000); // never above the interval
	model_free(m);
}

static void json_is_taken_too(void **state)
{
	struct model *m =
		decode("{\"services\":[{\"name\":\"web\",\"vips\":[\"2001:db8::10\",\r\n"
		       "\t\"203.0.113.10\"],\"port\":80,\"check\":{\"type\":\"http\",\n"
		       "\"path\":\"\\/a\\u002db\"},\"backends\":[{\"address\":\"fd00::1\"},\n"
		       "{\"address\":\"10.1.0.11\",\"weight\":0}]}]}\n");
	const struct model_service *s = &m->services[0];

	assert_address(&s->vips[0], "2001:db8::10");
	assert_string_equal(s->check.path, "/a-b");
	assert_int_equal(s->backends[1].weight, 0);
	assert_int_equal(s->backends[1].line, 4);
	model_free(m);
}

static void yaml_reads_as_a_person_writes(void **state)
{
	static const char text[] =
		"services:\n"
		"  - name: web\n"
		"    vips: [203.0.113.10, 2001:db8::10]\n"
		"    protocol: tcp\n"
		"    port: 80\n"
		"    mode: nat\n"
		"    tracking: adaptive\n"
		"    idle_timeout: 15m\n"
		"    ring: 16381\n"
		"    on_empty: reject\n"
		"    on_down: reset\n"
		"    check: {type: http, path: \"/a,b?c=d\", interval: 90s, timeout: 500ms, rise: "
		"2, fall: "
		"3}\n"
		"    backends:\n"
		"      - {address: 10.1.0.11, port: 8080, weight: 100}\n"
		"      - {address: \"fd00::\", port: 8080, weight: 5, state: drain}\n"
		"  - name: \"123\"\n"
		"    vips: [203.0.113.11]\n"
		"    protocol: udp\n"
		"    port: any\n"
		"    mode: l2\n"
		"    tracking: always\n"
		"    idle_timeout: 1m\n"
		"    ring: 16381\n"
		"    on_empty: reject\n"
		"    on_down: reset\n"
		"    backends: []\n";
	struct model *m = decode(text), *empty = model_new();
	char *is = schema_render_yaml(m);

	assert_string_equal(is, text);
	free(is);
	model_free(m);
	is = schema_render_yaml(empty);
	assert_string_equal(is, "services: []\n");
	free(is);
	model_free(empty);
}

// ---- single changes ----

#define WEB                                                                                        \
	"services: [{name: web, vips: [203.0.113.10], port: 80, mode: l2, check: http,"            \
	" backends: [{address: 10.1.0.11, weight: 7}, {address: 10.1.0.12}]}]"

static int patch(struct model_service *s, const char *text, char *ret_error, size_t error_len)
{
	struct err e;
	int r = schema_patch_service(text, strlen(text), s, &e);

	if (r < 0)
		err_render(&e, NULL, ret_error, error_len);
	return r;
}

static void a_service_is_patched(void **state)
{
	struct model *m = decode(WEB);
	struct model_service *s = &m->services[0];
	char is[512] = "";

	assert_int_equal(patch(s, "{\"idle_timeout\": \"30m\", \"on_down\": \"keep\"}", is, 512),
			 0);
	assert_int_equal(s->idle_s, 1800);
	assert_int_equal(s->on_down, MODEL_KEEP);
	assert_int_equal(s->backends_n, 2);
	assert_int_equal(s->backends[0].weight, 7);
	assert_string_equal(s->check.path, "/");
	// Dotted keys and nested ones; numbers in quotes, as from KEY=VALUE.
	assert_int_equal(patch(s, "{\"check.interval\": \"2s\", \"check.fall\": \"9\"}", is, 512),
			 0);
	assert_int_equal(s->check.interval_ns, 2000000000);
	assert_int_equal(s->check.fall, 9);
	assert_int_equal(patch(s, "{\"check\": {\"path\": \"/x\"}}", is, 512), 0);
	assert_string_equal(s->check.path, "/x");
	assert_int_equal(s->check.fall, 9);
	assert_int_equal(patch(s, "{\"check\": \"tcp\"}", is, 512), 0);
	assert_null(s->check.path);
	assert_int_equal(s->check.fall, 9);
	assert_int_equal(patch(s, "{\"check.type\": \"none\"}", is, 512), 0);
	assert_int_equal(s->check.type, MODEL_CHECK_NONE);
	assert_int_equal(s->check.fall, 0);
	assert_int_equal(patch(s, "{\"check.type\": \"http\"}", is, 512), 0);
	assert_string_equal(s->check.path, "/");
	assert_int_equal(s->check.fall, 3);
	// Outside nat the backends' ports follow.
	assert_int_equal(patch(s, "{\"port\": \"81\"}", is, 512), 0);
	assert_int_equal(s->backends[1].port, 81);
	assert_int_equal(patch(s, "{}", is, 512), 0);
	model_free(m);
}

static void a_bad_patch_changes_nothing(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{"{\"on_down\": \"keep\", \"idle_timeout\": \"x\"}",
		 "idle_timeout: must be a duration such as 250ms, 2s, 15m or 1h, is \"x\" (line "
		 "1)"},
		{"{\"on_down\": \"keep\", \"name\": \"api\"}",
		 "name: says which one it is and cannot be changed (line 1)"},
		{"{\"vips\": [\"203.0.113.11\"]}",
		 "vips: is a list, which is not changed in parts; PUT the whole (line 1)"},
		{"{\"check.risee\": \"2s\"}",
		 "check.risee: is no known key; did you mean `rise`? (line 1)"},
		{"{\"check.interval.x\": \"2s\"}",
		 "check.interval.x: is no known key; did you mean `interval`? (line 1)"},
		{"{\"port.x\": 1}",
		 "port.x: is no known key; known are name, vips, protocol, port, mode, tracking, "
		 "idle_timeout, ring, on_empty, on_down, check, backends (line 1)"},
		{"{\"port\": \"any\"}",
		 "check.port: must be given, since the service's port is any (line 1)"},
		{"{\n\"protocol\": \"udp\"}", "tracking: adaptive is for tcp, since udp has no "
					      "first packet to tell new flows by; use "
					      "always or none (line 1)"},
		{"[]", "must be a map (key: value), is a list (line 1)"},
	};
	struct model *m = decode(WEB);
	char *before = schema_render_yaml(m), *after, is[512];

	for (size_t i = 0; i < FIELDS_N(bad); i++) {
		assert_int_equal(patch(&m->services[0], bad[i].text, is, sizeof(is)), -EINVAL);
		assert_string_equal(is, bad[i].error);
		after = schema_render_yaml(m);
		assert_string_equal(after, before);
		free(after);
	}
	free(before);
	model_free(m);
}

static void a_service_is_put(void **state)
{
	static const char text[] =
		"{\"vips\": [\"203.0.113.10\"], \"port\": 80,\n\"name\": \"web\","
		"\"backends\": [{\"address\": \"10.1.0.11\"}]}";
	static const char nameless[] = "{vips: [203.0.113.10], port: 80, backends: [{weight: 1}]}";
	struct model_service s;
	struct err e;

	assert_int_equal(schema_decode_service(text, strlen(text), "web", &s, &e), 0);
	assert_string_equal(s.name, "web");
	assert_int_equal(s.backends[0].port, 80);
	model_service_fini(&s);
	assert_int_equal(schema_decode_service(text, strlen(text), "api", &s, &e), -EINVAL);
	assert_string_equal(e.field, "name");
	assert_string_equal(e.text, "must be \"api\", as in the path, is \"web\"");
	assert_int_equal(e.line, 2);
	assert_int_equal(schema_decode_service(nameless, strlen(nameless), NULL, &s, &e), -EINVAL);
	// Only the service's own identity is known from the path.
	assert_int_equal(schema_decode_service(nameless, strlen(nameless), "web", &s, &e), -EINVAL);
	assert_string_equal(e.field, "backends[0].address");
	assert_non_null(strstr(e.text, "is missing"));
}

static void a_backend_is_put_and_patched(void **state)
{
	struct model *m = decode(WEB);
	const struct model_service *s = &m->services[0];
	struct model_backend b = {0}, before;
	struct err e;

	assert_int_equal(address_parse("10.1.0.13", &b.address), 0);
#define PUT(text) schema_decode_backend(text, strlen(text), s, &b, &e)
	assert_int_equal(PUT("{}"), 0);
	assert_int_equal(b.port, 80);
	assert_int_equal(b.weight, 100);
	assert_int_equal(PUT("{\"address\": \"10.1.0.13\", \"port\": 80, \"weight\": 5}"), 0);
	assert_int_equal(b.weight, 5);
	before = b;
	assert_int_equal(PUT("{\"address\": \"10.1.0.14\"}"), -EINVAL);
	assert_string_equal(e.text, "must be 10.1.0.13, as in the path, is 10.1.0.14");
	assert_int_equal(PUT("{\"port\": 81}"), -EINVAL);
	assert_string_equal(e.text, "must be 80, as in the path, is 81");
	assert_memory_equal(&b, &before, sizeof(b));
#define PATCH(text) schema_patch_backend(text, strlen(text), &b, &e)
	assert_int_equal(PATCH("{\"weight\": 1000}"), 0);
	assert_int_equal(b.weight, 1000);
	assert_int_equal(PATCH("{\"state\": \"disabled\"}"), 0);
	assert_int_equal(b.state, MODEL_DISABLED);
	assert_int_equal(b.weight, 1000);
	before = b;
	assert_int_equal(PATCH("{\"weight\": 1, \"state\": \"down\"}"), -EINVAL);
	assert_int_equal(PATCH("{\"weight\": 1, \"port\": 81}"), -EINVAL);
	assert_int_equal(PATCH("{\"weight\": 1, \"address\": \"10.1.0.13\"}"), -EINVAL);
	assert_memory_equal(&b, &before, sizeof(b));
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(what_is_left_out_has_defaults),
		cmocka_unit_test(json_is_taken_too),
		cmocka_unit_test(yaml_reads_as_a_person_writes),
		cmocka_unit_test(a_service_is_patched),
		cmocka_unit_test(a_bad_patch_changes_nothing),
		cmocka_unit_test(a_service_is_put),
		cmocka_unit_test(a_backend_is_put_and_patched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
