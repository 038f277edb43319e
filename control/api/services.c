// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/services and /v1/services/{name}: what runs, and changes of one service: copy
// the model, edit the copy, lbd_change(). Handlers of the API's table.
#include "control/api/walk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/schema.h"

static void begin_all(struct walk *w)
{
	const json_int_t generation = (json_int_t)w->d->model->generation;

	walk_add_json(w, json_pack("{s:I}", "generation", generation), true, "services");
}

static void add_service(struct walk *w, const struct model_service *s,
			const struct view_backends *backends)
{
	walk_add_json(w, view_service_head(w->d, s, backends), !w->shown_n, "backends");
}

static void add_backend(struct walk *w, const struct publisher_backend_view *v)
{
	walk_add_json(w, view_backend(w->d, v), !w->next_backend, NULL);
}

int api_services_get(struct api_request *r, struct err *e)
{
	static const struct walk_kind all = {
		.media_type = "application/json",
		.begin = begin_all,
		.service = add_service,
		.backend = add_backend,
		.end_service = walk_end_json_service,
		.end = walk_end_json,
	};

	return walk_answer(r, &all, NULL, e);
}

int api_service_get(struct api_request *r, struct err *e)
{
	const struct model_service *s = model_lookup_service(r->d->model, r->args[0]);

	return s ? reply_json(r, 200, view_service(r->d, s)) : view_no_service(r->args[0], e);
}

// Puts @s where the service of that name is, or at the end.
static int put_service(struct model *m, const struct model_service *s, struct err *e)
{
	struct model_service *old = model_lookup_service(m, s->name), moved;
	int code = 0;

	if (!old) {
		code = model_add_service(m, s);
	} else {
		// Adding copies deep; so the copy is made at the end, and takes the old one's
		// place.
		size_t at = (size_t)(old - m->services);

		snprintf(old->name, sizeof(old->name), "/"); // no service is called so
		code = model_add_service(m, s);
		if (!code) {
			moved = m->services[at];
			m->services[at] = m->services[m->services_n - 1];
			m->services[m->services_n - 1] = moved;
			code = model_del_service(m, "/");
		}
	}
	return code ? err_set(e, code, "%s: cannot be put into the services", s->name) : 0;
}

int api_service_put(struct api_request *r, struct err *e)
{
	bool exists = model_lookup_service(r->d->model, r->args[0]);
	struct model_service s;
	struct model *after;
	struct plan *plan = NULL;
	char cause[MODEL_NAME_MAX + 32];
	int code = change_check_new(r, exists, r->args[0], "lbctl service set", e);

	if (strlen(r->args[0]) > MODEL_NAME_MAX)
		return err_set_field(e, -EINVAL, 0, "name", "must have at most %d characters",
				     MODEL_NAME_MAX);
	if (!code)
		code = schema_decode_service(r->body, r->body_len, r->args[0], &s, e);
	if (code)
		return code;
	snprintf(cause, sizeof(cause), "service %s %s", exists ? "set" : "add", s.name);
	after = model_copy(r->d->model);
	code = after ? put_service(after, &s, e) : err_set(e, -ENOMEM, "no memory for a change");
	model_service_fini(&s);
	if (code) {
		model_free(after);
		return code;
	}
	code = change_run(r, after, cause, false, &plan, e);
	return code ? code : change_reply(r, exists ? 200 : 201, plan);
}

int api_service_patch(struct api_request *r, struct err *e)
{
	struct model *after = model_copy(r->d->model);
	struct model_service *s = after ? model_lookup_service(after, r->args[0]) : NULL;
	struct plan *plan = NULL;
	char cause[MODEL_NAME_MAX + 32];
	int code;

	if (!after)
		return err_set(e, -ENOMEM, "no memory for a change");
	code = s ? schema_patch_service(r->body, r->body_len, s, e)
		 : view_no_service(r->args[0], e);
	if (code) {
		model_free(after);
		return code;
	}
	snprintf(cause, sizeof(cause), "service set %s", s->name);
	code = change_run(r, after, cause, false, &plan, e);
	return code ? code : change_reply(r, 200, plan);
}

int api_service_delete(struct api_request *r, struct err *e)
{
	struct model *after;
	struct plan *plan = NULL;
	char cause[MODEL_NAME_MAX + 32];
	int code;

	if (!model_lookup_service(r->d->model, r->args[0]))
		return view_no_service(r->args[0], e);
	snprintf(cause, sizeof(cause), "service remove %s", r->args[0]);
	after = model_copy(r->d->model);
	code = after ? model_del_service(after, r->args[0]) : -ENOMEM;
	if (code) {
		model_free(after);
		return err_set(e, code, "no memory for a change");
	}
	code = change_run(r, after, cause, true, &plan, e);
	return code ? code : change_reply(r, 200, plan);
}
