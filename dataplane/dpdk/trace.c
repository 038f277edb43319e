// SPDX-License-Identifier: BSD-2-Clause
//
// A trace, followed by the main lcore: while lbd has a file for copies and holds its lock
// (trace_ring.h), every worker has a struct walk_trace, and takes its packets through
// walk_traced(); else none has, and they go through walk_burst(). What workers were given is
// unmapped when each has begun another turn. No call here waits for a worker.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
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
	if (t->head)
		munmap(t->head, t->len);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

// Maps what is whole, of this version, and wanted now.
static bool map(const struct lb_dpdk *d, struct trace *t)
{
	struct lb_trace_head found;
	struct stat st;
	void *start;

	if (!file_is_locked(t->fd) || pread(t->fd, &found, sizeof(found), 0) != sizeof(found) ||
	    found.magic != LB_TRACE_MAGIC || found.version != LB_TRACE_VERSION ||
	    found.ring_n < d->workers_n || fstat(t->fd, &st) ||
	    (uint64_t)st.st_size != lb_trace_file_bytes(found.ring_n))
		return false;
	start = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (start == MAP_FAILED)
		return false;
	t->head = start;
	t->len = (size_t)st.st_size;
	if (found.filter.snap > LB_TRACE_SNAP_MAX)
		found.filter.snap = LB_TRACE_SNAP_MAX;
	for (unsigned int i = 0; i < d->workers_n; i++)
		t->workers[i] = (struct walk_trace){.filter = found.filter,
						    .window = &t->head->window,
						    .ring = lb_trace_ring(t->head, i)};
	return true;
}

// Where there is one.
static void begin(struct lb_dpdk *d)
{
	char path[PATH_MAX];
	struct trace *t;
	int fd;

	snprintf(path, sizeof(path), "%s" LB_TRACE_FILE_SUFFIX, d->tables_path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	t = calloc(1, sizeof(*t));
	if (!t) {
		close(fd);
		return;
	}
	t->fd = fd;
	if (!map(d, t)) {
		drop(t);
		return;
	}
	d->trace = t;
	tell_workers(d, t);
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
