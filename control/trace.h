// SPDX-License-Identifier: BSD-2-Clause
//
// Copies of packets from the running dataplane, for api/trace.c: while a trace runs, a
// variant of the dataplane that copies what the filter matches is in the place of the
// plain one; before and after, nothing of it is there (trace_xdp.c: the kernel's program
// is swapped; trace_dpdk.c: the workers of lb-dpdk take another walk). One at a time. All
// calls are on lbd's thread.
#pragma once

#include "control/lbd.h"
#include "dataplane/core/trace.h"

struct trace;

// None of them may free the trace.
struct trace_calls {
	// Once, some time after trace_start(): 0, it runs; or with @e what hindered it.
	void (*begun)(int status, const struct err *e, void *arg);
	// Each packet: the @r->before_snap bytes of it as it came, and @r->after_snap as it left.
	void (*packet)(const struct lb_trace_record *r, const uint8_t *before, const uint8_t *after,
		       void *arg);
	void *arg;
};

// 0, or with @e filled: -EHOSTDOWN: lb-dpdk does not run; -ENOMEM; what the system said.
int trace_start(struct lbd *d, const struct lb_trace_filter *filter,
		const struct trace_calls *calls, struct trace **ret, struct err *e);
// What matched and was not told, so far. It has begun.
void trace_count(const struct trace *t, struct lb_trace_counts *ret);
// Into @buf, why no more packets will come while it runs. False: they may.
bool trace_is_refused(const struct trace *t, char *buf, size_t buf_len);
// Puts the plain dataplane back and tells of what came before; then the trace runs no more, but can
// be counted until it is freed.
void trace_stop(struct trace *t);
// Stops it. NULL is allowed. (One that has not begun yet is waited for, which may take half a
// second: better free it when it has.)
void trace_free(struct trace *t);
// What a lbd that was killed in the middle of a trace of lb-dpdk has left: nobody traces now.
void trace_remove_file(const struct settings *s);
