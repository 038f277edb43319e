// SPDX-License-Identifier: BSD-2-Clause
//
// From a request line to a row of the API's table: paths are compared part by part,
// {} takes any one part, decoded (RFC 3986, 2.1). Pure; server.c calls it.
#include "control/api/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Decodes the part [part, part + len). NULL: no memory, or it holds a NUL or a bad escape.
static char *decode_part(const char *part, size_t len)
{
	char *text = strndup(part, len), *decoded;
	size_t decoded_len;

	if (!text)
		return NULL;
	for (const char *p = strchr(text, '%'); p; p = strchr(p + 1, '%')) {
		if (strspn(p + 1, "0123456789abcdefABCDEF") < 2) {
			free(text);
			return NULL;
		}
	}
	decoded = evhttp_uridecode(text, 0, &decoded_len);
	free(text);
	if (decoded && strlen(decoded) != decoded_len) {
		free(decoded);
		return NULL;
	}
	return decoded;
}

// Whether @path has the shape of @pattern; finds where the parts for {} are.
static bool is_match(const char *pattern, const char *path, const char *parts[API_ARGS_MAX],
		     size_t lens[API_ARGS_MAX], size_t *ret_n)
{
	size_t n = 0;

	for (;;) {
		size_t pattern_len = strcspn(pattern, "/"), path_len = strcspn(path, "/");

		if (pattern_len == 2 && !memcmp(pattern, "{}", 2)) {
			if (!path_len || n == API_ARGS_MAX)
				return false;
			parts[n] = path;
			lens[n++] = path_len;
		} else if (pattern_len != path_len || memcmp(pattern, path, path_len)) {
			return false;
		}
		pattern += pattern_len;
		path += path_len;
		if (!*pattern || !*path)
			break;
		pattern++;
		path++;
	}
	*ret_n = n;
	return !*pattern && !*path;
}

int route_lookup(const struct api_route *routes, size_t routes_n, const char *path,
		 const struct api_route **ret, char *ret_args[API_ARGS_MAX], struct err *e)
{
	const char *parts[API_ARGS_MAX];
	size_t lens[API_ARGS_MAX], n;

	for (size_t i = 0; i < routes_n; i++) {
		if (!is_match(routes[i].path, path, parts, lens, &n))
			continue;
		for (size_t j = 0; j < n; j++) {
			ret_args[j] = decode_part(parts[j], lens[j]);
			if (!ret_args[j])
				return err_set(e, -EPROTO, "%.*s: not a valid part of a path",
					       (int)(lens[j] < 64 ? lens[j] : 64), parts[j]);
		}
		*ret = &routes[i];
		return 0;
	}
	return err_set(e, -ENOENT, "%.128s: no such path", path);
}

api_fn route_handler(const struct api_route *route, enum evhttp_cmd_type method)
{
	switch (method) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD:
		return route->get;
	case EVHTTP_REQ_PUT:
		return route->put;
	case EVHTTP_REQ_PATCH:
		return route->patch;
	case EVHTTP_REQ_POST:
		return route->post;
	case EVHTTP_REQ_DELETE:
		return route->del;
	default:
		return NULL;
	}
}

const char *route_allow(const struct api_route *route, char *buf, size_t buf_len)
{
	snprintf(buf, buf_len, "%s%s%s%s%s", route->get ? ", GET, HEAD" : "",
		 route->put ? ", PUT" : "", route->patch ? ", PATCH" : "",
		 route->post ? ", POST" : "", route->del ? ", DELETE" : "");
	memmove(buf, buf + 2, strlen(buf) - 1);
	return buf;
}

bool route_takes(const struct api_route *route, const char *name)
{
	size_t name_len = strlen(name);

	for (const char *p = route->query; p && *p; p += strcspn(p, " "), p += *p == ' ') {
		if (strcspn(p, " ") == name_len && !memcmp(p, name, name_len))
			return true;
	}
	return false;
}

int route_status(int code)
{
	switch (code) {
	case -EPROTO: // the request itself: its path, a parameter, a header
		return 400;
	case -ENOENT:
		return 404;
	case -EPERM: // needs force: it conflicts with what runs, and says how to insist
	case -EEXIST:
		return 409;
	case -ESTALE:
		return 412;
	case -E2BIG:
		return 413;
	case -EINVAL: // the body, understood, says what cannot be
		return 422;
	case -ENOMEM:
	case -EHOSTDOWN: // the dataplane does not run
		return 503;
	case -ENOSPC:
		return 507;
	default:
		return 500;
	}
}
