// SPDX-License-Identifier: BSD-2-Clause
//
// What changes under the clients' feet: the operator, deaths and recoveries, next
// hops, restarts of lbd, a kill of lbd between any two stores, sweeps. See world.h.
//
// A change first notes what it may cost (which backends are lost from now on), then is
// made; so between its stores, too, nothing else may break.
#include "world.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

bool choice_is_lost(struct world *w, uint32_t service, uint32_t choice)
{
	const struct choice *c = &w->choices[service][choice];
	struct model_service *s = world_service(w, service);
	struct model_backend *b;
	bool is_down;

	if (c->is_cut || (c->has_deadline && (int32_t)(w->now_s - c->deadline_s) >= 0))
		return true;
	b = s ? model_lookup_backend(s, &c->address, 80) : NULL;
	is_down = c->is_told || (b && b->state == MODEL_DISABLED);
	return is_down && (!s || s->on_down == MODEL_RESET);
}

static void tell(struct world *w, uint32_t service, struct choice *c);

// ---- a step of lbd, and its end in the middle of one ----

static void begin(struct world *w)
{
	clients_forget_dead(w);
	if (!w->kill_after && world_chance(w, 15))
		w->kill_after = 1 + world_random(w, world_chance(w, 50) ? 8 : 60);
}

// What the publisher did up to the store where it was killed holds; a new one takes over.
static void end(struct world *w)
{
	uint8_t *killed = w->killed;

	w->kill_after = 0;
	if (killed) {
		w->killed = NULL;
		w->kills++;
		bed_restore(w->t, killed);
		free(killed);
		world_restart(w);
	}
	clients_forget_dead(w);
	bed_check(w->p);
	w->changes++;
}

static void apply(struct world *w)
{
	struct err e;

	begin(w);
	if (publisher_check(w->p, w->m, &e))
		fail_msg("%s", e.text);
	w->m->generation++;
	assert_int_equal(publisher_apply(w->p, w->m, w->now_s, &e), 0);
	end(w);
}

// ---- the operator ----

static void list(struct world *w, struct model_service *s, struct choice *c)
{
	struct model_backend b = {.address = c->address,
				  .port = 80,
				  .weight = MODEL_WEIGHT_DEFAULT,
				  .state = world_chance(w, 90) ? MODEL_ENABLED : MODEL_DRAIN};

	c->is_listed = true;
	c->is_cut = c->has_deadline = c->left_disabled = false;
	assert_int_equal(model_add_backend(s, &b), 0);
	apply(w);
}

static void cut(struct world *w, uint32_t service, struct choice *c, uint32_t deadline_s)
{
	const char *name = world_service(w, service)->name;

	c->has_deadline = true;
	c->deadline_s = deadline_s;
	begin(w);
	publisher_set_deadline(w->p, name, &c->address, 80, deadline_s, w->now_s);
	end(w);
}

static void unlist(struct world *w, uint32_t service, struct choice *c)
{
	struct model_service *s = world_service(w, service);

	// If it comes back under another lbd, that one cannot tell why it was marked down.
	c->left_disabled = model_lookup_backend(s, &c->address, 80)->state == MODEL_DISABLED;
	c->is_told |= c->left_disabled;
	c->is_listed = false;
	c->has_deadline = true;
	c->deadline_s = w->now_s + PUBLISH_LEAVE_DEFAULT_S;
	model_del_backend(s, &c->address, 80);
	apply(w);
	if (world_chance(w, 15))
		cut(w, service, c, w->now_s + (world_chance(w, 50) ? 0 : world_random(w, 100)));
}

static void set_state(struct world *w, struct model_backend *b)
{
	uint32_t what = world_random(w, 10);

	b->state = what < 5 ? MODEL_ENABLED : what < 8 ? MODEL_DRAIN : MODEL_DISABLED;
	apply(w);
}

