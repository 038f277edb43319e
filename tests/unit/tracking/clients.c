// SPDX-License-Identifier: BSD-2-Clause
//
// Clients: they open connections, also from ports that were used before, send, close,
// reset, send SYNs again, flood; and know where each connection lives. See world.h for
// what is promised to them.
//
// What is not promised (design, known limits), and so is not sent or not held against
// the balancer: a SYN with a live connection's five-tuple that finds no entry, or one
// that is closing; a handshake that straddles a change with a SYN sent again; a SYN that
// finds no room at the very moment when its slot settles.
#include "world.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/core/track.h"

#define FLOOD_FLOW 1000 // five-tuples from here on are nobody's connections

static uint32_t choice_of(struct world *w, uint32_t service, uint32_t row)
{
	for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
		if (address_is_equal(&w->choices[service][i].address,
				     &w->t->rows.backends[row].address))
			return i;
	fail_msg("row %u of %u: a backend that the service never had", row, service);
	return 0;
}

void clients_forget(struct world *w, uint32_t service)
{
	memset(w->connections[service], 0, sizeof(w->connections[service]));
}

static uint32_t life_s(struct world *w, uint32_t service, const struct connection *c)
{
	return c->state == CONNECTION_SYN ? LB_EMBRYONIC_S
					  : w->t->rows.services[world_row(w, service)].idle_s;
}

// The place of an entry that has been closing for a while may be taken: then, and only then, is a
// half-closed connection that had one given up.
static bool has_lost_its_place(struct world *w, const struct connection *c)
{
	const struct lb_meta *m = w->t->rows.meta;

	if (c->state != CONNECTION_CLOSING || !c->is_tracked ||
	    w->now_s - c->heard_s <= LB_CLOSING_S)
		return false;
	for (uint32_t i = 0; i < LB_ENTRIES_PER_LINE; i++) {
		const struct lb_entry_line *line =
			&w->t->rows.connections[(uint32_t)c->hash & m->connection_mask];

		if (line->entries[i].fingerprint == c->hash &&
		    LB_ENTRY_BACKEND(line->entries[i].word) == c->row)
			return false;
	}
	return true;
}

// Without tracking nothing is promised: a connection that moves is one that the client gives up.
static bool is_promised(struct world *w, uint32_t service)
{
	return w->t->rows.services[world_row(w, service)].tracking != LB_TRACK_NONE;
}

// Whether the connection, if there is one, is still live.
static bool is_live(struct world *w, uint32_t service, uint32_t flow)
{
	struct connection *c = &w->connections[service][flow];

	// A flow of UDP is held by its entry alone, and there are none then.
	if (c->state && world_is_udp(service) && !is_promised(w, service))
		c->state = CONNECTION_NONE;
	if (c->state && (!world_row(w, service) || w->now_s - c->heard_s > life_s(w, service, c) ||
			 choice_is_lost(w, service, c->choice) || has_lost_its_place(w, c)))
		c->state = CONNECTION_NONE;
	return c->state != CONNECTION_NONE;
}

void clients_forget_dead(struct world *w)
{
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		for (uint32_t f = 0; f < WORLD_FLOWS; f++)
			is_live(w, s, f);
}

static void broken(struct world *w, uint32_t service, uint32_t flow, const char *what,
		   const struct world_answer *a)
{
	const struct connection *c = &w->connections[service][flow];

	fail_msg("%s: %s: flow %u lives on row %u (silent for %u s), was sent to row %u, reason "
		 "%d, slot %u word current %u settled %u lookup %d, entry %#llx, at step with %llu "
		 "packets",
		 w->m->services_n > service ? w->m->services[service].name : "?", what, flow,
		 c->row, w->now_s - c->heard_s, a->backend, a->reason, a->slot,
		 LB_SLOT_CURRENT(a->slot_word), LB_SLOT_SETTLED(a->slot_word),
		 (a->slot_word & LB_SLOT_LOOKUP) != 0, (unsigned long long)a->entry,
		 (unsigned long long)w->packets);
}

static void check_answer(struct world *w, uint32_t service, uint32_t flow, const char *what,
			 const struct world_answer *a)
{
	struct connection *c = &w->connections[service][flow];

	if (a->backend == c->row && address_is_equal(&w->t->rows.backends[c->row].address,
						     &w->choices[service][c->choice].address))
		return;
	if (is_promised(w, service))
		broken(w, service, flow, what, a);
	c->state = CONNECTION_NONE;
}

static void check_service(struct world *w, uint32_t s)
{
	enum world_packet kind = world_is_udp(s) ? PACKET_UDP : PACKET_ACK;

	for (uint32_t f = 0; f < WORLD_FLOWS; f++) {
		struct world_answer a;

		if (!is_live(w, s, f))
			continue;
		a = world_send(w, s, f, kind, true);
		check_answer(w, s, f, "next packet", &a);
		w->checks++;
	}
}

void clients_check(struct world *w)
{
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		check_service(w, s);
}

void clients_give_up_untracked(struct world *w)
{
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		if (!is_promised(w, s))
			check_service(w, s);
}

// ---- what a client does ----

static void open_connection(struct world *w, uint32_t service, uint32_t flow)
{
	struct connection *c = &w->connections[service][flow];
	bool is_udp = world_is_udp(service);
	uint32_t settled_now, replaced = w->replaced[service];
	struct world_answer a =
		world_send(w, service, flow, is_udp ? PACKET_UDP : PACKET_SYN, false);

	if (!a.is_sent || (is_udp && !a.is_tracked))
		return;
	// Its slot settled while it was under way without an entry.
	settled_now = LB_SLOT_SETTLED(
		w->t->rows.slots[a.slot / LB_SLOTS_PER_LINE].words[a.slot % LB_SLOTS_PER_LINE]);
	if (!a.is_tracked && settled_now != a.backend)
		return;
	// Its backend, or its service as it was, went while it was under way.
	if (replaced != w->replaced[service] || w->t->rows.backends[a.backend].state != LB_ROW_LIVE)
		return;
	*c = (struct connection){.state = is_udp ? CONNECTION_LIVE : CONNECTION_SYN,
				 .is_seen = is_udp,
				 .choice = choice_of(w, service, a.backend),
				 .row = a.backend,
				 .heard_s = w->now_s};
	w->born++;
}

