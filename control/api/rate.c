// SPDX-License-Identifier: BSD-2-Clause
//
// Packets per second: a timer reads the reasons' totals once a second (a few dozen
// sums over CPUs: microseconds) and keeps the last two readings. /v1/status shows it.
#include "control/api/request.h"

#include <stdlib.h>

#include "control/reasons.h"

struct reading {
	uint64_t time_ns; // 0: none yet
	uint64_t pkts[LB_VERDICT_N];
};

struct rate {
	struct lbd *d;
	struct event *timer;
	struct reading last, before;
};

uint64_t rate_total_pkts(const struct lbd *d, enum lb_verdict verdict)
{
	uint64_t pkts = 0;

	for (int i = 0; i < LB_REASON_N; i++) {
		if (reason_verdict((enum lb_reason)i) == verdict)
			pkts += publisher_get_reason(d->publisher, (enum lb_reason)i);
	}
	return pkts;
}

static void take_reading(evutil_socket_t fd, short what, void *arg)
{
	struct rate *t = arg;

	t->before = t->last;
	t->last.time_ns = clock_now_ns();
	for (int v = 0; v < LB_VERDICT_N; v++)
		t->last.pkts[v] = rate_total_pkts(t->d, (enum lb_verdict)v);
}

struct rate *rate_new(struct lbd *d)
{
	static const struct timeval second = {.tv_sec = 1};
	struct rate *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->d = d;
	t->timer = event_new(d->base, -1, EV_PERSIST, take_reading, t);
	if (!t->timer || event_add(t->timer, &second)) {
		rate_free(t);
		return NULL;
	}
	take_reading(-1, 0, t);
	return t;
}

void rate_free(struct rate *t)
{
	if (!t)
		return;
	if (t->timer)
		event_free(t->timer);
	free(t);
}

static json_t *render_verdict(const struct rate *t, enum lb_verdict verdict)
{
	double seconds = (double)(t->last.time_ns - t->before.time_ns) / 1e9;

	if (!t->before.time_ns || seconds <= 0)
		return json_null();
	return json_real((double)(t->last.pkts[verdict] - t->before.pkts[verdict]) / seconds);
}

json_t *rate_render_json(const struct lbd *d)
{
	const struct rate *t = api_get_rate(d->api);

	return json_pack("{s:o, s:o, s:o, s:o}", "forwarded", render_verdict(t, LB_TRANSMIT),
			 "answered", render_verdict(t, LB_ANSWER), "passed",
			 render_verdict(t, LB_PASS), "dropped", render_verdict(t, LB_DROP));
}
