// SPDX-License-Identifier: BSD-2-Clause
//
// /metrics: Prometheus text format 0.0.4. Names start with sluice_, base units,
// _total for counters. A series keeps its labels: reason, service, backend.
// The text is written into one buffer, a family after the other.
#include "control/api/request.h"

#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stddef.h>

#include "control/reasons.h"

#include "control/dpdk.h"

#define WORKERS_MAX 256

// Names and addresses hold nothing that the format would want escaped.

static void add_family(struct evbuffer *to, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_reasons(struct evbuffer *to, const struct lbd *d)
{
	add_family(to, "sluice_packets_total", "counter",
		   "Packets by what became of them and why; the sum is all that came in.");
	for (enum lb_reason i = 0; i < LB_REASON_N; i++)
		evbuffer_add_printf(
			to, "sluice_packets_total{verdict=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
			verdict_name(reason_verdict(i)), reason_label(i),
			publisher_get_reason(d->publisher, i));
}

static const struct service_family {
	const char *name, *help;
	size_t offset; // of a uint64_t in struct lb_service_counters
} service_families[] = {
	{"sluice_service_packets_total", "Packets sent to backends.",
	 offsetof(struct lb_service_counters, pkts)},
	{"sluice_service_bytes_total", "Bytes of these, Ethernet frames as they came in.",
	 offsetof(struct lb_service_counters, bytes)},
	{"sluice_service_new_connections_total", "SYNs sent to backends.",
	 offsetof(struct lb_service_counters, syns)},
	{"sluice_service_drops_total", "Packets for the service that were dropped.",
	 offsetof(struct lb_service_counters, drops)},
};

static void add_services(struct evbuffer *to, struct lbd *d)
{
	for (size_t f = 0; f < sizeof(service_families) / sizeof(*service_families); f++) {
		const struct service_family *family = &service_families[f];

		add_family(to, family->name, "counter", family->help);
		for (size_t i = 0; i < d->model->services_n; i++) {
			struct publisher_service_view v = {0};

			publisher_get_service(d->publisher, d->model->services[i].name, &v);
			evbuffer_add_printf(to, "%s{service=\"%s\"} %" PRIu64 "\n", family->name,
					    d->model->services[i].name,
					    (uint64_t) * (const __u64 *)((const char *)&v.counters +
									 family->offset));
		}
	}
	add_family(to, "sluice_service_up", "gauge", "1 while some backend gets its connections.");
	for (size_t i = 0; i < d->model->services_n; i++)
		evbuffer_add_printf(to, "sluice_service_up{service=\"%s\"} %d\n",
				    d->model->services[i].name,
				    view_service_state(d, &d->model->services[i]) != VIEW_DOWN);
}

typedef double (*backend_fn)(const struct publisher_backend_view *v);

static double get_pkts(const struct publisher_backend_view *v)
{
	return (double)v->counters.pkts;
}
static double get_bytes(const struct publisher_backend_view *v)
{
	return (double)v->counters.bytes;
}
static double get_syns(const struct publisher_backend_view *v)
{
	return (double)v->counters.syns;
}
static double get_reply_pkts(const struct publisher_backend_view *v)
{
	return (double)v->counters.reply_pkts;
}
static double get_healthy(const struct publisher_backend_view *v)
{
	return !v->has_check || v->health == HEALTH_UP;
}
static double get_tracked(const struct publisher_backend_view *v)
{
	return v->tracked;
}
static double get_share(const struct publisher_backend_view *v)
{
	return v->slots_n ? (double)v->slots / v->slots_n : 0;
}

static const struct backend_family {
	const char *name, *type, *help;
	backend_fn get;
} backend_families[] = {
	{"sluice_backend_packets_total", "counter", "Packets sent to the backend.", get_pkts},
	{"sluice_backend_bytes_total", "counter", "Bytes of these.", get_bytes},
	{"sluice_backend_new_connections_total", "counter", "SYNs sent to the backend.", get_syns},
	{"sluice_backend_reply_packets_total", "counter", "Its replies (mode nat).",
	 get_reply_pkts},
	{"sluice_backend_healthy", "gauge", "1 while its checks pass, or it has none.",
	 get_healthy},
	{"sluice_backend_tracked_connections", "gauge", "Entries of the connection table.",
	 get_tracked},
	{"sluice_backend_slots_ratio", "gauge", "Its share of the service's ring.", get_share},
};

struct backend_writer {
	struct evbuffer *to;
	const struct backend_family *family;
};

static bool add_backend(const struct publisher_backend_view *v, void *arg)
{
	const struct backend_writer *w = arg;
	char text[ADDRESS_TEXT_MAX];

	evbuffer_add_printf(w->to, "%s{service=\"%s\",backend=\"%s\"} %.17g\n", w->family->name,
			    v->service, address_render_port(&v->address, v->port, text),
			    w->family->get(v));
	return true;
}

// Of lb-dpdk: what was dropped after its walk is counted beside the reasons.
static void add_workers(struct evbuffer *to, const struct lbd *d)
{
	struct dpdk_worker_view all[WORKERS_MAX];
	size_t n = d->dpdk ? dpdk_each_worker(d->dpdk, all, WORKERS_MAX) : 0;

	if (!d->dpdk)
		return;
	add_family(to, "sluice_worker_running", "gauge", "1 while the worker moves.");
	for (size_t i = 0; i < n && i < WORKERS_MAX; i++)
		evbuffer_add_printf(to, "sluice_worker_running{worker=\"%zu\"} %d\n", i,
				    all[i].state == DPDK_WORKER_RUNNING);
	add_family(to, "sluice_worker_lost_packets_total", "counter",
		   "Packets dropped after their walk: no room at a port, or to the kernel.");
	for (size_t i = 0; i < n && i < WORKERS_MAX; i++)
		evbuffer_add_printf(
			to,
			"sluice_worker_lost_packets_total{worker=\"%zu\",to=\"port\"} "
			"%" PRIu64 "\n"
			"sluice_worker_lost_packets_total{worker=\"%zu\",to=\"kernel\"} "
			"%" PRIu64 "\n",
			i, all[i].unsent_pkts, i, all[i].unheard_pkts);
}

int api_metrics_get(struct api_request *r, struct err *e)
{
	struct evbuffer *to = evbuffer_new();
	struct lbd *d = r->d;

	if (!to)
		return err_set(e, -ENOMEM, "no memory for the metrics");
	add_family(to, "sluice_build_info", "gauge", "Always 1; the version is its label.");
	evbuffer_add_printf(to, "sluice_build_info{version=\"%s\"} 1\n", LBD_VERSION);
	add_family(to, "sluice_config_generation", "gauge", "The generation that runs.");
	evbuffer_add_printf(to, "sluice_config_generation %" PRIu64 "\n", d->model->generation);
	add_family(to, "sluice_uptime_seconds", "gauge", "Since lbd started.");
	evbuffer_add_printf(to, "sluice_uptime_seconds %.3f\n",
			    (double)(clock_now_ns() - d->started_ns) / 1e9);
	add_reasons(to, d);
	add_services(to, d);
	add_workers(to, d);
	for (size_t f = 0; f < sizeof(backend_families) / sizeof(*backend_families); f++) {
		struct backend_writer w = {to, &backend_families[f]};

		add_family(to, w.family->name, w.family->type, w.family->help);
		publisher_each_backend(d->publisher, NULL, add_backend, &w);
	}
	return reply_buffer(r, 200, "text/plain; version=0.0.4; charset=utf-8", to);
}
