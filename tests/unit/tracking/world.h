// SPDX-License-Identifier: BSD-2-Clause
//
// A small world for the test of tracking: the real core on real tables, the real
// publisher beside it, and clients that know where each of their connections lives.
//
//   world.c    tables, packets, the clock; what happens while a packet is under way
//   clients.c  connections: what clients do, and what must hold for each
//   changes.c  what the operator, health, the network and lbd itself do
//
// The invariant is asserted for every live connection after every step, and between
// any two stores of the publisher: its next packet would go to the backend where it
// lives. A connection is live from its first packet without SYN (a SYN alone: for 10
// s), as long as it is heard of within its service's idle time (after FIN or RST: 10
// s) and its backend is not lost. A backend is lost when it is down under `on_down:
// reset`, cut, or its service is removed or replaced. Nothing else excuses a break.
#pragma once

#include "../publish_bed.h"

#define WORLD_SERVICES 3 // adaptive, always (TCP), always (UDP); each may change
#define WORLD_BACKENDS 7 // that a service may have
#define WORLD_FLOWS 40	 // five-tuples of a service

enum world_packet { PACKET_SYN, PACKET_ACK, PACKET_FIN, PACKET_RST, PACKET_UDP };
enum connection_state { CONNECTION_NONE, CONNECTION_SYN, CONNECTION_LIVE, CONNECTION_CLOSING };

struct connection {
	enum connection_state state;
	bool is_seen;	 // has sent a packet without SYN
	bool is_tracked; // its last packet found, or made, an entry
	uint64_t hash;
	uint32_t choice; // which of its service's backends
	uint32_t row;
	uint32_t heard_s;
};

// What the world knows of a backend that a service may have.
struct choice {
	struct lb_address address;
	bool is_listed; // in the model
	bool is_dead;	// and so will checks say
	bool is_told;	// what the publisher was told last: down
	bool is_cut;
	bool left_disabled; // it was disabled when it was removed: nobody checks it
	bool has_deadline;
	uint32_t deadline_s;
	bool has_hop;
};

struct world {
	uint64_t random;
	struct tables *t;
	struct publisher *p;
	struct model *m;
	uint32_t now_s;
	bool floods;
	struct choice choices[WORLD_SERVICES][WORLD_BACKENDS];
	struct connection connections[WORLD_SERVICES][WORLD_FLOWS];
	int store_depth, packet_depth; // inside a store's hook, inside a packet
	uint32_t under_way_s;	       // how long the outermost packet has been under way
	uint32_t under_way_service, under_way_flow;
	uint32_t replaced[WORLD_SERVICES]; // how often
	uint32_t changing; // a bit a service that is being replaced: nobody opens connections
	bool may_interleave;
	uint32_t change_percent;
	// A killed lbd: the tables after this many more stores; 0: no more.
	uint32_t kill_after;
	uint8_t *killed; // snapshot
	uint64_t packets, checks, changes, kills, straddled, born;
};

struct world_answer {
	uint32_t backend; // 0: none, dropped
	bool is_sent;	  // to the backend
	bool is_tracked;
	enum lb_reason reason;
	uint64_t entry;
	uint64_t hash;
	uint32_t slot_word;
	uint32_t slot;
};

struct world *world_new(uint64_t seed);
void world_free(struct world *w);
void world_step(struct world *w);
void world_restart(struct world *w);

uint32_t world_random(struct world *w, uint32_t below);
bool world_chance(struct world *w, uint32_t percent);
struct model_service *world_service(struct world *w, uint32_t service);
uint32_t world_row(struct world *w, uint32_t service);
bool world_is_udp(uint32_t service);
// Sends a packet of the flow; @is_peek: leaves no trace.
struct world_answer world_send(struct world *w, uint32_t service, uint32_t flow,
			       enum world_packet kind, bool is_peek);

// clients.c
void clients_act(struct world *w);
void clients_act_under_way(struct world *w); // as other CPUs do
// Those whose connections to this backend were lost.
void clients_come_back(struct world *w, uint32_t service, uint32_t choice);
void clients_check(struct world *w);
// Of services without tracking, those that moved: before tracking begins again.
void clients_give_up_untracked(struct world *w);
void clients_forget(struct world *w, uint32_t service);
// Those that are not live any more.
void clients_forget_dead(struct world *w);

// changes.c
bool choice_is_lost(struct world *w, uint32_t service, uint32_t choice);
void changes_act(struct world *w);
void changes_sweep(struct world *w);
