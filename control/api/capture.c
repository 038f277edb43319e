// SPDX-License-Identifier: BSD-2-Clause
//
// POST /v1/explain: what happens to each packet of a capture (pcap), a row each. The
// capture is checked as a whole first, so that it is refused before anything is
// answered; then it is walked in steps, each a chunk of the answer, and the next step
// begins when the client has taken the last one's bytes. So neither a long capture nor
// a slow client holds up the loop, and no more than a chunk is kept in memory.
#include "control/capture.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "control/api/explain.h"
#include "control/reasons.h"

#define STEP_PKTS 128 // about a millisecond

struct capture_walk {
	struct lbd *d;
	struct evhttp_request *http; // has the capture's bytes
	struct capture capture;
	struct explain_fragments fragments;
	uint32_t number; // of the last packet, from 1
	bool is_ended;	 // the document's end is in the last chunk
};

static void walk_free(struct capture_walk *w)
{
	evhttp_connection_set_closecb(evhttp_request_get_connection(w->http), NULL, NULL);
	free(w);
}

// The connection is gone.
static void walk_closed(struct evhttp_connection *connection, void *arg)
{
	struct capture_walk *w = arg;

	reply_abandon(w->http);
	free(w);
}

// ---- a row ----

static void set_decision(const struct lbd *d, const struct explanation *x, json_t *o)
{
	json_object_set_new(o, "service", explain_service_json(d, x->service));
	json_object_set_new(o, "backend", explain_backend_json(d, x->backend));
	json_object_set_new(o, "answer", explain_answer_json(x));
	json_object_set_new(o, "leaves", x->out.len ? json_string(x->out_text) : json_null());
}

static json_t *render_row(struct capture_walk *w, const struct capture_packet *packet)
{
	const struct explain_world world = explain_world_of(w->d);
	const struct explain_frame frame = {packet->frame, packet->captured_len, packet->len};
	struct explanation x;
	char time[CLOCK_TEXT_MAX];
	json_t *o;

	explain_run_frame(&world, &frame, &w->fragments, &x);
	o = json_pack("{s:I, s:s, s:s, s:I, s:I, s:s?, s:s?}", "number", (json_int_t)w->number,
		      "time", clock_render(packet->time_ns, 9, time), "packet", x.text, "length",
		      (json_int_t)packet->len, "captured", (json_int_t)packet->captured_len,
		      "verdict", x.is_cut ? NULL : verdict_name(x.verdict), "reason",
		      x.is_cut ? NULL : reason_label(x.reason));
	if (o)
		set_decision(w->d, &x, o);
	return o;
}

// ---- steps ----

static int add_json(const char *text, size_t text_len, void *arg)
{
	return evbuffer_add(arg, text, text_len);
}

static void add_rows(struct capture_walk *w, struct evbuffer *chunk)
{
	struct capture_packet packet;
	json_t *row;

	for (int i = 0; i < STEP_PKTS && capture_next(&w->capture, &packet); i++) {
		evbuffer_add(chunk, ",\n", w->number ? 2 : 0);
		w->number++;
		row = render_row(w, &packet);
		if (json_dump_callback(row, add_json, chunk, JSON_COMPACT))
			evbuffer_add(chunk, "null", 4);
		json_decref(row);
	}
	w->is_ended = w->number == w->capture.packets_n;
	if (w->is_ended)
		evbuffer_add_printf(chunk, "]}\n");
}

static void walk_step(struct evhttp_connection *connection, void *arg)
{
	struct capture_walk *w = arg;
	struct evhttp_request *http = w->http;
	struct evbuffer *chunk;

	if (w->is_ended) {
		walk_free(w);
		evhttp_send_reply_end(http);
		return;
	}
	chunk = evbuffer_new();
	if (!chunk) {
		evhttp_connection_free(connection); // ends in walk_closed()
		return;
	}
	if (!w->number)
		evbuffer_add_printf(chunk, "{\"link\":\"%s\",\"packets\":[",
				    capture_link_name(&w->capture));
	add_rows(w, chunk);
	evhttp_send_reply_chunk_with_cb(http, chunk, walk_step, w);
	evbuffer_free(chunk);
}

int api_explain_post(struct api_request *r, struct err *e)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(r->http);
	struct evhttp_connection *connection = evhttp_request_get_connection(r->http);
	struct capture capture;
	struct capture_walk *w;
	int code;

	if (!TAILQ_EMPTY(&r->query))
		return err_set(e, -EPROTO,
			       "POST takes a capture (pcap) as its body, and no parameter");
	code = capture_open((const uint8_t *)r->body, r->body_len, &capture, e);
	if (code)
		return code;
	w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(e, -ENOMEM, "no memory to walk a capture");
	w->d = r->d;
	w->http = r->http;
	w->capture = capture;
	evhttp_add_header(headers, "Content-Type", "application/json");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_send_reply_start(r->http, 200, NULL);
	evhttp_connection_set_closecb(connection, walk_closed, w);
	walk_step(connection, w);
	return 0;
}
