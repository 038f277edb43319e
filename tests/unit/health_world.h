// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests of health checks share: a loop with checks in it, what they said,
// and waiting for events with a guard that ends the test when one never comes.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/health/health.h"
#include "tests/unit/health_server.h"

#define MS 1000000ull
#define CHANGES_MAX 64

struct change {
	char service[64];
	char cause[96];
	enum health_state state;
	uint16_t port;
	unsigned int at_request; // of the server that the test watches
};

struct world {
	struct event_base *base;
	struct health *health;
	struct event *guard;
	struct server *watched;
	struct change changes[CHANGES_MAX];
	unsigned int changes_n;
};

// Short intervals, rise 2, fall 3.
extern const struct model_check tcp_check, http_check;

// cmocka's setup and teardown: *state is a struct world.
int world_setup(void **state);
int world_teardown(void **state);
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#define WAIT_FOR(w, condition)                                                                     \
	while (!(condition))                                                                       \
	event_base_loop((w)->base, EVLOOP_ONCE)

struct health_target target_of(const struct server *s, const char *service,
			       const struct model_check *check, enum health_state initial);
// Makes @s, as service "web", the only target.
void set_one(struct world *w, const struct server *s, const struct model_check *check,
	     enum health_state initial);
struct health_view view_of(struct world *w, const struct server *s, const char *service);
// One backend that is asked until it has a state: asserts that state, and the cause.
void assert_becomes(struct world *w, const struct server *s, const struct model_check *check,
		    enum health_state state, const char *cause);
