// SPDX-License-Identifier: BSD-2-Clause
//
// The course of such an answer: begin, the services and their backends, end. walk.h says
// what for. A service's backends are copied when its turn comes, so that what changes
// between two turns of the loop (rows, the model) pulls nothing away. A client that leaves
// takes its answer with it.
#include "control/api/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_NS (2 * 1000000ull)

struct walks {
	struct event *turn;	    // pending while any waits
	TAILQ_HEAD(, walk) waiting; // the first is under way
};

static void on_turn(evutil_socket_t fd, short what, void *arg);

// ---- life ----

static void walk_free(struct walk *w)
{
	for (size_t i = 0; i < WALK_PARTS; i++) {
		if (w->parts[i])
			evbuffer_free(w->parts[i]);
	}
	view_forget(&w->backends);
	free(w->names);
	free(w);
}

static struct walk *walk_new(struct api_request *r, const struct walk_kind *kind)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->d = r->d;
	w->http = r->http;
	w->kind = kind;
	for (size_t i = 0; i < WALK_PARTS; i++) {
		w->parts[i] = evbuffer_new();
		if (!w->parts[i]) {
			walk_free(w);
			return NULL;
		}
	}
	return w;
}

// ---- its course ----

static void begin(struct walk *w)
{
	const struct model *m = w->d->model;

	if (!w->names) {
		w->names = malloc((m->services_n + 1) * sizeof(*w->names));
		w->is_short = !w->names;
		for (size_t i = 0; i < m->services_n && w->names; i++)
			memcpy(w->names[i], m->services[i].name, sizeof(*w->names));
		w->names_n = w->names ? m->services_n : 0;
	}
	w->has_begun = true;
	w->kind->begin(w);
}

// Where it was; it is elsewhere, or nowhere, only after a change.
static const struct model_service *find_service(const struct walk *w)
{
	struct model *m = w->d->model;
	const char *name = w->names[w->next_name];

	if (w->next_name < m->services_n && !strcmp(m->services[w->next_name].name, name))
		return &m->services[w->next_name];
	return model_lookup_service(m, name);
}

static void take_service(struct walk *w)
{
	const struct model_service *s = find_service(w);

	if (!s) {
		w->next_name++;
		return;
	}
	if (!view_collect(w->d, s->name, &w->backends)) {
		w->is_short = true;
		return;
	}
	for (size_t i = 0; i < w->backends.n; i++)
		w->backends.list[i].service = w->names[w->next_name];
	w->kind->service(w, s, &w->backends);
	w->is_inside = true;
	w->next_backend = 0;
}

static void take_backend(struct walk *w)
{
	if (w->next_backend < w->backends.n) {
		w->kind->backend(w, &w->backends.list[w->next_backend]);
		w->next_backend++;
		return;
	}
	if (w->kind->end_service)
		w->kind->end_service(w);
	w->is_inside = false;
	w->next_name++;
	w->shown_n++;
}

// True: it has all its parts, or cannot have them.
static bool advance(struct walk *w)
{
	uint64_t until_ns = clock_now_ns() + TURN_NS;

	if (!w->has_begun)
		begin(w);
	while (!w->is_short && (w->is_inside || w->next_name < w->names_n)) {
		if (clock_now_ns() > until_ns)
			return false;
		if (w->is_inside)
			take_backend(w);
		else
			take_service(w);
	}
	return true;
}

// Answers, and frees @w.
static void finish(struct walk *w)
{
	struct api_request r = {.d = w->d, .http = w->http};
	struct evbuffer *body = evbuffer_new();

	if (!w->is_short && w->kind->end)
		w->kind->end(w);
	for (size_t i = 0; i < WALK_PARTS && body; i++)
		w->is_short |= evbuffer_add_buffer(body, w->parts[i]) != 0;
	if (body && !w->is_short) {
		reply_buffer(&r, 200, w->kind->media_type, body);
	} else {
		if (body)
			evbuffer_free(body);
		evhttp_send_reply(w->http, 503, NULL, NULL);
	}
	walk_free(w);
}

// ---- one after the other ----

// The loop looks at everything else before it comes back.
static void continue_soon(struct walks *walks)
{
	static const struct timeval now = {0};

	if (!TAILQ_EMPTY(&walks->waiting))
		event_add(walks->turn, &now);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct walks *walks = arg;
	struct walk *w = TAILQ_FIRST(&walks->waiting);

	if (w && advance(w)) {
		TAILQ_REMOVE(&walks->waiting, w, all);
		evhttp_connection_set_closecb(evhttp_request_get_connection(w->http), NULL, NULL);
		finish(w);
	}
	continue_soon(walks);
}

// The client has gone, and its connection with it.
static void is_closed(struct evhttp_connection *connection, void *arg)
{
	struct walk *w = arg;
	struct walks *walks = api_get_walks(w->d->api);

	reply_abandon(w->http);
	TAILQ_REMOVE(&walks->waiting, w, all);
	walk_free(w);
}

int walk_answer(struct api_request *r, const struct walk_kind *kind, const char *service,
		struct err *e)
{
	struct walks *walks = api_get_walks(r->d->api);
	struct walk *w = walk_new(r, kind);

	if (w && service) {
		w->names = calloc(1, sizeof(*w->names));
		w->names_n = 1;
		if (w->names)
			snprintf(w->names[0], sizeof(*w->names), "%s", service);
	}
	if (!w || (service && !w->names)) {
		if (w)
			walk_free(w);
		return err_set(e, -ENOMEM, "no memory for an answer");
	}
	if (TAILQ_EMPTY(&walks->waiting) && advance(w)) {
		finish(w);
		return 0;
	}
	TAILQ_INSERT_TAIL(&walks->waiting, w, all);
	evhttp_connection_set_closecb(evhttp_request_get_connection(r->http), is_closed, w);
	continue_soon(walks);
	return 0;
}

struct walks *walks_new(struct lbd *d)
{
	struct walks *walks = calloc(1, sizeof(*walks));

	if (!walks)
		return NULL;
	TAILQ_INIT(&walks->waiting);
	walks->turn = evtimer_new(d->base, on_turn, walks);
	if (!walks->turn) {
		walks_free(walks);
		return NULL;
	}
	return walks;
}

void walks_free(struct walks *walks)
{
	if (!walks)
		return;
	if (walks->turn)
		event_free(walks->turn);
	free(walks);
}

// ---- JSON ----

void walk_add_json(struct walk *w, json_t *o, bool is_first, const char *list)
{
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	int status = text ? 0 : -1;

	json_decref(o);
	if (!status && !is_first)
		status = evbuffer_add(w->parts[0], ",", 1);
	if (!status)
		status = evbuffer_add(w->parts[0], text, strlen(text) - (list ? 1 : 0));
	if (!status && list)
		status = evbuffer_add_printf(w->parts[0], ",\"%s\":[", list) < 0;
	if (status)
		w->is_short = true;
	free(text);
}

static void add_text(struct walk *w, const char *text)
{
	w->is_short |= evbuffer_add(w->parts[0], text, strlen(text)) != 0;
}

void walk_end_json_service(struct walk *w)
{
	add_text(w, "]}");
}

void walk_end_json(struct walk *w)
{
	add_text(w, "]}\n");
}
