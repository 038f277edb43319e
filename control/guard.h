// SPDX-License-Identifier: BSD-2-Clause
//
// Keeps from the kernel what only the XDP program understands. Where an interface is
// without its program (just created again, lbd not running yet), the kernel gets packets
// of live connections: it would reset those to a VIP, and forward the replies of nat as
// they are, which clients reset. One nftables table, `inet sluice`, prevents both. It knows
// services and backends only, not what is attached, so it needs nobody to be quick; it
// outlives lbd, as VIPs on loopback do, and goes with `lbd --detach`.
#pragma once

#include <event2/event.h>

#include "control/address.h"
#include "control/err.h"
#include "control/settings.h"

struct guard;

struct guard_key {
	struct lb_address address;
	uint16_t port; // host order; 0: any, of services
	uint8_t protocol;
	uint8_t pad[5];
};

struct guard_keys {
	struct guard_key *keys; // in any order; duplicates are allowed
	size_t n;
};

// What the table is to hold.
struct guard_wanted {
	struct guard_keys services; // VIP, port and protocol
	struct guard_keys backends; // of nat, leaving ones too
};

// @lost is called from the loop when somebody else took the table (`nft flush ruleset`) or what is
// in it away: the next guard_put() makes all of it again. @s is borrowed. 0, or -ENOMEM with @e
// filled: a host without nf_tables is guard_put()'s to tell.
int guard_open(struct event_base *base, const struct settings *s, void (*lost)(void *arg),
	       void *arg, struct guard **ret, struct err *e);
// Makes the table hold exactly @wanted: at once, or in the turns of the loop that follow where much
// changes. The first time, all that an lbd before this one left there is replaced, in one
// transaction. Takes the keys over, in any case. 0, -ENOMEM, or -EOPNOTSUPP: nftables is not there,
// or refused.
int guard_put(struct guard *g, struct guard_wanted *wanted, struct err *e);
void guard_close(struct guard *g); // leaves the table; NULL is allowed

// Takes the table away, if there is one. 0 or -EIO.
int guard_remove(struct err *e);
