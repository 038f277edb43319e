// SPDX-License-Identifier: BSD-2-Clause
//
// The differential run's own parts. world.c fills tables at random: all modes, both
// families, every kind of tracking, slots in every state, backends that are down or
// gone, entries in every state and of every age. frame.c makes frames for such tables,
// sound ones and mutated ones. answers.c says what the kernel's routes answer. All
// follows from the seed. main.c takes the frames through every executor.
#pragma once

#include "tests/packet/cases.h"
#include "tests/packet/differential/random.h"

#define WORLD_SERVICES 20
#define WORLD_BACKENDS 3 // a service
#define WORLD_VIPS 6
#define WORLD_CLIENTS 24
#define WORLD_FLOWS 64
#define WORLD_FRAGMENTED 24

struct world_service {
	uint32_t row;
	uint32_t vip;  // in `vips`
	uint16_t port; // host order; 0: any
	uint8_t protocol;
};

// A client and whom it speaks to. Most frames are of one of these, so that entries are met.
struct world_flow {
	const struct world_service *service;
	struct lb_address client;
	uint16_t client_port, vip_port; // host order
};

// A packet in fragments: a flow's, or a backend's to a client.
struct world_fragmented {
	struct lb_address source, destination;
	uint16_t source_port, destination_port; // host order
	uint8_t protocol;
	uint8_t id;
};

struct world {
	struct random random;
	struct lb_tables *t;
	uint32_t now_s;
	bool forwarding; // of the kernel
	bool has_rates;	 // which of a burst's packets pass depends on their order
	struct lb_address vips[WORLD_VIPS]; // even: IPv4
	struct lb_address clients[2][WORLD_CLIENTS];
	struct world_service services[WORLD_SERVICES];
	struct world_flow flows[WORLD_FLOWS];
	struct world_fragmented fragmented[WORLD_FRAGMENTED];
};

// The sizes of every world's tables.
void world_size(uint32_t cpu_n, struct lb_meta *ret);
// Empties @t and fills it. The world follows from @seed alone. @t must live as long.
void world_fill(struct world *w, uint64_t seed, uint32_t now_s, struct lb_tables *t);

static inline uint8_t world_family(const struct lb_address *a)
{
	return a->halves[0] == 0 && a->words[2] == 0xffff0000 ? 4 : 6;
}

// The next frame: ret->in, in_len, answer, forwarding.
void frame_make(struct world *w, struct case_facts *ret);
