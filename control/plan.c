// SPDX-License-Identifier: BSD-2-Clause
//
// What would change between two models, as lines for people and as figures. Keys
// are compared by what the schema renders of them, so a new key needs nothing here;
// backends by address and port. The share of a service's slots that moves is found
// by building its rings before and after (plan_moved.c). lbd_change() plans every
// change before anything is touched; lbctl shows the plan. Pure.
#include "control/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/plan_moved.h"
#include "control/schema.h"

// ---- growing the lists ----

struct builder {
	struct plan *plan;
	const uint64_t *key;
	size_t items_room, shares_room;
	struct err *e;
};

// Room for one more in a list of *n; doubles it. NULL: out of memory, the list stays.
static void *grow(void *list, size_t n, size_t *room, size_t size)
{
	void *grown = list;

	if (n < *room)
		return list;
	grown = reallocarray(list, *room ? *room * 2 : 16, size);
	if (grown)
		*room = *room ? *room * 2 : 16;
	return grown;
}

static int out_of_memory(struct builder *b)
{
	return err_set(b->e, -ENOMEM, "out of memory");
}

static int add_item(struct builder *b, enum plan_kind kind, const char *service,
		    const char *backend, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static int add_item(struct builder *b, enum plan_kind kind, const char *service,
		    const char *backend, const char *format, ...)
{
	struct plan *p = b->plan;
	struct plan_item *grown = grow(p->items, p->items_n, &b->items_room, sizeof(*grown));
	struct plan_item *item;
	va_list args;

	if (!grown)
		return out_of_memory(b);
	p->items = grown;
	item = &grown[p->items_n++];
	*item = (struct plan_item){.kind = kind};
	snprintf(item->service, sizeof(item->service), "%s", service);
	snprintf(item->backend, sizeof(item->backend), "%s", backend);
	va_start(args, format);
	vsnprintf(item->text, sizeof(item->text), format, args);
	va_end(args);
	return 0;
}

static int add_share(struct builder *b, const char *service, double moved)
{
	struct plan *p = b->plan;
	struct plan_share *grown = grow(p->shares, p->shares_n, &b->shares_room, sizeof(*grown));

	if (!grown)
		return out_of_memory(b);
	p->shares = grown;
	grown[p->shares_n] = (struct plan_share){.moved = moved};
	snprintf(grown[p->shares_n].service, sizeof(grown->service), "%s", service);
	p->shares_n++;
	return 0;
}

static void append(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	if (used)
		used += (size_t)snprintf(text + used, size - used, ", ");
	if (used >= size)
		return;
	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

// ---- the keys of a service ----

static const char *value_text(const json_t *value, char *buf, size_t buf_len)
{
	if (json_is_string(value))
		snprintf(buf, buf_len, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(buf, buf_len, "%lld", (long long)json_integer_value(value));
	else if (json_is_object(value)) // a check
		snprintf(buf, buf_len, "%s", json_string_value(json_object_get(value, "type")));
	else
		snprintf(buf, buf_len, "none");
	return buf;
}

// Appends "key a -> b" for each key of @table whose value differs; a map's keys as "check.key".
static void compare_keys(const struct fields *table, const char *prefix, const json_t *before,
			 const json_t *after, char *text, size_t size)
{
	char from[64], to[64];

	for (size_t i = 0; i < table->n; i++) {
		const struct field *f = &table->list[i];
		const json_t *a = json_object_get(before, f->key),
			     *b = json_object_get(after, f->key);

		if (f->type == FIELD_LIST || json_equal(a, b) || (!a && !b))
			continue;
		if (f->type == FIELD_MAP && a && b)
			compare_keys(f->fields, "check.", a, b, text, size);
		else
			append(text, size, "%s%s %s -> %s", prefix, f->key,
			       value_text(a, from, sizeof(from)), value_text(b, to, sizeof(to)));
	}
}

static bool has_vip(const struct model_service *s, const struct lb_address *vip)
{
	for (size_t i = 0; i < s->vips_n; i++)
		if (address_is_equal(&s->vips[i], vip))
			return true;
	return false;
}

static void compare_vips(const struct model_service *before, const struct model_service *after,
			 char *text, size_t size)
{
	char vip[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < after->vips_n; i++)
		if (!has_vip(before, &after->vips[i]))
			append(text, size, "VIP %s added", address_render(&after->vips[i], vip));
	for (size_t i = 0; i < before->vips_n; i++)
		if (!has_vip(after, &before->vips[i]))
			append(text, size, "VIP %s removed (its connections break)",
			       address_render(&before->vips[i], vip));
}

// What makes another service of it: its rows are made anew, its connections break.
static bool is_replaced(const struct model_service *before, const struct model_service *after)
{
	return before->mode != after->mode || before->protocol != after->protocol ||
	       before->port != after->port;
}

// All keys but the backends.
static json_t *render_keys(const struct model_service *s)
{
	struct model_service bare = *s;

	bare.backends_n = 0;
	return schema_render_service_json(&bare);
}

static int compare_service(struct builder *b, const struct model_service *before,
			   const struct model_service *after)
{
	json_t *x = render_keys(before), *y = render_keys(after);
	char text[sizeof(b->plan->items->text)] = "";
	int r = 0;

	if (x && y)
		compare_keys(&schema_service_fields, "", x, y, text, sizeof(text));
	else
		r = out_of_memory(b);
	json_decref(x);
	json_decref(y);
	if (r < 0)
		return r;
	compare_vips(before, after, text, sizeof(text));
	if (is_replaced(before, after))
		return add_item(b, PLAN_REPLACED, after->name, "", "%.128s (its connections break)",
				text);
	return text[0] ? add_item(b, PLAN_CHANGED, after->name, "", "%s", text) : 0;
}

// ---- backends ----

static int compare_backends(const void *x, const void *y)
{
	const struct model_backend *a = *(const struct model_backend *const *)x;
	const struct model_backend *b = *(const struct model_backend *const *)y;
	int c = memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));

	return c ? c : (int)a->port - (int)b->port;
}

// Pointers to the backends of @s, by address and port. NULL: out of memory.
static const struct model_backend **sort_backends(const struct model_service *s)
{
	const struct model_backend **sorted = calloc(s->backends_n + 1, sizeof(*sorted));

	for (size_t i = 0; i < s->backends_n && sorted; i++)
		sorted[i] = &s->backends[i];
	if (sorted)
		qsort(sorted, s->backends_n, sizeof(*sorted), compare_backends);
	return sorted;
}

static const struct model_backend *find_backend(const struct model_backend *const *sorted, size_t n,
						const struct model_backend *b)
{
	const struct model_backend *const *found =
		bsearch(&b, sorted, n, sizeof(*sorted), compare_backends);

	return found ? *found : NULL;
}

static int plan_backend(struct builder *b, const char *service, const struct model_backend *before,
			const struct model_backend *after)
{
	char name[ADDRESS_TEXT_MAX], text[sizeof(b->plan->items->text)] = "";

	address_render_port(&after->address, after->port, name);
	if (!before) {
		append(text, sizeof(text), "weight %u", after->weight);
		if (after->state != MODEL_ENABLED)
			append(text, sizeof(text), "%s", schema_state_name(after->state));
		return add_item(b, PLAN_ADDED, service, name, "%s", text);
	}
	if (before->weight != after->weight)
		append(text, sizeof(text), "weight %u -> %u", before->weight, after->weight);
	if (before->state != after->state)
		append(text, sizeof(text), "state %s -> %s", schema_state_name(before->state),
		       schema_state_name(after->state));
	return text[0] ? add_item(b, PLAN_CHANGED, service, name, "%s", text) : 0;
}

static int plan_backends(struct builder *b, const struct model_service *before,
			 const struct model_service *after)
{
	const struct model_backend **old = sort_backends(before), **new = sort_backends(after);
	char name[ADDRESS_TEXT_MAX];
	int r = old && new ? 0 : out_of_memory(b);

	for (size_t i = 0; i < after->backends_n && r == 0; i++)
		r = plan_backend(b, after->name,
				 find_backend(old, before->backends_n, &after->backends[i]),
				 &after->backends[i]);
	for (size_t i = 0; i < before->backends_n && r == 0; i++) {
		const struct model_backend *gone = &before->backends[i];

		if (find_backend(new, after->backends_n, gone))
			continue;
		b->plan->backends_gone++;
		r = add_item(b, PLAN_REMOVED, after->name,
			     address_render_port(&gone->address, gone->port, name),
			     "no new connections; it goes when the old ones are over");
	}
	free(old);
	free(new);
	return r;
}

// ---- services ----

static int plan_added(struct builder *b, const struct model_service *s)
{
	char text[sizeof(b->plan->items->text)] = "", vip[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < s->vips_n; i++)
		append(text, sizeof(text), "%s", address_render_port(&s->vips[i], s->port, vip));
	return add_item(b, PLAN_ADDED, s->name, "", "%s, %.100s; %zu backend%s",
			schema_mode_name(s->mode), text, s->backends_n,
			s->backends_n == 1 ? "" : "s");
}

static int plan_removed(struct builder *b, const struct model_service *s)
{
	b->plan->services_gone++;
	b->plan->backends_gone += s->backends_n;
	return add_item(b, PLAN_REMOVED, s->name, "", "with %zu backend%s (its connections break)",
			s->backends_n, s->backends_n == 1 ? "" : "s");
}

// @idx: of @after, for the field of an error.
static int plan_kept(struct builder *b, const struct model_service *before,
		     const struct model_service *after, size_t idx)
{
	char field[48];
	double moved;
	int r;

	if (before->ring != after->ring) {
		snprintf(field, sizeof(field), "services[%zu].ring", idx);
		return err_set_field(
			b->e, -EINVAL, after->line, field,
			"is fixed once a service exists: \"%s\" has %u, and cannot have %u; "
			"keep it, or make a new service beside it and remove the old one",
			after->name, before->ring, after->ring);
	}
	r = compare_service(b, before, after);
	r = r ? r : plan_backends(b, before, after);
	if (r < 0 || is_replaced(before, after))
		return r;
	if (plan_moved(before, after, b->key, &moved) < 0)
		return out_of_memory(b);
	return moved > 0 ? add_share(b, after->name, moved) : 0;
}

static int compare_services(const void *x, const void *y)
{
	const struct model_service *const *a = x, *const *b = y;

	return strcmp((*a)->name, (*b)->name);
}

// Pointers to the services of @m, by name. NULL: out of memory.
static const struct model_service **sort_services(const struct model *m)
{
	const struct model_service **sorted = calloc(m->services_n + 1, sizeof(*sorted));

	for (size_t i = 0; i < m->services_n && sorted; i++)
		sorted[i] = &m->services[i];
	if (sorted)
		qsort(sorted, m->services_n, sizeof(*sorted), compare_services);
	return sorted;
}

static const struct model_service *find_service(const struct model_service *const *sorted, size_t n,
						const struct model_service *s)
{
	const struct model_service *const *found =
		bsearch(&s, sorted, n, sizeof(*sorted), compare_services);

	return found ? *found : NULL;
}

static int plan_services(struct builder *b, const struct model *before, const struct model *after)
{
	const struct model_service **old = sort_services(before), **new = sort_services(after);
	int r = old && new ? 0 : out_of_memory(b);

	for (size_t i = 0; i < after->services_n && r == 0; i++) {
		const struct model_service *s = &after->services[i];
		const struct model_service *was = find_service(old, before->services_n, s);

		r = was ? plan_kept(b, was, s, i) : plan_added(b, s);
	}
	for (size_t i = 0; i < before->services_n && r == 0; i++) {
		b->plan->backends_before += before->services[i].backends_n;
		if (!find_service(new, after->services_n, &before->services[i]))
			r = plan_removed(b, &before->services[i]);
	}
	free(old);
	free(new);
	return r;
}

int plan_build(const struct model *before, const struct model *after, const uint64_t key[2],
	       struct plan **ret, struct err *e)
{
	struct builder b = {.plan = calloc(1, sizeof(*b.plan)), .key = key, .e = e};
	int r;

	if (!b.plan)
		return out_of_memory(&b);
	b.plan->services_before = before->services_n;
	r = plan_services(&b, before, after);
	if (r < 0)
		plan_free(b.plan);
	else
		*ret = b.plan;
	return r;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	free(p->items);
	free(p->shares);
	free(p);
}

bool plan_needs_force(const struct plan *p)
{
	return p->services_gone * 2 > p->services_before ||
	       p->backends_gone * 2 > p->backends_before;
}

bool plan_is_empty(const struct plan *p)
{
	return !p->items_n;
}

json_t *plan_render_json(const struct plan *p)
{
	static const char *const kinds[] = {[PLAN_ADDED] = "added",
					    [PLAN_CHANGED] = "changed",
					    [PLAN_REMOVED] = "removed",
					    [PLAN_REPLACED] = "replaced"};
	json_t *changes = json_array(), *moved = json_array();

	for (size_t i = 0; i < p->items_n; i++) {
		const struct plan_item *item = &p->items[i];
		json_t *change = json_pack("{s:s, s:s}", "kind", kinds[item->kind], "service",
					   item->service);

		if (item->backend[0])
			json_object_set_new(change, "backend", json_string(item->backend));
		json_object_set_new(change, "text", json_string(item->text));
		json_array_append_new(changes, change);
	}
	for (size_t i = 0; i < p->shares_n; i++)
		json_array_append_new(moved,
				      json_pack("{s:s, s:f}", "service", p->shares[i].service,
						"share", p->shares[i].moved));
	return json_pack("{s:o, s:o}", "changes", changes, "moved", moved);
}
