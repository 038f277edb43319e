// SPDX-License-Identifier: BSD-2-Clause
//
// What a request says beside its body, and the answers: JSON, text, and problem
// documents (RFC 9457). The handlers call it.
#include "control/api/request.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *request_parameter(const struct api_request *r, const char *name)
{
	return evhttp_find_header(&r->query, name);
}

int request_flag(const struct api_request *r, const char *name, bool *ret, struct err *e)
{
	const char *value = request_parameter(r, name);

	if (!value || !strcmp(value, "0") || !strcmp(value, "false")) {
		*ret = false;
		return 0;
	}
	if (!*value || !strcmp(value, "1") || !strcmp(value, "true")) {
		*ret = true;
		return 0;
	}
	return err_set_field(e, -EPROTO, 0, name, "must be 1 or 0, is %.32s", value);
}

int request_number(const struct api_request *r, const char *name, uint64_t max, uint64_t *ret,
		   struct err *e)
{
	const char *value = request_parameter(r, name);
	unsigned long long number;
	char *end;

	if (!value)
		return 0;
	errno = 0;
	number = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || number > max)
		return err_set_field(e, -EPROTO, 0, name,
				     "must be a whole number up to %llu, is %.32s",
				     (unsigned long long)max, *value ? value : "empty");
	*ret = number;
	return 0;
}

bool request_accepts(const struct api_request *r, const char *media_type)
{
	const char *accept =
		evhttp_find_header(evhttp_request_get_input_headers(r->http), "Accept");

	return accept && strcasestr(accept, media_type);
}

int reply_buffer(struct api_request *r, int status, const char *media_type, struct evbuffer *body)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(r->http);
	char length[24];

	evhttp_add_header(headers, "Content-Type", media_type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	if (evhttp_request_get_command(r->http) == EVHTTP_REQ_HEAD) {
		snprintf(length, sizeof(length), "%zu", evbuffer_get_length(body));
		evhttp_add_header(headers, "Content-Length", length);
		evbuffer_drain(body, evbuffer_get_length(body));
	}
	evhttp_send_reply(r->http, status, NULL, body);
	evbuffer_free(body);
	return 0;
}

static void free_text(const void *text, size_t text_len, void *arg)
{
	free((void *)text);
}

// Written as one text: thousands of small pieces cost an evbuffer more than all else here.
static struct evbuffer *render_json(const json_t *json)
{
	struct evbuffer *body = evbuffer_new();
	char *text = json && body ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;

	if (text && !evbuffer_add_reference(body, text, strlen(text), free_text, NULL)) {
		if (!evbuffer_add(body, "\n", 1))
			return body;
	} else {
		free(text);
	}
	if (body)
		evbuffer_free(body);
	return NULL;
}

static int send_json(struct api_request *r, int status, const char *media_type, json_t *json)
{
	struct evbuffer *body = render_json(json);

	json_decref(json);
	if (body)
		return reply_buffer(r, status, media_type, body);
	evhttp_send_reply(r->http, 503, NULL, NULL);
	return 0;
}

int reply_json(struct api_request *r, int status, json_t *body)
{
	return send_json(r, status, "application/json", body);
}

int reply_text(struct api_request *r, int status, const char *media_type, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add(body, text, strlen(text))) {
		if (body)
			evbuffer_free(body);
		evhttp_send_reply(r->http, 503, NULL, NULL);
		return 0;
	}
	return reply_buffer(r, status, media_type, body);
}

static const char *status_title(int status)
{
	switch (status) {
	case 400:
		return "Bad request";
	case 404:
		return "Not found";
	case 405:
		return "Method not allowed";
	case 409:
		return "Conflict";
	case 412:
		return "Precondition failed";
	case 413:
		return "Too large";
	case 422:
		return "Bad input";
	case 503:
		return "Unavailable";
	case 507:
		return "No room";
	default:
		return "Failed";
	}
}

int reply_problem(struct api_request *r, int status, const struct err *e)
{
	json_t *problem = json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title",
				    status_title(status), "status", status, "detail", e->text);

	if (problem && e->field[0])
		json_object_set_new(problem, "field", json_string(e->field));
	if (problem && e->line)
		json_object_set_new(problem, "line", json_integer(e->line));
	return send_json(r, status, "application/problem+json", problem);
}

void reply_abandon(struct evhttp_request *http)
{
	// Where the connection broke, evhttp leaves an unfinished request to its handler; where lbd
	// closes it, the request goes with it.
	if (!evhttp_request_get_connection(http))
		evhttp_request_free(http);
}
