// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/stats, /v1/drops: what was counted. Rates are the client's: an answer carries the
// time it was read at. Handlers of the API's table.
#include "control/api/request.h"

#include <string.h>

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

static bool append_backend(const struct publisher_backend_view *v, void *arg)
{
	json_t *list = arg, *o = view_backend_counters(&v->counters);
	char text[ADDRESS_TEXT_MAX];

	json_object_set_new(o, "backend",
			    json_string(address_render_port(&v->address, v->port, text)));
	json_object_set_new(o, "tracked", json_integer(v->tracked));
	json_array_append_new(list, o);
	return true;
}

static json_t *render_service(const struct lbd *d, const struct model_service *s)
{
	struct publisher_service_view view = {0};
	json_t *o, *list = json_array();

	publisher_get_service(d->publisher, s->name, &view);
	o = view_service_counters(&view.counters);
	json_object_set_new(o, "name", json_string(s->name));
	publisher_each_backend(d->publisher, s->name, append_backend, list);
	json_object_set_new(o, "backends", list);
	return o;
}

int api_stats_get(struct api_request *r, struct err *e)
{
	const char *name = request_parameter(r, "service");
	const struct model *m = r->d->model;
	json_int_t total;
	json_t *list;

	if (name && !model_lookup_service(m, name))
		return view_no_service(name, e);
	list = json_array();
	for (size_t i = 0; i < m->services_n; i++) {
		if (!name || !strcmp(name, m->services[i].name))
			json_array_append_new(list, render_service(r->d, &m->services[i]));
	}
	return reply_json(r, 200,
			  json_pack("{s:f, s:o, s:o}", "time_seconds", (double)clock_now_ns() / 1e9,
				    "services", list, "reasons",
				    render_reasons(r->d, false, &total)));
}

int api_drops_get(struct api_request *r, struct err *e)
{
	json_int_t total;
	json_t *list = render_reasons(r->d, true, &total);

	return reply_json(r, 200,
			  json_pack("{s:f, s:I, s:o}", "time_seconds", (double)clock_now_ns() / 1e9,
				    "total", total, "reasons", list));
}
