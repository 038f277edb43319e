// SPDX-License-Identifier: BSD-2-Clause
//
// A trace of the kernel's program: the variant lb_xdp_traced, made for the filter, is loaded onto
// the same tables and swapped into every link (xdp_swap()); its copies come by a ring buffer,
// which lbd's loop reads. If lbd dies meanwhile, that is full soon, and nothing is copied any more;
// the next lbd swaps its own plain program in, as it does on every start.
//
// The verifier takes some tenths of a second for a program, in one system call: that is made by a
// thread of its own, which touches nothing else of lbd, and has ended before the trace begins.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/trace_kind.h"
#include "control/xdp_load.h"

// Packets of several CPUs are told in the order of time, so they are read some at a time.
#define GATHER_MS 5

struct own {
	struct xdp_traced traced;
	// The loader, and what comes of it.
	pthread_t loader;
	bool is_loading;
	int loaded_fd; // an eventfd; -1: none
	struct event *loaded;
	int status;
	struct err e;
	// What is read while it runs.
	struct ring_buffer *events;
	struct event *readable, *gather;
};

// ---- running ----

static int take_sample(void *arg, void *data, size_t size)
{
	struct lb_trace_record r;

	if (size < sizeof(r))
		return 0;
	memcpy(&r, data, sizeof(r));
	size -= sizeof(r);
	if (r.before_snap <= size && r.after_snap <= size - r.before_snap)
		trace_take(arg, &r, (uint8_t *)data + sizeof(r));
	return 0;
}

static void fetch(struct trace *t)
{
	struct own *o = t->own;

	ring_buffer__consume(o->events);
}

// It is readable until it is read: asked again only then.
static void is_gathered(evutil_socket_t fd, short what, void *arg)
{
	struct own *o = ((struct trace *)arg)->own;

	event_add(o->readable, NULL);
	trace_tell(arg);
}

static void is_readable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval gather = {.tv_usec = GATHER_MS * 1000};
	struct own *o = ((struct trace *)arg)->own;

	event_add(o->gather, &gather);
}

static int open_events(struct trace *t, struct err *e)
{
	struct own *o = t->own;

	o->events = ring_buffer__new(o->traced.events_fd, take_sample, t, NULL);
	if (!o->events)
		return err_set(e, -errno, "cannot map the buffer of a trace: %s", strerror(errno));
	o->readable =
		event_new(t->d->base, ring_buffer__epoll_fd(o->events), EV_READ, is_readable, t);
	o->gather = event_new(t->d->base, -1, 0, is_gathered, t);
	if (!o->readable || !o->gather || event_add(o->readable, NULL))
		return err_set(e, -ENOMEM, "no memory for a trace");
	return 0;
}

static int run(struct trace *t, struct err *e)
{
	int status = open_events(t, e);
	struct own *o = t->own;

	if (status)
		return status;
	t->is_running = true;
	return xdp_swap(t->d->xdp, o->traced.program_fd, o->traced.program_id, e);
}

static void stop(struct trace *t)
{
	struct err e = {};

	if (xdp_swap(t->d->xdp, -1, 0, &e))
		events_add(t->d->events, "warning", NULL, NULL, "after a trace: %s", e.text);
}

static void count(const struct trace *t, struct lb_trace_counts *ret)
{
	int cpus_n = libbpf_num_possible_cpus();
	struct lb_trace_counts *cpus = cpus_n > 0 ? calloc((size_t)cpus_n, sizeof(*cpus)) : NULL;
	const struct own *o = t->own;
	const __u32 row = 0;

	if (!cpus || bpf_map_lookup_elem(o->traced.counts_fd, &row, cpus))
		cpus_n = 0;
	for (int i = 0; i < cpus_n; i++) {
		ret->left_out += cpus[i].left_out;
		ret->lost += cpus[i].lost;
	}
	free(cpus);
}

// ---- loading ----

static void *load(void *arg)
{
	const uint64_t one = 1;
	struct trace *t = arg;
	struct own *o = t->own;

	o->status = xdp_load_traced(t->d->tables, &t->filter, &o->traced, &o->e);
	if (write(o->loaded_fd, &one, sizeof(one)) < 0)
		abort(); // an eventfd has room for it
	return NULL;
}

static void is_loaded(evutil_socket_t fd, short what, void *arg)
{
	struct trace *t = arg;
	struct own *o = t->own;
	struct err e;
	int status;

	pthread_join(o->loader, NULL);
	o->is_loading = false;
	e = o->e;
	status = o->status ? o->status : run(t, &e);
	t->calls.begun(status, &e, t->calls.arg);
}

// Signals stay with lbd's own thread.
static int start_loader(struct trace *t)
{
	struct own *o = t->own;
	sigset_t all, before;
	int status;

	o->loaded_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->loaded_fd < 0)
		return -errno;
	o->loaded = event_new(t->d->base, o->loaded_fd, EV_READ, is_loaded, t);
	if (!o->loaded || event_add(o->loaded, NULL))
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = -pthread_create(&o->loader, NULL, load, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	o->is_loading = !status;
	return status;
}

static int start(struct trace *t, struct err *e)
{
	struct own *o = t->own = calloc(1, sizeof(*o));
	int status;

	if (!o)
		return err_set(e, -ENOMEM, "no memory for a trace");
	o->traced = (struct xdp_traced){-1, 0, -1, -1};
	status = start_loader(t);
	return status ? err_set(e, status, "cannot start a trace: %s", strerror(-status)) : 0;
}

static void free_own(struct trace *t)
{
	struct own *o = t->own;

	if (o->is_loading)
		pthread_join(o->loader, NULL);
	if (o->loaded)
		event_free(o->loaded);
	if (o->loaded_fd >= 0)
		close(o->loaded_fd);
	if (o->readable)
		event_free(o->readable);
	if (o->gather)
		event_free(o->gather);
	ring_buffer__free(o->events);
	xdp_close_traced(&o->traced);
	free(o);
}

const struct trace_kind trace_xdp = {
	.start = start, .fetch = fetch, .count = count, .stop = stop, .free = free_own};
