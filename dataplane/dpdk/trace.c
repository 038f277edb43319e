// SPDX-License-Identifier: BSD-2-Clause
//
// A trace, followed by the main lcore: while lbd has a file for copies and holds its lock
// (trace_ring.h), every worker has a struct walk_trace, and takes its packets through
// walk_traced(); else none has, and they go through walk_burst(). What workers were given is
// unmapped when each has begun another turn. No call here waits for a worker.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/file.h"
#include "lb_dpdk.h"

struct trace {
	int fd;
	struct lb_trace_head *head;
	size_t len;	// bytes mapped
	bool is_ending; // the workers were told to let go
	bool is_settled;
	uint64_t turns[WORKERS_MAX]; // of each worker, when it was told
	struct walk_trace workers[WORKERS_MAX];
};

static void tell_workers(struct lb_dpdk *d, struct trace *t)
{
	for (unsigned int i = 0; i < d->workers_n; i++)
		__atomic_store_n(&d->workers[i].trace, t->is_ending ? NULL : &t->workers[i],
				 __ATOMIC_SEQ_CST);
	workers_note_turns(d, t->turns);
	t->is_settled = false;
}

// Nobody reads it.
static void drop(struct trace *t)
{
	munmap(t->head, t->len);
	close(t->fd);
	free(t);
}

// Maps it where it is whole, and of this version.
static enum lb_trace_refusal map(const struct lb_dpdk *d, const struct lb_trace_head *found,
				 struct trace *t)
{
	struct lb_trace_filter filter = found->filter;
	struct stat st;
	void *start;

	if (found->version != LB_TRACE_VERSION)
		return LB_TRACE_REFUSED_VERSION;
	if (found->ring_n < d->workers_n)
		return LB_TRACE_REFUSED_RINGS;
	if (fstat(t->fd, &st) || (uint64_t)st.st_size != lb_trace_file_bytes(found->ring_n))
		return LB_TRACE_REFUSED_SIZE;
	start = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (start == MAP_FAILED)
		return LB_TRACE_REFUSED_MEMORY;
	t->head = start;
	t->len = (size_t)st.st_size;
	if (filter.snap > LB_TRACE_SNAP_MAX)
		filter.snap = LB_TRACE_SNAP_MAX;
	for (unsigned int i = 0; i < d->workers_n; i++)
		t->workers[i] = (struct walk_trace){.filter = filter,
						    .window = &t->head->window,
						    .ring = lb_trace_ring(t->head, i)};
	return LB_TRACE_REFUSED_NOT;
}

// Tells lbd and the log, once: the file is looked at again and again.
static void refuse(int fd, const struct lb_trace_head *found, enum lb_trace_refusal why)
{
	const __u32 word = why;

	if (found->refusal == word)
		return;
	say("refuses a trace: %s", lb_trace_refusal_text(word));
	if (pwrite(fd, &word, sizeof(word), offsetof(struct lb_trace_head, refusal)) < 0)
		say("cannot tell lbd of it: %s", strerror(errno));
}

// @fd: becomes the trace's.
static void begin_with(struct lb_dpdk *d, int fd, const struct lb_trace_head *found)
{
	enum lb_trace_refusal why = LB_TRACE_REFUSED_MEMORY;
	struct trace *t = calloc(1, sizeof(*t));

	if (t) {
		t->fd = fd;
		why = map(d, found, t);
	}
	if (why == LB_TRACE_REFUSED_NOT) {
		d->trace = t;
		tell_workers(d, t);
		return;
	}
	refuse(fd, found, why);
	close(fd);
	free(t);
}

// Is it lbd's, and wanted now?
static bool is_wanted(int fd, struct lb_trace_head *ret)
{
	return file_is_locked(fd) && pread(fd, ret, sizeof(*ret), 0) == sizeof(*ret) &&
	       ret->magic == LB_TRACE_MAGIC;
}

static void begin(struct lb_dpdk *d)
{
	struct lb_trace_head found;
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s" LB_TRACE_FILE_SUFFIX, d->tables_path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (is_wanted(fd, &found))
		begin_with(d, fd, &found);
	else
		close(fd);
}

static void settle(struct lb_dpdk *d)
{
	struct trace *t = d->trace;

	if (t->is_settled || !workers_have_turned(d, t->turns))
		return;
	t->is_settled = true;
	if (t->is_ending) {
		drop(t);
		d->trace = NULL;
	} else {
		__atomic_store_n(&t->head->pid, (uint32_t)getpid(), __ATOMIC_RELEASE);
	}
}

void trace_follow(struct lb_dpdk *d)
{
	struct trace *t = d->trace;

	// Without tables the lock is not held that says that no other lb-dpdk writes.
	if (t && !t->is_ending && (!d->tables || !file_is_locked(t->fd))) {
		t->is_ending = true;
		tell_workers(d, t);
	}
	if (d->trace)
		settle(d);
	if (!d->trace && d->tables)
		begin(d);
}

void trace_leave(struct lb_dpdk *d)
{
	if (d->trace)
		drop(d->trace);
	d->trace = NULL;
}
