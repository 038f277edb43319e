// SPDX-License-Identifier: BSD-2-Clause
//
// When a target is probed, and what follows from the answer. Its life: `timer` fires
// -> a probe starts, and `timer` is set to the deadline -> an answer, or the
// deadline -> every pair of the target judges -> `timer` is set to the next start,
// an interval (+-10 %) after the last one.
//
// Time that lbd did not run (SIGSTOP, a starved loop) says nothing of a backend: a
// deadline that is noticed too late (is_late) is no answer. Nor is it one where this
// host could not ask at all (PROBE_UNMADE), or its way to the backends was cut off.
#include "control/health/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define FIRST_PROBE_MAX_NS NS_PER_S

// Uniform in [from, to).
static uint64_t random_between(uint64_t from, uint64_t to)
{
	uint64_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	return to > from ? from + r % (to - from) : from;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const struct probe_kind *kind_of(const struct target *t)
{
	return t->question.type == MODEL_CHECK_HTTP ? &probe_http : &probe_tcp;
}

// ---- when ----

static void target_set_timer(struct target *t, uint64_t delay_ns)
{
	struct timeval tv = {.tv_sec = (time_t)(delay_ns / NS_PER_S),
			     .tv_usec = (suseconds_t)(delay_ns % NS_PER_S / 1000)};

	t->due_ns = clock_now_ns() + delay_ns;
	// The loop counts from its last wake-up: after long work a timeout would be over at once.
	event_base_update_cache_time(t->health->env.base);
	evtimer_add(t->timer, &tv);
}

static bool target_is_unknown(const struct target *t)
{
	for (const struct pair *p = t->pairs; p; p = p->next) {
		if (p->state == HEALTH_UNKNOWN)
			return true;
	}
	return false;
}

// The first probe comes soon, so that a new backend is soon used, but not with all others at once.
// Where the state is known already there is no hurry.
void target_set_first(struct target *t)
{
	uint64_t interval = t->question.interval_ns;
	uint64_t soon = min_u64(interval / 10, FIRST_PROBE_MAX_NS);

	target_set_timer(t, random_between(0, target_is_unknown(t) ? soon : interval));
}

// An unknown state is found out four times as fast; these wide gaps also spread the phases.
static void target_set_next(struct target *t)
{
	uint64_t interval = t->question.interval_ns;
	uint64_t gap = target_is_unknown(t) ? random_between(interval / 8, interval * 3 / 8)
					    : random_between(interval * 9 / 10, interval * 11 / 10);
	uint64_t passed = clock_now_ns() - t->started_ns;

	target_set_timer(t, gap > passed ? gap - passed : 0);
}

// Whether the loop ran so late that an unanswered probe is no answer.
static bool is_late(const struct target *t, uint64_t due_ns)
{
	uint64_t slack = min_u64(t->question.timeout_ns, t->question.interval_ns);

	return clock_now_ns() > due_ns + slack;
}

// ---- what follows ----

static void pair_judge(struct health *h, struct pair *p, enum probe_verdict verdict,
		       const char *cause)
{
	bool is_up = verdict == PROBE_UP;
	enum health_state state = is_up ? HEALTH_UP : HEALTH_DOWN;

	snprintf(p->cause, sizeof(p->cause), "%s", cause);
	if (verdict == PROBE_UNMADE)
		return;
	if (p->streak_is_up != is_up)
		p->streak = 0;
	p->streak_is_up = is_up;
	p->streak++;
	if (p->state == state || p->streak < (is_up ? p->rise : p->fall))
		return;
	p->state = state;
	p->since_ns = clock_now_ns();
	h->changed(h->arg, p->service, &p->address, p->port, state, p->cause);
}

static void health_note_unmade(struct health *h, enum probe_verdict verdict, const char *cause)
{
	if (verdict == PROBE_UNMADE)
		snprintf(h->warning, sizeof(h->warning),
			 "health checks cannot be made (%s), so nobody is judged; raise the limits "
			 "of this process",
			 cause);
	else
		h->warning[0] = 0;
}

// Whether the way was cut off at any time since the probe began.
static bool is_cut_off(const struct target *t)
{
	return t->health->is_cut_off || t->health->cut_off_ns >= t->started_ns;
}

static void target_judge(struct target *t, enum probe_verdict verdict, const char *cause)
{
	if (verdict == PROBE_DOWN && is_cut_off(t))
		return;
	health_note_unmade(t->health, verdict, cause);
	for (struct pair *p = t->pairs; p; p = p->next)
		pair_judge(t->health, p, verdict, cause);
}

static void target_answered(void *arg, enum probe_verdict verdict, const char *cause)
{
	struct target *t = arg;

	t->probe = NULL;
	t->health->probes_n--;
	// A failure that is told after its deadline is one of waiting: here, or by the backend for
	// us.
	if (verdict == PROBE_DOWN && is_late(t, t->due_ns)) {
		target_set_first(t);
		return;
	}
	target_judge(t, verdict, cause);
	target_set_next(t);
}

static void target_expired(struct target *t)
{
	char cause[64];

	kind_of(t)->cancel(t->probe);
	t->probe = NULL;
	t->health->probes_n--;
	if (is_late(t, t->due_ns)) {
		target_set_first(t);
		return;
	}
	snprintf(cause, sizeof(cause), "no answer in %llu ms",
		 (unsigned long long)(t->question.timeout_ns / 1000000));
	target_judge(t, PROBE_DOWN, cause);
	target_set_next(t);
}

static void target_start(struct target *t)
{
	struct health *h = t->health;
	const struct probe_ask ask = {.address = t->question.address,
				      .port = t->question.port,
				      .path = t->question.path,
				      .host = t->question.host};

	// All that wait are due at once after a pause: spread them anew.
	if (is_late(t, t->due_ns) || h->probes_n >= h->probes_max) {
		target_set_first(t);
		return;
	}
	t->started_ns = clock_now_ns();
	t->probe = kind_of(t)->start(&h->env, &ask, target_answered, t);
	if (!t->probe) {
		target_judge(t, PROBE_UNMADE, "out of memory");
		target_set_next(t);
		return;
	}
	h->probes_n++;
	target_set_timer(t, t->question.timeout_ns);
}

static void target_timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct target *t = arg;

	if (t->probe)
		target_expired(t);
	else
		target_start(t);
}

