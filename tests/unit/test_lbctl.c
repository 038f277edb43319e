// SPDX-License-Identifier: BSD-2-Clause
//
// tools/lbctl/args.c and show.c: the command line by a table, nearest
// names, and numbers for people.
#include "tools/lbctl/lbctl.h" // first: cmocka has a macro fail()

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WORDS_MAX 16

const struct option global_options[] = {
	{"socket", "PATH", ""}, {"json", NULL, ""}, {"help", NULL, ""}, {0}};

const struct command commands[] = {
	{"status", "", 0, 0, "", NULL, NULL, {{0}}},
	{"stats", "[SERVICE]", 0, 1, "", NULL, NULL, {{"watch", NULL, ""}}},
	{"backend add",
	 "SERVICE ADDRESS",
	 2,
	 2,
	 "",
	 NULL,
	 NULL,
	 {{"weight", "N", ""}, {"vip", "A", ""}, {"dry-run", NULL, ""}}},
	{"backend drain", "SERVICE ADDRESS", 2, 2, "", NULL, NULL, {{0}}},
	{0},
};

// Splits @line at blanks. The words are in @copy.
static int split(const char *line, char copy[256], char *words[WORDS_MAX])
{
	int n = 0;

	snprintf(copy, 256, "%s", line);
	for (char *word = strtok(copy, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
		words[n++] = word;
	return n;
}

static int parse(const char *line, struct lbctl *l, struct args *a, char copy[256])
{
	char *words[WORDS_MAX];
	int n = split(line, copy, words), name_n;
	const struct command *c = args_lookup(n, words, &name_n);

	memset(l, 0, sizeof(*l));
	memset(a, 0, sizeof(*a));
	assert_non_null(c);
	return args_parse(c, n - name_n, words + name_n, l, a, NULL);
}

static void commands_are_found(void **state)
{
	static const struct {
		const char *line;
		int row, name_n;
	} cases[] = {
		{"status", 0, 1},
		{"status --json", 0, 1},
		{"stats web", 1, 1},
		{"backend add web x", 2, 2},
		{"backend drain web x", 3, 2},
		{"backend", -1, 0},
		{"backend frob", -1, 0},
		{"statu", -1, 0},
		{"", -1, 0},
	};
	char copy[256], *words[WORDS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int name_n = 0, n = split(cases[i].line, copy, words);
		const struct command *c = args_lookup(n, words, &name_n);

		assert_int_equal(c ? (int)(c - commands) : -1, cases[i].row);
		assert_int_equal(name_n, cases[i].name_n);
	}
}

static void options_may_stand_anywhere(void **state)
{
	static const char *const lines[] = {
		"backend add web 10.0.0.1 --weight 7 --json --vip=a --vip b",
		"backend add --weight=7 web --json 10.0.0.1 --vip a --vip b",
		"backend add --weight 3 --weight 7 --vip a --vip b --json -- web 10.0.0.1",
	};
	struct lbctl l;
	struct args a;
	char copy[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		int vips_n = 0;

		assert_int_equal(parse(lines[i], &l, &a, copy), 0);
		assert_true(l.is_json);
		assert_int_equal(a.words_n, 2);
		assert_string_equal(a.words[0], "web");
		assert_string_equal(a.words[1], "10.0.0.1");
		assert_string_equal(args_get(&a, "weight"), "7");
		assert_null(args_get(&a, "dry-run"));
		for (int j = 0; j < a.given_n; j++)
			vips_n += !strcmp(a.given[j].name, "vip");
		assert_int_equal(vips_n, 2);
	}
}

static void wrong_usage_is_refused(void **state)
{
	static const char *const lines[] = {
		"status web",
		"stats a b",
		"stats --wacth",
		"stats --watch=1",
		"stats -w",
		"backend add web",
		"backend add web 10.0.0.1 --weight",
		"backend add web 10.0.0.1 --socket",
		"backend drain web 10.0.0.1 --weight 7",
		"backend drain web 10.0.0.1 -- --json",
	};
	struct lbctl l;
	struct args a;
	char copy[256];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		assert_int_equal(parse(lines[i], &l, &a, copy), EXIT_USAGE);
	// Help needs no words.
	assert_int_equal(parse("backend add --help", &l, &a, copy), 0);
	assert_true(l.wants_help);
}

static void globals_come_before_the_command(void **state)
{
	struct lbctl l = {0};
	struct args a = {0};
	char copy[256], *words[WORDS_MAX];
	int at = 0, n = split("--socket /x --json status --json", copy, words);

	assert_int_equal(args_parse(NULL, n, words, &l, &a, &at), 0);
	assert_int_equal(at, 3);
	assert_string_equal(l.socket, "/x");
	n = split("--watch stats", copy, words);
	assert_int_equal(args_parse(NULL, n, words, &l, &a, &at), EXIT_USAGE);
}

static void the_nearest_is_suggested(void **state)
{
	static const struct {
		const char *line;
		int row;
	} cases[] = {
		{"statu", 0},	      {"sttaus", 0},	 {"stat", 1},	     {"backend dd", 2},
		{"backnd drain", 3},  {"backend x", -1}, {"frobnicate", -1}, {"x", -1},
		{"bakcend darin", 3}, {"bakcend x", -1},
	};
	char copy[256], *words[WORDS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct command *c = args_suggest(split(cases[i].line, copy, words), words);

		assert_int_equal(c ? (int)(c - commands) : -1, cases[i].row);
	}
}

static void numbers_are_for_people(void **state)
{
	char buf[SHOW_MAX];

	assert_string_equal(show_rate(0, buf), "0");
	assert_string_equal(show_rate(25, buf), "25");
	assert_string_equal(show_rate(0.5, buf), "0.50");
	assert_string_equal(show_rate(12.34, buf), "12.3");
	assert_string_equal(show_rate(999.9, buf), "1.00k");
	assert_string_equal(show_rate(1234567, buf), "1.23M");
	assert_string_equal(show_rate(14880952, buf), "14.9M");
	assert_string_equal(show_age(1.52, buf), "1.5s");
	assert_string_equal(show_age(59.9, buf), "59s");
	assert_string_equal(show_age(750, buf), "12m 30s");
	assert_string_equal(show_age(3661, buf), "1h 1m");
	assert_string_equal(show_age(273600, buf), "3d 4h");
	assert_string_equal(show_age(-3, buf), "0s");
	assert_string_equal(show_share(1.0 / 3, buf), "33.3%");
}

// What a table with a note of 46 characters looks like where stdout is a terminal of @columns.
static void print_on_terminal(unsigned short columns, char *buf, size_t buf_len)
{
	const struct winsize size = {.ws_row = 25, .ws_col = columns};
	const struct column names[] = {{"BACKEND"}, {"UNTRACKED", .is_right = true}, {"NOTE"}};
	const char *rows[][3] = {
		{"10.1.0.11:8080", "now", ""},
		{"10.1.0.12:8080", "never", "no answer within 500ms: the checks have failed"}};
	int main_fd, terminal_fd, stdout_fd = dup(STDOUT_FILENO);
	struct libscols_table *t;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(openpty(&main_fd, &terminal_fd, NULL, NULL, &size), 0);
	fflush(stdout);
	dup2(terminal_fd, STDOUT_FILENO);
	t = show_table_new(names, 3);
	for (int i = 0; i < 2; i++)
		show_table_add(t, rows[i]);
	show_table_print(t, "none");
	fflush(stdout);
	dup2(stdout_fd, STDOUT_FILENO);
	close(stdout_fd);
	close(terminal_fd);
	// It ends with an error: nobody has the terminal open any more.
	while ((n = read(main_fd, buf + len, buf_len - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(main_fd);
}

static void a_note_breaks_at_blanks(void **state)
{
	char is[1024];

	print_on_terminal(80, is, sizeof(is));
	assert_string_equal(is, "BACKEND        UNTRACKED NOTE\r\n"
				"10.1.0.11:8080       now \r\n"
				"10.1.0.12:8080     never no answer within 500ms: the checks have "
				"failed\r\n");
	print_on_terminal(60, is, sizeof(is));
	assert_string_equal(is, "BACKEND        UNTRACKED NOTE\r\n"
				"10.1.0.11:8080       now \r\n"
				"10.1.0.12:8080     never no answer within 500ms: the checks\r\n"
				"                         have failed\r\n");
	print_on_terminal(48, is, sizeof(is));
	assert_string_equal(is, "BACKEND        UNTRACKED\r\n"
				"10.1.0.11:8080       now\r\n"
				"10.1.0.12:8080     never\r\n"
				"        no answer within 500ms: the checks have\r\n"
				"        failed\r\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_found),
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(wrong_usage_is_refused),
		cmocka_unit_test(globals_come_before_the_command),
		cmocka_unit_test(the_nearest_is_suggested),
		cmocka_unit_test(numbers_are_for_people),
		cmocka_unit_test(a_note_breaks_at_blanks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
