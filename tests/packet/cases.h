// SPDX-License-Identifier: BSD-2-Clause
//
// The packet cases: read from cases.txt, and put into tables. Every executor (the
// native core, the XDP program) runs each case on tables that hold the same rows; what
// it must leave there is a second set of tables, with the case's `then` lines in it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/platform.h"
#include "dataplane/native/native.h"

#define CASE_LINES_MAX 128
#define CASE_FRAME_MAX 2048

struct packet_case {
	char *sentence;
	int line;		     // in cases.txt
	char *lines[CASE_LINES_MAX]; // of the case, in their order
	size_t lines_n;
};

struct cases {
	char *text; // what the strings point into
	char *world[1024];
	size_t world_n;
	struct packet_case *all;
	size_t n;
};

// What is in a case beside rows of tables.
struct case_facts {
	uint8_t in[CASE_FRAME_MAX], out[CASE_FRAME_MAX];
	size_t in_len, out_len; // out_len 0: nothing is sent
	enum lb_reason reason;
	uint32_t ifindex; // where it leaves
	uint32_t now_s;
	bool forwarding; // of the kernel
	struct lb_route_answer answer;
};

// Ends the process with a sentence where @path cannot be read.
void cases_read(const char *path, struct cases *ret);
void cases_free(struct cases *c);
// Ends the process: @line is no line of cases.txt.
_Noreturn void cases_die(const char *line, const char *why);
// The sizes that every case's tables have.
void cases_size(uint32_t cpu_n, struct lb_meta *ret);
// Empties @t and fills it with the world's rows and the case's. @cpu: whose rows `then` counts in.
// With @is_after: as the tables must be after the packet. Ends the process on a line that it does
// not understand.
void cases_fill(const struct cases *c, const struct packet_case *pc, bool is_after, uint32_t cpu,
		struct lb_tables *t, struct case_facts *ret);
