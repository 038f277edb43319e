// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl backend ...: list, add, set, drain, enable, disable, remove.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/address.h"
#include "control/duration.h"
#include "tools/lbctl/lbctl.h"

// ---- showing ----

#define SYNS_MIN 3 // a client's first one and two more are no accident

// Whether of all that went to it nothing was more than the begin of a TCP connection.
static bool has_only_syns(const json_t *b, const char *protocol)
{
	const json_t *counters = json_object_get(b, "counters");
	int64_t syns_n = json_whole(counters, "new_connections");

	return !strcmp(protocol, "tcp") && syns_n >= SYNS_MIN &&
	       syns_n == json_whole(counters, "packets");
}

// What keeps it from taking new connections, or what else should be known.
static void note_of(const json_t *b, const char *protocol, char *buf, size_t buf_len)
{
	const char *why_not = json_text(b, "why_not"), *cause = json_text(b, "cause");
	const json_t *since = json_object_get(b, "health_seconds");
	char age[SHOW_MAX];

	*buf = '\0';
	if (json_flag(b, "leaving"))
		snprintf(buf, buf_len, "leaving, gone within %s",
			 show_age(json_number(b, "leaves_within_seconds"), age));
	else if (!strcmp(json_text(b, "health"), "down") && *cause)
		snprintf(buf, buf_len, "%s%s%s", cause, json_is_number(since) ? ", for " : "",
			 json_is_number(since) ? show_age(json_number_value(since), age) : "");
	else if (!strcmp(json_text(b, "health"), "unknown") && *cause)
		snprintf(buf, buf_len, "not known to be up yet: %s", cause);
	else if (*why_not && strcmp(why_not, "disabled") && strcmp(why_not, "draining"))
		snprintf(buf, buf_len, "%s", why_not);
	else if (has_only_syns(b, protocol))
		snprintf(buf, buf_len, "only SYNs went to it: no connection was completed");
}

// A settled backend may get one at any time.
static const char *untracked_text(const json_t *seconds, char *buf)
{
	if (!json_is_number(seconds))
		return "never";
	return json_number_value(seconds) > 0 ? show_age(json_number_value(seconds), buf) : "now";
}

static void add_backends(struct libscols_table *t, const json_t *service, bool with_service)
{
	const char *protocol = json_text(json_object_get(service, "config"), "protocol");
	json_t *b;
	size_t i;

	json_array_foreach (json_object_get(service, "backends"), i, b) {
		const json_t *untracked = json_object_get(b, "last_untracked_seconds");
		char weight[SHOW_MAX], share[SHOW_MAX], tracked[SHOW_MAX], age[SHOW_MAX], note[192];
		const char *cells[9] = {json_text(b, "service"),
					json_text(b, "backend"),
					json_flag(b, "leaving") ? "leaving" : json_text(b, "state"),
					json_text(b, "health"),
					show_whole(json_whole(b, "weight"), weight),
					show_share(json_number(b, "slots_share"), share),
					show_whole(json_whole(b, "tracked"), tracked),
					untracked_text(untracked, age),
					note};

		note_of(b, protocol, note, sizeof(note));
		show_table_add(t, with_service ? cells : cells + 1);
	}
}

int show_backends(const json_t *services, bool with_service)
{
	static const struct column columns[] = {{"SERVICE"},
						{"BACKEND"},
						{"STATE"},
						{"HEALTH"},
						{"WEIGHT", .is_right = true},
						{"SHARE", .is_right = true},
						{"TRACKED", .is_right = true},
						{"UNTRACKED", .is_right = true},
						{"NOTE"}};
	const struct column *first = with_service ? columns : columns + 1;
	struct libscols_table *t = show_table_new(first, with_service ? 9 : 8);
	json_t *service;
	size_t i;

	json_array_foreach (services, i, service)
		add_backends(t, service, with_service);
	return show_table_print(t, "no backends");
}

static int show_backends_json(const json_t *services)
{
	json_t *list = json_array(), *service;
	size_t i;

	json_array_foreach (services, i, service)
		json_array_extend(list, json_object_get(service, "backends"));
	return show_json(json_pack("{s:o}", "backends", list));
}

int command_backend_list(const struct lbctl *l, const struct args *a)
{
	char *path =
		a->words_n ? http_path("/v1/services/%", a->words[0]) : http_path("/v1/services");
	json_t *answer, *services;
	int status = http_get(l, path, &answer);

	free(path);
	if (status)
		return status;
	services = a->words_n ? json_pack("[O]", answer)
			      : json_incref(json_object_get(answer, "services"));
	status = l->is_json ? show_backends_json(services) : show_backends(services, true);
	json_decref(services);
	json_decref(answer);
	return status;
}

// ---- changing ----

json_t *backend_body(const char *text)
{
	struct lb_address address;
	char lone[ADDRESS_TEXT_MAX];
	json_t *body = json_object();
	uint16_t port;

	// What is no address goes to lbd as it is, for its sentence.
	if (address_parse_port(text, &address, &port)) {
		json_object_set_new(body, "address", json_string(text));
		return body;
	}
	json_object_set_new(body, "address", json_string(address_render(&address, lone)));
	if (port)
		json_object_set_new(body, "port", json_integer(port));
	return body;
}

int send_change(const struct lbctl *l, const char *method, char *path, const char *header,
		json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct http_request q = {.method = method,
				 .path = path,
				 .header = header,
				 .body = text,
				 .body_len = text ? strlen(text) : 0};
	json_t *answer;
	int status = http_call(l, &q, &answer);

	json_decref(body);
	free(text);
	free(path);
	return status ? status : show_change(l, answer);
}

