// SPDX-License-Identifier: BSD-2-Clause
//
// control/health against real servers on loopback (health_server.h): what each kind
// of answer means, how many answers make a state, and what judges nobody. Intervals
// are short; every wait is for an event, with a guard that fails what never comes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/health/health.h"
#include "tests/unit/health_server.h"

#define MS 1000000ull
#define GUARD_S 30
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

static int setup(void **state)
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

static int teardown(void **state)
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

#define WAIT_FOR(w, condition)                                                                     \
	while (!(condition))                                                                       \
	event_base_loop((w)->base, EVLOOP_ONCE)

static const struct model_check tcp_check = {.type = MODEL_CHECK_TCP,
					     .interval_ns = 40 * MS,
					     .timeout_ns = 500 * MS,
					     .rise = 2,
					     .fall = 3};
static const struct model_check http_check = {.type = MODEL_CHECK_HTTP,
					      .path = (char *)"/healthz?deep=1",
					      .interval_ns = 40 * MS,
					      .timeout_ns = 500 * MS,
					      .rise = 2,
					      .fall = 3};

static struct health_target target_of(const struct server *s, const char *service,
				      const struct model_check *check, enum health_state initial)
{
	return (struct health_target){.service = service,
				      .address = s->address,
				      .port = s->port,
				      .check = check,
				      .initial = initial};
}

static void set_one(struct world *w, const struct server *s, const struct model_check *check,
		    enum health_state initial)
{
	const struct health_target t = target_of(s, "web", check, initial);
	struct err e;

	assert_int_equal(health_set_targets(w->health, &t, 1, &e), 0);
}

static struct health_view view_of(struct world *w, const struct server *s, const char *service)
{
	struct health_view v;

	assert_int_equal(health_get(w->health, service, &s->address, s->port, &v), 0);
	return v;
}

// One backend that is asked until it has a state: that state, and the cause.
static void assert_becomes(struct world *w, const struct server *s, const struct model_check *check,
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

// ---- tcp ----

static void tcp_listening_is_up(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	assert_becomes(w, &s, &tcp_check, HEALTH_UP, "connected");
	server_stop(&s);
}

static void tcp_listening_is_up_by_ipv6(void **state)
{
	struct world *w = *state;
	struct server s;

	if (server_start(&s, w->base, "::1", "1") < 0)
		skip();
	assert_becomes(w, &s, &tcp_check, HEALTH_UP, "connected");
	server_stop(&s);
}

static void tcp_refused_is_down(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start_refusing(&s, "127.0.0.1"), 0);
	assert_becomes(w, &s, &tcp_check, HEALTH_DOWN, "connection refused");
	server_stop(&s);
}

static void tcp_silence_is_down(void **state)
{
	struct model_check check = tcp_check;
	struct world *w = *state;
	struct server s;

	check.timeout_ns = 60 * MS;
	assert_int_equal(server_start_full(&s, "127.0.0.1"), 0);
	assert_becomes(w, &s, &check, HEALTH_DOWN, "no answer in 60 ms");
	server_stop(&s);
}

static void tcp_asks_where_the_check_says(void **state)
{
	struct model_check check = tcp_check;
	struct world *w = *state;
	struct server s, elsewhere;

	assert_int_equal(server_start_refusing(&s, "127.0.0.1"), 0);
	assert_int_equal(server_start(&elsewhere, w->base, "127.0.0.2", "1"), 0);
	check.has_address = true;
	check.address = elsewhere.address;
	check.port = elsewhere.port;
	assert_becomes(w, &s, &check, HEALTH_UP, "connected");
	server_stop(&s);
	server_stop(&elsewhere);
}

// ---- http ----

static void http_becomes(struct world *w, const char *script, enum health_state state,
			 const char *cause)
{
	struct server s;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", script), 0);
	assert_becomes(w, &s, &http_check, state, cause);
	server_stop(&s);
}

static void http_statuses(void **state)
{
	struct world *w = *state;

	http_becomes(w, "1", HEALTH_UP, "HTTP 200");
	http_becomes(w, "3", HEALTH_UP, "HTTP 302");
	http_becomes(w, "c", HEALTH_UP, "HTTP 200");
	http_becomes(w, "4", HEALTH_DOWN, "HTTP 404");
	http_becomes(w, "0", HEALTH_DOWN, "HTTP 503");
}

static void http_what_is_no_answer_is_down(void **state)
{
	struct world *w = *state;

	http_becomes(w, "x", HEALTH_DOWN, "closed without an answer");
	http_becomes(w, "h", HEALTH_DOWN, "headers over 16384 bytes");
	http_becomes(w, "g", HEALTH_DOWN, "no valid HTTP answer (Unsupported protocol)");
}

static void http_silence_is_down(void **state)
{
	struct model_check check = http_check;
	struct world *w = *state;
	struct server s;

	check.timeout_ns = 60 * MS;
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "s"), 0);
	assert_becomes(w, &s, &check, HEALTH_DOWN, "no answer in 60 ms");
	server_stop(&s);
}

