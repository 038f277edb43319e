// SPDX-License-Identifier: BSD-2-Clause
//
// lb-decap's own parts. attach.c loads the program, attaches it and pins its link;
// local.c mirrors what the host delivers locally into the program's table; status.c
// shows what the attached program is set to and has counted; main.c reads the command
// line and says what happened. One thread, no configuration file.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "control/address.h"
#include "control/err.h"
#include "xdp/decap.h"

struct options {
	const char *interface;
	const char *bpffs_dir;
	struct prefix *balancers; // owned
	size_t balancers_n;
	uint16_t gue_port; // 0: no GUE
	bool is_json;
};

// Keys of the program's tables.
struct decap_key decap_key_of(const struct lb_address *address, unsigned int len);

// ---- attach.c ----

struct attach;

// Paths of what is pinned for an interface.
struct pins {
	char dir[512], link[544], counters[544];
};

// -EINVAL: no interface has such a name; -ENAMETOOLONG.
int pins_set(const struct options *o, struct pins *ret, struct err *e);

// Loads the program with its list of balancers, and with the counters of the program before it.
// Refuses a second lb-decap for the interface. Nothing is attached yet.
int attach_open(const struct options *o, struct attach **ret, struct err *e);
// The table that local_sync() fills. Borrowed.
int attach_get_local_fd(const struct attach *a);
// Attaches, or swaps the program in the pinned link; native, else generic. From now on packets
// see it. @ret_native says which.
int attach_start(struct attach *a, bool *ret_native, struct err *e);
unsigned int attach_get_ifindex(const struct attach *a);
// Can be read once a pin was taken away (the kernel tells nobody that a link was detached).
int attach_get_watch_fd(const struct attach *a);
// False once somebody detached the program, or its interface is gone.
bool attach_is_attached(const struct attach *a);
void attach_close(struct attach *a); // the program stays where it is

// Takes program, link and pins away. *ret_found: whether there was anything.
int attach_detach(const struct options *o, bool *ret_found, struct err *e);
// ---- status.c ----

// Prints where the program is, its balancers and its counters. -ENOENT: there is none.
int status_show(const struct options *o, struct err *e);

// ---- local.c ----

struct local;

// @map_fd is borrowed until local_close().
int local_open(int map_fd, struct local **ret, struct err *e);
void local_close(struct local *l);
// Makes the table hold exactly what the host delivers locally now. *ret_n: how many prefixes.
int local_sync(struct local *l, size_t *ret_n, struct err *e);
// Follows changes. Returns 0 when the link of @ifindex changed or @watch_fd can be read, so that
// the caller looks whether the program is still attached; else a negative errno.
int local_follow(struct local *l, unsigned int ifindex, int watch_fd, struct err *e);
