// SPDX-License-Identifier: BSD-2-Clause
//
// control/health against real servers on loopback (health_server.h): tcp checks, how
// many answers make a state, lists of targets, and what judges nobody.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/unit/health_world.h"

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

// Also not by a probe that was under way when the way came back.
static void what_fails_while_cut_off_judges_nobody(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "0"), 0);
	health_set_cut_off(w->health, true);
	set_one(w, &s, &http_check, HEALTH_UP);
	WAIT_FOR(w, s.requests_n > http_check.fall + 2);
	assert_int_equal(view_of(w, &s, "web").streak, 0);
	health_set_cut_off(w->health, false);
	assert_int_equal(w->changes_n, 0);
	WAIT_FOR(w, w->changes_n);
	assert_int_equal(w->changes[0].state, HEALTH_DOWN);
	server_stop(&s);
}

static void what_answers_while_cut_off_counts(void **state)
{
	struct world *w = *state;
	struct server s;

	assert_int_equal(server_start(&s, w->base, "127.0.0.1", "1"), 0);
	health_set_cut_off(w->health, true);
	assert_becomes(w, &s, &http_check, HEALTH_UP, "HTTP 200");
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(tcp_listening_is_up),
		WORLD_TEST(tcp_listening_is_up_by_ipv6),
		WORLD_TEST(tcp_refused_is_down),
		WORLD_TEST(tcp_silence_is_down),
		WORLD_TEST(tcp_asks_where_the_check_says),
		WORLD_TEST(a_state_takes_answers_in_a_row),
		WORLD_TEST(what_is_unknown_is_found_out_faster),
		WORLD_TEST(services_share_a_target),
		WORLD_TEST(a_change_keeps_what_is_known),
		WORLD_TEST(a_change_keeps_the_phase),
		WORLD_TEST(new_targets_are_not_asked_at_once),
		WORLD_TEST(without_descriptors_nobody_is_judged),
		WORLD_TEST(time_that_lbd_slept_judges_nobody),
		WORLD_TEST(what_fails_while_cut_off_judges_nobody),
		WORLD_TEST(what_answers_while_cut_off_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
