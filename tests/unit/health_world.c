// SPDX-License-Identifier: BSD-2-Clause
//
// See health_world.h.
#include "tests/unit/health_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_S 30

static void changed(void *arg, const char *service, const struct lb_address *address, uint16_t port,
		    enum health_state state, const char *cause)
{
	struct world *w = arg;
	struct change *c = &w->changes[w->changes_n++];

	assert_true(w->changes_n < CHANGES_MAX);
	snprintf(c->service, sizeof(c->service), "%s", service);
	snprintf(c->cause, sizeof(c->cause), "%s", cause);
	c->state = state;
	c->port = port;
	c->at_request = w->watched ? w->watched->requests_n : 0;
}

static void guard_fired(evutil_socket_t fd, short what, void *arg)
{
	print_error("what was waited for did not come in %d s\n", GUARD_S);
	abort();
}

int world_setup(void **state)
{
	const struct timeval guard = {.tv_sec = GUARD_S};
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	w->base = event_base_new();
	w->guard = evtimer_new(w->base, guard_fired, w);
	evtimer_add(w->guard, &guard);
	if (health_new(w->base, changed, w, &w->health, &e) < 0)
		return -1;
	*state = w;
	return 0;
}

int world_teardown(void **state)
{
	struct world *w = *state;

	health_free(w->health);
	// Connections that the checks have left are closed by their servers.
	for (int i = 0; i < 8; i++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_free(w->guard);
	event_base_free(w->base);
	free(w);
	return 0;
}

const struct model_check tcp_check = {.type = MODEL_CHECK_TCP,
				      .interval_ns = 40 * MS,
				      .timeout_ns = 500 * MS,
				      .rise = 2,
				      .fall = 3};
const struct model_check http_check = {.type = MODEL_CHECK_HTTP,
				       .path = (char *)"/healthz?deep=1",
				       .interval_ns = 40 * MS,
				       .timeout_ns = 500 * MS,
				       .rise = 2,
				       .fall = 3};

struct health_target target_of(const struct server *s, const char *service,
			       const struct model_check *check, enum health_state initial)
{
	return (struct health_target){.service = service,
				      .address = s->address,
				      .port = s->port,
				      .check = check,
				      .initial = initial};
}

void set_one(struct world *w, const struct server *s, const struct model_check *check,
	     enum health_state initial)
{
	const struct health_target t = target_of(s, "web", check, initial);
	struct err e;

	assert_int_equal(health_set_targets(w->health, &t, 1, &e), 0);
}

struct health_view view_of(struct world *w, const struct server *s, const char *service)
{
	struct health_view v;

	assert_int_equal(health_get(w->health, service, &s->address, s->port, &v), 0);
	return v;
}

void assert_becomes(struct world *w, const struct server *s, const struct model_check *check,
		    enum health_state state, const char *cause)
{
	struct health_view v;

	w->changes_n = 0;
	set_one(w, s, check, HEALTH_UNKNOWN);
	assert_int_equal(view_of(w, s, "web").state, HEALTH_UNKNOWN);
	WAIT_FOR(w, w->changes_n);
	assert_int_equal(w->changes[0].state, state);
	assert_string_equal(w->changes[0].cause, cause);
	assert_string_equal(w->changes[0].service, "web");
	assert_int_equal(w->changes[0].port, s->port);
	v = view_of(w, s, "web");
	assert_int_equal(v.state, state);
	assert_int_equal(v.streak, state == HEALTH_UP ? check->rise : check->fall);
	assert_string_equal(v.cause, cause);
	assert_true(v.since_ns > 0);
}
