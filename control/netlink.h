// SPDX-License-Identifier: BSD-2-Clause
//
// What the kernel knows of the network, by rtnetlink (libmnl), in lbd's event loop:
//  - the next hop of each watched address (route, then neighbour), kept alive:
//    neighbours are probed before they go stale, and when they fail;
//  - the kernel's routes, as the list that the replies of nat use;
//  - the host's own addresses; VIPs on loopback.
// An overrun of the socket (ENOBUFS) means: dump again. Nothing here blocks.
#pragma once

#include <event2/event.h>

#include "control/publish.h"
#include "control/settings.h"

struct netlink;

struct netlink_calls {
	void *arg;
	// The next hop of a watched address is another, or NULL: unresolved.
	void (*hop_changed)(void *arg, const struct lb_address *address,
			    const struct publisher_hop *hop);
	// The list of routes is another; longest first, host's own addresses and `direct` included.
	void (*routes_changed)(void *arg, const struct publisher_route *routes, size_t routes_n);
	// The host's own addresses, or a link, changed.
	void (*links_changed)(void *arg);
	// An interface of lbd.yaml was made: told at once, before anything is read of it.
	void (*interface_came)(void *arg);
};

int netlink_open(struct event_base *base, const struct settings *settings,
		 const struct netlink_calls *calls, struct netlink **ret, struct err *e);
void netlink_close(struct netlink *n);

// Watches exactly these addresses from now on; hop_changed is called for each that resolves,
// at once (from the loop) where the kernel already knows it.
int netlink_set_watched(struct netlink *n, const struct lb_address *addresses, size_t addresses_n);

// While @is_cut_off no neighbour that does not answer is given up: nobody could answer. Afterwards
// each has its time again.
void netlink_set_cut_off(struct netlink *n, bool is_cut_off);

// How many watched addresses were told as unresolved; *ret_first is one of them, if there is one.
size_t netlink_count_unresolved(const struct netlink *n, struct lb_address *ret_first);

// Whether @address is on a connected network of an interface in `interfaces`: needed for l2.
// Asks the kernel.
bool netlink_is_connected(const struct netlink *n, const struct lb_address *address);
// Whether @address is on an interface (not loopback).
bool netlink_is_host_address(const struct netlink *n, const struct lb_address *address);
// The first address of @family (4, 6; global scope) on @ifindex. 0 or -ENOENT.
int netlink_lookup_source(const struct netlink *n, uint32_t ifindex, int family,
			  struct lb_address *ret);

// Puts exactly these VIPs on loopback (/32, /128, with a label or protocol that says they are
// ours, so that a restarted lbd tells them from the operator's own and removes what is not wanted).
int netlink_set_vips(struct netlink *n, const struct lb_address *vips, size_t vips_n,
		     struct err *e);
