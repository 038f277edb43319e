// SPDX-License-Identifier: BSD-2-Clause
//
// What the schema renders it takes back: random models, through YAML and JSON,
// compared field by field.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
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

static uint32_t pick(uint32_t n)
{
	return (uint32_t)rand() % n;
}

static struct lb_address random_address(bool is_ipv4, uint8_t net, uint32_t number)
{
	struct lb_address a = {0};

	if (is_ipv4) {
		a.bytes[10] = a.bytes[11] = 0xff;
		a.bytes[12] = net;
	} else {
		a.bytes[0] = 0xfd;
		a.bytes[1] = net;
		a.bytes[7] = (uint8_t)pick(2);
	}
	a.bytes[13] = (uint8_t)(number >> 16);
	a.bytes[14] = (uint8_t)(number >> 8);
	a.bytes[15] = (uint8_t)number;
	return a;
}

static void random_check(struct model_service *s)
{
	static const char *const paths[] = {"/",      "/healthz", "/a?b=c&d={e},[f]",
					    "/'\"\\", "/:",	  "/#x"};
	struct model_check *c = &s->check;

	c->type = (enum model_check_type)pick(3);
	if (c->type == MODEL_CHECK_NONE)
		return;
	if (c->type == MODEL_CHECK_HTTP) {
		c->path = strdup(paths[pick(FIELDS_N(paths))]);
		c->host = pick(2) ? strdup("true") : NULL;
	}
	c->interval_ns = (10 + pick(3600000 - 10)) * DURATION_MS_NS;
	c->timeout_ns = (1 + pick((uint32_t)(c->interval_ns / DURATION_MS_NS))) * DURATION_MS_NS;
	c->rise = 1 + pick(1000);
	c->fall = 1 + pick(1000);
	c->port = (uint16_t)(s->port ? pick(3) : 1 + pick(65535));
	c->has_address = pick(2);
	if (c->has_address)
		c->address = random_address(pick(2), 99, pick(1000));
}

static void random_service(struct model_service *s, uint32_t number)
{
	static const char *const names[] = {"web",  "1",   "0x1f",    "1e3",
					    "null", "Yes", "a.b-c_d", "9.5"};
	static const uint32_t rings[] = {3, 251, 16381, 65537, 16777213};
	bool is_ipv4 = pick(2);

	snprintf(s->name, sizeof(s->name), "%s", names[pick(FIELDS_N(names))]);
	if (pick(2) || number)
		snprintf(s->name + strlen(s->name), 16, "%u", number);
	s->protocol = pick(2) ? IPPROTO_TCP : IPPROTO_UDP;
	s->mode = (uint8_t)(LB_MODE_NAT + pick(3));
	s->port = (uint16_t)(s->mode != LB_MODE_NAT && !pick(3) ? 0 : 1 + pick(65535));
	s->tracking = (uint8_t)(LB_TRACK_ADAPTIVE + pick(3));
	if (s->protocol == IPPROTO_UDP && s->tracking == LB_TRACK_ADAPTIVE)
		s->tracking = LB_TRACK_NONE;
	s->idle_s = 1 + pick(LB_IDLE_MAX_S);
	s->ring = rings[pick(FIELDS_N(rings))];
	s->on_empty = (enum model_on_empty)pick(2);
	s->on_down = (enum model_on_down)pick(2);
	s->vips_n = s->mode == LB_MODE_NAT ? 1 : 1 + pick(MODEL_VIPS_MAX);
	for (uint32_t i = 0; i < s->vips_n; i++)
		s->vips[i] = random_address(is_ipv4, 50, number * 16 + i);
	random_check(s);
	s->backends_n = pick(4) ? pick(20) : 0;
	s->backends = calloc(s->backends_n + 1, sizeof(*s->backends));
	for (uint32_t i = 0; i < s->backends_n; i++)
		s->backends[i] = (struct model_backend){
			.address = random_address(is_ipv4, 10, number * 20 + i),
			.port = (uint16_t)(s->mode == LB_MODE_NAT ? 1 + pick(65535) : s->port),
			.weight = pick(MODEL_WEIGHT_MAX + 1),
			.state = (enum model_state)pick(3),
		};
}

static struct model *random_model(void)
{
	struct model *m = model_new();

	m->services_n = pick(8);
	m->services = calloc(m->services_n + 1, sizeof(*m->services));
	for (uint32_t i = 0; i < m->services_n; i++)
		random_service(&m->services[i], i);
	return m;
}

// Field by field, not by what the schema renders: a key that it forgot would be forgotten twice.
static void assert_service_equal(const struct model_service *a, const struct model_service *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->vips_n, b->vips_n);
	assert_memory_equal(a->vips, b->vips, a->vips_n * sizeof(*a->vips));
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->tracking, b->tracking);
	assert_int_equal(a->idle_s, b->idle_s);
	assert_int_equal(a->ring, b->ring);
	assert_int_equal(a->on_empty, b->on_empty);
	assert_int_equal(a->on_down, b->on_down);
	assert_int_equal(a->check.type, b->check.type);
	assert_int_equal(a->check.has_address, b->check.has_address);
	assert_memory_equal(&a->check.address, &b->check.address, sizeof(a->check.address));
	assert_int_equal(a->check.port, b->check.port);
	assert_string_equal(a->check.path ? a->check.path : "-",
			    b->check.path ? b->check.path : "-");
	assert_string_equal(a->check.host ? a->check.host : "-",
			    b->check.host ? b->check.host : "-");
	assert_int_equal(a->check.interval_ns, b->check.interval_ns);
	assert_int_equal(a->check.timeout_ns, b->check.timeout_ns);
	assert_int_equal(a->check.rise, b->check.rise);
	assert_int_equal(a->check.fall, b->check.fall);
	assert_int_equal(a->backends_n, b->backends_n);
	for (size_t i = 0; i < a->backends_n; i++) {
		assert_true(address_is_equal(&a->backends[i].address, &b->backends[i].address));
		assert_int_equal(a->backends[i].port, b->backends[i].port);
		assert_int_equal(a->backends[i].weight, b->backends[i].weight);
		assert_int_equal(a->backends[i].state, b->backends[i].state);
	}
}

static void assert_comes_back(const struct model *m, const char *text)
{
	struct model *back = decode(text);

	assert_int_equal(back->services_n, m->services_n);
	for (size_t i = 0; i < m->services_n; i++)
		assert_service_equal(&back->services[i], &m->services[i]);
	model_free(back);
}

static void random_models_come_back(void **state)
{
	srand(3);
	for (int round = 0; round < 500; round++) {
		struct model *m = random_model(), *copy = model_copy(m);
		char *yaml = schema_render_yaml(m), *text;
		json_t *json = schema_render_json(copy);

		assert_comes_back(m, yaml);
		text = json_dumps(json, JSON_INDENT(round % 3));
		assert_comes_back(m, text);
		free(text);
		json_decref(json);
		free(yaml);
		model_free(copy);
		model_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_models_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
