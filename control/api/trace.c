// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/trace: packets from the running dataplane as they came and as they left, a JSON
// document a line, until the client leaves, or as many or as long as it asked for. Between
// them, once a second where they moved, and at the end: how many matched, and what became
// of them. One at a time. A client that reads too slowly loses packets, never lbd time.
// Handler of the API's table.
#include "control/trace.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/api/explain.h"
#include "control/api/request.h"
#include "control/reasons.h"
#include "control/trace_filter.h"

#define BACKLOG_MAX (1u << 20) // bytes that a client may be behind
#define WRITE_TIMEOUT_S 20
#define SECONDS_MAX (24 * 3600)
#define COUNT_MAX 1000000000

struct tracer {
	struct lbd *d;
	struct trace *trace;	     // NULL: nobody traces
	struct evhttp_request *http; // NULL: its client has left
	bool has_begun;
	struct event *tick, *over, *abandoned;
	char service[64]; // "": any
	uint32_t rows[2]; // of it
	uint64_t count;	  // packets to be shown; 0: any number
	uint64_t seconds; // likewise
	uint64_t shown, behind;
	uint64_t told; // packets that were not shown, when it was last said
};

// ---- what is sent ----

static struct bufferevent *stream_of(const struct tracer *t)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(t->http));
}

// Takes @o over.
static void send_line(struct tracer *t, json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	struct evbuffer *chunk = evbuffer_new();

	if (text && chunk && evbuffer_add_printf(chunk, "%s\n", text) > 0)
		evhttp_send_reply_chunk(t->http, chunk);
	if (chunk)
		evbuffer_free(chunk);
	free(text);
	json_decref(o);
}

// The wall clock's time of a moment of CLOCK_MONOTONIC.
static json_t *render_time(uint64_t monotonic_ns)
{
	struct timespec now;
	uint64_t age_ns = clock_now_ns() - monotonic_ns, now_ns;
	char text[CLOCK_TEXT_MAX];

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return json_string(clock_render(now_ns - age_ns, 9, text));
}

static json_t *render_interface(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name))
		snprintf(name, sizeof(name), "%u", ifindex);
	return json_string(name);
}

static json_t *render_bytes(const uint8_t *bytes, uint32_t snap, uint32_t len)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * LB_TRACE_SNAP_MAX];

	for (uint32_t i = 0; i < snap && i < LB_TRACE_SNAP_MAX; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	return json_pack("{s:I, s:s%}", "length", (json_int_t)len, "bytes", hex, (size_t)2 * snap);
}

static json_t *render_packet(const struct lbd *d, const struct lb_trace_record *r,
			     const uint8_t *before, const uint8_t *after)
{
	const char *service = publisher_get_service_name(d->publisher, r->service);
	json_t *o = json_pack("{s:o, s:s, s:s}", "time", render_time(r->time_ns), "verdict",
			      verdict_name((enum lb_verdict)r->verdict), "reason",
			      reason_label((enum lb_reason)r->reason));

	json_object_set_new(o, "service", service ? json_string(service) : json_null());
	json_object_set_new(o, "backend", explain_backend_json(d, r->backend));
	json_object_set_new(o, "in", render_interface(r->in_ifindex));
	json_object_set_new(o, "out",
			    r->out_ifindex ? render_interface(r->out_ifindex) : json_null());
	json_object_set_new(o, "before", render_bytes(before, r->before_snap, r->before_len));
	json_object_set_new(o, "after",
			    r->out_ifindex ? render_bytes(after, r->after_snap, r->after_len)
					   : json_null());
	return o;
}

static struct lb_trace_counts count_now(const struct tracer *t)
{
	struct lb_trace_counts counts;

	trace_count(t->trace, &counts);
	counts.lost += t->behind;
	return counts;
}

static json_t *render_counts(const struct tracer *t, const struct lb_trace_counts *counts)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "matched",
			 (json_int_t)(t->shown + counts->left_out + counts->lost), "shown",
			 (json_int_t)t->shown, "left_out", (json_int_t)counts->left_out, "lost",
			 (json_int_t)counts->lost);
}

// ---- its course ----

static void free_trace(struct tracer *t)
{
	struct event *events[] = {t->tick, t->over, t->abandoned};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i])
			event_free(events[i]);
	}
	t->tick = t->over = t->abandoned = NULL;
	trace_free(t->trace);
	t->trace = NULL;
}

static void log_end(const struct tracer *t, const char *why)
{
	events_add(t->d->events, "change", NULL, NULL, "a trace ended: %s; %llu packets shown", why,
		   (unsigned long long)t->shown);
}

// The client has gone, and its connection with it.
static void stream_closed(struct evhttp_connection *connection, void *arg)
{
	struct tracer *t = arg;
	struct evhttp_request *http = t->http;

	t->http = NULL; // what still comes is nobody's
	if (t->has_begun) {
		free_trace(t);
		log_end(t, "its client left");
	}
	reply_abandon(http);
}

static void end(struct tracer *t, const char *why)
{
	struct evhttp_request *http = t->http;
	struct lb_trace_counts counts;
	json_t *o;

	trace_stop(t->trace);
	counts = count_now(t);
	o = render_counts(t, &counts);
	json_object_set_new(o, "end", json_string(why));
	send_line(t, o);
	t->http = NULL;
	free_trace(t);
	log_end(t, why);
	evhttp_connection_set_closecb(evhttp_request_get_connection(http), NULL, NULL);
	evhttp_send_reply_end(http);
}

static void is_over(evutil_socket_t fd, short what, void *arg)
{
	end(arg, what & EV_TIMEOUT ? "its time is over" : "as many as asked for");
}

