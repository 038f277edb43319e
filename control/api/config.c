// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/config, the whole of the services as one document; /v1/history, the kept
// generations of it; /v1/rollback, /v1/diff. Handlers of the API's table.
#include "control/api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/schema.h"

int api_config_get(struct api_request *r, struct err *e)
{
	char tag[32], *yaml;

	snprintf(tag, sizeof(tag), "\"%" PRIu64 "\"", r->d->model->generation);
	evhttp_add_header(evhttp_request_get_output_headers(r->http), "ETag", tag);
	if (!request_accepts(r, "yaml"))
		return reply_json(r, 200, schema_render_json(r->d->model));
	yaml = schema_render_yaml(r->d->model);
	if (!yaml)
		return err_set(e, -ENOMEM, "no memory to write the services as YAML");
	reply_text(r, 200, "application/yaml", yaml);
	free(yaml);
	return 0;
}

int api_config_put(struct api_request *r, struct err *e)
{
	struct model *after;
	struct plan *plan = NULL;
	int code = schema_decode_model(r->body, r->body_len, &after, e);

	if (!code)
		code = change_run(r, after, "apply", false, &plan, e);
	return code ? code : change_reply(r, 200, plan);
}

static json_t *render_generation(const struct store_generation *g, uint64_t running)
{
	time_t written = (time_t)g->written_s;
	struct tm parts;
	char text[32] = "";

	if (gmtime_r(&written, &parts))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return json_pack("{s:I, s:s, s:s, s:b}", "generation", (json_int_t)g->number, "time", text,
			 "cause", g->cause, "running", g->number == running);
}

int api_history_get(struct api_request *r, struct err *e)
{
	struct store_generation *kept = NULL;
	size_t kept_n = 0;
	json_t *list;
	int code = store_list(r->d->store, &kept, &kept_n, e);

	if (code)
		return code;
	list = json_array();
	for (size_t i = 0; i < kept_n; i++)
		json_array_append_new(list, render_generation(&kept[i], r->d->model->generation));
	free(kept);
	return reply_json(r, 200,
			  json_pack("{s:I, s:o}", "running", (json_int_t)r->d->model->generation,
				    "generations", list));
}

static int parse_generation(const char *text, const char *field, uint64_t *ret, struct err *e)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno)
		return err_set_field(e, -EPROTO, 0, field,
				     "must be a generation's number, is %.32s", text);
	return 0;
}

int api_rollback_post(struct api_request *r, struct err *e)
{
	struct model *after;
	struct plan *plan = NULL;
	uint64_t number;
	char cause[64];
	int code = parse_generation(r->args[0], "generation", &number, e);

	if (!code)
		code = store_load_generation(r->d->store, number, &after, e);
	if (code)
		return code;
	snprintf(cause, sizeof(cause), "rollback to %" PRIu64, number);
	code = change_run(r, after, cause, false, &plan, e);
	return code ? code : change_reply(r, 200, plan);
}

// The newest kept generation that is older than the running one.
static int lookup_previous(struct api_request *r, uint64_t *ret, struct err *e)
{
	struct store_generation *kept = NULL;
	size_t kept_n = 0, i = 0;
	int code = store_list(r->d->store, &kept, &kept_n, e);

	if (code)
		return code;
	while (i < kept_n && kept[i].number >= r->d->model->generation)
		i++;
	if (i < kept_n)
		*ret = kept[i].number;
	else
		code = err_set(e, -ENOENT, "there is no generation before %" PRIu64,
			       r->d->model->generation);
	free(kept);
	return code;
}

int api_diff_get(struct api_request *r, struct err *e)
{
	const char *text = request_parameter(r, "from");
	struct model *from = NULL;
	const struct lb_meta *meta = r->d->tables->rows.meta;
	const uint64_t key[2] = {meta->hash_key[0], meta->hash_key[1]};
	struct plan *plan = NULL;
	uint64_t number;
	int code;

	code = text ? parse_generation(text, "from", &number, e) : lookup_previous(r, &number, e);
	if (!code)
		code = store_load_generation(r->d->store, number, &from, e);
	if (!code)
		code = plan_build(from, r->d->model, key, &plan, e);
	model_free(from);
	if (code)
		return code;
	code = reply_json(r, 200,
			  json_pack("{s:I, s:I, s:o}", "from", (json_int_t)number, "to",
				    (json_int_t)r->d->model->generation, "plan",
				    plan_render_json(plan)));
	plan_free(plan);
	return code;
}
