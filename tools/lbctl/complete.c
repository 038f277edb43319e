// SPDX-License-Identifier: BSD-2-Clause
//
// What bash completion asks: `lbctl complete -- WORD...` prints, a line each, what
// may stand where the last word is (which may be empty): commands and options from
// the table in main.c, services and backends from lbd.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

static void offer(const char *text, size_t len, const char *begun)
{
	if (!strncmp(text, begun, strlen(begun)) || !*begun)
		printf("%.*s\n", (int)len, text);
}

// The next word of each command whose first words are given.
static void offer_commands(int given_n, const char *const *given, const char *begun)
{
	const char *last = "";
	size_t last_len = 0;

	for (const struct command *c = commands; c->name; c++) {
		const char *name = c->name;
		size_t len;
		int i;

		for (i = 0; i < given_n && *name; i++) {
			len = strcspn(name, " ");
			if (strlen(given[i]) != len || memcmp(given[i], name, len))
				break;
			name += len + (name[len] == ' ');
		}
		len = strcspn(name, " ");
		// Commands of a group stand together, so its name is offered once.
		if (!c->summary || i < given_n || !len ||
		    (len == last_len && !memcmp(name, last, len)))
			continue;
		offer(name, len, begun);
		last = name;
		last_len = len;
	}
}

static void offer_options(const struct option *options, const char *begun)
{
	for (const struct option *o = options; o->name; o++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s", o->name);
		offer(text, strlen(text), begun);
	}
}

static void offer_list(const struct lbctl *l, char *path, const char *list, const char *key,
		       const char *begun)
{
	struct http_request q = {.path = path, .is_silent = true};
	json_t *answer = NULL, *item;
	size_t i;

	if (path && !http_call(l, &q, &answer)) {
		json_array_foreach (json_object_get(answer, list), i, item) {
			const char *text = json_text(item, key);

			offer(text, strlen(text), begun);
		}
	}
	json_decref(answer);
	free(path);
}

static const struct option *lookup_option(const struct option *options, const char *word)
{
	for (const struct option *o = options; o->name; o++) {
		if (!strncmp(word, "--", 2) && !strcmp(word + 2, o->name))
			return o;
	}
	return NULL;
}

// The word that @c wants at place @at.
static void offer_word(const struct lbctl *l, const struct command *c, const char *const *words,
		       int at, const char *begun)
{
	bool takes_service = strstr(c->words, "SERVICE") || !strncmp(c->words, "NAME", 4);

	if (at == 0 && takes_service && strcmp(c->name, "service add"))
		offer_list(l, http_path("/v1/services"), "services", "name", begun);
	else if (at == 1 && !strncmp(c->name, "backend ", 8) && strcmp(c->name, "backend add"))
		offer_list(l, http_path("/v1/services/%", words[0]), "backends", "backend", begun);
	else if (at == 0 && !strcmp(c->words, "FILE"))
		printf("FILE\n"); // the script completes file names
	else if (at == 0 && strstr(c->words, "PROTOCOL"))
		printf("tcp\nudp\nicmp\n");
	else if (!strcmp(c->name, "help"))
		offer_commands(at, words, begun);
}

int command_complete(const struct lbctl *l, const struct args *a)
{
	const char *begun = a->words_n ? a->words[a->words_n - 1] : "";
	const char *given[ARGS_MAX] = {0};
	int given_n = 0, name_n = 0;
	const struct command *c;
	const struct option *o;

	// What is neither an option nor its value.
	for (int i = 0; i + 1 < a->words_n; i++) {
		c = args_lookup(given_n, (char *const *)given, &name_n);
		o = lookup_option(global_options, a->words[i]);
		o = o || !c ? o : lookup_option(c->options, a->words[i]);
		if (o && o->value && i + 2 == a->words_n) {
			// The value of an option is the user's.
			if (!strcmp(o->value, "FILE"))
				printf("FILE\n");
			return EXIT_DONE;
		}
		if (o && o->value)
			i++;
		else if (strncmp(a->words[i], "--", 2))
			given[given_n++] = a->words[i];
	}
	c = args_lookup(given_n, (char *const *)given, &name_n);
	if (!strncmp(begun, "-", 1)) {
		if (c)
			offer_options(c->options, begun);
		offer_options(global_options, begun);
	} else if (!c) {
		offer_commands(given_n, given, begun);
	} else {
		offer_word(l, c, given + name_n, given_n - name_n, begun);
	}
	return EXIT_DONE;
}
