// SPDX-License-Identifier: BSD-2-Clause
//
// What the tests of netlink share: a network namespace of its own, with a veth pair (nl0)
// whose far end (nl1, 10.1.0.2 and fd00:1::2) lives in a second one, netlink opened in it,
// and what it told last. Nothing sleeps: the loop runs until what is awaited has come, or
// a bound is past that no host needs.
#pragma once

#include "control/netlink.h"

// What was told last of a watched address.
struct seen {
	struct lb_address address;
	bool told, resolved;
	struct publisher_hop hop;
};

struct wanted {
	const char *prefix;
	int kind; // -1: not in the list
};

extern struct netlink *netlink;
extern struct settings settings; // interfaces nl0 and nl9
extern struct prefix direct[2];	 // of the settings
extern char far_ns[32];
extern const uint8_t far_mac[6], near_mac[6];		// of nl1, nl0
extern struct publisher_route routes[2 * LB_ROUTE_MAX]; // that were told last
extern size_t routes_n;
extern int came_n; // times that it was told of a new interface
// Requests of this type fail so many times, as where the kernel has no memory for them.
extern int failing_type, failures_n;

// A shell's command, which must succeed.
void run(const char *format, ...);
struct lb_address address(const char *text);

// cmocka's, of the group and of each test.
int make_network(void **state);
int remove_network(void **state);
int open_netlink(void **state);
int close_netlink(void **state);

// Watches one address more.
struct seen *watch(const char *text);
// Runs the loop until @is_so(@arg). Returns false past the bound.
bool await(bool (*is_so)(const void *arg), const void *arg);
// Of a struct seen.
bool is_far(const void *arg);
bool is_other_mac(const void *arg);
bool is_unresolved(const void *arg);

const struct publisher_route *find_route(const char *prefix);
// Awaits it.
void assert_route(const char *prefix, int kind);
