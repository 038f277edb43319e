// SPDX-License-Identifier: BSD-2-Clause
//
// Services and backends as the API shows them: what the operator wants (the model),
// what the checks say (health), and what the tables hold (publisher), in one object.
// Several resources use it. Times are ages in seconds, so that no two clocks meet.
#include "control/api/request.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "control/schema.h"

int view_no_service(const char *name, struct err *e)
{
	return err_set(e, -ENOENT, "%.63s: no such service; `lbctl service list` shows them", name);
}

json_t *view_service_counters(const struct lb_service_counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "packets", (json_int_t)c->pkts, "bytes",
			 (json_int_t)c->bytes, "new_connections", (json_int_t)c->syns, "drops",
			 (json_int_t)c->drops);
}

json_t *view_backend_counters(const struct lb_backend_counters *c)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packets", (json_int_t)c->pkts,
			 "bytes", (json_int_t)c->bytes, "new_connections", (json_int_t)c->syns,
			 "untracked_packets", (json_int_t)c->untracked, "reply_packets",
			 (json_int_t)c->reply_pkts, "reply_bytes", (json_int_t)c->reply_bytes,
			 "reply_resets", (json_int_t)c->reply_rsts);
}

static const char *health_name(const struct publisher_backend_view *v)
{
	if (!v->has_check)
		return "unchecked";
	switch (v->health) {
	case HEALTH_UP:
		return "up";
	case HEALTH_DOWN:
		return "down";
	default:
		return "unknown";
	}
}

// Why the backend gets no new connections; NULL: it gets them.
static const char *idle_reason(const struct publisher_backend_view *v)
{
	if (v->leaving)
		return "leaving";
	if (v->state == MODEL_DISABLED)
		return "disabled";
	if (v->state == MODEL_DRAIN)
		return "draining";
	if (v->weight == 0)
		return "weight is 0";
	if (v->has_check && v->health == HEALTH_DOWN)
		return "its checks fail";
	if (v->has_check && v->health == HEALTH_UNKNOWN)
		return "its checks have not passed yet";
	if (!v->hop_resolved)
		return "its next hop does not answer";
	return NULL;
}

static void set_health(json_t *o, const struct lbd *d, const struct publisher_backend_view *v)
{
	struct health_view health;

	json_object_set_new(o, "health", json_string(health_name(v)));
	if (!v->has_check || health_get(d->health, v->service, &v->address, v->port, &health) < 0) {
		json_object_set_new(o, "cause", json_string(""));
		json_object_set_new(o, "health_seconds", json_null());
		return;
	}
	json_object_set_new(o, "cause", json_string(health.cause));
	json_object_set_new(o, "health_seconds",
			    health.since_ns
				    ? json_real((double)(clock_now_ns() - health.since_ns) / 1e9)
				    : json_null());
}

// Times of the tables wrap; the difference of two is right for 68 years.
static json_t *age_s(uint32_t since_s)
{
	return since_s ? json_integer((int32_t)(clock_now_s() - since_s)) : json_null();
}

json_t *view_backend(struct lbd *d, const struct publisher_backend_view *v)
{
	char text[ADDRESS_TEXT_MAX], lone[ADDRESS_TEXT_MAX];
	const char *idle = idle_reason(v);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s}", "service", v->service, "backend",
			      address_render_port(&v->address, v->port, text), "address",
			      address_render(&v->address, lone), "port", v->port, "weight",
			      (int)v->weight, "state", schema_state_name(v->state));

	if (!o)
		return NULL;
	set_health(o, d, v);
	json_object_set_new(o, "gets_new_connections", json_boolean(!idle));
	json_object_set_new(o, "why_not", idle ? json_string(idle) : json_null());
	json_object_set_new(o, "hop_resolved", json_boolean(v->hop_resolved));
	json_object_set_new(o, "slots", json_integer(v->slots));
	json_object_set_new(o, "slots_share",
			    json_real(v->slots_n ? (double)v->slots / v->slots_n : 0));
	json_object_set_new(o, "settled_slots", json_integer(v->settled_slots));
	json_object_set_new(o, "tracked", json_integer(v->tracked));
	json_object_set_new(o, "last_untracked_seconds", age_s(v->last_untracked_s));
	json_object_set_new(o, "leaving", json_boolean(v->leaving));
	if (v->leaving) {
		int32_t left_s = (int32_t)(v->deadline_s - clock_now_s());

		json_object_set_new(o, "leaves_within_seconds",
				    json_integer(left_s > 0 ? left_s : 0));
	}
	json_object_set_new(o, "counters", view_backend_counters(&v->counters));
	return o;
}

// ---- services ----

struct state_count {
	uint32_t wanted_n, idle_n, serving_n;
};

static bool count_backend(const struct publisher_backend_view *v, void *arg)
{
	struct state_count *count = arg;
	bool is_wanted = !v->leaving && v->state == MODEL_ENABLED && v->weight > 0;

	count->wanted_n += is_wanted;
	count->idle_n += is_wanted && idle_reason(v);
	count->serving_n += v->slots > 0;
	return true;
}

static enum view_state state_of(const struct state_count *count)
{
	if (!count->serving_n)
		return VIEW_DOWN;
	return count->idle_n ? VIEW_DEGRADED : VIEW_UP;
}

enum view_state view_service_state(struct lbd *d, const struct model_service *s)
{
	struct state_count count = {0};

	publisher_each_backend(d->publisher, s->name, count_backend, &count);
	return state_of(&count);
}

enum view_state view_state_of(const struct view_backends *backends)
{
	struct state_count count = {0};

	for (size_t i = 0; i < backends->n; i++)
		count_backend(&backends->list[i], &count);
	return state_of(&count);
}

struct collector {
	struct view_backends *to;
	bool is_short;
};

static bool collect_backend(const struct publisher_backend_view *v, void *arg)
{
	struct collector *c = arg;
	struct view_backends *to = c->to;
	struct publisher_backend_view *grown;
	size_t max = to->max ? to->max * 2 : 16;

	if (to->n == to->max) {
		grown = reallocarray(to->list, max, sizeof(*grown));
		c->is_short = !grown;
		if (!grown)
			return false;
		to->list = grown;
		to->max = max;
	}
	to->list[to->n++] = *v;
	return true;
}

bool view_collect(const struct lbd *d, const char *service, struct view_backends *ret)
{
	struct collector c = {.to = ret};

	ret->n = 0;
	publisher_each_backend(d->publisher, service, collect_backend, &c);
	return !c.is_short;
}

void view_forget(struct view_backends *b)
{
	free(b->list);
	*b = (struct view_backends){0};
}

json_t *view_service_head(struct lbd *d, const struct model_service *s,
			  const struct view_backends *backends)
{
	static const char *const names[] = {"up", "degraded", "down"};
	struct publisher_service_view shown = {0};

	publisher_get_service(d->publisher, s->name, &shown);
	return json_pack("{s:s, s:s, s:o, s:i, s:o}", "name", s->name, "state",
			 names[view_state_of(backends)], "config", schema_render_service_json(s),
			 "slots_in_transition", (int)shown.slots_in_transition, "counters",
			 view_service_counters(&shown.counters));
}

json_t *view_service(struct lbd *d, const struct model_service *s)
{
	struct view_backends backends = {0};
	json_t *list = json_array(), *o = NULL;

	if (view_collect(d, s->name, &backends))
		o = view_service_head(d, s, &backends);
	for (size_t i = 0; i < backends.n; i++)
		json_array_append_new(list, view_backend(d, &backends.list[i]));
	view_forget(&backends);
	json_object_set_new(o, "backends", list);
	return o;
}
