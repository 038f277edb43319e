// SPDX-License-Identifier: BSD-2-Clause
//
// /metrics: Prometheus text format 0.0.4. Names start with sluice_, base units,
// _total for counters. A series keeps its labels: reason, service, backend.
// A family's series are together: each family has a part of the answer (walk.h).
#include "control/api/walk.h"

#include <errno.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

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

// Parts of the answer: what is of lbd and its packets, then a family each.
enum part { PART_HEAD, PART_SERVICES };

#define SERVICE_FAMILIES (sizeof(service_families) / sizeof(*service_families))
#define BACKEND_FAMILIES (sizeof(backend_families) / sizeof(*backend_families))
#define PART_UP (PART_SERVICES + SERVICE_FAMILIES)
#define PART_BACKENDS (PART_UP + 1)
_Static_assert(PART_BACKENDS + BACKEND_FAMILIES <= WALK_PARTS, "each family has a part");

static void add_service(struct walk *w, const struct model_service *s,
			const struct view_backends *backends)
{
	struct publisher_service_view v = {0};

	publisher_get_service(w->d->publisher, s->name, &v);
	for (size_t f = 0; f < SERVICE_FAMILIES; f++) {
		const struct service_family *family = &service_families[f];
		const char *counter = (const char *)&v.counters + family->offset;

		evbuffer_add_printf(w->parts[PART_SERVICES + f], "%s{service=\"%s\"} %" PRIu64 "\n",
				    family->name, s->name, (uint64_t) * (const __u64 *)counter);
	}
	evbuffer_add_printf(w->parts[PART_UP], "sluice_service_up{service=\"%s\"} %d\n", s->name,
			    view_state_of(backends) != VIEW_DOWN);
}

static void add_backend(struct walk *w, const struct publisher_backend_view *v)
{
	char labels[MODEL_NAME_MAX + ADDRESS_TEXT_MAX + 32], text[ADDRESS_TEXT_MAX];

	snprintf(labels, sizeof(labels), "{service=\"%s\",backend=\"%s\"}", v->service,
		 address_render_port(&v->address, v->port, text));
	for (size_t f = 0; f < BACKEND_FAMILIES; f++) {
		const struct backend_family *family = &backend_families[f];
		const double value = family->get(v);
		struct evbuffer *to = w->parts[PART_BACKENDS + f];

		// Of a whole number much the quicker way, to the same text.
		if (value == (double)(uint64_t)value)
			evbuffer_add_printf(to, "%s%s %" PRIu64 "\n", family->name, labels,
					    (uint64_t)value);
		else
			evbuffer_add_printf(to, "%s%s %.17g\n", family->name, labels, value);
	}
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

static void begin(struct walk *w)
{
	struct evbuffer *to = w->parts[PART_HEAD];
	const struct lbd *d = w->d;

	add_family(to, "sluice_build_info", "gauge", "Always 1; the version is its label.");
	evbuffer_add_printf(to, "sluice_build_info{version=\"%s\"} 1\n", LBD_VERSION);
	add_family(to, "sluice_config_generation", "gauge", "The generation that runs.");
	evbuffer_add_printf(to, "sluice_config_generation %" PRIu64 "\n", d->model->generation);
	add_family(to, "sluice_uptime_seconds", "gauge", "Since lbd started.");
	evbuffer_add_printf(to, "sluice_uptime_seconds %.3f\n",
			    (double)(clock_now_ns() - d->started_ns) / 1e9);
	add_reasons(to, d);
	add_workers(to, d);
	for (size_t f = 0; f < SERVICE_FAMILIES; f++)
		add_family(w->parts[PART_SERVICES + f], service_families[f].name, "counter",
			   service_families[f].help);
	add_family(w->parts[PART_UP], "sluice_service_up", "gauge",
		   "1 while some backend gets its connections.");
	for (size_t f = 0; f < BACKEND_FAMILIES; f++)
		add_family(w->parts[PART_BACKENDS + f], backend_families[f].name,
			   backend_families[f].type, backend_families[f].help);
}

int api_metrics_get(struct api_request *r, struct err *e)
{
	static const struct walk_kind metrics = {
		.media_type = "text/plain; version=0.0.4; charset=utf-8",
		.begin = begin,
		.service = add_service,
		.backend = add_backend,
	};

	return walk_answer(r, &metrics, NULL, e);
}