// ---- made, and compared ----

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

// NULL comes first.
static int compare_text(const char *a, const char *b)
{
	if (!a || !b)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

int question_compare(const struct question *a, const struct question *b)
{
	int c = compare_u64(a->type, b->type);

	c = c ? c : memcmp(&a->address, &b->address, sizeof(a->address));
	c = c ? c : compare_u64(a->port, b->port);
	c = c ? c : compare_u64(a->interval_ns, b->interval_ns);
	c = c ? c : compare_u64(a->timeout_ns, b->timeout_ns);
	c = c ? c : compare_text(a->path, b->path);
	return c ? c : compare_text(a->host, b->host);
}

void target_free(struct target *t)
{
	if (t->probe) {
		kind_of(t)->cancel(t->probe);
		t->health->probes_n--;
	}
	if (t->timer)
		event_free(t->timer);
	free(t->question.path);
	free(t->question.host);
	free(t);
}

struct target *target_new(struct health *h, const struct question *q)
{
	struct target *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->health = h;
	t->question = *q;
	t->question.path = q->path ? strdup(q->path) : NULL;
	t->question.host = q->host ? strdup(q->host) : NULL;
	t->timer = evtimer_new(h->env.base, target_timer_fired, t);
	if (!t->timer || (q->path && !t->question.path) || (q->host && !t->question.host)) {
		target_free(t);
		return NULL;
	}
	return t;
}
