// SPDX-License-Identifier: BSD-2-Clause
//
// The ring of what happened, the warnings that hold, and their lines on stderr. Under
// systemd a line starts with its priority (sd-daemon(3)), which the journal takes off.
#include "control/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/queue.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "control/clock.h"

#define TEXT_MAX 512

struct event_row {
	struct timespec at; // wall clock, for people
	const char *kind;   // a literal of the caller's
	char service[64], backend[64];
	char text[TEXT_MAX];
};

struct warning {
	char key[64];
	char text[TEXT_MAX];
	TAILQ_ENTRY(warning) all;
};

struct events {
	struct event_row rows[EVENTS_KEEP];
	size_t next, n;
	uint64_t added; // ever
	void (*listener)(void *arg);
	void *listener_arg;
	TAILQ_HEAD(, warning) warnings;
	bool is_journal; // stderr is
};

// The journal says in $JOURNAL_STREAM which file it gave as stderr (systemd.exec(5)).
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

struct events *events_new(void)
{
	struct events *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	TAILQ_INIT(&v->warnings);
	v->is_journal = is_journal();
	return v;
}

void events_free(struct events *v)
{
	struct warning *w;

	if (!v)
		return;
	while ((w = TAILQ_FIRST(&v->warnings))) {
		TAILQ_REMOVE(&v->warnings, w, all);
		free(w);
	}
	free(v);
}

static int priority(const char *kind)
{
	if (!strcmp(kind, "warning"))
		return LOG_WARNING;
	return strcmp(kind, "health") ? LOG_INFO : LOG_NOTICE;
}

static void print_row(const struct events *v, const struct event_row *r)
{
	char prefix[8] = "";

	if (v->is_journal)
		snprintf(prefix, sizeof(prefix), "<%d>", priority(r->kind));
	fprintf(stderr, "%s%s: %s%s%s%s%s\n", prefix, r->kind, r->service, *r->service ? " " : "",
		r->backend, *r->service || *r->backend ? ": " : "", r->text);
}

static void add_row(struct events *v, const char *kind, const char *service, const char *backend,
		    const char *text)
{
	struct event_row *r = &v->rows[v->next];

	clock_gettime(CLOCK_REALTIME, &r->at);
	r->kind = kind;
	snprintf(r->service, sizeof(r->service), "%s", service ? service : "");
	snprintf(r->backend, sizeof(r->backend), "%s", backend ? backend : "");
	snprintf(r->text, sizeof(r->text), "%s", text);
	v->next = (v->next + 1) % EVENTS_KEEP;
	if (v->n < EVENTS_KEEP)
		v->n++;
	v->added++;
	print_row(v, r);
	if (v->listener)
		v->listener(v->listener_arg);
}

void events_add(struct events *v, const char *kind, const char *service, const char *backend,
		const char *format, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	add_row(v, kind, service, backend, text);
}

static struct warning *lookup_warning(struct events *v, const char *key)
{
	struct warning *w;

	TAILQ_FOREACH (w, &v->warnings, all)
		if (!strcmp(w->key, key))
			return w;
	return NULL;
}

void events_set_warning(struct events *v, const char *key, const char *format, ...)
{
	struct warning *w = lookup_warning(v, key);
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (w && !strcmp(w->text, text))
		return;
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (w) {
			snprintf(w->key, sizeof(w->key), "%s", key);
			TAILQ_INSERT_TAIL(&v->warnings, w, all);
		}
	}
	if (w)
		memcpy(w->text, text, sizeof(text));
	add_row(v, "warning", NULL, NULL, text);
}

void events_clear_warning(struct events *v, const char *key)
{
	struct warning *w = lookup_warning(v, key);
	char text[TEXT_MAX + 32];

	if (!w)
		return;
	snprintf(text, sizeof(text), "no longer: %s", w->text);
	TAILQ_REMOVE(&v->warnings, w, all);
	free(w);
	add_row(v, "change", NULL, NULL, text);
}

static json_t *render_row(const struct event_row *r)
{
	const uint64_t at_ns = (uint64_t)r->at.tv_sec * 1000000000 + (uint64_t)r->at.tv_nsec;
	char time[CLOCK_TEXT_MAX];
	json_t *row;

	row = json_pack("{s:s, s:s, s:s}", "time", clock_render(at_ns, 3, time), "kind", r->kind,
			"text", r->text);
	if (*r->service)
		json_object_set_new(row, "service", json_string(r->service));
	if (*r->backend)
		json_object_set_new(row, "backend", json_string(r->backend));
	return row;
}

void events_set_listener(struct events *v, void (*added)(void *arg), void *arg)
{
	v->listener = added;
	v->listener_arg = arg;
}

uint64_t events_count(const struct events *v)
{
	return v->added;
}

json_t *events_render_after(const struct events *v, uint64_t id)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++) {
		uint64_t row_id = v->added - v->n + i + 1;
		json_t *row;

		if (row_id <= id)
			continue;
		row = render_row(&v->rows[(v->next + EVENTS_KEEP - v->n + i) % EVENTS_KEEP]);
		json_object_set_new(row, "id", json_integer((json_int_t)row_id));
		json_array_append_new(list, row);
	}
	return list;
}

json_t *events_render_json(const struct events *v)
{
	return events_render_after(v, 0);
}

json_t *events_render_warnings(const struct events *v)
{
	json_t *list = json_array();
	const struct warning *w;

	TAILQ_FOREACH (w, &v->warnings, all)
		json_array_append_new(list, json_string(w->text));
	return list;
}
