// SPDX-License-Identifier: BSD-2-Clause
//
// control/health/http.c against real servers on loopback (health_server.h): what each
// kind of answer means, and what is asked.
#include <stdlib.h>
#include <string.h>

#include "tests/unit/health_world.h"

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
	http_becomes(w, "b", HEALTH_DOWN, "no valid HTTP answer (its status line)");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(http_statuses),
		WORLD_TEST(http_what_is_no_answer_is_down),
		WORLD_TEST(http_silence_is_down),
		WORLD_TEST(http_refused_is_down),
		WORLD_TEST(http_asks_by_ipv6),
		WORLD_TEST(http_asks_as_the_check_says),
		WORLD_TEST(http_uses_a_connection_for_each_probe),
		WORLD_TEST(http_uses_no_proxy_of_the_environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
