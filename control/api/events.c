// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/events: what happened, as one document, or, where the client accepts
// text/event-stream, as a stream that goes on (server-sent events, HTML standard
// 9.2; Last-Event-ID is honoured). A stream is written when an event is added; a
// client that does not read is cut off. Handler of the API's table.
#include "control/api/request.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define STREAMS_MAX 64
#define BACKLOG_MAX (1u << 20) // bytes that a client may be behind
#define ALIVE_S 15	       // a comment, so that a dead client is noticed
#define WRITE_TIMEOUT_S 20

struct stream {
	struct event_streams *owner;
	struct evhttp_request *http;
	uint64_t sent; // id of the newest event that was sent
	TAILQ_ENTRY(stream) all;
};

struct event_streams {
	struct lbd *d;
	struct event *alive;
	TAILQ_HEAD(, stream) streams;
	size_t streams_n;
};

static void forget_stream(struct stream *s)
{
	TAILQ_REMOVE(&s->owner->streams, s, all);
	s->owner->streams_n--;
	free(s);
}

// The connection is gone.
static void stream_closed(struct evhttp_connection *connection, void *arg)
{
	struct stream *s = arg;

	reply_abandon(s->http);
	forget_stream(s);
}

static struct bufferevent *stream_bufferevent(const struct stream *s)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(s->http));
}

static void send_chunk(struct stream *s, struct evbuffer *chunk)
{
	struct evbuffer *behind = bufferevent_get_output(stream_bufferevent(s));

	if (evbuffer_get_length(behind) > BACKLOG_MAX)
		// Ends in stream_closed().
		evhttp_connection_free(evhttp_request_get_connection(s->http));
	else if (evbuffer_get_length(chunk))
		evhttp_send_reply_chunk(s->http, chunk);
}

static void send_new(struct stream *s)
{
	json_t *list = events_render_after(s->owner->d->events, s->sent), *item;
	struct evbuffer *chunk = evbuffer_new();
	size_t i;

	json_array_foreach (list, i, item) {
		char *text = chunk ? json_dumps(item, JSON_COMPACT) : NULL;

		if (!text)
			continue;
		s->sent = (uint64_t)json_integer_value(json_object_get(item, "id"));
		evbuffer_add_printf(chunk, "id: %llu\ndata: %s\n\n", (unsigned long long)s->sent,
				    text);
		free(text);
	}
	json_decref(list);
	if (!chunk)
		return;
	send_chunk(s, chunk);
	evbuffer_free(chunk);
}

static void event_added(void *arg)
{
	struct event_streams *streams = arg;
	struct stream *s, *next;

	for (s = TAILQ_FIRST(&streams->streams); s; s = next) {
		next = TAILQ_NEXT(s, all);
		send_new(s);
	}
}

static void say_alive(evutil_socket_t fd, short what, void *arg)
{
	struct event_streams *streams = arg;
	struct evbuffer *chunk = evbuffer_new();
	struct stream *s, *next;

	for (s = TAILQ_FIRST(&streams->streams); chunk && s; s = next) {
		next = TAILQ_NEXT(s, all);
		evbuffer_add(chunk, ":\n\n", 3);
		send_chunk(s, chunk);
	}
	if (chunk)
		evbuffer_free(chunk);
}

struct event_streams *event_streams_new(struct lbd *d)
{
	static const struct timeval alive = {.tv_sec = ALIVE_S};
	struct event_streams *streams = calloc(1, sizeof(*streams));

	if (!streams)
		return NULL;
	streams->d = d;
	TAILQ_INIT(&streams->streams);
	streams->alive = event_new(d->base, -1, EV_PERSIST, say_alive, streams);
	if (!streams->alive || event_add(streams->alive, &alive)) {
		event_streams_free(streams);
		return NULL;
	}
	events_set_listener(d->events, event_added, streams);
	return streams;
}

void event_streams_free(struct event_streams *streams)
{
	if (!streams)
		return;
	if (streams->alive) {
		events_set_listener(streams->d->events, NULL, NULL);
		event_free(streams->alive);
	}
	free(streams);
}

static int start_stream(struct api_request *r, struct err *e)
{
	static const struct timeval write_timeout = {.tv_sec = WRITE_TIMEOUT_S};
	struct event_streams *streams = api_get_streams(r->d->api);
	struct evkeyvalq *in = evhttp_request_get_input_headers(r->http);
	struct evkeyvalq *out = evhttp_request_get_output_headers(r->http);
	const char *last = evhttp_find_header(in, "Last-Event-ID");
	struct stream *s;

	if (streams->streams_n >= STREAMS_MAX)
		return err_set(e, -ENOMEM, "%d clients follow the events already", STREAMS_MAX);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "no memory for a stream");
	s->owner = streams;
	s->http = r->http;
	s->sent = last ? strtoull(last, NULL, 10) : 0;
	// Of another run of lbd: all of this one's are new.
	if (s->sent > events_count(r->d->events))
		s->sent = 0;
	TAILQ_INSERT_TAIL(&streams->streams, s, all);
	streams->streams_n++;
	evhttp_add_header(out, "Content-Type", "text/event-stream");
	evhttp_add_header(out, "Cache-Control", "no-store");
	evhttp_send_reply_start(r->http, 200, NULL);
	evhttp_connection_set_closecb(evhttp_request_get_connection(r->http), stream_closed, s);
	// It says nothing more, and that is no sign of a dead client.
	bufferevent_set_timeouts(stream_bufferevent(s), NULL, &write_timeout);
	send_new(s);
	return 0;
}

int api_events_get(struct api_request *r, struct err *e)
{
	bool is_head = evhttp_request_get_command(r->http) == EVHTTP_REQ_HEAD;

	if (!is_head && request_accepts(r, "text/event-stream"))
		return start_stream(r, e);
	return reply_json(r, 200,
			  json_pack("{s:o, s:o}", "events", events_render_json(r->d->events),
				    "warnings", events_render_warnings(r->d->events)));
}
