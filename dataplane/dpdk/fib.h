// SPDX-License-Identifier: BSD-2-Clause
//
// Routes and neighbours in the form that workers look up: a FIB a family (rte_fib,
// rte_fib6) from destination to next hop, and a hash table of neighbours. Each is made
// whole from a list, and never changes; routes.c switches from one to the next.
#pragma once

#include "control/address.h"
#include "control/err.h"
#include "dataplane/core/platform.h"

// Where a route leads. Of several equal ways each is one, they lie side by side.
struct fib_hop {
	enum lb_reason reason; // LB_REASON_REPLY: the rest holds; else why none leaves by it
	uint32_t ifindex;
	uint32_t mtu;
	uint8_t source[6];	   // the interface's MAC address
	bool has_gateway;	   // else the destination is on the link
	struct lb_address gateway; // of either family
	uint32_t ways_n;	   // this one and those behind it
};

struct fib_route {
	struct prefix prefix; // host bits clear
	uint32_t hop;	      // place in the list of hops
	uint32_t metric;
	uint32_t rank; // of its table; of equal prefixes the lowest holds, then the lowest metric
};

struct fib;

// Copies both lists. @routes is sorted in place. 0 or -ENOMEM with @e filled.
int fib_new(struct fib_route *routes, size_t routes_n, const struct fib_hop *hops, size_t hops_n,
	    struct fib **ret, struct err *e);
void fib_free(struct fib *f);
// The way for a reply: of several by its ports and destination. NULL: no route.
const struct fib_hop *fib_lookup(const struct fib *f, const struct lb_route_query *q);

struct neighbour {
	struct lb_address address;
	uint32_t ifindex; // 0: a free place
	uint8_t mac[6];
};
struct neighbours;

int neighbours_new(const struct neighbour *list, size_t n, struct neighbours **ret);
void neighbours_free(struct neighbours *t);
const struct neighbour *neighbours_lookup(const struct neighbours *t, uint32_t ifindex,
					  const struct lb_address *address); // NULL: none
