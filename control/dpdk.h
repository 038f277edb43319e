// SPDX-License-Identifier: BSD-2-Clause
//
// lbd's side of the DPDK dataplane, which is a process of its own (lb-dpdk): makes the
// exception interfaces (TAPs), tells which port each stands for, and watches the
// workers' heartbeats in the tables. Packets flow whatever becomes of lbd.
#pragma once

#include "control/lbd.h"

struct dpdk;

// Makes the TAPs of the settings' interfaces, or finds them, and matches them with the ports that
// the tables show. 0, or a negative errno with @e filled; TAPs that it made stay.
int dpdk_new(struct lbd *d, struct dpdk **ret, struct err *e);
// Begins to watch: health and netlink are there now. What it finds are warnings, and
// health_set_cut_off(), netlink_set_cut_off(), publisher_set_quiet().
int dpdk_watch(struct dpdk *p, struct err *e);
void dpdk_free(struct dpdk *p);
// Links changed: a TAP that is gone is made again.
void dpdk_refresh(struct dpdk *p);

bool dpdk_is_running(const struct dpdk *p); // lb-dpdk, with a worker

struct dpdk_interface_view {
	char name[16];
	char port[LB_PORT_NAME_MAX + 1]; // "": lb-dpdk has none for it
	bool attached;			 // lb-dpdk runs, with this port
	char warning[160];
};
// Fills at most @ret_max views; returns how many interfaces there are.
size_t dpdk_each_interface(const struct dpdk *p, struct dpdk_interface_view *ret, size_t ret_max);

enum dpdk_worker_state { DPDK_WORKER_RUNNING, DPDK_WORKER_STALLED, DPDK_WORKER_GONE };
struct dpdk_worker_view {
	uint32_t cpu, pid;
	enum dpdk_worker_state state;
	uint64_t pkts; // walked since the tables were made: the sum of its reasons
	// Dropped after their walk, since the tables were made: no room at a port, or to the
	// kernel.
	uint64_t unsent_pkts, unheard_pkts;
};
// Likewise, of workers.
size_t dpdk_each_worker(const struct dpdk *p, struct dpdk_worker_view *ret, size_t ret_max);
