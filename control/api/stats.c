// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/stats, /v1/drops: what was counted. Rates are the client's: an answer carries the
// time it was read at. Handlers of the API's table.
#include "control/api/walk.h"

#include "control/reasons.h"

// @ends_only: of what was not sent on, and is not the kernel's either.
static json_t *render_reasons(const struct lbd *d, bool ends_only, json_int_t *ret_total)
{
	json_t *list = json_array();

	*ret_total = 0;
	for (enum lb_reason i = 0; i < LB_REASON_N; i++) {
		const enum lb_verdict verdict = reason_verdict(i);
		json_int_t pkts = (json_int_t)publisher_get_reason(d->publisher, i);

		if (ends_only && verdict != LB_DROP && verdict != LB_ANSWER)
			continue;
		if (!ends_only || verdict == LB_DROP)
			*ret_total += pkts;
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:s}", "reason", reason_label(i),
						"verdict", verdict_name(verdict), "packets", pkts,
						"meaning", reason_text(i)));
	}
	return list;
}

static void begin_stats(struct walk *w)
{
	json_int_t total;

	walk_add_json(w,
		      json_pack("{s:f, s:o}", "time_seconds", (double)clock_now_ns() / 1e9,
				"reasons", render_reasons(w->d, false, &total)),
		      true, "services");
}

static void add_service(struct walk *w, const struct model_service *s,
			const struct view_backends *backends)
{
	struct publisher_service_view view = {0};
	json_t *o;

	publisher_get_service(w->d->publisher, s->name, &view);
	o = view_service_counters(&view.counters);
	json_object_set_new(o, "name", json_string(s->name));
	walk_add_json(w, o, !w->shown_n, "backends");
}

static void add_backend(struct walk *w, const struct publisher_backend_view *v)
{
	json_t *o = view_backend_counters(&v->counters);
	char text[ADDRESS_TEXT_MAX];

	json_object_set_new(o, "backend",
			    json_string(address_render_port(&v->address, v->port, text)));
	json_object_set_new(o, "tracked", json_integer(v->tracked));
	walk_add_json(w, o, !w->next_backend, NULL);
}

int api_stats_get(struct api_request *r, struct err *e)
{
	static const struct walk_kind stats = {
		.media_type = "application/json",
		.begin = begin_stats,
		.service = add_service,
		.backend = add_backend,
		.end_service = walk_end_json_service,
		.end = walk_end_json,
	};
	const char *name = request_parameter(r, "service");

	if (name && !model_lookup_service(r->d->model, name))
		return view_no_service(name, e);
	return walk_answer(r, &stats, name, e);
}

int api_drops_get(struct api_request *r, struct err *e)
{
	json_int_t total;
	json_t *list = render_reasons(r->d, true, &total);

	return reply_json(r, 200,
			  json_pack("{s:f, s:I, s:o}", "time_seconds", (double)clock_now_ns() / 1e9,
				    "total", total, "reasons", list));
}
