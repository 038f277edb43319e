// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl explain: what happens to a packet, and why. lbd runs the dataplane's own code
// on the live tables and tells the story; here it is printed.
#include <stdio.h>
#include <stdlib.h>

#include "tools/lbctl/lbctl.h"

int command_explain(const struct lbctl *l, const struct args *a)
{
	const char *size = args_get(a, "size");
	char *path = http_path(size ? "/v1/explain?protocol=%&source=%&destination=%&syn=%&size=%"
				    : "/v1/explain?protocol=%&source=%&destination=%&syn=%",
			       a->words[0], a->words[1], a->words[2],
			       args_get(a, "syn") ? "1" : "0", size);
	json_t *answer, *line;
	size_t i;
	int status = http_get(l, path, &answer);

	free(path);
	if (status || l->is_json)
		return status ? status : show_json(answer);
	json_array_foreach (json_object_get(answer, "story"), i, line)
		printf("%s\n", json_string_value(line));
	json_decref(answer);
	return EXIT_DONE;
}
