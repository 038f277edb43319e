// SPDX-License-Identifier: BSD-2-Clause
//
// How lbctl prints: tables (libsmartcols), numbers, ages, JSON, and the plan of a
// change. On a terminal the last column wraps at words, and where it would be too narrow
// for that, its text is on lines of its own, below each row; in a pipe nothing is cut.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/lbctl/lbctl.h"

#define ROOM_MIN 24 // columns; with less than this, the last one is put below the others
#define INDENT 8    // of what is put below

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

static size_t columns_of_terminal(void) // 0: it is none
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

static size_t column_width(struct libscols_table *t, size_t column)
{
	size_t width = cell_width(scols_column_get_header(scols_table_get_column(t, column)));

	for (size_t i = 0; i < scols_table_get_nlines(t); i++) {
		size_t cell = cell_width(scols_line_get_cell(scols_table_get_line(t, i), column));

		width = cell > width ? cell : width;
	}
	return width;
}

// What the columns before the last one take, with the blanks behind them.
static size_t width_before_last(struct libscols_table *t)
{
	size_t used = 0;

	for (size_t i = 0; i + 1 < scols_table_get_ncols(t); i++)
		used += column_width(t, i) + 1;
	return used;
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

// The last cell of line @i, wrapped. malloc'ed.
static char *wrapped_last(struct libscols_table *t, size_t i, size_t room)
{
	const char *text = scols_cell_get_data(
		scols_line_get_cell(scols_table_get_line(t, i), scols_table_get_ncols(t) - 1));
	char *wrapped = strdup(text ? text : "");

	if (wrapped)
		wrap(wrapped, room);
	return wrapped;
}

// libsmartcols would wrap inside words.
static void wrap_last(struct libscols_table *t, size_t room)
{
	size_t last = scols_table_get_ncols(t) - 1;
	struct libscols_column *column = scols_table_get_column(t, last);

	scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_WRAP);
	scols_column_set_wrapfunc(column, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
	scols_column_set_safechars(column, "\n");
	for (size_t i = 0; i < scols_table_get_nlines(t); i++) {
		char *wrapped = wrapped_last(t, i, room);

		if (wrapped)
			scols_line_refer_data(scols_table_get_line(t, i), last, wrapped);
	}
}

// The table without its last column, whose text is below each row that has one.
static void print_last_below(struct libscols_table *t, size_t room)
{
	struct libscols_column *last = scols_table_get_column(t, scols_table_get_ncols(t) - 1);
	char *text = NULL, *row, *rows, *note, *notes;

	scols_column_set_flags(last, scols_column_get_flags(last) | SCOLS_FL_HIDDEN);
	if (scols_print_table_to_string(t, &text))
		return;
	rows = text;
	puts(strsep(&rows, "\n")); // the header
	for (size_t i = 0; i < scols_table_get_nlines(t) && (row = strsep(&rows, "\n")); i++) {
		char *wrapped = notes = wrapped_last(t, i, room);

		puts(row);
		while (wrapped && *wrapped && (note = strsep(&notes, "\n")))
			printf("%*s%s\n", INDENT, "", note);
		free(wrapped);
	}
	free(text);
}

static void print(struct libscols_table *t)
{
	size_t width = columns_of_terminal(), used = width_before_last(t);
	size_t last = scols_table_get_ncols(t) - 1;
	bool is_text = !(scols_column_get_flags(scols_table_get_column(t, last)) & SCOLS_FL_RIGHT);

	if (is_text && width > INDENT + ROOM_MIN && used + column_width(t, last) > width) {
		if (width < used + ROOM_MIN) {
			print_last_below(t, width - INDENT);
			return;
		}
		wrap_last(t, width - used);
	}
	scols_print_table(t);
}

int show_table_print(struct libscols_table *t, const char *none)
{
	if (!t)
		return fail(EXIT_REFUSED, "no memory");
	if (scols_table_is_empty(t))
		printf("%s\n", none);
	else
		print(t);
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
		printf("dry run; generation %lld stays%s\n", generation,
		       json_flag(answer, "needs_force")
			       ? "; more than half would go at once, which needs --force"
			       : "");
	else
		printf("generation %lld\n", generation);
	json_decref(answer);
	return EXIT_DONE;
}