// In the handshake: may be answered elsewhere than the first one, and is then not held.
static void send_syn_again(struct world *w, uint32_t service, uint32_t flow)
{
	struct connection *c = &w->connections[service][flow];
	struct world_answer a = world_send(w, service, flow, PACKET_SYN, false);

	if (c->state != CONNECTION_SYN || (a.is_sent && a.backend == c->row)) {
		c->heard_s = w->now_s;
		return;
	}
	c->state = CONNECTION_NONE;
	w->straddled++;
}

// A SYN that the network had kept back.
static void send_duplicate_syn(struct world *w, uint32_t service, uint32_t flow)
{
	struct connection *c = &w->connections[service][flow];
	struct world_answer a = world_send(w, service, flow, PACKET_SYN, true);
	bool looks_up = a.slot_word & LB_SLOT_LOOKUP ||
			w->t->rows.services[world_row(w, service)].tracking == LB_TRACK_ALWAYS;

	if (looks_up && (!a.entry || LB_ENTRY_STATE(a.entry) == LB_ENTRY_CLOSING))
		return;
	if (w->t->rows.backends[c->row].flags & LB_BACKEND_DOWN || w->may_interleave)
		return;
	a = world_send(w, service, flow, PACKET_SYN, false);
	check_answer(w, service, flow, "duplicate SYN", &a);
}

static void send_packet(struct world *w, uint32_t service, uint32_t flow, enum world_packet kind)
{
	struct connection *c = &w->connections[service][flow];
	struct world_answer a = world_send(w, service, flow, kind, false);

	// While it was under way time passed, backends went.
	if (!is_live(w, service, flow))
		return;
	check_answer(w, service, flow, "packet", &a);
	c->heard_s = w->now_s;
	c->is_seen = true;
	c->is_tracked = a.is_tracked;
	c->hash = a.hash;
	if (c->state)
		c->state = kind == PACKET_FIN || kind == PACKET_RST ? CONNECTION_CLOSING
								    : CONNECTION_LIVE;
}

static void act_on_flow(struct world *w, uint32_t service, uint32_t flow)
{
	struct connection *c = &w->connections[service][flow];
	uint32_t what = world_random(w, 100);

	if (w->changing >> service & 1)
		return;
	if (!is_live(w, service, flow) || what < 4) {
		c->state = CONNECTION_NONE; // given up without a word: the port is used again
		open_connection(w, service, flow);
		return;
	}
	if (world_is_udp(service)) {
		send_packet(w, service, flow, PACKET_UDP);
	} else if (what < 12) {
		if (c->state == CONNECTION_SYN)
			send_syn_again(w, service, flow);
		else
			send_duplicate_syn(w, service, flow);
	} else if (what < 20 && c->is_seen) {
		send_packet(w, service, flow, world_chance(w, 50) ? PACKET_FIN : PACKET_RST);
	} else {
		send_packet(w, service, flow, PACKET_ACK);
	}
}

void clients_come_back(struct world *w, uint32_t service, uint32_t choice)
{
	for (uint32_t f = 0; f < WORLD_FLOWS; f++) {
		const struct connection *c = &w->connections[service][f];

		if (c->state || !c->row || c->choice != choice)
			continue;
		act_on_flow(w, service, f);
		act_on_flow(w, service, f);
	}
}

// Packets of nobody: late ones of connections that are gone, scans, floods.
static void send_strays(struct world *w)
{
	uint32_t service = world_random(w, WORLD_SERVICES);
	uint32_t n = w->floods ? 40 : 2;

	for (uint32_t i = 0; i < n; i++) {
		enum world_packet kind = world_is_udp(service) ? PACKET_UDP : PACKET_SYN;

		if (!world_is_udp(service) && world_chance(w, 20))
			kind = world_chance(w, 50) ? PACKET_ACK : PACKET_RST;
		world_send(w, service, FLOOD_FLOW + world_random(w, 40000), kind, false);
	}
}

// A late packet of a connection that is gone.
static void send_late(struct world *w)
{
	uint32_t service = world_random(w, WORLD_SERVICES), flow = world_random(w, WORLD_FLOWS);

	if (!is_live(w, service, flow) && !world_is_udp(service))
		world_send(w, service, flow, world_chance(w, 70) ? PACKET_ACK : PACKET_FIN, false);
}

void clients_act(struct world *w)
{
	uint32_t what = world_random(w, 100);

	if (what < 4)
		send_strays(w);
	else if (what < 8)
		send_late(w);
	else
		act_on_flow(w, world_random(w, WORLD_SERVICES), world_random(w, WORLD_FLOWS));
}

void clients_act_under_way(struct world *w)
{
	uint32_t service = world_random(w, WORLD_SERVICES), flow = world_random(w, WORLD_FLOWS);

	if (world_chance(w, 50)) {
		world_send(w, service, FLOOD_FLOW + world_random(w, 40000),
			   world_is_udp(service) ? PACKET_UDP : PACKET_SYN, false);
		return;
	}
	// Never the five-tuple of a packet that is under way: a flow's packets come in order.
	if (w->packet_depth && service == w->under_way_service && flow == w->under_way_flow)
		return;
	act_on_flow(w, service, flow);
}
