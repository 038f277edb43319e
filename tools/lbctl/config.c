// SPDX-License-Identifier: BSD-2-Clause
//
// The services as a whole: apply, export, and the kept generations: history,
// rollback, diff.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

#define FILE_MAX (8u << 20) // bytes; lbd takes no more

char *read_file(const char *file, size_t *ret_len)
{
	FILE *from = strcmp(file, "-") ? fopen(file, "re") : stdin;
	char *text = from ? malloc(FILE_MAX + 1) : NULL;
	size_t len = text ? fread(text, 1, FILE_MAX + 1, from) : 0;
	const char *why = NULL;

	if (!text || ferror(from))
		why = strerror(errno);
	else if (len > FILE_MAX)
		why = "is larger than 8 MiB, which is all that lbd takes";
	if (from && from != stdin)
		fclose(from);
	if (why) {
		fail(EXIT_REFUSED, "%s: %s", strcmp(file, "-") ? file : "stdin", why);
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}

// What would have gone is shown, before the reason, where a change is refused for its size.
static void show_refused(const struct lbctl *l, const struct http_request *q, long status)
{
	struct http_request dry_run = *q;
	json_t *answer = NULL;
	char path[1200];

	if (status != 409 || l->is_json)
		return;
	snprintf(path, sizeof(path), "%.*s?dry_run=1&force=1", (int)strcspn(q->path, "?"), q->path);
	dry_run.path = path;
	dry_run.is_silent = true;
	dry_run.on_refusal = NULL;
	if (!http_call(l, &dry_run, &answer))
		show_plan(json_object_get(answer, "plan"));
	json_decref(answer);
}

static const char *query_of(const struct args *a)
{
	if (args_get(a, "dry-run"))
		return args_get(a, "force") ? "?dry_run=1&force=1" : "?dry_run=1";
	return args_get(a, "force") ? "?force=1" : "";
}

int command_apply(const struct lbctl *l, const struct args *a)
{
	const char *file = a->words[0];
	struct http_request q = {.method = "PUT",
				 .file = strcmp(file, "-") ? file : "stdin",
				 .on_refusal = show_refused};
	char path[64];
	json_t *answer;
	char *text = read_file(file, &q.body_len);
	int status;

	if (!text)
		return EXIT_REFUSED;
	snprintf(path, sizeof(path), "/v1/config%s", query_of(a));
	q.path = path;
	q.body = text;
	status = http_call(l, &q, &answer);
	free(text);
	return status ? status : show_change(l, answer);
}

int command_export(const struct lbctl *l, const struct args *a)
{
	struct http_request q = {.path = "/v1/config"};
	json_t *answer;
	int status;

	if (!l->is_json)
		q.header = "Accept: application/yaml";
	status = http_call(l, &q, &answer);
	if (status)
		return status;
	if (l->is_json)
		return show_json(answer);
	fputs(json_is_string(answer) ? json_string_value(answer) : "", stdout);
	json_decref(answer);
	return EXIT_DONE;
}

int command_history(const struct lbctl *l, const struct args *a)
{
	static const struct column columns[] = {
		{"GENERATION", .is_right = true}, {"TIME"}, {"CAUSE"}};
	struct libscols_table *t;
	json_t *answer, *item;
	size_t i;
	int status = http_get(l, "/v1/history", &answer);

	if (status || l->is_json)
		return status ? status : show_json(answer);
	t = show_table_new(columns, 3);
	json_array_foreach (json_object_get(answer, "generations"), i, item) {
		char number[SHOW_MAX], cause[256];
		bool is_running = json_flag(item, "running");

		snprintf(cause, sizeof(cause), "%s%s", json_text(item, "cause"),
			 is_running ? " (running)" : "");
		show_table_add(t,
			       (const char *[]){show_whole(json_whole(item, "generation"), number),
						json_text(item, "time"), cause});
	}
	json_decref(answer);
	return show_table_print(t, "no generations are kept: nothing was applied yet");
}

int command_rollback(const struct lbctl *l, const struct args *a)
{
	struct http_request q = {.method = "POST", .body = "", .on_refusal = show_refused};
	char *path = http_path("/v1/rollback/%", a->words[0]), with_query[1200];
	json_t *answer;
	int status;

	snprintf(with_query, sizeof(with_query), "%s%s", path ? path : "", query_of(a));
	q.path = with_query;
	status = http_call(l, &q, &answer);
	free(path);
	return status ? status : show_change(l, answer);
}

int command_diff(const struct lbctl *l, const struct args *a)
{
	char *path = a->words_n ? http_path("/v1/diff?from=%", a->words[0]) : http_path("/v1/diff");
	struct http_request q = {.path = path};
	json_t *answer, *plan;
	int status = http_call(l, &q, &answer);

	free(path);
	if (status || l->is_json)
		return status ? status : show_json(answer);
	plan = json_object_get(answer, "plan");
	show_plan(plan);
	printf("%s from generation %lld to %lld\n",
	       json_array_size(json_object_get(plan, "changes")) ? "these are the changes"
								 : "nothing changed",
	       (long long)json_whole(answer, "from"), (long long)json_whole(answer, "to"));
	json_decref(answer);
	return EXIT_DONE;
}
