// SPDX-License-Identifier: BSD-2-Clause
//
// control/api/route.c: which row a path finds, how its parts are decoded (RFC 3986,
// 2.1), which methods and parameters it takes, which status an error gets.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/request.h"

static int handle(struct api_request *r, struct err *e)
{
	return 0;
}

static const struct api_route routes[] = {
	{"/v1/status", NULL, true, .get = handle},
	{"/v1/services/{}", "dry_run force", .get = handle, .put = handle, .del = handle},
	{"/v1/services/{}/backends/{}", "now", .patch = handle},
	{"/v1/rollback/{}", "force", .post = handle},
};
#define ROUTES_N (sizeof(routes) / sizeof(*routes))

// What @path finds: the number of the row, or the error.
static int find(const char *path, char *args[API_ARGS_MAX])
{
	const struct api_route *route = NULL;
	struct err e = {0};
	int code;

	memset(args, 0, API_ARGS_MAX * sizeof(*args));
	code = route_lookup(routes, ROUTES_N, path, &route, args, &e);
	if (code)
		assert_true(e.text[0]);
	return code ? code : (int)(route - routes);
}

static void paths_find_their_row(void **state)
{
	static const struct {
		const char *path;
		int row;
		const char *args[API_ARGS_MAX];
	} cases[] = {
		{"/v1/status", 0, {0}},
		{"/v1/services/web", 1, {"web"}},
		{"/v1/services/a%2Fb", 1, {"a/b"}},
		{"/v1/services/w%65b", 1, {"web"}},
		{"/v1/services/a+b", 1, {"a+b"}},
		{"/v1/services/web/backends/10.1.0.11:8080", 2, {"web", "10.1.0.11:8080"}},
		{"/v1/services/web/backends/[2001:db8::1]:80", 2, {"web", "[2001:db8::1]:80"}},
		{"/v1/services/web/backends/%5B2001%3Adb8%3A%3A1%5D%3A80",
		 2,
		 {"web", "[2001:db8::1]:80"}},
		{"/v1/rollback/12", 3, {"12"}},
	};
	char *args[API_ARGS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(find(cases[i].path, args), cases[i].row);
		for (int j = 0; j < API_ARGS_MAX; j++) {
			if (cases[i].args[j])
				assert_string_equal(args[j], cases[i].args[j]);
			else
				assert_null(args[j]);
			free(args[j]);
		}
	}
}

static void other_paths_find_none(void **state)
{
	static const struct {
		const char *path;
		int code;
	} cases[] = {
		{"", -ENOENT},
		{"/", -ENOENT},
		{"/v1", -ENOENT},
		{"/v1/status/", -ENOENT},
		{"/v1/statu", -ENOENT},
		{"/v1/statusx", -ENOENT},
		{"//v1/status", -ENOENT},
		{"/v1/services", -ENOENT},
		{"/v1/services/", -ENOENT},
		{"/v1/services/web/", -ENOENT},
		{"/v1/services/web/backends", -ENOENT},
		{"/v1/services/web/backends/", -ENOENT},
		{"/v1/services//backends/10.0.0.1", -ENOENT},
		{"/v1/services/web/backends/10.0.0.1/x", -ENOENT},
		{"/v1/services/{}/x", -ENOENT},
		{"/v1/services/w%", -EPROTO},
		{"/v1/services/w%6", -EPROTO},
		{"/v1/services/w%zz", -EPROTO},
		{"/v1/services/w%00b", -EPROTO},
		{"/v1/services/web/backends/%00", -EPROTO},
	};
	char *args[API_ARGS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(find(cases[i].path, args), cases[i].code);
		for (int j = 0; j < API_ARGS_MAX; j++)
			free(args[j]);
	}
}

static void methods_are_the_rows(void **state)
{
	char allow[64];

	assert_ptr_equal(route_handler(&routes[0], EVHTTP_REQ_GET), handle);
	assert_ptr_equal(route_handler(&routes[0], EVHTTP_REQ_HEAD), handle);
	assert_null(route_handler(&routes[0], EVHTTP_REQ_PUT));
	assert_null(route_handler(&routes[0], EVHTTP_REQ_OPTIONS));
	assert_ptr_equal(route_handler(&routes[2], EVHTTP_REQ_PATCH), handle);
	assert_null(route_handler(&routes[2], EVHTTP_REQ_GET));
	assert_string_equal(route_allow(&routes[0], allow, sizeof(allow)), "GET, HEAD");
	assert_string_equal(route_allow(&routes[1], allow, sizeof(allow)),
			    "GET, HEAD, PUT, DELETE");
	assert_string_equal(route_allow(&routes[2], allow, sizeof(allow)), "PATCH");
	assert_string_equal(route_allow(&routes[3], allow, sizeof(allow)), "POST");
}

static void parameters_are_the_rows(void **state)
{
	assert_true(route_takes(&routes[1], "dry_run"));
	assert_true(route_takes(&routes[1], "force"));
	assert_false(route_takes(&routes[1], "dry"));
	assert_false(route_takes(&routes[1], "run"));
	assert_false(route_takes(&routes[1], "dry_run force"));
	assert_false(route_takes(&routes[1], ""));
	assert_false(route_takes(&routes[0], "force"));
}

static void errors_have_their_status(void **state)
{
	assert_int_equal(route_status(-EPROTO), 400);
	assert_int_equal(route_status(-ENOENT), 404);
	assert_int_equal(route_status(-EPERM), 409);
	assert_int_equal(route_status(-ESTALE), 412);
	assert_int_equal(route_status(-E2BIG), 413);
	assert_int_equal(route_status(-EINVAL), 422);
	assert_int_equal(route_status(-EIO), 500);
	assert_int_equal(route_status(-ENOMEM), 503);
	assert_int_equal(route_status(-ENOSPC), 507);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_row),
		cmocka_unit_test(other_paths_find_none),
		cmocka_unit_test(methods_are_the_rows),
		cmocka_unit_test(parameters_are_the_rows),
		cmocka_unit_test(errors_have_their_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