// The path of the backend that the words name; @query: what follows, with %-arguments done.
static char *path_of(const struct args *a, const char *query)
{
	char *path = http_path("/v1/services/%/backends/%", a->words[0], a->words[1]);
	char *with_query = NULL;
	bool is_dry_run = args_get(a, "dry-run");

	if (path &&
	    asprintf(&with_query, "%s%s%s%s%s", path, is_dry_run || *query ? "?" : "",
		     is_dry_run ? "dry_run=1" : "", is_dry_run && *query ? "&" : "", query) < 0)
		with_query = NULL;
	free(path);
	return with_query;
}

// The options weight and state as a body; NULL: explained.
static json_t *body_of_options(const struct args *a)
{
	const char *weight = args_get(a, "weight"), *state = args_get(a, "state");
	json_t *body = json_object();
	char *end = NULL;

	if (weight) {
		long number = strtol(weight, &end, 10);

		if (end == weight || *end) {
			json_decref(body);
			fail(EXIT_USAGE, "--weight must be a whole number, is %s", weight);
			return NULL;
		}
		json_object_set_new(body, "weight", json_integer(number));
	}
	if (state)
		json_object_set_new(body, "state", json_string(state));
	return body;
}

int command_backend_add(const struct lbctl *l, const struct args *a)
{
	json_t *body = body_of_options(a);

	if (!body)
		return EXIT_USAGE;
	return send_change(l, "PUT", path_of(a, ""), "If-None-Match: *", body);
}

int command_backend_set(const struct lbctl *l, const struct args *a)
{
	json_t *body = body_of_options(a);

	if (!body)
		return EXIT_USAGE;
	if (!json_object_size(body)) {
		json_decref(body);
		return fail(EXIT_USAGE, "backend set needs --weight or --state");
	}
	return send_change(l, "PATCH", path_of(a, ""), NULL, body);
}

static bool is_of_host(const json_t *b, const char *address, uint16_t port)
{
	return !strcmp(json_text(b, "address"), address) && !json_flag(b, "leaving") &&
	       (!port || json_whole(b, "port") == port);
}

// PATCHes one backend, and shows what changed or, with --json, adds it to @answers.
static int set_state_of(const struct lbctl *l, const struct args *a, const json_t *b,
			const char *state, json_t *answers)
{
	char *path = http_path("/v1/services/%/backends/%", json_text(b, "service"),
			       json_text(b, "backend"));
	char body[64], with_query[1200];
	struct http_request q = {.method = "PATCH", .path = with_query, .body = body};
	json_t *answer;
	int status;

	snprintf(with_query, sizeof(with_query), "%s%s", path ? path : "",
		 args_get(a, "dry-run") ? "?dry_run=1" : "");
	free(path);
	q.body_len = (size_t)snprintf(body, sizeof(body), "{\"state\": \"%s\"}", state);
	status = http_call(l, &q, &answer);
	if (status || !l->is_json)
		return status ? status : show_change(l, answer);
	json_array_append_new(answers, answer);
	return EXIT_DONE;
}

// In every service that has it, one after the other: what was done stays where one is refused.
static int set_state_of_host(const struct lbctl *l, const struct args *a, const char *state)
{
	json_t *answer, *service, *b, *answers = json_array();
	struct lb_address address;
	char text[ADDRESS_TEXT_MAX];
	size_t i, j, found_n = 0;
	uint16_t port;
	int status = EXIT_DONE;

	if (address_parse_port(a->words[0], &address, &port)) {
		json_decref(answers);
		return fail(EXIT_USAGE,
			    "%s is no address; a service's backend is SERVICE "
			    "ADDRESS[:PORT], and a server in all services ADDRESS",
			    a->words[0]);
	}
	address_render(&address, text);
	status = http_get(l, "/v1/services", &answer);
	if (!status) {
		json_array_foreach (json_object_get(answer, "services"), i, service) {
			json_array_foreach (json_object_get(service, "backends"), j, b) {
				if (status || !is_of_host(b, text, port))
					continue;
				found_n++;
				status = set_state_of(l, a, b, state, answers);
			}
		}
		json_decref(answer);
		if (!found_n)
			status = fail(EXIT_REFUSED,
				      "%s: no service has such a backend; `lbctl "
				      "backend list` shows them",
				      a->words[0]);
	}
	if (l->is_json && !status)
		return show_json(json_pack("{s:o}", "changes", answers));
	json_decref(answers);
	return status;
}

static int set_state(const struct lbctl *l, const struct args *a, const char *state)
{
	if (a->words_n == 1)
		return set_state_of_host(l, a, state);
	return send_change(l, "PATCH", path_of(a, ""), NULL, json_pack("{s:s}", "state", state));
}

int command_backend_drain(const struct lbctl *l, const struct args *a)
{
	return set_state(l, a, "drain");
}

int command_backend_enable(const struct lbctl *l, const struct args *a)
{
	return set_state(l, a, "enabled");
}

int command_backend_disable(const struct lbctl *l, const struct args *a)
{
	return set_state(l, a, "disabled");
}

int command_backend_remove(const struct lbctl *l, const struct args *a)
{
	const char *timeout = args_get(a, "timeout");
	char query[64] = "";
	uint64_t timeout_ns;

	if (timeout && args_get(a, "now"))
		return fail(EXIT_USAGE, "--timeout and --now exclude each other");
	if (timeout && duration_parse(timeout, &timeout_ns))
		return fail(EXIT_USAGE,
			    "--timeout must be a duration such as 30s, 15m or 1h, is %s", timeout);
	if (timeout)
		snprintf(query, sizeof(query), "timeout=%llu",
			 (unsigned long long)((timeout_ns + DURATION_S_NS - 1) / DURATION_S_NS));
	return send_change(l, "DELETE", path_of(a, args_get(a, "now") ? "now=1" : query), NULL,
			   NULL);
}
