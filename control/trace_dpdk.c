// SPDX-License-Identifier: BSD-2-Clause
//
// A trace of lb-dpdk: a file beside the tables with a ring a worker (dataplane/dpdk/trace_ring.h).
// lbd makes it aside, locks it and renames it; lb-dpdk finds it within a tenth of a second and
// says so in it, or why it refuses. The rings are read by a timer, for a worker wakes nobody.
// Closing the file ends the trace, and so does lbd's death: the lock is gone then, and lb-dpdk lets
// go. A lb-dpdk that starts meanwhile goes on in the same rings.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/dpdk.h"
#include "control/file.h"
#include "control/trace_kind.h"
#include "dataplane/dpdk/trace_ring.h"

#define READ_MS 5
#define BEGIN_MS 5000 // lb-dpdk has so long to find the file

struct own {
	int fd; // -1: closed
	char path[PATH_MAX];
	struct lb_trace_head *head; // NULL: not mapped
	uint32_t ring_n;
	struct event *timer;
	uint64_t give_up_ms;
};

static void render_path(const struct settings *s, const char *suffix, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/" TABLES_FILE_NAME LB_TRACE_FILE_SUFFIX "%s", s->run_dir,
		 suffix);
}

void trace_remove_file(const struct settings *s)
{
	char path[PATH_MAX];

	render_path(s, "", path);
	unlink(path);
	render_path(s, ".new", path);
	unlink(path);
}

// ---- the file ----

// With memory behind all of it: a store into it cannot fail later. -1: errno.
static int make_at(struct own *o, const char *path, const struct lb_trace_filter *filter)
{
	const size_t len = lb_trace_file_bytes(o->ring_n);
	void *start;
	int code;

	unlink(path);
	o->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (o->fd < 0)
		return -1;
	code = posix_fallocate(o->fd, 0, (off_t)len);
	if (code) {
		errno = code;
		return -1;
	}
	start = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (start == MAP_FAILED)
		return -1;
	o->head = start;
	*o->head = (struct lb_trace_head){.magic = LB_TRACE_MAGIC,
					  .version = LB_TRACE_VERSION,
					  .ring_n = o->ring_n,
					  .filter = *filter};
	if (file_lock(o->fd))
		return 0;
	errno = EBUSY;
	return -1;
}

static int make_file(struct trace *t, struct err *e)
{
	struct own *o = t->own;
	char aside[PATH_MAX];
	int status;

	render_path(t->d->settings, "", o->path);
	render_path(t->d->settings, ".new", aside);
	if (!make_at(o, aside, &t->filter) && !rename(aside, o->path))
		return 0;
	status = err_set(e, errno == ENOMEM || errno == ENOSPC ? -ENOSPC : -errno,
			 "cannot make %s, %llu bytes for the copies of a trace: %s", o->path,
			 (unsigned long long)lb_trace_file_bytes(o->ring_n), strerror(errno));
	unlink(aside);
	return status;
}

// ---- its course ----

static void fetch(struct trace *t)
{
	uint8_t bytes[2 * LB_TRACE_SNAP_MAX];
	struct own *o = t->own;
	struct lb_trace_record r;

	// Of each ring no more than it can hold: what comes meanwhile can wait.
	for (uint32_t i = 0; i < o->ring_n; i++)
		for (size_t n = LB_TRACE_RING_BYTES / sizeof(r);
		     n && lb_trace_ring_get(lb_trace_ring(o->head, i), &r, bytes); n--)
			trace_take(t, &r, bytes);
}

static void count(const struct trace *t, struct lb_trace_counts *ret)
{
	const struct own *o = t->own;

	for (uint32_t i = 0; i < o->ring_n; i++) {
		const struct lb_trace_counts *counts = &lb_trace_ring(o->head, i)->counts;

		ret->left_out += __atomic_load_n(&counts->left_out, __ATOMIC_RELAXED);
		ret->lost += __atomic_load_n(&counts->lost, __ATOMIC_RELAXED);
	}
}

// A lb-dpdk that started while the trace ran.
static bool is_refused(const struct trace *t, char *buf, size_t buf_len)
{
	const struct own *o = t->own;
	uint32_t refusal = __atomic_load_n(&o->head->refusal, __ATOMIC_ACQUIRE);

	snprintf(buf, buf_len, "lb-dpdk refuses a trace: %s", lb_trace_refusal_text(refusal));
	return refusal != LB_TRACE_REFUSED_NOT;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct trace *t = arg;
	struct own *o = t->own;
	struct err e = {};
	char refusal[sizeof(e.text)];
	int status = 0;

	if (t->is_running) {
		trace_tell(t);
		return;
	}
	if (__atomic_load_n(&o->head->pid, __ATOMIC_ACQUIRE)) {
		t->is_running = true;
	} else if (is_refused(t, refusal, sizeof(refusal))) {
		event_del(o->timer);
		status = err_set(&e, -EHOSTDOWN, "%s", refusal);
	} else if (clock_now_ms() > o->give_up_ms) {
		event_del(o->timer);
		status = err_set(&e, -EHOSTDOWN,
				 "lb-dpdk has not begun to copy packets within %d s: does it run "
				 "(`lbctl status`), and is it of lbd's version?",
				 BEGIN_MS / 1000);
	} else {
		return;
	}
	t->calls.begun(status, &e, t->calls.arg);
}

static int start(struct trace *t, struct err *e)
{
	static const struct timeval period = {.tv_usec = READ_MS * 1000};
	struct own *o;
	int status;

	if (!dpdk_is_running(t->d->dpdk))
		return err_set(e, -EHOSTDOWN,
			       "lb-dpdk does not run, so there is no packet to be shown: start it "
			       "(`systemctl start lb-dpdk`)");
	o = t->own = calloc(1, sizeof(*o));
	if (!o)
		return err_set(e, -ENOMEM, "no memory for a trace");
	o->fd = -1;
	o->ring_n = t->d->tables->rows.meta->cpu_n;
	o->give_up_ms = clock_now_ms() + BEGIN_MS;
	status = make_file(t, e);
	if (status)
		return status;
	o->timer = event_new(t->d->base, -1, EV_PERSIST, on_timer, t);
	if (!o->timer || event_add(o->timer, &period))
		return err_set(e, -ENOMEM, "no memory for a trace");
	return 0;
}

// The file is in the way of the next one, and its lock is what lb-dpdk goes by.
static void close_file(struct own *o)
{
	if (o->fd < 0)
		return;
	unlink(o->path);
	close(o->fd);
	o->fd = -1;
}

static void stop(struct trace *t)
{
	struct own *o = t->own;

	event_del(o->timer);
	close_file(o);
}

static void free_own(struct trace *t)
{
	struct own *o = t->own;

	close_file(o);
	if (o->timer)
		event_free(o->timer);
	if (o->head)
		munmap(o->head, lb_trace_file_bytes(o->ring_n));
	free(o);
}

const struct trace_kind trace_dpdk = {.start = start,
				      .fetch = fetch,
				      .count = count,
				      .is_refused = is_refused,
				      .stop = stop,
				      .free = free_own};
