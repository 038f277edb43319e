// SPDX-License-Identifier: BSD-2-Clause
//
// The file of packet cases (cases.txt), as lines; what they mean: cases.c.
#include "tests/packet/cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	if (!file || getdelim(&text, &room, '\0', file) <= 0)
		cases_die(path, "cannot be read");
	fclose(file);
	return text;
}

void cases_read(const char *path, struct cases *ret)
{
	struct packet_case *pc = NULL;
	int number = 0;
	char *rest;

	*ret = (struct cases){.text = read_file(path)};
	rest = ret->text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		number++;
		if (*line == '\0' || *line == '#')
			continue;
		if (strncmp(line, "case ", 5) == 0) {
			ret->all = realloc(ret->all, (ret->n + 1) * sizeof(*ret->all));
			pc = &ret->all[ret->n++];
			*pc = (struct packet_case){.sentence = line + 5, .line = number};
		} else if (!pc) {
			if (ret->world_n == sizeof(ret->world) / sizeof(ret->world[0]))
				cases_die(line, "the world is too big");
			ret->world[ret->world_n++] = line;
		} else {
			if (pc->lines_n == CASE_LINES_MAX)
				cases_die(line, "the case is too long");
			pc->lines[pc->lines_n++] = line;
		}
	}
}

void cases_free(struct cases *c)
{
	free(c->all);
	free(c->text);
}
