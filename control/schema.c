// SPDX-License-Identifier: BSD-2-Clause
//
// The tables of keys of a service, a backend and a check, and what the tables
// cannot say: defaults that depend on other keys. Everything that reads services
// comes through here (lbctl apply, the API's bodies, the store), so there is one
// spelling and one set of errors. Pure.
#include "control/schema.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/duration.h"

#define IDLE_TCP_S 900
#define IDLE_UDP_S 60
#define CHECK_INTERVAL_NS DURATION_S_NS
#define CHECK_TIMEOUT_NS (500 * DURATION_MS_NS)
#define CHECK_RISE 2
#define CHECK_FALL 3

#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)NULL)->member)
#define SERVICE(member) AT(struct model_service, member)
#define BACKEND(member) AT(struct model_backend, member)
#define CHECK(member) AT(struct model_check, member)

static const struct field_word protocol_words[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {}};
static const struct field_word any_port[] = {{"any", 0}, {}};
static const struct field_word mode_words[] = {
	{"nat", LB_MODE_NAT}, {"l2", LB_MODE_L2}, {"ipip", LB_MODE_IPIP}, {"gue", LB_MODE_GUE}, {}};
static const struct field_word tracking_words[] = {
	{"adaptive", LB_TRACK_ADAPTIVE}, {"always", LB_TRACK_ALWAYS}, {"none", LB_TRACK_NONE}, {}};
static const struct field_word on_empty_words[] = {
	{"reject", MODEL_REJECT}, {"drop", MODEL_DROP}, {}};
static const struct field_word on_down_words[] = {{"reset", MODEL_RESET}, {"keep", MODEL_KEEP}, {}};
static const struct field_word state_words[] = {
	{"enabled", MODEL_ENABLED}, {"drain", MODEL_DRAIN}, {"disabled", MODEL_DISABLED}, {}};
static const struct field_word check_words[] = {
	{"none", MODEL_CHECK_NONE}, {"tcp", MODEL_CHECK_TCP}, {"http", MODEL_CHECK_HTTP}, {}};

static const struct field check_keys[] = {
	{.key = "type",
	 .type = FIELD_WORD,
	 CHECK(type),
	 .words = check_words,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "what is asked: a connection, or an HTTP status 200 to 399"},
	{.key = "path",
	 .type = FIELD_STRING,
	 CHECK(path),
	 .max = 1024,
	 .help = "http: what is requested; / by default"},
	{.key = "host",
	 .type = FIELD_STRING,
	 CHECK(host),
	 .max = 255,
	 .help = "http: the Host header; the backend's address and port by default"},
	{.key = "interval",
	 .type = FIELD_DURATION,
	 CHECK(interval_ns),
	 .unit_ns = 1,
	 .min = 10 * DURATION_MS_NS,
	 .max = 3600 * DURATION_S_NS,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "from one probe to the next; 1s by default"},
	{.key = "timeout",
	 .type = FIELD_DURATION,
	 CHECK(timeout_ns),
	 .unit_ns = 1,
	 .min = DURATION_MS_NS,
	 .max = 3600 * DURATION_S_NS,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "after which no answer is a failure; 500ms by default, at most the interval"},
	{.key = "rise",
	 .type = FIELD_NUMBER,
	 CHECK(rise),
	 .min = 1,
	 .max = 1000,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "good answers in a row that make it up; 2 by default"},
	{.key = "fall",
	 .type = FIELD_NUMBER,
	 CHECK(fall),
	 .min = 1,
	 .max = 1000,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "failures in a row that make it down; 3 by default"},
	{.key = "port",
	 .type = FIELD_NUMBER,
	 CHECK(port),
	 .min = 1,
	 .max = 65535,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "the backend's by default"},
	{.key = "address",
	 .type = FIELD_ADDRESS,
	 CHECK(address),
	 .has_offset = offsetof(struct model_check, has_address),
	 .help = "the backend's by default"},
};

const struct fields schema_check_fields = {
	.list = check_keys, .n = FIELDS_N(check_keys), .has_short = true};

