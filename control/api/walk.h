// SPDX-License-Identifier: BSD-2-Clause
//
// An answer about every service and backend, made a little at a time: a turn of the loop
// gives it 2 ms at most, so that ten thousand backends hold up no health check and no other
// client. One is made at a time; others wait in the order they came. What is small is
// answered within the request itself. services.c, stats.c and metrics.c say what an answer
// holds. It goes out whole, when its last part is made.
//
// The services are those of the moment when its turn came, each as it is when it is reached;
// one that has gone since is left out.
#pragma once

#include <event2/buffer.h>
#include <sys/queue.h>

#include "control/api/request.h"

#define WALK_PARTS 16

struct walk_kind;

struct walk {
	struct lbd *d;
	struct evbuffer *parts[WALK_PARTS]; // the answer: one behind the other
	bool is_short;			    // of memory: it becomes a 503
	size_t shown_n;			    // services that are done
	size_t next_backend;		    // of the service under way: its number
	// walk.c's own:
	const struct walk_kind *kind;
	struct evhttp_request *http;
	char (*names)[MODEL_NAME_MAX + 1]; // of the services: [names_n]
	size_t names_n, next_name;
	struct view_backends backends; // of the service under way
	bool has_begun, is_inside;     // a service is under way
	TAILQ_ENTRY(walk) all;
};

// Each adds to the parts, or sets is_short.
struct walk_kind {
	const char *media_type;
	void (*begin)(struct walk *w);
	void (*service)(struct walk *w, const struct model_service *s,
			const struct view_backends *backends);
	void (*backend)(struct walk *w, const struct publisher_backend_view *v);
	void (*end_service)(struct walk *w); // NULL: nothing
	void (*end)(struct walk *w);	     // NULL: nothing
};

// Answers @r: about @service, which exists, or all where it is NULL. 0 or -ENOMEM.
int walk_answer(struct api_request *r, const struct walk_kind *kind, const char *service,
		struct err *e);

// ---- JSON, in the first part: objects whose last key is a list of what follows ----

// Takes @o over. @list: its last key, opened here; NULL: it has none. @is_first: of its own list.
void walk_add_json(struct walk *w, json_t *o, bool is_first, const char *list);
// These close the lists of a service and of the whole.
void walk_end_json_service(struct walk *w);
void walk_end_json(struct walk *w);
