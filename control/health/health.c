// SPDX-License-Identifier: BSD-2-Clause
//
// Which backends are checked: the list of pairs (service, backend) and of the targets
// that they ask. health_set_targets() makes both anew beside the old ones, and then
// takes their place: a pair takes over its state from the pair of the same name, a
// target that is asked as before keeps its timer and its probe. So nothing is lost
// where memory ends, and no change of configuration resets or resurrects a backend.
// When targets are probed and what follows is in target.c; how is in tcp.c, http.c.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "control/health/target.h"

#define PROBES_MIN 16

// ---- found ----

static int pair_compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->service, y->service);

	c = c ? c : memcmp(&x->address, &y->address, sizeof(x->address));
	return c ? c : (int)x->port - (int)y->port;
}

static struct pair *pair_lookup(const struct health *h, const char *service,
				const struct lb_address *address, uint16_t port)
{
	struct pair key = {.address = *address, .port = port};

	snprintf(key.service, sizeof(key.service), "%s", service);
	return h->pairs_n ? bsearch(&key, h->pairs, h->pairs_n, sizeof(key), pair_compare) : NULL;
}

static int target_compare(const void *a, const void *b)
{
	const struct target *const *x = a, *const *y = b;

	return question_compare(&(*x)->question, &(*y)->question);
}

static struct target *target_lookup(const struct health *h, const struct question *q)
{
	struct target key = {.question = *q};
	struct target *key_p = &key;
	struct target **found = NULL;

	if (h->targets_n)
		found = bsearch(&key_p, h->targets, h->targets_n, sizeof(key_p), target_compare);
	return found ? *found : NULL;
}

// ---- a new list ----

// What a pair of the new list asks; borrows from @in.
static struct question question_of(const struct health_target *in)
{
	const struct model_check *c = in->check;
	struct question q = {.type = c->type,
			     .address = c->has_address ? c->address : in->address,
			     .port = c->port ? c->port : in->port,
			     .interval_ns = c->interval_ns,
			     .timeout_ns = c->timeout_ns};

	if (c->type == MODEL_CHECK_HTTP) {
		q.path = c->path ? c->path : (char *)"/";
		q.host = c->host;
	}
	return q;
}

static void pair_init(struct pair *p, const struct health *h, const struct health_target *in)
{
	const struct pair *known = pair_lookup(h, in->service, &in->address, in->port);

	if (known) {
		*p = *known;
	} else {
		snprintf(p->service, sizeof(p->service), "%s", in->service);
		p->address = in->address;
		p->port = in->port;
		p->state = in->initial;
		snprintf(p->cause, sizeof(p->cause), "not checked yet");
	}
	p->rise = in->check->rise;
	p->fall = in->check->fall;
	p->target = NULL;
	p->next = NULL;
}

struct asking {
	struct question question;
	const struct health_target *in;
};

static int asking_compare(const void *a, const void *b)
{
	return question_compare(&((const struct asking *)a)->question,
				&((const struct asking *)b)->question);
}

// The new list while it is made: nothing of the old one has been touched.
struct list {
	struct asking *askings;	 // sorted by question
	struct pair *pairs;	 // pairs[i] is of askings[i], until they are sorted
	struct target **targets; // sorted by question
	size_t n, targets_n;
};

static void list_free(struct list *l)
{
	for (size_t i = 0; l->targets && i < l->targets_n; i++) {
		if (!l->targets[i]->is_kept)
			target_free(l->targets[i]);
		else
			l->targets[i]->is_kept = false;
	}
	free(l->askings);
	free(l->pairs);
	free(l->targets);
}

static int list_make(struct list *l, struct health *h, const struct health_target *in, size_t n)
{
	struct target *t = NULL;

	l->n = n;
	l->askings = calloc(n + 1, sizeof(*l->askings));
	l->pairs = calloc(n + 1, sizeof(*l->pairs));
	l->targets = calloc(n + 1, sizeof(*l->targets));
	if (!l->askings || !l->pairs || !l->targets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		l->askings[i] = (struct asking){.question = question_of(&in[i]), .in = &in[i]};
	qsort(l->askings, n, sizeof(*l->askings), asking_compare);
	for (size_t i = 0; i < n; i++) {
		const struct question *q = &l->askings[i].question;

		if (!t || question_compare(&t->question, q) != 0) {
			t = target_lookup(h, q);
			if (t)
				t->is_kept = true;
			else
				t = target_new(h, q);
			if (!t)
				return -ENOMEM;
			l->targets[l->targets_n++] = t;
		}
		pair_init(&l->pairs[i], h, l->askings[i].in);
		l->pairs[i].target = t;
	}
	return 0;
}

// From here on nothing can fail.
static void list_install(struct list *l, struct health *h)
{
	for (size_t i = 0; i < h->targets_n; i++) {
		if (!h->targets[i]->is_kept)
			target_free(h->targets[i]);
	}
	free(h->targets);
	free(h->pairs);
	free(l->askings);
	h->targets = l->targets;
	h->targets_n = l->targets_n;
	h->pairs = l->pairs;
	h->pairs_n = l->n;
	for (size_t i = 0; i < h->targets_n; i++)
		h->targets[i]->pairs = NULL;
	qsort(h->pairs, h->pairs_n, sizeof(*h->pairs), pair_compare);
	for (size_t i = 0; i < h->pairs_n; i++) {
		struct pair *p = &h->pairs[i];

		p->next = p->target->pairs;
		p->target->pairs = p;
	}
	for (size_t i = 0; i < h->targets_n; i++) {
		if (!h->targets[i]->is_kept)
			target_set_first(h->targets[i]);
		h->targets[i]->is_kept = false;
	}
}

int health_set_targets(struct health *h, const struct health_target *targets, size_t targets_n,
		       struct err *e)
{
	struct list l = {0};

	if (list_make(&l, h, targets, targets_n) < 0) {
		list_free(&l);
		return err_set(e, -ENOMEM, "health checks: out of memory; those that ran go on");
	}
	list_install(&l, h);
	return 0;
}

// ---- the rest of health.h ----

int health_get(const struct health *h, const char *service, const struct lb_address *address,
	       uint16_t port, struct health_view *ret)
{
	const struct pair *p = pair_lookup(h, service, address, port);

	if (!p)
		return -ENOENT;
	*ret = (struct health_view){
		.state = p->state, .streak = p->streak, .since_ns = p->since_ns};
	memcpy(ret->cause, p->cause, sizeof(ret->cause));
	return 0;
}

void health_set_cut_off(struct health *h, bool is_cut_off)
{
	if (is_cut_off || h->is_cut_off)
		h->cut_off_ns = clock_now_ns();
	h->is_cut_off = is_cut_off;
}

const char *health_get_warning(const struct health *h)
{
	return h->warning[0] ? h->warning : NULL;
}

// Half of the descriptors, so that the API and the tables are never short of them.
static size_t probes_max_of_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 2 < PROBES_MIN)
		return PROBES_MIN;
	return limit.rlim_cur / 2;
}

int health_new(struct event_base *base, health_fn changed, void *arg, struct health **ret,
	       struct err *e)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return err_set(e, -ENOMEM, "health checks: out of memory");
	h->env.base = base;
	h->changed = changed;
	h->arg = arg;
	h->probes_max = probes_max_of_limit();
	if (http_open(base, &h->env.http) < 0) {
		free(h);
		return err_set(e, -ENOMEM, "health checks: libcurl cannot start: out of memory");
	}
	*ret = h;
	return 0;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < h->targets_n; i++)
		target_free(h->targets[i]);
	free(h->targets);
	free(h->pairs);
	http_close(h->env.http);
	free(h);
}
