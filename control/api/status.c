// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/status: one screen of what an operator asks first; and /healthz, which says to
// whatever announces this balancer whether it should be given traffic. Handlers of
// the API's table.
#include "control/api/request.h"

#include <errno.h>
#include <stdio.h>

#include "control/dataplane.h"
#include "control/dpdk.h"

#define INTERFACES_MAX 64
#define WORKERS_MAX 256
#define NOT_UP_MAX 20 // services that status shows in full; /v1/services has all

static json_t *render_interfaces(const struct lbd *d)
{
	struct dataplane_interface all[INTERFACES_MAX];
	size_t n = dataplane_each_interface(d, all, INTERFACES_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < n && i < INTERFACES_MAX; i++)
		json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s}", "name", all[i].name,
						      "attached", all[i].attached,
						      d->dpdk ? "port" : "xdp", all[i].how,
						      "warning", all[i].warning));
	return list;
}

static json_t *render_workers(const struct lbd *d)
{
	static const char *const states[] = {"running", "stalled", "gone"};
	struct dpdk_worker_view all[WORKERS_MAX];
	size_t n = d->dpdk ? dpdk_each_worker(d->dpdk, all, WORKERS_MAX) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n && i < WORKERS_MAX; i++)
		json_array_append_new(list, json_pack("{s:I, s:I, s:s, s:I, s:I, s:I}", "cpu",
						      (json_int_t)all[i].cpu, "process",
						      (json_int_t)all[i].pid, "state",
						      states[all[i].state], "packets",
						      (json_int_t)all[i].pkts, "unsent",
						      (json_int_t)all[i].unsent_pkts, "unheard",
						      (json_int_t)all[i].unheard_pkts));
	return list;
}

static json_t *render_services(struct lbd *d)
{
	int counts[3] = {0};
	json_t *not_up = json_array();

	for (size_t i = 0; i < d->model->services_n; i++) {
		const struct model_service *s = &d->model->services[i];
		enum view_state state = view_service_state(d, s);

		counts[state]++;
		if (state != VIEW_UP && json_array_size(not_up) < NOT_UP_MAX)
			json_array_append_new(not_up, view_service(d, s));
	}
	return json_pack("{s:I, s:i, s:i, s:i, s:o}", "total", (json_int_t)d->model->services_n,
			 "up", counts[VIEW_UP], "degraded", counts[VIEW_DEGRADED], "down",
			 counts[VIEW_DOWN], "not_up", not_up);
}

int api_status_get(struct api_request *r, struct err *e)
{
	struct lbd *d = r->d;
	const char *dataplane = d->settings->dataplane == SETTINGS_XDP ? "xdp" : "dpdk";
	json_t *packets = json_pack("{s:I, s:I, s:I, s:I}", "forwarded",
				    (json_int_t)rate_total_pkts(d, LB_TRANSMIT), "answered",
				    (json_int_t)rate_total_pkts(d, LB_ANSWER), "passed",
				    (json_int_t)rate_total_pkts(d, LB_PASS), "dropped",
				    (json_int_t)rate_total_pkts(d, LB_DROP));

	return reply_json(r, 200,
			  json_pack("{s:s, s:s, s:I, s:f, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
				    LBD_VERSION, "dataplane", dataplane, "generation",
				    (json_int_t)d->model->generation, "uptime_seconds",
				    (double)(clock_now_ns() - d->started_ns) / 1e9, "interfaces",
				    render_interfaces(d), "workers", render_workers(d), "services",
				    render_services(d), "packets_per_second", rate_render_json(d),
				    "packets", packets, "warnings",
				    events_render_warnings(d->events)));
}

// Why this balancer should be given no traffic, into @buf; false: it should.
static bool find_trouble(struct lbd *d, char *buf, size_t buf_len)
{
	struct dataplane_interface all[INTERFACES_MAX];
	size_t n = dataplane_each_interface(d, all, INTERFACES_MAX);
	bool is_any_up = false;

	for (size_t i = 0; i < n && i < INTERFACES_MAX; i++) {
		if (!all[i].attached) {
			snprintf(buf, buf_len, "interface %s: the dataplane is not attached to it",
				 all[i].name);
			return true;
		}
	}
	if (!d->model->services_n) {
		snprintf(buf, buf_len, "no services are configured");
		return true;
	}
	for (size_t i = 0; i < d->model->services_n && !is_any_up; i++)
		is_any_up = view_service_state(d, &d->model->services[i]) != VIEW_DOWN;
	snprintf(buf, buf_len, "every service is down");
	return !is_any_up;
}

int api_healthz_get(struct api_request *r, struct err *e)
{
	char why[128];

	if (!find_trouble(r->d, why, sizeof(why)))
		return reply_text(r, 200, "text/plain; charset=utf-8", "ok\n");
	err_set(e, -EAGAIN, "%s", why);
	return reply_problem(r, 503, e);
}

int api_healthz_service_get(struct api_request *r, struct err *e)
{
	const struct model_service *s = model_lookup_service(r->d->model, r->args[0]);

	if (!s)
		return view_no_service(r->args[0], e);
	if (view_service_state(r->d, s) != VIEW_DOWN)
		return reply_text(r, 200, "text/plain; charset=utf-8", "ok\n");
	err_set(e, -EAGAIN, "%s: no backend gets its connections", s->name);
	return reply_problem(r, 503, e);
}
