// SPDX-License-Identifier: BSD-2-Clause
//
// A trace of the kernel's program: the variant lb_xdp_traced, made for the filter, is loaded onto
// the same tables and swapped into every link (xdp_swap()); its copies come by a perf buffer a
// CPU, which lbd's loop reads. If lbd dies meanwhile, its perf buffers go with it, so nothing is
// copied any more; the next lbd swaps its own plain program in, as it does on every start.
//
// The verifier takes some tenths of a second for a program, in one system call: that is made by a
// thread of its own, which touches nothing else of lbd, and has ended before the trace begins.
#include "control/trace.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "control/xdp_load.h"

// A CPU's buffer: as much as a user may lock without asking (perf_event_mlock_kb), or less.
#define BUFFER_PAGES_MAX 128
#define BUFFER_PAGES_MIN 8
// CPUs' buffers are read together, for their packets to be told in the order of time.
#define GATHER_MS 5

struct trace {
	struct lbd *d;
	struct trace_calls calls;
	struct lb_trace_filter filter;
	struct xdp_traced traced;
	// The loader, and what comes of it.
	pthread_t loader;
	bool is_loading;
	int loaded_fd; // an eventfd; -1: none
	struct event *loaded;
	int status;
	struct err e;
	// What is read while it runs.
	bool is_running;
	struct perf_buffer *events;
	struct event *readable, *gather;
	struct sample *samples; // [samples_n], read and not yet told
	size_t samples_n, samples_max;
};

struct sample {
	struct lb_trace_record record;
	uint8_t *bytes; // before, and after
};

// ---- running ----

// One more place behind t->samples_n. NULL: no memory.
static struct sample *make_place(struct trace *t)
{
	size_t max = t->samples_max ? 2 * t->samples_max : 64;
	struct sample *grown;

	if (t->samples_n < t->samples_max)
		return &t->samples[t->samples_n];
	grown = realloc(t->samples, max * sizeof(*grown));
	if (!grown)
		return NULL;
	t->samples = grown;
	t->samples_max = max;
	return &t->samples[t->samples_n];
}

static void take_sample(void *arg, int cpu, void *data, __u32 size)
{
	struct trace *t = arg;
	struct sample *s = make_place(t);
	struct lb_trace_record r;

	if (!s || size < sizeof(r))
		return;
	memcpy(&r, data, sizeof(r));
	size -= sizeof(r);
	if (r.before_snap > size || r.after_snap > size - r.before_snap)
		return;
	s->record = r;
	s->bytes = malloc(r.before_snap + r.after_snap + 1);
	if (!s->bytes)
		return;
	memcpy(s->bytes, (uint8_t *)data + sizeof(r), r.before_snap + r.after_snap);
	t->samples_n++;
}

static int compare_times(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	return (x->record.time_ns > y->record.time_ns) - (x->record.time_ns < y->record.time_ns);
}

// Tells what is in all buffers.
static void tell(struct trace *t)
{
	perf_buffer__consume(t->events);
	if (t->samples_n)
		qsort(t->samples, t->samples_n, sizeof(*t->samples), compare_times);
	for (size_t i = 0; i < t->samples_n; i++) {
		const struct sample *s = &t->samples[i];

		t->calls.packet(&s->record, s->bytes, s->bytes + s->record.before_snap,
				t->calls.arg);
		free(s->bytes);
	}
	t->samples_n = 0;
}

static void is_gathered(evutil_socket_t fd, short what, void *arg)
{
	tell(arg);
}

// A buffer says once that it is readable (perf_poll() takes that back when it is asked), and says
// it to lbd's loop here, not to perf_buffer__poll(): so all of them are read.
static void is_readable(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval gather = {.tv_usec = GATHER_MS * 1000};
	struct trace *t = arg;

	if (!event_pending(t->gather, EV_TIMEOUT, NULL))
		event_add(t->gather, &gather);
}