static const struct field backend_keys[] = {
	{.key = "address",
	 .type = FIELD_ADDRESS,
	 BACKEND(address),
	 .flags = FIELD_IDENTITY,
	 .help = "where it is"},
	{.key = "port",
	 .type = FIELD_NUMBER,
	 BACKEND(port),
	 .min = 1,
	 .max = 65535,
	 .flags = FIELD_OMIT_ZERO,
	 .help = "the service's by default; outside nat it must be"},
	{.key = "weight",
	 .type = FIELD_NUMBER,
	 BACKEND(weight),
	 .max = MODEL_WEIGHT_MAX,
	 .preset = MODEL_WEIGHT_DEFAULT,
	 .help = "its share of new connections, beside the others'"},
	{.key = "state",
	 .type = FIELD_WORD,
	 BACKEND(state),
	 .words = state_words,
	 .flags = FIELD_OMIT_PRESET,
	 .help = "drain: no new connections, the old ones live on; disabled: down by hand"},
};

const struct fields schema_backend_fields = {.list = backend_keys,
					     .n = FIELDS_N(backend_keys),
					     .line_offset = offsetof(struct model_backend, line)};

static const struct field vip_element = {.type = FIELD_ADDRESS, .size = sizeof(struct lb_address)};
static const struct field backend_element = {
	.type = FIELD_MAP, .size = sizeof(struct model_backend), .fields = &schema_backend_fields};

static const struct field service_keys[] = {
	{.key = "name",
	 .type = FIELD_TEXT,
	 SERVICE(name),
	 .flags = FIELD_IDENTITY,
	 .help = "by which it is known"},
	{.key = "vips",
	 .type = FIELD_LIST,
	 SERVICE(vips),
	 .element = &vip_element,
	 .count_offset = offsetof(struct model_service, vips_n),
	 .count_max = MODEL_VIPS_MAX,
	 .flags = FIELD_REQUIRED,
	 .help = "public addresses; nat takes one of each family"},
	{.key = "protocol",
	 .type = FIELD_WORD,
	 SERVICE(protocol),
	 .words = protocol_words,
	 .preset = IPPROTO_TCP,
	 .help = "tcp by default"},
	{.key = "port",
	 .type = FIELD_NUMBER,
	 SERVICE(port),
	 .min = 1,
	 .max = 65535,
	 .words = any_port,
	 .flags = FIELD_REQUIRED,
	 .help = "any: all that no other service has"},
	{.key = "mode",
	 .type = FIELD_WORD,
	 SERVICE(mode),
	 .words = mode_words,
	 .preset = LB_MODE_NAT,
	 .help = "how packets get to a backend; nat by default"},
	{.key = "tracking",
	 .type = FIELD_WORD,
	 SERVICE(tracking),
	 .words = tracking_words,
	 .help = "adaptive by default for tcp, always for udp"},
	{.key = "idle_timeout",
	 .type = FIELD_DURATION,
	 SERVICE(idle_s),
	 .unit_ns = DURATION_S_NS,
	 .min = DURATION_S_NS,
	 .max = LB_IDLE_MAX_S * DURATION_S_NS,
	 .help = "how long a silent connection is kept; 15m by default, 60s for udp"},
	{.key = "ring",
	 .type = FIELD_NUMBER,
	 SERVICE(ring),
	 .min = 3,
	 .max = LB_SLOT_MAX - 1,
	 .preset = MODEL_RING_DEFAULT,
	 .help = "slots; a prime, fixed once the service exists"},
	{.key = "on_empty",
	 .type = FIELD_WORD,
	 SERVICE(on_empty),
	 .words = on_empty_words,
	 .help = "no live backend: reject connections (default) or drop packets"},
	{.key = "on_down",
	 .type = FIELD_WORD,
	 SERVICE(on_down),
	 .words = on_down_words,
	 .help = "connections of a backend that checks declare down: reset (default) or keep"},
	{.key = "check",
	 .type = FIELD_MAP,
	 SERVICE(check),
	 .fields = &schema_check_fields,
	 .help = "how backends are checked; none by default"},
	{.key = "backends",
	 .type = FIELD_LIST,
	 SERVICE(backends),
	 .element = &backend_element,
	 .count_offset = offsetof(struct model_service, backends_n),
	 .help = "where packets go"},
};

