// SPDX-License-Identifier: BSD-2-Clause
//
// What the parts of the daemon share: one struct, one loop, one way to change the
// services. All of it runs on one thread; nothing in it blocks.
#pragma once

#include <event2/event.h>

#include "control/clock.h"
#include "control/events.h"
#include "control/guard.h"
#include "control/health/health.h"
#include "control/netlink.h"
#include "control/plan.h"
#include "control/publish.h"
#include "control/settings.h"
#include "control/store.h"
#include "control/tables.h"
#include "control/version.h"
#include "control/xdp.h"

struct api;
struct dpdk;

struct lbd {
	struct event_base *base;
	struct settings *settings;
	struct tables *tables;
	struct publisher *publisher;
	struct xdp *xdp;   // NULL: the dataplane is the other one
	struct dpdk *dpdk; // likewise
	struct netlink *netlink;
	struct guard *guard;
	struct health *health;
	struct store *store;
	struct events *events;
	struct api *api;
	struct model *model;   // the running one; never NULL
	uint64_t started_ns;   // CLOCK_MONOTONIC
	int route_fd;	       // of kernel_route.h's program; 0: not loaded yet; negative: an errno
	struct follow *follow; // what keeps the tables at what health and the network say
};

struct lbd_change {
	const char *cause; // for the history: "apply"
	bool dry_run;
	bool force;
	uint64_t if_generation; // refuse with -ESTALE unless this is the running one; 0: any
};

// Makes the services what @after says: validates, plans, checks for room and network (l2 on a
// connected network), keeps the generation, then publishes and sets checks, watches and VIPs. Takes
// @after over (frees it on failure and dry run). *ret_plan (NULL: not wanted) is the caller's.
// 0, or with @e filled: -EINVAL, -ESTALE, -EPERM (needs force), -ENOSPC (a table is full), -EIO
// (disk). A change that changes nothing keeps the generation.
int lbd_change(struct lbd *d, struct model *after, const struct lbd_change *how,
	       struct plan **ret_plan, struct err *e);
