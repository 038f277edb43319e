// SPDX-License-Identifier: BSD-2-Clause
//
// The command line, read by the table in main.c: which command, its words and its
// options, and the nearest name where there is none. Global options may stand
// anywhere; "--" ends the options.
#include <stdio.h>
#include <string.h>

#include "control/nearest.h"
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

// Of one word: SIZE_MAX where it is too far off to be meant.
static size_t word_distance(const char *typed, const char *word)
{
	return nearest_is_close(typed, word) ? nearest_distance(typed, word) : SIZE_MAX;
}

static const struct option *suggest_option(const struct command *c, const char *name)
{
	const struct option *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (const struct option *o = c ? c->options : NULL; o && o->name; o++) {
		size_t distance = word_distance(name, o->name);

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
	l->wants_version |= !strcmp(name, "version");
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

const struct command *args_suggest(int argc, char *const *argv)
{
	const struct command *best = NULL;
	size_t best_distance = SIZE_MAX;

	for (const struct command *c = commands; c->name; c++) {
		size_t first_len = strcspn(c->name, " "), distance, rest;
		bool has_two = c->name[first_len] && argc > 1;
		char first[32];

		if (!c->summary)
			continue;
		snprintf(first, sizeof(first), "%.*s", (int)first_len, c->name);
		distance = word_distance(argv[0], first);
		rest = has_two ? word_distance(argv[1], c->name + first_len + 1) : 0;
		if (distance == SIZE_MAX || rest == SIZE_MAX || distance + rest >= best_distance)
			continue;
		best_distance = distance + rest;
		best = c;
	}
	return best;
}