static void set_service(struct world *w, uint32_t service)
{
	const uint32_t idles[] = {30, 60, 90};
	struct model_service *s = world_service(w, service);
	uint32_t what = world_random(w, 10);

	if (what < 4)
		s->idle_s = idles[world_random(w, 3)];
	else if (what < 7)
		s->on_down = s->on_down == MODEL_KEEP ? MODEL_RESET : MODEL_KEEP;
	else if (world_is_udp(service))
		s->tracking = world_chance(w, 70) ? LB_TRACK_ALWAYS : LB_TRACK_NONE;
	else
		s->tracking = world_chance(w, 60)   ? LB_TRACK_ADAPTIVE
			      : world_chance(w, 60) ? LB_TRACK_ALWAYS
						    : LB_TRACK_NONE;
	apply(w);
}

static void begin_replacing(struct world *w, uint32_t service)
{
	w->changing |= 1u << service;
	w->replaced[service]++;
	clients_forget(w, service);
	for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
		w->choices[service][i].is_cut = !w->choices[service][i].is_listed;
}

// Its connections break, as the plan says: new rows, a new ring.
static void replace_service(struct world *w, uint32_t service)
{
	struct model_service *s = world_service(w, service);

	begin_replacing(w, service);
	s->mode = s->mode == LB_MODE_NAT ? LB_MODE_L2 : LB_MODE_NAT;
	apply(w);
	w->changing = 0;
}

// Connections break too. Entries of before are found by flows of the other service.
static void swap_vips(struct world *w)
{
	struct model_service *one = world_service(w, 0), *other = world_service(w, 1);
	struct lb_address vip = one->vips[0];

	begin_replacing(w, 0);
	begin_replacing(w, 1);
	one->vips[0] = other->vips[0];
	other->vips[0] = vip;
	apply(w);
	w->changing = 0;
}

// ---- changes that follow each other closely ----

static bool is_calm(const struct world *w)
{
	return !w->packet_depth; // no packet is under way that long
}

static void act_for_a_while(struct world *w)
{
	for (uint32_t i = 0; i < 30; i++)
		clients_act(w);
}

// Tracks nothing for a while: ports are used again, entries of before stay.
static void pause_tracking(struct world *w, uint32_t service)
{
	struct model_service *s = world_service(w, service);
	uint8_t tracking = s->tracking;

	s->tracking = LB_TRACK_NONE;
	apply(w);
	act_for_a_while(w);
	s->tracking = tracking;
	apply(w);
}

// A shorter idle time, in which entries expire, then a longer one.
static void change_idle(struct world *w, uint32_t service)
{
	struct model_service *s = world_service(w, service);

	s->idle_s = 30;
	apply(w);
	act_for_a_while(w);
	w->now_s += 10 + world_random(w, 25);
	act_for_a_while(w);
	s->idle_s = 90;
	apply(w);
}

static void take_back_for_a_moment(struct world *w, uint32_t service, struct choice *c)
{
	list(w, world_service(w, service), c);
	tell(w, service, c);
	act_for_a_while(w);
	if (c->is_listed)
		unlist(w, service, c);
	changes_sweep(w);
}

static void operate(struct world *w, uint32_t service)
{
	struct choice *c = &w->choices[service][world_random(w, WORLD_BACKENDS)];
	struct model_service *s = world_service(w, service);
	struct model_backend *b = model_lookup_backend(s, &c->address, 80);
	uint32_t what = world_random(w, 100);

	if (what < 4) {
		set_service(w, service);
	} else if (what < 5) {
		if (world_chance(w, 50))
			replace_service(w, service);
		else
			swap_vips(w);
	} else if (what < 7 && is_calm(w)) {
		pause_tracking(w, service);
	} else if (what < 9 && is_calm(w)) {
		change_idle(w, service);
	} else if (what < 20 && !b && is_calm(w)) {
		take_back_for_a_moment(w, service, c);
	} else if (!b) {
		list(w, s, c);
	} else if (what < 40) {
		unlist(w, service, c);
	} else if (what < 70) {
		set_state(w, b);
	} else {
		b->weight = (uint32_t[]){0, 20, 100, 1000}[world_random(w, 4)];
		apply(w);
	}
}

