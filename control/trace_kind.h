// SPDX-License-Identifier: BSD-2-Clause
//
// What the two ways to trace have in common, for them alone: trace.c keeps what was copied,
// and tells it in the order of time; trace_xdp.c and trace_dpdk.c begin a trace in their
// dataplane, fetch its copies, and end it.
#pragma once

#include "control/trace.h"

struct trace_kind {
	// Begins; then, and not in this call, calls->begun() is called. On failure free() follows.
	int (*start)(struct trace *t, struct err *e);
	// trace_take() for each copy that has come.
	void (*fetch)(struct trace *t);
	void (*count)(const struct trace *t, struct lb_trace_counts *ret);
	// As trace_is_refused(); NULL: never.
	bool (*is_refused)(const struct trace *t, char *buf, size_t buf_len);
	// The plain dataplane again; what came before can be fetched still.
	void (*stop)(struct trace *t);
	void (*free)(struct trace *t); // all of t->own; it has been stopped, or has not begun
};

extern const struct trace_kind trace_xdp, trace_dpdk;

struct trace {
	struct lbd *d;
	struct trace_calls calls;
	struct lb_trace_filter filter;
	const struct trace_kind *kind;
	void *own; // the kind's; NULL: nothing yet
	// Set by the kind before it calls calls.begun(), and where only stop() can undo what it
	// did; cleared by trace_stop().
	bool is_running;
	struct trace_sample *samples; // [samples_n], fetched and not yet told
	size_t samples_n, samples_max;
	uint64_t untold; // copies that there was no memory for
};

// @bytes: before, and after; copied, or counted where there is no memory for it.
void trace_take(struct trace *t, const struct lb_trace_record *r, const uint8_t *bytes);
// Fetches, and tells what was fetched.
void trace_tell(struct trace *t);