static int open_events(struct trace *t, struct err *e)
{
	for (size_t pages = BUFFER_PAGES_MAX; !t->events && pages >= BUFFER_PAGES_MIN; pages /= 4)
		t->events =
			perf_buffer__new(t->traced.events_fd, pages, take_sample, NULL, t, NULL);
	if (!t->events)
		return err_set(e, -errno, "cannot make the buffers of a trace: %s",
			       strerror(errno));
	t->readable = event_new(t->d->base, perf_buffer__epoll_fd(t->events), EV_READ | EV_PERSIST,
				is_readable, t);
	t->gather = event_new(t->d->base, -1, 0, is_gathered, t);
	if (!t->readable || !t->gather || event_add(t->readable, NULL))
		return err_set(e, -ENOMEM, "no memory for a trace");
	return 0;
}

static int run(struct trace *t, struct err *e)
{
	int status = open_events(t, e);

	if (status)
		return status;
	t->is_running = true;
	return xdp_swap(t->d->xdp, t->traced.program_fd, t->traced.program_id, e);
}

void trace_stop(struct trace *t)
{
	struct err e = {};

	if (!t->is_running)
		return;
	t->is_running = false;
	if (xdp_swap(t->d->xdp, -1, 0, &e))
		events_add(t->d->events, "warning", NULL, NULL, "after a trace: %s", e.text);
	tell(t);
}

void trace_count(const struct trace *t, struct lb_trace_counts *ret)
{
	int cpus_n = libbpf_num_possible_cpus();
	struct lb_trace_counts *cpus = cpus_n > 0 ? calloc((size_t)cpus_n, sizeof(*cpus)) : NULL;
	const __u32 row = 0;

	*ret = (struct lb_trace_counts){};
	if (!cpus || bpf_map_lookup_elem(t->traced.counts_fd, &row, cpus))
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

	t->status = xdp_load_traced(t->d->tables, &t->filter, &t->traced, &t->e);
	if (write(t->loaded_fd, &one, sizeof(one)) < 0)
		abort(); // an eventfd has room for it
	return NULL;
}

static void is_loaded(evutil_socket_t fd, short what, void *arg)
{
	struct trace *t = arg;
	struct err e;
	int status;

	pthread_join(t->loader, NULL);
	t->is_loading = false;
	e = t->e;
	status = t->status ? t->status : run(t, &e);
	t->calls.begun(status, &e, t->calls.arg);
}

// Signals stay with lbd's own thread.
static int start_loader(struct trace *t)
{
	sigset_t all, before;
	int status;

	t->loaded_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->loaded_fd < 0)
		return -errno;
	t->loaded = event_new(t->d->base, t->loaded_fd, EV_READ, is_loaded, t);
	if (!t->loaded || event_add(t->loaded, NULL))
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	status = -pthread_create(&t->loader, NULL, load, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	t->is_loading = !status;
	return status;
}

int trace_start(struct lbd *d, const struct lb_trace_filter *filter,
		const struct trace_calls *calls, struct trace **ret, struct err *e)
{
	struct trace *t;
	int status;

	if (!d->xdp)
		return err_set(e, -EOPNOTSUPP,
			       "traces are of `dataplane: xdp` only: lb-dpdk cannot copy packets "
			       "yet");
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "no memory for a trace");
	t->d = d;
	t->calls = *calls;
	t->filter = *filter;
	t->traced = (struct xdp_traced){-1, 0, -1, -1};
	status = start_loader(t);
	if (status) {
		trace_free(t);
		return err_set(e, status, "cannot start a trace: %s", strerror(-status));
	}
	*ret = t;
	return 0;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	if (t->is_loading)
		pthread_join(t->loader, NULL);
	trace_stop(t);
	if (t->loaded)
		event_free(t->loaded);
	if (t->loaded_fd >= 0)
		close(t->loaded_fd);
	if (t->readable)
		event_free(t->readable);
	if (t->gather)
		event_free(t->gather);
	perf_buffer__free(t->events);
	free(t->samples);
	xdp_close_traced(&t->traced);
	free(t);
}
