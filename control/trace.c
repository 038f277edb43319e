// SPDX-License-Identifier: BSD-2-Clause
//
// A trace, of either dataplane: what its workers (CPUs) copied is read together and told in
// the order of time. How it begins and ends, and where copies come from, is the dataplane's.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/trace_kind.h"

struct trace_sample {
	struct lb_trace_record record;
	uint8_t *bytes; // before, and after
};

// One more place behind t->samples_n. NULL: no memory.
static struct trace_sample *make_place(struct trace *t)
{
	size_t max = t->samples_max ? 2 * t->samples_max : 64;
	struct trace_sample *grown;

	if (t->samples_n < t->samples_max)
		return &t->samples[t->samples_n];
	grown = realloc(t->samples, max * sizeof(*grown));
	if (!grown)
		return NULL;
	t->samples = grown;
	t->samples_max = max;
	return &t->samples[t->samples_n];
}

void trace_take(struct trace *t, const struct lb_trace_record *r, const uint8_t *bytes)
{
	const size_t len = (size_t)r->before_snap + r->after_snap;
	struct trace_sample *s = make_place(t);
	uint8_t *copy = s ? malloc(len + 1) : NULL;

	if (!copy) {
		t->untold++;
		return;
	}
	memcpy(copy, bytes, len);
	*s = (struct trace_sample){*r, copy};
	t->samples_n++;
}

static int compare_times(const void *a, const void *b)
{
	const struct trace_sample *x = a, *y = b;

	return (x->record.time_ns > y->record.time_ns) - (x->record.time_ns < y->record.time_ns);
}

void trace_tell(struct trace *t)
{
	t->kind->fetch(t);
	if (t->samples_n)
		qsort(t->samples, t->samples_n, sizeof(*t->samples), compare_times);
	for (size_t i = 0; i < t->samples_n; i++) {
		const struct trace_sample *s = &t->samples[i];

		t->calls.packet(&s->record, s->bytes, s->bytes + s->record.before_snap,
				t->calls.arg);
		free(s->bytes);
	}
	t->samples_n = 0;
}

int trace_start(struct lbd *d, const struct lb_trace_filter *filter,
		const struct trace_calls *calls, struct trace **ret, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));
	int status;

	if (!t)
		return err_set(e, -ENOMEM, "no memory for a trace");
	t->d = d;
	t->calls = *calls;
	t->filter = *filter;
	t->kind = d->dpdk ? &trace_dpdk : &trace_xdp;
	status = t->kind->start(t, e);
	if (status) {
		trace_free(t);
		return status;
	}
	*ret = t;
	return 0;
}

void trace_count(const struct trace *t, struct lb_trace_counts *ret)
{
	*ret = (struct lb_trace_counts){.lost = t->untold};
	t->kind->count(t, ret);
}

bool trace_is_refused(const struct trace *t, char *buf, size_t buf_len)
{
	return t->kind->is_refused && t->kind->is_refused(t, buf, buf_len);
}

void trace_stop(struct trace *t)
{
	if (!t->is_running)
		return;
	t->is_running = false;
	t->kind->stop(t);
	trace_tell(t);
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	trace_stop(t);
	if (t->own)
		t->kind->free(t);
	free(t->samples);
	free(t);
}
