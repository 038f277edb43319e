// SPDX-License-Identifier: BSD-2-Clause
//
// What the client counted, as one JSON document in a file that is rewritten whole
// (written aside, renamed), so that a script can wait for what it says.

#include "holder.h"

#include <string.h>

static const char *const why_names[WHY_N] = {
	[WHY_CONNECT] = "connect", [WHY_RESET] = "reset", [WHY_CLOSED] = "closed",
	[WHY_SILENT] = "silent",   [WHY_MOVED] = "moved", [WHY_BAD] = "bad",
};

size_t holder_count_lookup(struct holder_counts *c, const char *name, size_t name_len)
{
	if (name_len == 0 || name_len >= HOLDER_NAME_MAX)
		return 0;
	for (size_t i = 1; i < c->servers_n; i++)
		if (strlen(c->servers[i].name) == name_len &&
		    memcmp(c->servers[i].name, name, name_len) == 0)
			return i;
	if (c->servers_n == HOLDER_SERVERS_MAX)
		return 0;
	memcpy(c->servers[c->servers_n].name, name, name_len);
	return c->servers_n++;
}

static uint64_t sum(const uint64_t *counts)
{
	uint64_t total = 0;

	for (int i = 0; i < WHY_N; i++)
		total += counts[i];
	return total;
}

static void write_whys(FILE *f, const char *key, const uint64_t *counts)
{
	const char *comma = "";

	fprintf(f, ", \"%s\": {", key);
	for (int i = 0; i < WHY_N; i++) {
		if (!counts[i])
			continue;
		fprintf(f, "%s\"%s\": %llu", comma, why_names[i], (unsigned long long)counts[i]);
		comma = ", ";
	}
	fputc('}', f);
}

void holder_report_write(const struct holder_options *o, const struct holder_counts *c)
{
	uint64_t now_ns = holder_now_ns(), open = 0, broken = 0, ok = 0, failed = 0;
	char aside[512];
	FILE *f;

	snprintf(aside, sizeof(aside), "%s.new", o->report);
	f = fopen(aside, "w");
	if (!f)
		return;
	for (size_t i = 0; i < c->servers_n; i++) {
		open += c->servers[i].held;
		broken += sum(c->servers[i].broken);
		ok += c->servers[i].new_ok;
		failed += sum(c->servers[i].new_failed);
	}
	fprintf(f, "{\"wanted\": %zu, \"open\": %llu, \"broken\": %llu, \"messages\": %llu, ",
		o->held_n, (unsigned long long)open, (unsigned long long)broken,
		(unsigned long long)c->messages);
	fprintf(f, "\"lost\": %llu, \"new_ok\": %llu, \"new_failed\": %llu, ",
		(unsigned long long)c->lost, (unsigned long long)ok, (unsigned long long)failed);
	fprintf(f, "\"syn_retransmitted\": %llu, \"straddled\": %llu, \"last_trouble\": \"%s\",\n",
		(unsigned long long)c->syn_retransmitted, (unsigned long long)c->straddled,
		c->last_trouble);
	fprintf(f, " \"now_ns\": %llu, \"oldest_answer_ns\": %llu, \"last_failed_ns\": %llu,\n",
		(unsigned long long)now_ns, (unsigned long long)c->oldest_answer_ns,
		(unsigned long long)c->last_failed_ns);
	fputs(" \"servers\": {", f);
	for (size_t i = 0; i < c->servers_n; i++) {
		const struct holder_count *s = &c->servers[i];
		double since_s = s->last_new_ns ? (double)(now_ns - s->last_new_ns) / 1e9 : -1;

		fprintf(f, "%s\n  \"%s\": {\"held\": %llu, \"new_ok\": %llu, ", i ? "," : "",
			s->name, (unsigned long long)s->held, (unsigned long long)s->new_ok);
		fprintf(f, "\"last_new_ns\": %llu, \"since_new_s\": %.3f",
			(unsigned long long)s->last_new_ns, since_s);
		write_whys(f, "broken", s->broken);
		write_whys(f, "new_failed", s->new_failed);
		fputc('}', f);
	}
	fputs("}}\n", f);
	if (fclose(f) == 0)
		rename(aside, o->report);
}
