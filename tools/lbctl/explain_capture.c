// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl explain --pcap FILE: each packet of a capture, a line each. The capture goes to
// lbd in parts (capture_pcap.c); numbers go on from part to part. With --json one
// document for all of it.
#include <stdio.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

struct explainer {
	const struct lbctl *l;
	json_int_t packets_n; // of earlier parts
	json_t *whole;	      // --json: the document; else NULL
};

static const char *text_or_dash(const json_t *row, const char *key)
{
	const char *text = json_text(row, key);

	return *text ? text : "-";
}

// "2026-11-26T04:00:00.123456789Z": the time of day, to the microsecond.
#define TIME_AT 11
#define TIME_LEN 15

static void print_row(const json_t *row)
{
	const char *time = json_text(row, "time"), *answer = json_text(row, "answer");

	if (strlen(time) < TIME_AT + TIME_LEN)
		time = "                              ";
	printf("%5lld  %.*s  %-56s  ", (long long)json_whole(row, "number"), TIME_LEN,
	       time + TIME_AT, json_text(row, "packet"));
	if (*json_text(row, "verdict"))
		printf("%-8s %-15s %s %s%s%s\n", json_text(row, "verdict"),
		       json_text(row, "reason"), text_or_dash(row, "service"),
		       text_or_dash(row, "backend"), *answer ? " " : "", answer);
	else
		printf("unknown  only %lld of its %lld bytes were captured\n",
		       (long long)json_whole(row, "captured"),
		       (long long)json_whole(row, "length"));
}

static int explain_part(const char *bytes, size_t len, void *arg)
{
	struct explainer *x = arg;
	const struct http_request q = {.method = "POST",
				       .path = "/v1/explain",
				       .body = bytes,
				       .body_len = len,
				       .body_type = "application/vnd.tcpdump.pcap"};
	json_t *answer = NULL, *rows, *row;
	size_t i;
	int status = http_call(x->l, &q, &answer);

	if (status)
		return status;
	rows = json_object_get(answer, "packets");
	json_array_foreach (rows, i, row) {
		json_object_set_new(row, "number",
				    json_integer(x->packets_n + json_whole(row, "number")));
		if (!x->whole)
			print_row(row);
	}
	x->packets_n += (json_int_t)json_array_size(rows);
	if (x->whole && !json_object_get(x->whole, "packets"))
		json_object_update(x->whole, answer);
	else if (x->whole)
		json_array_extend(json_object_get(x->whole, "packets"), rows);
	json_decref(answer);
	return EXIT_DONE;
}

int explain_capture(const struct lbctl *l, const char *file)
{
	struct explainer x = {.l = l, .whole = l->is_json ? json_object() : NULL};
	int status = capture_each_part(file, explain_part, &x);

	if (x.packets_n && x.whole)
		show_json(json_incref(x.whole));
	json_decref(x.whole);
	if (!status && !x.packets_n)
		return fail(EXIT_REFUSED, "%s: the capture holds no packet", file);
	return status;
}
