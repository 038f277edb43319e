// SPDX-License-Identifier: BSD-2-Clause
//
// What is wrong with a model by itself. First each service alone, then what spans
// services: names, VIPs, and the backends of nat, whose replies are told apart by
// address, port and protocol only. Spanning checks sort keys and compare
// neighbours, so that a full model costs n log n. What needs the network (l2 on a
// connected network) or the tables (room) is judged by others. Called by schema.c
// for every input and by lbd_change() for every change. Pure.
#include "control/model.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/maglev.h"

#define CHECK_INTERVAL_MIN_NS 10000000ull      // 10 ms
#define CHECK_INTERVAL_MAX_NS 3600000000000ull // 1 h
#define CHECK_STREAK_MAX 1000

// Refuses @key (printf arguments name it) of what @path names.
struct place {
	const char *path;
	char key[64];
};

static struct place at(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct place at(const char *path, const char *format, ...)
{
	struct place p = {.path = path};
	va_list args;

	va_start(args, format);
	vsnprintf(p.key, sizeof(p.key), format, args);
	va_end(args);
	return p;
}

static int refuse(struct err *e, struct place p, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(struct err *e, struct place p, const char *format, ...)
{
	char field[sizeof(e->field)], text[sizeof(e->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(field, sizeof(field), "%s%s%s", p.path, p.path[0] && p.key[0] ? "." : "", p.key);
	return err_set_field(e, -EINVAL, 0, field, "%s", text);
}

// ---- a service alone ----

static int check_name(const struct model_service *s, const char *path, struct err *e)
{
	static const char alnum[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(s->name);

	if (!len || !strchr(alnum, s->name[0]))
		return refuse(e, at(path, "name"), "must start with a letter or digit");
	for (size_t i = 0; i < len; i++)
		if (!strchr(alnum, s->name[i]) && !strchr("._-", s->name[i]))
			return refuse(e, at(path, "name"),
				      "must be letters, digits, '.', '_' and '-' only");
	return 0;
}

static int check_vips(const struct model_service *s, const char *path, struct err *e)
{
	char text[ADDRESS_TEXT_MAX];
	size_t families_n[2] = {0};

	if (!s->vips_n || s->vips_n > MODEL_VIPS_MAX)
		return refuse(e, at(path, "vips"), "must be 1 to %d addresses, is %zu",
			      MODEL_VIPS_MAX, s->vips_n);
	for (size_t i = 0; i < s->vips_n; i++) {
		address_render(&s->vips[i], text);
		if (!address_is_usable(&s->vips[i]))
			return refuse(e, at(path, "vips[%zu]", i),
				      "%s cannot be a VIP: give a unicast address that is "
				      "neither loopback nor link-local",
				      text);
		for (size_t j = 0; j < i; j++)
			if (address_is_equal(&s->vips[i], &s->vips[j]))
				return refuse(e, at(path, "vips[%zu]", i), "%s is given twice",
					      text);
		if (families_n[address_family(&s->vips[i]) == 6]++ && s->mode == LB_MODE_NAT)
			return refuse(
				e, at(path, "vips[%zu]", i),
				"nat takes one VIP of each family, and %s is another of IPv%d; "
				"make it a service of its own, with backend ports of its own",
				text, address_family(&s->vips[i]));
	}
	return 0;
}

static int check_forwarding(const struct model_service *s, const char *path, struct err *e)
{
	if (s->protocol != IPPROTO_TCP && s->protocol != IPPROTO_UDP)
		return refuse(e, at(path, "protocol"), "must be tcp or udp");
	if (s->mode != LB_MODE_NAT && s->mode != LB_MODE_L2 && s->mode != LB_MODE_IPIP &&
	    s->mode != LB_MODE_GUE)
		return refuse(e, at(path, "mode"), "must be nat, l2, ipip or gue");
	if (s->mode == LB_MODE_NAT && !s->port)
		return refuse(e, at(path, "port"),
			      "any is not possible with nat, which rewrites ports; give a port, or "
			      "use l2, ipip or gue");
	if (s->tracking != LB_TRACK_ADAPTIVE && s->tracking != LB_TRACK_ALWAYS &&
	    s->tracking != LB_TRACK_NONE)
		return refuse(e, at(path, "tracking"), "must be adaptive, always or none");
	if (s->tracking == LB_TRACK_ADAPTIVE && s->protocol == IPPROTO_UDP)
		return refuse(
			e, at(path, "tracking"),
			"adaptive is for tcp, since udp has no first packet to tell new flows "
			"by; use always or none");
	if (!s->idle_s || s->idle_s > LB_IDLE_MAX_S)
		return refuse(e, at(path, "idle_timeout"), "must be 1s to %us, is %us",
			      LB_IDLE_MAX_S, s->idle_s);
	return 0;
}

static int check_ring(const struct model_service *s, const char *path, struct err *e)
{
	uint32_t below = s->ring, above = s->ring;

	if (s->ring < 3 || s->ring >= LB_SLOT_MAX)
		return refuse(e, at(path, "ring"), "must be a prime from 3 to %u, is %u",
			      LB_SLOT_MAX - 3, s->ring); // 2^24 - 3 is prime
	if (maglev_is_prime(s->ring))
		return 0;
	while (!maglev_is_prime(below))
		below--;
	while (!maglev_is_prime(above))
		above++;
	return refuse(e, at(path, "ring"), "must be a prime, is %u; the nearest is %u", s->ring,
		      s->ring - below <= above - s->ring ? below : above);
}

static bool is_plain_text(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static int check_check(const struct model_service *s, const char *path, struct err *e)
{
	const struct model_check *c = &s->check;

	if (c->type == MODEL_CHECK_NONE)
		return 0;
	if (c->type != MODEL_CHECK_HTTP && (c->path || c->host))
		return refuse(e, at(path, "check.%s", c->path ? "path" : "host"),
			      "is for `type: http` only");
	if (c->path && (c->path[0] != '/' || !is_plain_text(c->path)))
		return refuse(e, at(path, "check.path"),
			      "must start with / and have no blanks or control characters");
	if (c->host && (!c->host[0] || !is_plain_text(c->host)))
		return refuse(e, at(path, "check.host"),
			      "must be a name without blanks or control characters");
	if (c->has_address && !address_is_usable(&c->address))
		return refuse(e, at(path, "check.address"),
			      "must be a unicast address, neither loopback nor link-local");
	if (!c->port && !s->port)
		return refuse(e, at(path, "check.port"),
			      "must be given, since the service's port is any");
	if (c->interval_ns < CHECK_INTERVAL_MIN_NS || c->interval_ns > CHECK_INTERVAL_MAX_NS)
		return refuse(e, at(path, "check.interval"), "must be 10ms to 1h");
	if (!c->timeout_ns || c->timeout_ns > c->interval_ns)
		return refuse(
			e, at(path, "check.timeout"),
			"must be above 0 and at most the interval (%llums), so that a probe ends "
			"before the next",
			(unsigned long long)c->interval_ns / 1000000);
	if (!c->rise || c->rise > CHECK_STREAK_MAX || !c->fall || c->fall > CHECK_STREAK_MAX)
		return refuse(e,
			      at(path, "check.%s",
				 !c->rise || c->rise > CHECK_STREAK_MAX ? "rise" : "fall"),
			      "must be 1 to %d", CHECK_STREAK_MAX);
	return 0;
}

static int check_backend_port(const struct model_service *s, size_t i, const char *path,
			      struct err *e)
{
	const struct model_backend *b = &s->backends[i];

	if (!s->port && b->port)
		return refuse(e, at(path, "backends[%zu].port", i),
			      "must be left out, since the service's port is any");
	if (s->port && !b->port)
		return refuse(e, at(path, "backends[%zu].port", i), "must be 1 to 65535");
	if (s->mode != LB_MODE_NAT && b->port != s->port)
		return refuse(e, at(path, "backends[%zu].port", i),
			      "must be the service's, %u, is %u: only nat rewrites ports", s->port,
			      b->port);
	return 0;
}

static int check_backend(const struct model_service *s, size_t i, const char *path, struct err *e)
{
	const struct model_backend *b = &s->backends[i];
	bool is_vip_of_family = false;
	char text[ADDRESS_TEXT_MAX];

	address_render(&b->address, text);
	if (!address_is_usable(&b->address))
		return refuse(e, at(path, "backends[%zu].address", i),
			      "%s cannot be a backend: give a unicast address that is neither "
			      "loopback nor link-local",
			      text);
	for (size_t j = 0; j < s->vips_n; j++)
		is_vip_of_family |= address_is_ipv4(&s->vips[j]) == address_is_ipv4(&b->address);
	if (!is_vip_of_family && s->mode != LB_MODE_IPIP && s->mode != LB_MODE_GUE)
		return refuse(
			e, at(path, "backends[%zu].address", i),
			"%s is of IPv%d, and no VIP of the service is; only ipip and gue carry one "
			"family in the other",
			text, address_family(&b->address));
	if (b->weight > MODEL_WEIGHT_MAX)
		return refuse(e, at(path, "backends[%zu].weight", i), "must be 0 to %d, is %u",
			      MODEL_WEIGHT_MAX, b->weight);
	if (b->state != MODEL_ENABLED && b->state != MODEL_DRAIN && b->state != MODEL_DISABLED)
		return refuse(e, at(path, "backends[%zu].state", i),
			      "must be enabled, drain or disabled");
	return check_backend_port(s, i, path, e);
}

// ---- keys that must be unique ----

struct key {
	struct lb_address address;
	uint16_t port;
	uint8_t protocol;
	uint32_t service, idx; // where it came from, in the order of the input
};

static int compare_keys(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	int c = memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));

	if (!c)
		c = (int)a->port - (int)b->port;
	if (!c)
		c = (int)a->protocol - (int)b->protocol;
	return c;
}

static int compare_keys_in_order(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	int c = compare_keys(x, y);

	if (!c)
		c = a->service < b->service ? -1 : a->service > b->service;
	if (!c)
		c = a->idx < b->idx ? -1 : a->idx > b->idx;
	return c;
}

// Sorts @keys; returns the later one of two that are equal (the one before it is the other), or
// NULL. Of several pairs the one that the input names first.
static const struct key *find_twice(struct key *keys, size_t keys_n)
{
	const struct key *found = NULL;

	qsort(keys, keys_n, sizeof(*keys), compare_keys_in_order);
	for (size_t i = 1; i < keys_n; i++) {
		const struct key *k = &keys[i];

		if (compare_keys(k - 1, k))
			continue;
		if (!found || k->service < found->service ||
		    (k->service == found->service && k->idx < found->idx))
			found = k;
	}
	return found;
}

static int check_backends(const struct model_service *s, const char *path, struct err *e)
{
	struct key *keys = calloc(s->backends_n + 1, sizeof(*keys));
	const struct key *twice;
	char text[ADDRESS_TEXT_MAX];
	int r = 0;

	if (!keys)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < s->backends_n && r == 0; i++) {
		r = check_backend(s, i, path, e);
		keys[i] = (struct key){.address = s->backends[i].address,
				       .port = s->backends[i].port,
				       .idx = (uint32_t)i};
	}
	twice = r ? NULL : find_twice(keys, s->backends_n);
	if (twice)
		r = refuse(e, at(path, "backends[%u]", twice->idx),
			   "%s is backends[%u] already; a service names a backend once",
			   address_render_port(&twice->address, twice->port, text), twice[-1].idx);
	free(keys);
	return r;
}

int model_validate_service(const struct model_service *s, const char *path, struct err *e)
{
	int r = check_name(s, path, e);

	r = r ? r : check_forwarding(s, path, e);
	r = r ? r : check_vips(s, path, e);
	r = r ? r : check_ring(s, path, e);
	r = r ? r : check_check(s, path, e);
	return r ? r : check_backends(s, path, e);
}

// ---- what spans services ----

struct named {
	const char *name;
	size_t idx;
};

static int compare_named(const void *x, const void *y)
{
	const struct named *a = x, *b = y;
	int c = strcmp(a->name, b->name);

	return c ? c : (a->idx < b->idx ? -1 : 1);
}

static int check_names(const struct model *m, struct err *e)
{
	struct named *names = calloc(m->services_n + 1, sizeof(*names));
	int r = 0;

	if (!names)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < m->services_n; i++)
		names[i] = (struct named){m->services[i].name, i};
	qsort(names, m->services_n, sizeof(*names), compare_named);
	for (size_t i = 1; i < m->services_n && r == 0; i++)
		if (!strcmp(names[i - 1].name, names[i].name))
			r = refuse(e, at("", "services[%zu].name", names[i].idx),
				   "\"%s\" is the name of services[%zu] already", names[i].name,
				   names[i - 1].idx);
	free(names);
	return r;
}

// All VIPs, with protocol and port. *ret is the caller's.
static size_t collect_vips(const struct model *m, struct key **ret)
{
	size_t n = 0;
	struct key *keys;

	for (size_t i = 0; i < m->services_n; i++)
		n += m->services[i].vips_n;
	keys = *ret = calloc(n + 1, sizeof(*keys));
	for (size_t i = 0; i < m->services_n && keys; i++) {
		const struct model_service *s = &m->services[i];

		for (size_t j = 0; j < s->vips_n; j++)
			*keys++ = (struct key){.address = s->vips[j],
					       .port = s->port,
					       .protocol = s->protocol,
					       .service = (uint32_t)i,
					       .idx = (uint32_t)j};
	}
	return n;
}

// The backends of nat (@nat_only) or of all. *ret is the caller's.
static size_t collect_backends(const struct model *m, bool nat_only, struct key **ret)
{
	size_t n = 0;
	struct key *keys;

	for (size_t i = 0; i < m->services_n; i++)
		if (!nat_only || m->services[i].mode == LB_MODE_NAT)
			n += m->services[i].backends_n;
	keys = *ret = calloc(n + 1, sizeof(*keys));
	for (size_t i = 0; i < m->services_n && keys; i++) {
		const struct model_service *s = &m->services[i];

		if (nat_only && s->mode != LB_MODE_NAT)
			continue;
		for (size_t j = 0; j < s->backends_n; j++)
			*keys++ = (struct key){.address = s->backends[j].address,
					       .port = s->backends[j].port,
					       .protocol = s->protocol,
					       .service = (uint32_t)i,
					       .idx = (uint32_t)j};
	}
	return n;
}

static const char *protocol_name(uint8_t protocol)
{
	return protocol == IPPROTO_UDP ? "udp" : "tcp";
}

static int check_vips_unique(const struct model *m, struct key *vips, size_t vips_n, struct err *e)
{
	const struct key *twice = find_twice(vips, vips_n);
	char text[ADDRESS_TEXT_MAX], port[8] = "any";

	if (!twice)
		return 0;
	if (twice->port)
		snprintf(port, sizeof(port), "%u", twice->port);
	return refuse(
		e, at("", "services[%u].vips[%u]", twice->service, twice->idx),
		"%s, %s, port %s is service \"%s\" already; change the VIP, the protocol or the "
		"port",
		address_render(&twice->address, text), protocol_name(twice->protocol), port,
		m->services[twice[-1].service].name);
}

static int check_nat_unique(const struct model *m, struct key *backends, size_t backends_n,
			    struct err *e)
{
	const struct key *twice = find_twice(backends, backends_n);
	char text[ADDRESS_TEXT_MAX];

	if (!twice)
		return 0;
	return refuse(
		e, at("", "services[%u].backends[%u]", twice->service, twice->idx),
		"%s (%s) is a backend of service \"%s\" too, and with nat its replies could not "
		"be told apart; give it another port",
		address_render_port(&twice->address, twice->port, text),
		protocol_name(twice->protocol), m->services[twice[-1].service].name);
}

static int compare_addresses(const void *x, const void *y)
{
	const struct key *a = x, *b = y;

	return memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));
}

