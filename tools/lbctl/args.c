// SPDX-License-Identifier: BSD-2-Clause
//
// The command line, read by the table in main.c: which command, its words and its
// options, and the nearest name where there is none. Global options may stand
// anywhere; "--" ends the options.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

const struct command *args_lookup(int argc, char *const *argv, int *ret_n)
{
	for (const struct command *c = commands; c->name; c++) {
		const char *name = c->name;
		int n = 0;

		while (n < argc && *name) {
			size_t len = strcspn(name, " ");

			if (strlen(argv[n]) != len || memcmp(argv[n], name, len))
				break;
			name += len + (name[len] == ' ');
			n++;
		}
		if (!*name) {
			*ret_n = n;
			return c;
		}
	}
	return NULL;
}

static const struct option *lookup_option(const struct option *options, const char *name,
					  size_t len)
{
	for (; options && options->name; options++) {
		if (strlen(options->name) == len && !memcmp(options->name, name, len))
			return options;
	}
	return NULL;
}

static const struct option *suggest_option(const struct command *c, const char *name)
{
	const struct option *best = NULL;
	size_t best_distance = 3;

	for (const struct option *o = c ? c->options : NULL; o && o->name; o++) {
		size_t distance = args_distance(name, o->name);

		if (distance < best_distance) {
			best_distance = distance;
			best = o;
		}
	}
	return best;
}

static int fail_unknown_option(const struct command *c, const char *name, int len)
{
	const struct option *near = suggest_option(c, name);

	if (near)
		return fail(EXIT_USAGE, "unknown option --%.*s; did you mean --%s?", len, name,
			    near->name);
	return fail(EXIT_USAGE, "unknown option --%.*s; `lbctl help%s%s` shows what there is", len,
		    name, c ? " " : "", c ? c->name : "");
}

static void set_global(struct lbctl *l, const char *name, const char *value)
{
	if (!strcmp(name, "socket"))
		l->socket = value;
	l->is_json |= !strcmp(name, "json");
	l->wants_help |= !strcmp(name, "help");
}

// Reads the option at argv[*i], and its value, which may be the next word.
static int parse_option(const struct command *c, int argc, char *const *argv, int *i,
			struct lbctl *l, struct args *a)
{
	const char *name = strcmp(argv[*i], "-h") ? argv[*i] + 2 : "help", *value = "";
	size_t len = strcspn(name, "=");
	const struct option *global = lookup_option(global_options, name, len);
	const struct option *o = global ? global : lookup_option(c ? c->options : NULL, name, len);

	if (!o)
		return fail_unknown_option(c, name, (int)len);
	if (!o->value && name[len])
		return fail(EXIT_USAGE, "--%s takes no value", o->name);
	if (o->value && !name[len] && *i + 1 >= argc)
		return fail(EXIT_USAGE, "--%s needs a value: %s", o->name, o->value);
	if (o->value)
		value = name[len] ? name + len + 1 : argv[++*i];
	if (global) {
		set_global(l, o->name, value);
		return 0;
	}
	if (a->given_n == ARGS_MAX)
		return fail(EXIT_USAGE, "more than %d options", ARGS_MAX);
	a->given[a->given_n].name = o->name;
	a->given[a->given_n++].value = value;
	return 0;
}

static int check_words(const struct command *c, const struct lbctl *l, const struct args *a)
{
	if (l->wants_help || (a->words_n >= c->words_min && a->words_n <= c->words_max))
		return 0;
	if (a->words_n > c->words_max)
		return fail(EXIT_USAGE, "`%s` is one word too many; usage: lbctl %s%s%s",
			    a->words[c->words_max], c->name, *c->words ? " " : "", c->words);
	return fail(EXIT_USAGE, "%s needs %s; `lbctl help %s` says more", c->name, c->words,
		    c->name);
}

int args_parse(const struct command *c, int argc, char *const *argv, struct lbctl *l,
	       struct args *ret, int *ret_next)
{
	bool is_literal = false;

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i];
		int status = 0;

		if (!is_literal && c && !strcmp(word, "--")) {
			is_literal = true;
		} else if (!is_literal && (!strncmp(word, "--", 2) || !strcmp(word, "-h"))) {
			status = parse_option(c, argc, argv, &i, l, ret);
		} else if (!is_literal && *word == '-' && word[1]) {
			status = fail(EXIT_USAGE, "unknown option %s; options have two dashes",
				      word);
		} else if (!c) {
			*ret_next = i;
			return 0;
		} else if (ret->words_n == ARGS_MAX) {
			status = fail(EXIT_USAGE, "more than %d words", ARGS_MAX);
		} else {
			ret->words[ret->words_n++] = word;
		}
		if (status)
			return status;
	}
	if (ret_next)
		*ret_next = argc;
	return c ? check_words(c, l, ret) : 0;
}

const char *args_get(const struct args *a, const char *name)
{
	for (int i = a->given_n - 1; i >= 0; i--) {
		if (!strcmp(a->given[i].name, name))
			return a->given[i].value;
	}
	return NULL;
}

int args_parse_duration(const char *text, uint64_t *ret_s)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || number > UINT32_MAX)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!strcmp(end, units[i].unit)) {
			*ret_s = (number * units[i].ms + 999) / 1000;
			return 0;
		}
	}
	return -EINVAL;
}

size_t args_distance(const char *a, const char *b)
{
	size_t row[64], a_len = strlen(a), b_len = strlen(b);

	if (b_len >= sizeof(row) / sizeof(*row))
		return SIZE_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b_len];
}

const struct command *args_suggest(int argc, char *const *argv)
{
	const struct command *best = NULL;
	size_t best_distance = 4;
	char typed[128];

	for (const struct command *c = commands; c->name; c++) {
		bool has_two = strchr(c->name, ' ') && argc > 1;
		size_t distance;

		if (!c->summary)
			continue;
		snprintf(typed, sizeof(typed), "%s%s%s", argv[0], has_two ? " " : "",
			 has_two ? argv[1] : "");
		distance = args_distance(typed, c->name);
		if (distance < best_distance && distance < strlen(c->name) / 2 + 1) {
			best_distance = distance;
			best = c;
		}
	}
	return best;
}