// ---- health and the network ----

static void tell(struct world *w, uint32_t service, struct choice *c)
{
	struct model_service *s = world_service(w, service);
	const struct model_backend *b = model_lookup_backend(s, &c->address, 80);

	if (b ? b->state == MODEL_DISABLED : c->left_disabled)
		return; // nobody checks it
	// Up is known to the clients when it is done, down before it begins.
	c->is_told |= c->is_dead;
	begin(w);
	publisher_set_health(w->p, s->name, &c->address, 80, c->is_dead ? HEALTH_DOWN : HEALTH_UP,
			     w->now_s);
	end(w);
	c->is_told = c->is_dead;
	clients_forget_dead(w);
}

static void die_or_recover(struct world *w, uint32_t service)
{
	struct choice *c = &w->choices[service][world_random(w, WORLD_BACKENDS)];

	c->is_dead = c->is_dead ? false : world_chance(w, 60);
	tell(w, service, c);
}

// Down and up again, before anybody forgets; meanwhile its clients come back by the same ports.
static void die_for_a_moment(struct world *w, uint32_t service)
{
	struct choice *c = &w->choices[service][world_random(w, WORLD_BACKENDS)];

	c->is_dead = true;
	tell(w, service, c);
	clients_come_back(w, service, (uint32_t)(c - w->choices[service]));
	c->is_dead = false;
	tell(w, service, c);
}

// All the checks answer, as they do after a restart.
static void check_all(struct world *w)
{
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
			tell(w, s, &w->choices[s][i]);
}

static void set_hop(struct world *w, uint32_t service)
{
	struct choice *c = &w->choices[service][world_random(w, WORLD_BACKENDS)];
	struct publisher_hop hop = {.ifindex = 1, .mtu = 1500};

	c->has_hop = c->has_hop ? world_chance(w, 60) : true;
	hop.destination[5] = (uint8_t)world_random(w, 3);
	begin(w);
	publisher_set_hop(w->p, &c->address, c->has_hop ? &hop : NULL, w->now_s);
	end(w);
}

// What netlink says of an address that is new.
static void resolve_all(struct world *w)
{
	struct publisher_hop hop = {.ifindex = 1, .mtu = 1500};

	begin(w);
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
			if (w->choices[s][i].has_hop)
				publisher_set_hop(w->p, &w->choices[s][i].address, &hop, w->now_s);
	end(w);
}

void changes_act(struct world *w)
{
	uint32_t service = world_random(w, WORLD_SERVICES), what = world_random(w, 100);
	bool holds = world_chance(w, 10);

	if (holds)
		publisher_hold(w->p);
	if (what < 40)
		operate(w, service);
	else if (what < 50 && is_calm(w))
		die_for_a_moment(w, service);
	else if (what < 70)
		die_or_recover(w, service);
	else if (what < 80)
		set_hop(w, service);
	else if (what < 90)
		resolve_all(w);
	else if (what < 95)
		check_all(w);
	else
		world_restart(w);
	if (holds && w->p->held)
		publisher_release(w->p, w->now_s);
	bed_check(w->p);
}

// In the middle of the round in which it would go, a backend comes back.
static void take_back_what_goes(struct world *w)
{
	for (uint32_t s = 0; s < WORLD_SERVICES; s++) {
		for (uint32_t i = 0; i < WORLD_BACKENDS; i++) {
			struct choice *c = &w->choices[s][i];
			uint32_t row = backend_lookup(w->p, world_row(w, s), &c->address, 80);

			if (!c->is_listed && row && w->p->backends[row].is_clean &&
			    world_chance(w, 50)) {
				take_back_for_a_moment(w, s, c);
				return;
			}
		}
	}
}

void changes_sweep(struct world *w)
{
	if (is_calm(w))
		take_back_what_goes(w);
	begin(w);
	if (world_chance(w, 50))
		publisher_sweep_all(w->p, w->now_s);
	else
		publisher_sweep(w->p, 1 + world_random(w, 8), w->now_s);
	end(w);
}