// @vips: sorted.
static int check_no_vip_is_backend(const struct model *m, const struct key *vips, size_t vips_n,
				   const struct key *backends, size_t backends_n, struct err *e)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < backends_n; i++) {
		const struct key *b = &backends[i];
		const struct key *vip = bsearch(b, vips, vips_n, sizeof(*vips), compare_addresses);

		if (vip)
			return refuse(
				e, at("", "services[%u].backends[%u].address", b->service, b->idx),
				"%s is a VIP of service \"%s\"; a backend needs an address of its "
				"own",
				address_render(&b->address, text), m->services[vip->service].name);
	}
	return 0;
}

int model_validate(const struct model *m, struct err *e)
{
	struct key *vips, *nat_backends, *backends;
	size_t vips_n, nat_backends_n, backends_n;
	char path[32];
	int r = 0;

	for (size_t i = 0; i < m->services_n && r == 0; i++) {
		snprintf(path, sizeof(path), "services[%zu]", i);
		r = model_validate_service(&m->services[i], path, e);
	}
	if (r == 0)
		r = check_names(m, e);
	if (r < 0)
		return r;
	vips_n = collect_vips(m, &vips);
	nat_backends_n = collect_backends(m, true, &nat_backends);
	backends_n = collect_backends(m, false, &backends);
	if (!vips || !nat_backends || !backends)
		r = err_set(e, -ENOMEM, "out of memory");
	r = r ? r : check_vips_unique(m, vips, vips_n, e);
	r = r ? r : check_nat_unique(m, nat_backends, nat_backends_n, e);
	r = r ? r : check_no_vip_is_backend(m, vips, vips_n, backends, backends_n, e);
	free(vips);
	free(nat_backends);
	free(backends);
	return r;
}
