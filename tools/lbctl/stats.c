// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl stats, drops: what was counted. With --watch again every second, as the
// difference of two answers over the time between them, which lbd says.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/lbctl/lbctl.h"

// Prints @now; @before is the answer of a second ago, or NULL.
typedef int (*print_fn)(const json_t *now, const json_t *before, bool is_all);

// Asks for @path once, or every second. Takes @path over (NULL: no memory).
static int run(const struct lbctl *l, const struct args *a, char *path, print_fn print)
{
	bool is_watch = args_get(a, "watch"), is_all = args_get(a, "all");
	json_t *now = NULL, *before = NULL;
	int status;

	do {
		status = http_get(l, path, &now);
		if (status)
			break;
		if (l->is_json) {
			show_json(json_incref(now));
		} else if (!is_watch || before) {
			if (is_watch && isatty(STDOUT_FILENO))
				printf("\033[H\033[2J");
			print(now, before, is_all);
		}
		if (fflush(stdout)) // the reader of the pipe has gone
			break;
		json_decref(before);
		before = now;
		now = NULL;
		if (is_watch)
			sleep(1);
	} while (is_watch);
	json_decref(before);
	free(path);
	return status;
}

// The element of a list whose @key says @value; NULL: none.
static const json_t *find(const json_t *list, const char *key, const char *value)
{
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		if (!strcmp(json_text(item, key), value))
			return item;
	}
	return NULL;
}

static double seconds_between(const json_t *now, const json_t *before)
{
	double seconds = json_number(now, "time_seconds") - json_number(before, "time_seconds");

	return seconds > 0 ? seconds : 1;
}

// ---- stats ----

static const char *const counters[] = {"packets",	"bytes", "new_connections",
				       "reply_packets", "drops", "tracked"};
#define COUNTERS_N 6

// A row: @item's counters, or their rates since @before (NULL: it is new; so it counts from 0).
static void add_row(struct libscols_table *t, const char *name, const json_t *item, bool is_rate,
		    const json_t *before, double seconds)
{
	char texts[COUNTERS_N][SHOW_MAX];
	const char *cells[COUNTERS_N + 1] = {name};

	for (int i = 0; i < COUNTERS_N; i++) {
		const char *key = counters[i];

		if (!json_object_get(item, key))
			continue;
		if (is_rate && strcmp(key, "tracked"))
			cells[i + 1] = show_rate(
				(json_number(item, key) - json_number(before, key)) / seconds,
				texts[i]);
		else
			cells[i + 1] = show_whole(json_whole(item, key), texts[i]);
	}
	show_table_add(t, cells);
}

static int print_stats(const json_t *now, const json_t *before, bool is_all)
{
	static const struct column totals[] = {
		{"SERVICE / BACKEND"},	       {"PACKETS", .is_right = true},
		{"BYTES", .is_right = true},   {"NEW", .is_right = true},
		{"REPLIES", .is_right = true}, {"DROPS", .is_right = true},
		{"TRACKED", .is_right = true}};
	static const struct column rates[] = {
		{"SERVICE / BACKEND"},		 {"PACKETS/s", .is_right = true},
		{"BYTES/s", .is_right = true},	 {"NEW/s", .is_right = true},
		{"REPLIES/s", .is_right = true}, {"DROPS/s", .is_right = true},
		{"TRACKED", .is_right = true}};
	struct libscols_table *t = show_table_new(before ? rates : totals, COUNTERS_N + 1);
	double seconds = seconds_between(now, before);
	json_t *service, *backend;
	size_t i, j;

	json_array_foreach (json_object_get(now, "services"), i, service) {
		const json_t *old = find(json_object_get(before, "services"), "name",
					 json_text(service, "name"));

		add_row(t, json_text(service, "name"), service, before, old, seconds);
		json_array_foreach (json_object_get(service, "backends"), j, backend) {
			char name[SHOW_MAX + 32];

			snprintf(name, sizeof(name), "  %s", json_text(backend, "backend"));
			add_row(t, name, backend, before,
				find(json_object_get(old, "backends"), "backend", name + 2),
				seconds);
		}
	}
	return show_table_print(t, "no services");
}

int command_stats(const struct lbctl *l, const struct args *a)
{
	return run(l, a,
		   a->words_n ? http_path("/v1/stats?service=%", a->words[0])
			      : http_path("/v1/stats"),
		   print_stats);
}

// ---- drops ----

static int print_drops(const json_t *now, const json_t *before, bool is_all)
{
	static const struct column columns[] = {
		{"REASON"}, {"VERDICT"}, {"PACKETS", .is_right = true}, {"MEANING"}};
	static const struct column with_rate[] = {{"REASON"},
						  {"VERDICT"},
						  {"PACKETS", .is_right = true},
						  {"PACKETS/s", .is_right = true},
						  {"MEANING"}};
	struct libscols_table *t = show_table_new(before ? with_rate : columns, before ? 5 : 4);
	double seconds = seconds_between(now, before);
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(now, "reasons"), i, item) {
		const char *reason = json_text(item, "reason"),
			   *verdict = json_text(item, "verdict"),
			   *meaning = json_text(item, "meaning");
		const json_t *old = find(json_object_get(before, "reasons"), "reason", reason);
		double packets = json_number(item, "packets");
		char count[SHOW_MAX], rate[SHOW_MAX];

		if (!packets && !is_all)
			continue;
		show_whole((int64_t)packets, count);
		show_rate((packets - json_number(old, "packets")) / seconds, rate);
		if (before)
			show_table_add(t, (const char *[]){reason, verdict, count, rate, meaning});
		else
			show_table_add(t, (const char *[]){reason, verdict, count, meaning});
	}
	return show_table_print(t, "nothing was dropped");
}

int command_drops(const struct lbctl *l, const struct args *a)
{
	return run(l, a, http_path("/v1/drops"), print_drops);
}
