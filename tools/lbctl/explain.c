// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl explain: what happens to a packet, and why. lbd runs the dataplane's own code
// on the live tables and tells the story; here it is printed. (Captures:
// explain_capture.c.)
#include <stdio.h>
#include <stdlib.h>

#include "tools/lbctl/lbctl.h"

static int explain_packet(const struct lbctl *l, const struct args *a)
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

int command_explain(const struct lbctl *l, const struct args *a)
{
	const char *pcap = args_get(a, "pcap");

	if (!pcap && a->words_n < 3)
		return fail(
			EXIT_USAGE,
			"explain needs PROTOCOL SOURCE[:PORT] DESTINATION[:PORT], or --pcap FILE; "
			"`lbctl help explain` says more");
	if (!pcap)
		return explain_packet(l, a);
	if (a->words_n || args_get(a, "syn") || args_get(a, "size"))
		return fail(EXIT_USAGE,
			    "--pcap stands alone: the capture says what its packets are");
	return explain_capture(l, pcap);
}