static void take_packet(const struct lb_trace_record *r, const uint8_t *before,
			const uint8_t *after, void *arg)
{
	struct tracer *t = arg;

	if (!t->http || (t->count && t->shown == t->count))
		return;
	if (evbuffer_get_length(bufferevent_get_output(stream_of(t))) > BACKLOG_MAX) {
		t->behind++;
		return;
	}
	send_line(t, render_packet(t->d, r, before, after));
	if (++t->shown == t->count)
		event_active(t->over, 0, 0);
}

// The rows of the service that was asked for. -ENOENT: there is none.
static int find_rows(const struct tracer *t, uint32_t rows[2])
{
	struct publisher_service_view v;
	int status = publisher_get_service(t->d->publisher, t->service, &v);

	if (status)
		return status;
	rows[0] = v.row4 ? v.row4 : v.row6;
	rows[1] = v.row6 ? v.row6 : v.row4;
	return 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct tracer *t = arg;
	struct lb_trace_counts counts = count_now(t);
	uint32_t rows[2];
	char why[256];

	if (trace_is_refused(t->trace, why, sizeof(why))) {
		end(t, why);
		return;
	}
	if (t->service[0] && (find_rows(t, rows) || memcmp(rows, t->rows, sizeof(rows)))) {
		end(t, "its service is another now");
		return;
	}
	if (counts.left_out + counts.lost == t->told)
		return;
	t->told = counts.left_out + counts.lost;
	send_line(t, render_counts(t, &counts));
}

// ---- the request ----

static const char *get_parameter(void *arg, const char *name)
{
	return request_parameter(arg, name);
}

static int read_request(struct api_request *r, struct tracer *t, struct lb_trace_filter *ret,
			struct err *e)
{
	const char *service = request_parameter(r, "service");
	int status = trace_filter_parse(get_parameter, r, ret, e);

	t->count = t->seconds = 0;
	if (!status)
		status = request_number(r, "count", COUNT_MAX, &t->count, e);
	if (!status)
		status = request_number(r, "seconds", SECONDS_MAX, &t->seconds, e);
	if (status)
		return status;
	t->service[0] = '\0';
	if (!service)
		return 0;
	snprintf(t->service, sizeof(t->service), "%s", service);
	if (find_rows(t, ret->services))
		return view_no_service(service, e);
	memcpy(t->rows, ret->services, sizeof(t->rows));
	return 0;
}

// It could not begin.
static void refuse(struct tracer *t, int status, const struct err *e)
{
	struct api_request r = {.d = t->d, .http = t->http};

	t->http = NULL;
	evhttp_connection_set_closecb(evhttp_request_get_connection(r.http), NULL, NULL);
	reply_problem(&r, route_status(status), e);
}

// The trace may not be freed in here.
static void has_begun(int status, const struct err *e, void *arg)
{
	static const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	static const struct timeval second = {.tv_sec = 1};
	struct tracer *t = arg;
	struct timeval whole = {.tv_sec = (time_t)t->seconds};
	struct evkeyvalq *headers;

	if (status && t->http)
		refuse(t, status, e);
	if (status || !t->http) {
		event_active(t->abandoned, 0, 0);
		return;
	}
	t->has_begun = true;
	events_add(t->d->events, "change", NULL, NULL, "a trace began");
	headers = evhttp_request_get_output_headers(t->http);
	evhttp_add_header(headers, "Content-Type", "application/x-ndjson");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_send_reply_start(t->http, 200, NULL);
	// It says nothing more, and that is no sign of a dead client.
	bufferevent_set_timeouts(stream_of(t), NULL, &write_timeout);
	event_add(t->tick, &second);
	if (t->seconds)
		event_add(t->over, &whole);
}

static void is_abandoned(evutil_socket_t fd, short what, void *arg)
{
	free_trace(arg);
}

static int begin(struct tracer *t, const struct lb_trace_filter *filter, struct err *e)
{
	const struct trace_calls calls = {.begun = has_begun, .packet = take_packet, .arg = t};
	int status;

	t->has_begun = false;
	t->shown = t->behind = t->told = 0;
	t->tick = event_new(t->d->base, -1, EV_PERSIST, on_tick, t);
	t->over = event_new(t->d->base, -1, 0, is_over, t);
	t->abandoned = event_new(t->d->base, -1, 0, is_abandoned, t);
	if (!t->tick || !t->over || !t->abandoned)
		status = err_set(e, -ENOMEM, "no memory for a trace");
	else
		status = trace_start(t->d, filter, &calls, &t->trace, e);
	if (status)
		free_trace(t);
	return status;
}

int api_trace_get(struct api_request *r, struct err *e)
{
	struct tracer *t = api_get_tracer(r->d->api);
	struct lb_trace_filter filter;
	int status;

	if (t->trace)
		return err_set(e, -EEXIST,
			       "somebody traces already, and one at a time can: try again when "
			       "they are done (`lbctl events` shows when it began)");
	status = read_request(r, t, &filter, e);
	if (status)
		return status;
	if (evhttp_request_get_command(r->http) == EVHTTP_REQ_HEAD)
		return reply_text(r, 200, "application/x-ndjson", "");
	status = begin(t, &filter, e);
	if (status)
		return status;
	t->http = r->http;
	evhttp_connection_set_closecb(evhttp_request_get_connection(r->http), stream_closed, t);
	return 0;
}

struct tracer *tracer_new(struct lbd *d)
{
	struct tracer *t = calloc(1, sizeof(*t));

	if (t)
		t->d = d;
	return t;
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	free_trace(t);
	free(t);
}
