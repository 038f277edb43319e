// SPDX-License-Identifier: BSD-2-Clause
//
// What health.c and target.c share: a pair is a backend of a service, with its state;
// a target is one question asked of one place, with its timer and its probe. Pairs
// that ask the same question share a target.
#pragma once

#include <stdbool.h>

#include "control/clock.h"
#include "control/health/health.h"
#include "control/health/probe.h"

struct pair {
	char service[MODEL_NAME_MAX + 1];
	struct lb_address address; // of the backend
	uint16_t port;
	uint32_t rise, fall;
	enum health_state state;
	uint32_t streak; // equal answers in a row
	bool streak_is_up;
	char cause[96];
	uint64_t since_ns;
	struct target *target;
	struct pair *next; // of the same target
};

// A question.
struct question {
	enum model_check_type type;
	struct lb_address address;
	uint16_t port;
	char *path, *host; // owned by the target; NULL where there is none
	uint64_t interval_ns, timeout_ns;
};

struct target {
	struct health *health;
	struct question question;
	struct event *timer; // next start, or the deadline of `probe`
	void *probe;	     // in flight; NULL: none
	uint64_t started_ns; // of the last probe; 0: none yet
	uint64_t due_ns;     // when `timer` should fire
	struct pair *pairs;
	bool is_kept; // while targets are set
};

struct health {
	struct probe_env env;
	health_fn changed;
	void *arg;
	struct pair *pairs; // sorted by pair_compare
	size_t pairs_n;
	struct target **targets; // sorted by question_compare
	size_t targets_n;
	size_t probes_n, probes_max; // in flight
	bool is_cut_off;
	uint64_t cut_off_ns; // when it last was; 0: never
	char warning[160];
};

// Copies @q. The target is not probed before target_set_first(). NULL: out of memory.
struct target *target_new(struct health *h, const struct question *q);
// Ends its probe too.
void target_free(struct target *t);
// Sets the first probe: soon where a pair's state is unknown, else within an interval.
void target_set_first(struct target *t);
// An order of questions; 0: they are the same.
int question_compare(const struct question *a, const struct question *b);
