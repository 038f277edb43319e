// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl events: what happened; with --follow also what happens, as lbd sends it
// (server-sent events: lines, of which "data: ..." hold an event each).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

#define LINE_MAX_LEN 4096

struct follower {
	bool is_json;
	char line[LINE_MAX_LEN];
	size_t len;
};

static void print_event(const json_t *event)
{
	const char *service = json_text(event, "service"), *backend = json_text(event, "backend");

	printf("%s %-7s %s%s%s%s%s\n", json_text(event, "time"), json_text(event, "kind"), service,
	       *service && *backend ? " " : "", backend, *service || *backend ? ": " : "",
	       json_text(event, "text"));
}

static void take_line(struct follower *f)
{
	json_t *event;

	f->line[f->len] = '\0';
	if (strncmp(f->line, "data: ", 6))
		return;
	if (f->is_json) {
		puts(f->line + 6);
	} else {
		event = json_loads(f->line + 6, 0, NULL);
		print_event(event);
		json_decref(event);
	}
	if (fflush(stdout)) // the reader of the pipe has gone
		exit(EXIT_DONE);
}

static void take_bytes(void *arg, const char *bytes, size_t n)
{
	struct follower *f = arg;

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			take_line(f);
			f->len = 0;
		} else if (f->len + 1 < sizeof(f->line)) {
			f->line[f->len++] = bytes[i];
		}
	}
}

int command_events(const struct lbctl *l, const struct args *a)
{
	struct follower follower = {.is_json = l->is_json};
	struct http_request q = {.path = "/v1/events"};
	json_t *answer, *event;
	size_t i;
	int status;

	if (args_get(a, "follow")) {
		q.header = "Accept: text/event-stream";
		q.on_bytes = take_bytes;
		q.on_bytes_arg = &follower;
		status = http_call(l, &q, NULL);
		return status ? status : fail(EXIT_UNREACHABLE, "lbd has ended");
	}
	status = http_call(l, &q, &answer);
	if (status || l->is_json)
		return status ? status : show_json(answer);
	json_array_foreach (json_object_get(answer, "events"), i, event)
		print_event(event);
	json_decref(answer);
	return EXIT_DONE;
}
