// SPDX-License-Identifier: BSD-2-Clause
//
// Every change by the API goes through here: what the request asks (dry_run, force,
// If-Match: RFC 9110, 13.1.1) becomes a struct lbd_change, and the answer is the
// generation and the plan. The answer is sent after the tables were written.
#include "control/api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// "17", quoted or not; a weak tag never matches (RFC 9110, 13.1.1).
static int check_if_match(const struct api_request *r, uint64_t *ret_generation, struct err *e)
{
	const char *tag = evhttp_find_header(evhttp_request_get_input_headers(r->http), "If-Match");
	char running[24], quoted[26];

	*ret_generation = 0;
	if (!tag || !strcmp(tag, "*"))
		return 0;
	snprintf(running, sizeof(running), "%" PRIu64, r->d->model->generation);
	snprintf(quoted, sizeof(quoted), "\"%s\"", running);
	if (strcmp(tag, running) && strcmp(tag, quoted))
		return err_set(e, -ESTALE,
			       "the services are at generation %s, not at %.24s: read them again, "
			       "then repeat the change",
			       running, tag);
	*ret_generation = r->d->model->generation;
	return 0;
}

int change_run(struct api_request *r, struct model *after, const char *cause, bool force_always,
	       struct plan **ret_plan, struct err *e)
{
	struct lbd_change how = {.cause = cause};
	int code;

	code = request_flag(r, "dry_run", &how.dry_run, e);
	if (!code)
		code = request_flag(r, "force", &how.force, e);
	if (!code)
		code = check_if_match(r, &how.if_generation, e);
	if (code) {
		model_free(after);
		return code;
	}
	how.force |= force_always;
	code = lbd_change(r->d, after, &how, ret_plan, e);
	r->needs_force = !code && how.dry_run && !how.force && plan_needs_force(*ret_plan);
	return code;
}

int change_reply(struct api_request *r, int status, struct plan *plan)
{
	json_t *body = json_pack("{s:I, s:o}", "generation", (json_int_t)r->d->model->generation,
				 "plan", plan_render_json(plan));
	char tag[32];

	if (body && request_parameter(r, "dry_run"))
		json_object_set_new(body, "dry_run", json_true());
	if (body && r->needs_force)
		json_object_set_new(body, "needs_force", json_true());
	plan_free(plan);
	snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", r->d->model->generation);
	evhttp_add_header(evhttp_request_get_output_headers(r->http), "ETag", tag);
	return reply_json(r, status, body);
}

int change_check_new(const struct api_request *r, bool exists, const char *what, const char *mend,
		     struct err *e)
{
	const char *tag =
		evhttp_find_header(evhttp_request_get_input_headers(r->http), "If-None-Match");

	if (!tag || !exists)
		return 0;
	return err_set(e, -ESTALE, "%s: exists already; `%s` changes it", what, mend);
}
