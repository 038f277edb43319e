// SPDX-License-Identifier: BSD-2-Clause
//
// What happened, for people: health transitions, changes, warnings. A ring of the
// last EVENTS_KEEP, each also a line on stderr (the journal). Warnings that hold
// now (status shows them) are kept by key until cleared.
#pragma once

#include <jansson.h>
#include <stdint.h>

#define EVENTS_KEEP 1000

struct events;

struct events *events_new(void);
void events_free(struct events *v);

// @kind: "health", "change", "warning", "start". Text: printf.
void events_add(struct events *v, const char *kind, const char *service, const char *backend,
		const char *format, ...) __attribute__((format(printf, 5, 6)));
// A warning that holds until cleared; setting the same text again is no new event.
void events_set_warning(struct events *v, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void events_clear_warning(struct events *v, const char *key);

// Called after each event that is added; one caller at a time (NULL: none).
void events_set_listener(struct events *v, void (*added)(void *arg), void *arg);
// How many were ever added: the id of the newest.
uint64_t events_count(const struct events *v);
// Those that are newer than @id, as events_render_json().
json_t *events_render_after(const struct events *v, uint64_t id);

// [{"id": 1, "time": "2026-01-31T12:00:00.123Z", "kind", "service"?, "backend"?, "text"}], oldest
// first.
json_t *events_render_json(const struct events *v);
json_t *events_render_warnings(const struct events *v); // ["..."]
