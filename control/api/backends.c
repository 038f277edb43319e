// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/services/{name}/backends/{address:port}: one backend, and changes of it.
// Handlers of the API's table.
#include "control/api/request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/duration.h"
#include "control/schema.h"

#define CAUSE_MAX 192 // the store keeps the first 127

// What the path names.
struct target {
	struct model *after;	       // a copy to edit; NULL for GET
	struct model_service *service; // in `after`, or in the running model
	struct lb_address address;
	uint16_t port;
	char text[ADDRESS_TEXT_MAX];
};

// A backend without port has the service's.
static int find_target(struct api_request *r, bool is_change, struct target *t, struct err *e)
{
	if (address_parse_port(r->args[1], &t->address, &t->port))
		return err_set(e, -EPROTO,
			       "%.64s: is no backend's address; it is written 10.1.0.11:8080 or "
			       "[2001:db8::1]:80",
			       r->args[1]);
	t->after = is_change ? model_copy(r->d->model) : NULL;
	if (is_change && !t->after)
		return err_set(e, -ENOMEM, "no memory for a change");
	t->service = model_lookup_service(is_change ? t->after : r->d->model, r->args[0]);
	if (!t->service) {
		model_free(t->after);
		return view_no_service(r->args[0], e);
	}
	if (!t->port)
		t->port = t->service->port;
	address_render_port(&t->address, t->port, t->text);
	return 0;
}

static int no_backend(const struct target *t, struct err *e)
{
	return err_set(e, -ENOENT,
		       "%s: no such backend of service %s; `lbctl backend list %s` shows them",
		       t->text, t->service->name, t->service->name);
}

struct search {
	struct lbd *d;
	const struct target *t;
	json_t *found;
};

static bool match_backend(const struct publisher_backend_view *v, void *arg)
{
	struct search *search = arg;

	if (v->port != search->t->port || !address_is_equal(&v->address, &search->t->address))
		return true;
	search->found = view_backend(search->d, v);
	return false;
}

int api_backend_get(struct api_request *r, struct err *e)
{
	struct target t;
	struct search search = {r->d, &t, NULL};
	int code = find_target(r, false, &t, e);

	if (code)
		return code;
	publisher_each_backend(r->d->publisher, t.service->name, match_backend, &search);
	return search.found ? reply_json(r, 200, search.found) : no_backend(&t, e);
}

// Runs the change and answers.
static int finish(struct api_request *r, struct target *t, int status, const char *cause,
		  struct err *e)
{
	struct plan *plan = NULL;
	int code = change_run(r, t->after, cause, true, &plan, e);

	return code ? code : change_reply(r, status, plan);
}

int api_backend_put(struct api_request *r, struct err *e)
{
	struct model_backend b = {.weight = MODEL_WEIGHT_DEFAULT}, *old;
	struct target t;
	char cause[CAUSE_MAX];
	int code = find_target(r, true, &t, e);

	if (code)
		return code;
	b.address = t.address;
	b.port = t.port;
	old = model_lookup_backend(t.service, &t.address, t.port);
	code = change_check_new(r, old, t.text, "lbctl backend set", e);
	if (!code)
		code = schema_decode_backend(r->body, r->body_len, t.service, &b, e);
	if (!code && (b.port != t.port || !address_is_equal(&b.address, &t.address)))
		code = err_set_field(e, -EINVAL, 0, "address",
				     "must be absent or as in the path, %s", t.text);
	if (!code && !old && model_add_backend(t.service, &b))
		code = err_set(e, -ENOMEM, "no memory for a change");
	if (code) {
		model_free(t.after);
		return code;
	}
	if (old)
		*old = b;
	snprintf(cause, sizeof(cause), "backend %s %s %s", old ? "set" : "add", t.service->name,
		 t.text);
	return finish(r, &t, old ? 200 : 201, cause, e);
}

int api_backend_patch(struct api_request *r, struct err *e)
{
	static const char *const verbs[] = {"enable", "drain", "disable"};
	struct model_backend *b, before = {0};
	struct target t;
	char cause[CAUSE_MAX];
	int code = find_target(r, true, &t, e);

	if (code)
		return code;
	b = model_lookup_backend(t.service, &t.address, t.port);
	if (b)
		before = *b;
	code = b ? schema_patch_backend(r->body, r->body_len, b, e) : no_backend(&t, e);
	if (code) {
		model_free(t.after);
		return code;
	}
	if (b->state != before.state)
		snprintf(cause, sizeof(cause), "backend %s %s %s", verbs[b->state], t.service->name,
			 t.text);
	else
		snprintf(cause, sizeof(cause), "backend set %s %s weight %u", t.service->name,
			 t.text, b->weight);
	return finish(r, &t, 200, cause, e);
}

// What the plan cannot know: how long it is waited.
static void say_when(struct plan *plan, const struct target *t, bool is_now, uint64_t timeout_s)
{
	char within[DURATION_TEXT_MAX];

	duration_render(timeout_s * DURATION_S_NS, within);
	for (size_t i = 0; i < plan->items_n; i++) {
		struct plan_item *item = &plan->items[i];

		if (strcmp(item->backend, t->text))
			continue;
		if (is_now)
			snprintf(item->text, sizeof(item->text), "its connections are cut");
		else
			snprintf(item->text, sizeof(item->text),
				 "no new connections; it goes when the old ones are over, at the "
				 "latest after %s",
				 within);
	}
}

int api_backend_delete(struct api_request *r, struct err *e)
{
	uint64_t timeout_s = PUBLISH_LEAVE_DEFAULT_S;
	char name[MODEL_NAME_MAX + 1], cause[CAUSE_MAX];
	struct plan *plan = NULL;
	struct target t;
	bool is_now, is_dry_run;
	int code = request_flag(r, "now", &is_now, e);

	if (!code)
		code = request_flag(r, "dry_run", &is_dry_run, e);
	if (!code)
		code = request_number(r, "timeout", LB_IDLE_MAX_S, &timeout_s, e);
	if (!code)
		code = find_target(r, true, &t, e);
	if (code)
		return code;
	snprintf(name, sizeof(name), "%s", t.service->name);
	if (model_del_backend(t.service, &t.address, t.port)) {
		code = no_backend(&t, e);
		model_free(t.after);
		return code;
	}
	snprintf(cause, sizeof(cause), "backend remove %s %s%s", name, t.text,
		 is_now ? " now" : "");
	code = change_run(r, t.after, cause, true, &plan, e);
	if (code)
		return code;
	// Where nothing lived on it, it has gone already, and there is no deadline to set.
	if (!is_dry_run)
		publisher_set_deadline(r->d->publisher, name, &t.address, t.port,
				       clock_now_s() + (is_now ? 0 : (uint32_t)timeout_s),
				       clock_now_s());
	say_when(plan, &t, is_now, timeout_s);
	return change_reply(r, 200, plan);
}