static void http_refused_is_down(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start_refusing(&s, "127.0.0.1"), 0);
	assert_becomes(w, &s, &http_check, HEALTH_DOWN, "connection refused");
	server_stop(&s);
}

static void http_asks_by_ipv6(void **state)
{
	struct world *w = *state;
	struct server s;

	if (server_start(&s, w->base, "::1", "1") < 0)
		skip();
	assert_becomes(w, &s, &http_check, HEALTH_UP, "HTTP 200");
	assert_non_null(strstr(s.request, "\r\nHost: [::1]:"));
	server_stop(&s);
}

static void http_asks_as_the_check_says(void **state)
{
	struct model_check check = http_check;
	struct world *w = *state;
	struct server s;

	check.host = (char *)"shop.example";
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	assert_becomes(w, &s, &check, HEALTH_UP, "HTTP 200");
	assert_int_equal(strncmp(s.request, "GET /healthz?deep=1 HTTP/1.1\r\n", 30), 0);
	assert_non_null(strstr(s.request, "\r\nHost: shop.example\r\n"));
	server_stop(&s);
}

static void http_uses_a_connection_for_each_probe(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	set_one(w, &s, &http_check, HEALTH_UNKNOWN);
	WAIT_FOR(w, s.requests_n >= 5);
	assert_true(s.connections_n >= s.requests_n);
	server_stop(&s);
}

static void http_uses_no_proxy_of_the_environment(void **state)
{
	struct world *w = *state;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	http_becomes(w, "1", HEALTH_UP, "HTTP 200");
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

// ---- rise and fall ----

static void a_state_takes_answers_in_a_row(void **state)
{
	struct world *w = *state;
	struct server s;

	// down at the third 0 in a row (the sixth answer), up at the second 1 in a row (the tenth)
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "0010001011"), 0);
	w->watched = &s;
	set_one(w, &s, &http_check, HEALTH_UP);
	WAIT_FOR(w, w->changes_n >= 2);
	assert_int_equal(w->changes[0].state, HEALTH_DOWN);
	assert_int_equal(w->changes[0].at_request, 6);
	assert_string_equal(w->changes[0].cause, "HTTP 503");
	assert_int_equal(w->changes[1].state, HEALTH_UP);
	assert_int_equal(w->changes[1].at_request, 10);
	WAIT_FOR(w, s.requests_n >= 15);
	assert_int_equal(w->changes_n, 2);
	server_stop(&s);
}

static void what_is_unknown_is_found_out_faster(void **state)
{
	struct model_check check = http_check;
	struct world *w = *state;
	struct server known, unknown;
	struct health_target t[2];
	struct err e;

	check.rise = check.fall = 1000;
	assert_int_equal(server_start(&known, w->base, "127.0.0.1", "1"), 0);
	assert_int_equal(server_start(&unknown, w->base, "127.0.0.1", "1"), 0);
	t[0] = target_of(&known, "web", &check, HEALTH_UP);
	t[1] = target_of(&unknown, "web", &check, HEALTH_UNKNOWN);
	assert_int_equal(health_set_targets(w->health, t, 2, &e), 0);
	WAIT_FOR(w, unknown.requests_n >= 40);
	assert_true(known.requests_n < 20);
	server_stop(&known);
	server_stop(&unknown);
}

// ---- lists of targets ----

static void services_share_a_target(void **state)
{
	struct model_check picky = http_check;
	struct world *w = *state;
	struct health_target t[2];
	struct server s;
	struct err e;

	picky.rise = 4;
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	w->watched = &s;
	t[0] = target_of(&s, "web", &http_check, HEALTH_UNKNOWN);
	t[1] = target_of(&s, "shop", &picky, HEALTH_UNKNOWN);
	assert_int_equal(health_set_targets(w->health, t, 2, &e), 0);
	WAIT_FOR(w, w->changes_n >= 2);
	// Each service has its own rise; the same four probes served both.
	assert_string_equal(w->changes[0].service, "web");
	assert_int_equal(w->changes[0].at_request, 2);
	assert_string_equal(w->changes[1].service, "shop");
	assert_int_equal(w->changes[1].at_request, 4);
	server_stop(&s);
}

static void a_change_keeps_what_is_known(void **state)
{
	struct model_check other = tcp_check;
	struct world *w = *state;
	struct health_target t[2];
	struct health_view before, v;
	struct server s, refusing;
	struct err e;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	assert_int_equal(server_start_refusing(&refusing, "127.0.0.1"), 0);
	assert_becomes(w, &s, &http_check, HEALTH_UP, "HTTP 200");
	before = view_of(w, &s, "web");

	other.interval_ns = 30 * MS;
	t[0] = target_of(&refusing, "web", &other, HEALTH_UNKNOWN);
	t[1] = target_of(&s, "web", &other, HEALTH_UNKNOWN);
	assert_int_equal(health_set_targets(w->health, t, 2, &e), 0);
	v = view_of(w, &s, "web");
	assert_int_equal(v.state, HEALTH_UP);
	assert_true(v.since_ns == before.since_ns);
	assert_int_equal(view_of(w, &refusing, "web").state, HEALTH_UNKNOWN);
	WAIT_FOR(w, w->changes_n >= 2);
	assert_int_equal(w->changes[1].port, refusing.port);
	assert_int_equal(w->changes[1].state, HEALTH_DOWN);

	// Gone and back: it starts anew. The one that stays down tells it once.
	assert_int_equal(health_set_targets(w->health, t, 1, &e), 0);
	assert_int_equal(health_get(w->health, "web", &s.address, s.port, &v), -ENOENT);
	assert_int_equal(health_set_targets(w->health, t, 2, &e), 0);
	assert_int_equal(view_of(w, &s, "web").state, HEALTH_UNKNOWN);
	assert_int_equal(view_of(w, &refusing, "web").state, HEALTH_DOWN);
	WAIT_FOR(w, w->changes_n >= 3);
	assert_int_equal(w->changes[2].port, s.port);
	assert_int_equal(w->changes_n, 3);
	server_stop(&s);
	server_stop(&refusing);
}

