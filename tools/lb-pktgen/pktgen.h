// SPDX-License-Identifier: BSD-2-Clause
//
// lb-pktgen's own parts. main.c reads the command line, shape.c makes the headers that
// it asks for, an engine sends and counts (engine_xdp.c, engine_dpdk.c), report.c paces
// and prints. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/address.h"
#include "control/err.h"
#include "xdp/traffic.h"

struct options {
	const char *interface; // the XDP engine's; NULL: the DPDK engine, by vdev
	const char *vdev;
	const char *sink;	  // NULL: nothing is counted
	struct lb_address server; // a VIP to send to, or a backend to send from
	uint16_t port;		  // host order
	bool is_reply;		  // from the server to its clients
	bool has_clients;
	struct prefix clients;
	uint8_t via[6];
	bool has_via;
	bool is_tcp;
	bool is_json;
	uint32_t flows, syn_percent;
	uint32_t size;	  // bytes of a frame, without FCS; 0: the smallest
	uint64_t rate;	  // packets a second; 0: as many as go
	uint64_t packets; // 0: as many as the time allows
	uint64_t seconds;
};

// ---- shape.c ----

#define SHAPE_SIZE_MAX 3000 // what a frame of the kernel's test run holds, with room to spare

// Makes the shape from the options; @ifindex and @source (its MAC address) of the interface.
// Fills in o->size where it is 0. -EINVAL where sizes or numbers do not fit.
int shape_build(struct options *o, uint32_t ifindex, const uint8_t source[6],
		struct traffic_shape *ret, struct err *e);

// ---- engines ----

struct engine;

// An engine's own struct begins with a struct engine.
struct engine_kind {
	int (*open)(struct options *o, struct engine **ret, struct err *e);
	void (*close)(struct engine *g); // takes the sink away; NULL is allowed
	// Sends as many packets. Blocks until they are out.
	int (*send)(struct engine *g, uint32_t pkts, struct err *e);
	// What the sink has counted so far; 0 without a sink.
	void (*get_received)(struct engine *g, struct traffic_counters *ret);
};

struct engine {
	const struct engine_kind *kind;
};

extern const struct engine_kind engine_xdp, engine_dpdk;

// ---- report.c ----

// Sends what the options ask for, until done or interrupted, and prints.
int report_run(const struct options *o, struct engine *g, struct err *e);