const struct fields schema_service_fields = {.list = service_keys,
					     .n = FIELDS_N(service_keys),
					     .line_offset = offsetof(struct model_service, line)};

static const struct field service_element = {
	.type = FIELD_MAP, .size = sizeof(struct model_service), .fields = &schema_service_fields};

static const struct field model_keys[] = {
	{.key = "services",
	 .type = FIELD_LIST,
	 AT(struct model, services),
	 .element = &service_element,
	 .count_offset = offsetof(struct model, services_n),
	 .flags = FIELD_REQUIRED},
};

static const struct fields model_fields = {.list = model_keys, .n = FIELDS_N(model_keys)};

// ---- defaults that depend on other keys; 0 stands for "not given" ----

// @path leads the field of an error.
static int fill_check(struct model_check *c, const char *path, struct err *e)
{
	char field[64];

	if (c->type == MODEL_CHECK_NONE) {
		bool is_set = c->path || c->host || c->interval_ns || c->timeout_ns || c->rise ||
			      c->fall || c->port || c->has_address;

		snprintf(field, sizeof(field), "%s%scheck.type", path, path[0] ? "." : "");
		return is_set ? err_set_field(e, -EINVAL, 0, field,
					      "is missing: must be tcp or http")
			      : 0;
	}
	if (c->type == MODEL_CHECK_HTTP && !c->path && !(c->path = strdup("/")))
		return err_set(e, -ENOMEM, "out of memory");
	if (!c->interval_ns)
		c->interval_ns = CHECK_INTERVAL_NS;
	if (!c->timeout_ns)
		c->timeout_ns =
			c->interval_ns < CHECK_TIMEOUT_NS ? c->interval_ns : CHECK_TIMEOUT_NS;
	if (!c->rise)
		c->rise = CHECK_RISE;
	if (!c->fall)
		c->fall = CHECK_FALL;
	return 0;
}

static int fill_service(struct model_service *s, const char *path, struct err *e)
{
	bool is_udp = s->protocol == IPPROTO_UDP;

	if (!s->tracking)
		s->tracking = is_udp ? LB_TRACK_ALWAYS : LB_TRACK_ADAPTIVE;
	if (!s->idle_s)
		s->idle_s = is_udp ? IDLE_UDP_S : IDLE_TCP_S;
	for (size_t i = 0; i < s->backends_n; i++)
		if (!s->backends[i].port)
			s->backends[i].port = s->port;
	return fill_check(&s->check, path, e);
}

static int fill_model(struct model *m, struct err *e)
{
	char path[32];
	int r = 0;

	for (size_t i = 0; i < m->services_n && r == 0; i++) {
		snprintf(path, sizeof(path), "services[%zu]", i);
		r = fill_service(&m->services[i], path, e);
	}
	return r;
}

// What was refused after decoding knows its field; the text knows the field's line.
static void set_line(const struct tree *t, struct err *e)
{
	if (e->field[0] && !e->line)
		e->line = tree_lookup_line(t, e->field);
}

// ---- decoding ----

int schema_decode_model(const char *text, size_t text_len, struct model **ret_model, struct err *e)
{
	struct model *m = NULL;
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	m = model_new();
	r = m ? fields_decode(&model_fields, tree_root(t), (struct fields_mode){0}, m, e)
	      : err_set(e, -ENOMEM, "out of memory");
	r = r ? r : fill_model(m, e);
	r = r ? r : model_validate(m, e);
	if (r < 0) {
		set_line(t, e);
		model_free(m);
	} else {
		*ret_model = m;
	}
	tree_free(t);
	return r;
}

