// SPDX-License-Identifier: BSD-2-Clause
//
// What differs between the two dataplanes, for the rest of lbd: the kernel's XDP
// program (xdp.c) on pinned maps, or lb-dpdk (dpdk.c) on a file. In this order:
// check, open, attach (the tables show the model by then), watch.
#pragma once

#include "control/lbd.h"

// Whether this host has what the settings ask for; changes nothing.
int dataplane_check(const struct settings *s, struct err *e);
// Opens the tables (d->tables), or makes them, and what runs on them (d->xdp or d->dpdk).
int dataplane_open(struct lbd *d, const uint64_t hash_key[2], struct err *e);
// Packets may use the tables from here on.
int dataplane_attach(struct lbd *d, struct err *e);
// Health and netlink are there: begins to watch, and sets the standing warnings.
int dataplane_watch(struct lbd *d, struct err *e);
// Links changed.
void dataplane_refresh(struct lbd *d);
void dataplane_close(struct lbd *d); // leaves the dataplane running
// Takes the dataplane and its tables away (lbd --detach). TAPs stay: they have the host's
// addresses.
int dataplane_detach(const struct settings *s, struct err *e);

struct dataplane_interface {
	char name[16];
	bool attached;
	char how[LB_PORT_NAME_MAX + 1]; // "native", "generic"; the port's name; "none"
	char warning[160];		// "": none
};
// Fills at most @ret_max; returns how many interfaces there are.
size_t dataplane_each_interface(const struct lbd *d, struct dataplane_interface *ret,
				size_t ret_max);
