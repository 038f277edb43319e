// SPDX-License-Identifier: BSD-2-Clause
//
// How lbctl prints: tables (libsmartcols), numbers, ages, JSON, and the plan of a
// change. On a terminal the last column wraps at words; in a pipe nothing is cut.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/lbctl/lbctl.h"

#define ROOM_MIN 24 // columns; with less than this, the terminal wraps better than we

int fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("lbctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

int show_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(o);
	return EXIT_DONE;
}

const char *json_text(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

int64_t json_whole(const json_t *o, const char *key)
{
	return (int64_t)json_number(o, key);
}

double json_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

bool json_flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

struct libscols_table *show_table_new(const struct column *columns, size_t columns_n)
{
	struct libscols_table *t = scols_new_table();

	for (size_t i = 0; t && i < columns_n; i++)
		scols_table_new_column(t, columns[i].name, 0,
				       columns[i].is_right ? SCOLS_FL_RIGHT : 0);
	return t;
}

void show_table_add(struct libscols_table *t, const char *const *cells)
{
	struct libscols_line *line = t ? scols_table_new_line(t, NULL) : NULL;

	for (size_t i = 0; line && i < scols_table_get_ncols(t); i++)
		scols_line_set_data(line, i, cells[i] ? cells[i] : "");
}

static size_t cell_width(struct libscols_cell *cell)
{
	const char *text = scols_cell_get_data(cell);

	return text ? strlen(text) : 0;
}

// What is left for the last column on this terminal; 0: no terminal, or too little to be of use.
static size_t room_of_last(struct libscols_table *t)
{
	size_t columns_n = scols_table_get_ncols(t), used = 0;
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return 0;
	for (size_t i = 0; i + 1 < columns_n; i++) {
		struct libscols_column *column = scols_table_get_column(t, i);
		size_t width = cell_width(scols_column_get_header(column));

		for (size_t j = 0; j < scols_table_get_nlines(t); j++) {
			size_t cell =
				cell_width(scols_line_get_cell(scols_table_get_line(t, j), i));

			width = cell > width ? cell : width;
		}
		used += width + 1;
	}
	return size.ws_col > used + ROOM_MIN ? size.ws_col - used : 0;
}

// Ends lines at blanks, where they would be longer than @room.
static void wrap(char *text, size_t room)
{
	char *line = text, *blank = NULL;

	for (char *p = text; *p; p++) {
		if (*p == ' ')
			blank = p;
		if ((size_t)(p - line) < room || !blank)
			continue;
		*blank = '\n';
		line = blank + 1;
		blank = NULL;
	}
}

// libsmartcols would wrap inside words.
static void wrap_last(struct libscols_table *t)
{
	size_t last = scols_table_get_ncols(t) - 1, room = room_of_last(t);
	struct libscols_column *column = scols_table_get_column(t, last);

	if (!room)
		return;
	scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_WRAP);
	scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
	scols_column_set_safechars(column, "\n");
	for (size_t i = 0; i < scols_table_get_nlines(t); i++) {
		struct libscols_line *line = scols_table_get_line(t, i);
		const char *text = scols_cell_get_data(scols_line_get_cell(line, last));
		char *wrapped = strdup(text ? text : "");

		if (!wrapped)
			return;
		wrap(wrapped, room);
		scols_line_refer_data(line, last, wrapped);
	}
}

int show_table_print(struct libscols_table *t, const char *none)
{
	if (!t)
		return fail(EXIT_REFUSED, "no memory");
	if (scols_table_is_empty(t)) {
		printf("%s\n", none);
	} else {
		wrap_last(t);
		scols_print_table(t);
	}
	scols_unref_table(t);
	return EXIT_DONE;
}

const char *show_whole(int64_t n, char *buf)
{
	snprintf(buf, SHOW_MAX, "%lld", (long long)n);
	return buf;
}

const char *show_rate(double per_second, char *buf)
{
	static const char units[] = " kMGT";
	size_t unit = 0;

	while (per_second >= 999.5 && unit < sizeof(units) - 2) {
		per_second /= 1000;
		unit++;
	}
	snprintf(buf, SHOW_MAX, "%.*f%.*s",
		 per_second < 9.995   ? 2
		 : per_second < 99.95 ? 1
				      : 0,
		 per_second, unit > 0, units + unit);
	// No decimals of what is whole: 0, 1, 25.
	if (!unit && per_second == (double)(long long)per_second)
		snprintf(buf, SHOW_MAX, "%.0f", per_second);
	return buf;
}

const char *show_age(double seconds, char *buf)
{
	unsigned long long s = seconds > 0 ? (unsigned long long)seconds : 0;

	if (seconds > 0 && seconds < 10 && seconds != (double)s)
		snprintf(buf, SHOW_MAX, "%.1fs", seconds);
	else if (s < 60)
		snprintf(buf, SHOW_MAX, "%llus", s);
	else if (s < 3600)
		snprintf(buf, SHOW_MAX, "%llum %llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, SHOW_MAX, "%lluh %llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, SHOW_MAX, "%llud %lluh", s / 86400, s / 3600 % 24);
	return buf;
}

const char *show_share(double share, char *buf)
{
	snprintf(buf, SHOW_MAX, "%.1f%%", share * 100);
	return buf;
}

void show_plan(const json_t *plan)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(plan, "changes"), i, item) {
		const char *kind = json_text(item, "kind"), *text = json_text(item, "text");
		const char *backend = json_text(item, "backend");

		printf("%-8s %s %s%s%s%s%s\n", kind, *backend ? "backend" : "service",
		       json_text(item, "service"), *backend ? " " : "", backend, *text ? ": " : "",
		       text);
	}
	json_array_foreach (json_object_get(plan, "moved"), i, item) {
		char share[SHOW_MAX];

		printf("%-8s service %s: %s of its slots\n", "moves", json_text(item, "service"),
		       show_share(json_number(item, "share"), share));
	}
}

int show_change(const struct lbctl *l, json_t *answer)
{
	json_t *plan = json_object_get(answer, "plan");
	bool is_empty = !json_array_size(json_object_get(plan, "changes"));
	long long generation = json_whole(answer, "generation");

	if (l->is_json)
		return show_json(answer);
	show_plan(plan);
	if (is_empty)
		printf("nothing changes; generation %lld stays\n", generation);
	else if (json_flag(answer, "dry_run"))
		printf("dry run; generation %lld stays\n", generation);
	else
		printf("generation %lld\n", generation);
	json_decref(answer);
	return EXIT_DONE;
}
