// SPDX-License-Identifier: BSD-2-Clause
//
// What the files of lb-dpdk share. The main lcore never forwards: it carries packets
// between the kernel's TAPs and the workers (exception.c), follows the kernel's routes
// (routes.c) and the tables' file (tables.c). Each other lcore is a worker (worker.c):
// it takes bursts from its receive queues through the walk and sends them, and makes
// no system call. Between lcores there are rings only:
//
//   worker -> port->to_kernel -> main -> TAP      what is the kernel's
//   TAP -> main -> way->ring -> worker -> port    what the kernel sends
//   worker -> way->ring -> worker -> port         a port with fewer send queues than workers
#pragma once

#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/clock.h"
#include "control/err.h"
#include "control/tables.h"
#include "walk.h"

#define WORKERS_MAX RTE_MAX_LCORE
#define QUEUES_MAX 64 // of a port that are used
#define RING_SIZE 1024

struct routes;
struct trace;

// A send queue of a port. Its owner alone sends; the others put into the ring.
struct way {
	struct rte_ring *ring; // many producers, one consumer
	unsigned int owner;    // worker
};

struct port {
	uint16_t id; // of DPDK
	char name[LB_PORT_NAME_MAX + 1];
	uint8_t mac[6];
	uint16_t rx_n, tx_n;	   // queues
	uint16_t mtu_now, mtu_max; // bytes of an IP packet
	unsigned int first_worker; // of queue 0; the next queue is the next worker's
	struct rte_mempool *pool;
	struct rte_ring *to_kernel; // many producers, one consumer
	struct way ways[QUEUES_MAX];
	// exception.c
	int tap_fd; // -1: none
	uint32_t tap_ifindex;
	bool has_frames; // the TAP: so poll(2) has said, and no read since that there are no more
};

struct queue {
	uint16_t port; // place in lb_dpdk.ports
	uint16_t queue;
};

struct outbox {
	unsigned int n;
	struct rte_mbuf *pkts[WALK_BURST_MAX];
};

struct worker {
	unsigned int index, lcore;
	struct lb_dpdk *all;
	struct queue *rx, *tx; // its own
	unsigned int rx_n, tx_n;
	// How it sends from each port: by a queue of its own (ring NULL), or through another
	// worker.
	struct {
		uint16_t queue;
		struct rte_ring *ring;
	} out[LB_PORT_MAX];
	struct tables *tables;	  // set by main; NULL: all packets are the kernel's
	struct tables *used;	  // what the worker walks now; read by main
	struct walk_trace *trace; // set by main; NULL: nobody traces
	// Read by main, which frees nothing that a turn may be reading: how many began, and whether
	// one may be under way (not while it sleeps, nor before its first or after its last).
	uint64_t turns;
	bool is_walking;
	struct walk walk;
	struct outbox outboxes[LB_PORT_MAX];
} __rte_cache_aligned;

struct lb_dpdk {
	const char *tables_path;
	unsigned int idle_sleep_us; // 0: workers never sleep
	struct port ports[LB_PORT_MAX];
	unsigned int ports_n;
	struct worker *workers; // [workers_n]
	unsigned int workers_n;
	struct tables *tables; // NULL: there are none now
	struct routes *routes;
	struct trace *trace;  // NULL: nobody traces
	bool are_links_stale; // a TAP, or what the kernel says of one, may be another
	bool is_stopping;     // set by a signal
	uint32_t fixed_now_s; // the clock, for tests; 0: the kernel's
};

void say(const char *format, ...) __attribute__((format(printf, 1, 2))); // a line on stderr

// ---- eal.c ----

// Starts the EAL with @argv (argv[0] is the program). From here on what DPDK writes is kept. 0 or a
// negative errno, and eal_explain() knows why.
int eal_start(int argc, char **argv, struct err *e);
// The start has failed, with @e (whose text may be empty): adds what DPDK said, as a sentence with
// the mend.
void eal_explain(struct err *e);
// The start is over: what DPDK writes goes to stderr again.
void eal_settle(void);
int eal_get_stderr(void); // for what is said in between

// ---- port.c ----

// Finds the ports, gives queues to workers and rings to both; starts them. @d->workers is set.
int ports_open(struct lb_dpdk *d, struct err *e);
void ports_close(struct lb_dpdk *d);
// Writes the rows of ports into the tables.
void ports_show(struct lb_dpdk *d);
// The link's state into the rows. Now and then.
void ports_follow(struct lb_dpdk *d);
// The TAPs' MTUs onto the ports, where they may be others.
void ports_follow_mtus(struct lb_dpdk *d);

// ---- worker.c ----

int worker_run(void *worker); // of rte_eal_remote_launch()
// Main: what workers were given before the one is not read by any of them once the other is true.
// @turns: [workers_n].
void workers_note_turns(const struct lb_dpdk *d, uint64_t ret[]);
bool workers_have_turned(const struct lb_dpdk *d, const uint64_t turns[]);

// ---- exception.c ----

// Carries what waits, both ways. True: there was something.
bool exception_carry(struct lb_dpdk *d);
// Opens the TAP that the tables name for each port, where it is another now.
void exception_follow(struct lb_dpdk *d);
void exception_close(struct lb_dpdk *d);

// ---- tables.c ----

// Maps the tables where there are some in use, and gives them to the workers; takes them away from
// them where they were retired. Now and then.
int tables_follow(struct lb_dpdk *d, struct err *e);
// The main lcore is alive: at each of its turns.
void tables_beat(const struct lb_dpdk *d);
// The workers have ended: says so in the rows, and unmaps.
void tables_leave(struct lb_dpdk *d);

// ---- trace.c ----

// Lets the workers copy packets while lbd wants it. Now and then.
void trace_follow(struct lb_dpdk *d);
void trace_leave(struct lb_dpdk *d); // the workers have ended

// ---- routes.c ----

// Follows the kernel's routes and neighbours, for the replies of nat that the mirrored routes of
// the tables leave open.
int routes_open(const struct lb_dpdk *d, struct routes **ret, struct err *e);
void routes_close(struct routes *r);
// Reads what changed, where @has_events, and follows it. True: a link may be another.
bool routes_follow(struct routes *r, bool has_events);
int routes_get_fd(const struct routes *r); // readable: there are events
// A worker's look-up: struct lb_env's route.
void routes_lookup(const void *routes, const struct lb_route_query *query,
		   struct lb_route_answer *ret);