// A list that is set over and over must not put off the probes of what it keeps.
static void a_change_keeps_the_phase(void **state)
{
	struct model_check check = tcp_check;
	struct world *w = *state;
	struct server s;

	check.interval_ns = 100 * MS;
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	while (s.connections_n < 5) {
		set_one(w, &s, &check, HEALTH_UNKNOWN);
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	server_stop(&s);
}

static void new_targets_are_not_asked_at_once(void **state)
{
	enum { N = 300 };
	static char paths[N][16];
	struct model_check checks[N];
	struct health_target t[N];
	struct world *w = *state;
	struct server s;
	struct err e;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	for (int i = 0; i < N; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/%d", i);
		checks[i] = http_check;
		checks[i].path = paths[i];
		checks[i].interval_ns = 10000 * MS;
		t[i] = target_of(&s, paths[i], &checks[i], HEALTH_UNKNOWN);
	}
	assert_int_equal(health_set_targets(w->health, t, N, &e), 0);
	WAIT_FOR(w, s.requests_n >= N);
	assert_true(s.batch_max_n < N / 2);
	server_stop(&s);
}

// ---- what judges nobody ----

static void without_descriptors_nobody_is_judged(void **state)
{
	struct world *w = *state;
	struct rlimit limit, none;
	struct server s, http;
	struct health_target t[2];
	struct err e;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	assert_int_equal(server_start(&http, w->base, "127.0.0.1", "1"), 0);
	t[0] = target_of(&s, "web", &tcp_check, HEALTH_UNKNOWN);
	t[1] = target_of(&http, "web", &http_check, HEALTH_UNKNOWN);
	assert_int_equal(health_set_targets(w->health, t, 2, &e), 0);
	WAIT_FOR(w, w->changes_n >= 2);
	assert_null(health_get_warning(w->health));

	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &none);
	WAIT_FOR(w, strcmp(view_of(w, &s, "web").cause, "too many open files") == 0);
	WAIT_FOR(w, strcmp(view_of(w, &http, "web").cause, "too many open files") == 0);
	assert_non_null(strstr(health_get_warning(w->health), "too many open files"));
	setrlimit(RLIMIT_NOFILE, &limit);

	WAIT_FOR(w, !health_get_warning(w->health));
	assert_int_equal(w->changes_n, 2);
	assert_int_equal(view_of(w, &s, "web").state, HEALTH_UP);
	server_stop(&s);
	server_stop(&http);
}

static void sleep_once(struct server *s, void *arg)
{
	s->accepted = NULL;
	poll(NULL, 0, 400);
}

// The backend is silent while lbd does not run, and answers afterwards. `fall` is 1.
static void time_that_lbd_slept_judges_nobody(void **state)
{
	struct model_check check = http_check;
	struct world *w = *state;
	struct server s;

	check.fall = 1;
	check.timeout_ns = 60 * MS;
	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "s1"), 0);
	s.accepted = sleep_once;
	set_one(w, &s, &check, HEALTH_UP);
	WAIT_FOR(w, s.requests_n >= 4);
	assert_int_equal(w->changes_n, 0);
	assert_int_equal(view_of(w, &s, "web").state, HEALTH_UP);
	server_stop(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(tcp_listening_is_up),
		TEST(tcp_listening_is_up_by_ipv6),
		TEST(tcp_refused_is_down),
		TEST(tcp_silence_is_down),
		TEST(tcp_asks_where_the_check_says),
		TEST(http_statuses),
		TEST(http_what_is_no_answer_is_down),
		TEST(http_silence_is_down),
		TEST(http_refused_is_down),
		TEST(http_asks_by_ipv6),
		TEST(http_asks_as_the_check_says),
		TEST(http_uses_a_connection_for_each_probe),
		TEST(http_uses_no_proxy_of_the_environment),
		TEST(a_state_takes_answers_in_a_row),
		TEST(what_is_unknown_is_found_out_faster),
		TEST(services_share_a_target),
		TEST(a_change_keeps_what_is_known),
		TEST(a_change_keeps_the_phase),
		TEST(new_targets_are_not_asked_at_once),
		TEST(without_descriptors_nobody_is_judged),
		TEST(time_that_lbd_slept_judges_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