int schema_decode_service(const char *text, size_t text_len, const char *name,
			  struct model_service *ret, struct err *e)
{
	struct model_service s = {0};
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	if (name)
		snprintf(s.name, sizeof(s.name), "%s", name);
	r = fields_decode(&schema_service_fields, tree_root(t),
			  (struct fields_mode){.has_identity = name}, &s, e);
	if (r == 0 && name && strcmp(s.name, name) != 0)
		r = err_set_field(e, -EINVAL, 0, "name",
				  "must be \"%s\", as in the path, is \"%s\"", name, s.name);
	r = r ? r : fill_service(&s, "", e);
	r = r ? r : model_validate_service(&s, "", e);
	if (r < 0) {
		set_line(t, e);
		model_service_fini(&s);
	} else {
		*ret = s;
	}
	tree_free(t);
	return r;
}

int schema_decode_backend(const char *text, size_t text_len, const struct model_service *s,
			  struct model_backend *b, struct err *e)
{
	struct model_backend decoded = {.address = b->address, .port = b->port};
	char expected[ADDRESS_TEXT_MAX], is[ADDRESS_TEXT_MAX];
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	r = fields_decode(&schema_backend_fields, tree_root(t),
			  (struct fields_mode){.has_identity = true}, &decoded, e);
	if (!decoded.port)
		decoded.port = s->port;
	if (r == 0 && !address_is_equal(&decoded.address, &b->address))
		r = err_set_field(e, -EINVAL, 0, "address", "must be %s, as in the path, is %s",
				  address_render(&b->address, expected),
				  address_render(&decoded.address, is));
	if (r == 0 && b->port && decoded.port != b->port)
		r = err_set_field(e, -EINVAL, 0, "port", "must be %u, as in the path, is %u",
				  b->port, decoded.port);
	if (r < 0)
		set_line(t, e);
	else
		*b = decoded;
	tree_free(t);
	return r;
}

// ---- patches ----

int schema_patch_backend(const char *text, size_t text_len, struct model_backend *b, struct err *e)
{
	struct model_backend patched = *b;
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	r = fields_decode(&schema_backend_fields, tree_root(t),
			  (struct fields_mode){.is_patch = true, .is_lenient = true}, &patched, e);
	if (r == 0 && patched.port != b->port)
		r = err_set_field(e, -EINVAL, 0, "port",
				  "says which one it is and cannot be changed");
	if (r < 0)
		set_line(t, e);
	else
		*b = patched;
	tree_free(t);
	return r;
}

// What a check of another type does not have goes.
static void tidy_check(struct model_check *c, enum model_check_type before)
{
	if (c->type == before || c->type == MODEL_CHECK_HTTP)
		return;
	free(c->path);
	free(c->host);
	c->path = c->host = NULL;
	if (c->type == MODEL_CHECK_NONE)
		memset(c, 0, sizeof(*c));
}

// Outside nat a backend has the service's port: it follows.
static void follow_port(struct model_service *s, uint16_t before)
{
	for (size_t i = 0; i < s->backends_n && s->mode != LB_MODE_NAT; i++)
		if (s->backends[i].port == before)
			s->backends[i].port = s->port;
}

int schema_patch_service(const char *text, size_t text_len, struct model_service *s, struct err *e)
{
	const struct fields_mode mode = {.is_patch = true, .is_lenient = true};
	struct model_service patched;
	struct tree *t;
	int r = tree_parse(text, text_len, &t, e);

	if (r < 0)
		return r;
	r = model_service_copy(s, &patched);
	if (r < 0) {
		tree_free(t);
		return err_set(e, r, "out of memory");
	}
	r = fields_decode(&schema_service_fields, tree_root(t), mode, &patched, e);
	if (r == 0) {
		patched.line = s->line;
		tidy_check(&patched.check, s->check.type);
		follow_port(&patched, s->port);
		r = fill_service(&patched, "", e);
	}
	r = r ? r : model_validate_service(&patched, "", e);
	if (r < 0) {
		set_line(t, e);
		model_service_fini(&patched);
	} else {
		model_service_fini(s);
		*s = patched;
	}
	tree_free(t);
	return r;
}

const char *schema_mode_name(uint8_t mode)
{
	return fields_lookup_word(mode_words, mode);
}

const char *schema_tracking_name(uint8_t tracking)
{
	return fields_lookup_word(tracking_words, tracking);
}

const char *schema_state_name(enum model_state s)
{
	return fields_lookup_word(state_words, s);
}
