// SPDX-License-Identifier: BSD-2-Clause
//
// What the files of the netlink part share: netlink.c has the sockets and decides
// when to look again; netlink_address.c holds links, addresses and VIPs;
// netlink_hops.c the watched addresses; netlink_neighbour.c the neighbours that they
// and the routes need; netlink_routes.c the mirror of the routes.
//
// Events only say that something is stale: the state itself is read by a dump, a few
// milliseconds later and once for a whole burst. Neighbours are the exception: their
// events carry all that is needed, and come often.
#pragma once

#include <libmnl/libmnl.h>
#include <sys/queue.h>

#include "control/clock.h"
#include "control/netlink.h"
#include "control/netlink_message.h"

#define LOOPBACK_IFINDEX 1
// Marks our VIPs on loopback (IFA_PROTO, kernel 5.18 and newer; 0 to 3 are the kernel's).
#define NETLINK_VIP_PROTO 0x53
#define NETLINK_PROBE_MS 500

struct netlink_link {
	uint32_t ifindex, mtu;
	char name[16];
	uint8_t mac[6];
	bool has_mac, is_up;
};

struct netlink_address {
	uint32_t ifindex;
	struct prefix prefix; // host bits are the address's own
	bool is_global, is_ours;
};

// A neighbour that some watched address or route has as its next hop.
struct netlink_neighbour {
	struct {
		uint32_t ifindex;
		struct lb_address address;
	} key; // first: the tree compares it
	bool has_mac;
	uint8_t mac[6];
	uint16_t state;	     // NUD_...
	uint64_t give_up_ms; // without a valid state by then, has_mac ends; 0: it is valid
	LIST_HEAD(, netlink_watched) users;
	unsigned int routes_n; // rows of the mirror that use it
	bool is_probed;	       // and has not answered yet
	uint32_t probed_tick;  // of probe_tick, when it was last probed or found
	TAILQ_ENTRY(netlink_neighbour) all;
};

enum netlink_report { NETLINK_UNREPORTED, NETLINK_RESOLVED, NETLINK_UNRESOLVED };

struct netlink_watched {
	struct lb_address address;     // first: the tree compares it
	struct netlink_neighbour *via; // NULL: no usable route
	uint32_t route_mtu;	       // 0: the interface's
	enum netlink_report reported;
	struct publisher_hop hop; // as reported
	unsigned int round;	  // of netlink_set_watched(), to find who left
	bool is_pending;
	LIST_ENTRY(netlink_watched) of_neighbour;
	LIST_ENTRY(netlink_watched) all;
	TAILQ_ENTRY(netlink_watched) pending;
};

// A route of the mirror, before its hop is filled in.
struct netlink_route {
	struct prefix prefix;
	uint32_t kind; // enum lb_route_kind
	uint32_t ifindex, mtu, metric;
	struct lb_address gateway;
	uint8_t rank; // of its table; a lower one is asked first
};

enum netlink_stale {
	NETLINK_LINKS = 1,
	NETLINK_ADDRESSES = 2,
	NETLINK_ROUTES = 4,
	NETLINK_NEIGHBOURS = 8,
	NETLINK_ALL = 15,
};

struct netlink {
	const struct settings *settings;
	struct netlink_calls calls;
	struct mnl_socket *requests, *events;
	uint32_t sequence;
	struct event *readable; // of `events`
	struct event *settle;	// look again at what is stale
	struct event *lookups;	// go on with pending look-ups
	struct event *retry;	// neighbours without an answer
	struct event *probes;	// of neighbours that have one
	unsigned int stale;	// bits of enum netlink_stale
	bool is_cut_off;	// netlink_set_cut_off()
	bool is_overrun;	// events were lost, and `events` is not empty yet
	bool has_new_interface; // `interface_came` is to be called after this batch of events
	uint64_t settled_ms;	// when `settle` last ran

	struct netlink_link *links;
	size_t links_n;
	struct netlink_address *addresses;
	size_t addresses_n;
	struct lb_address *vips; // wanted on loopback
	size_t vips_n;

	void *watched_tree, *neighbour_tree; // of tsearch(3)
	LIST_HEAD(, netlink_watched) watched;
	TAILQ_HEAD(netlink_neighbours, netlink_neighbour) neighbours; // last probed last
	uint32_t probe_tick;
	TAILQ_HEAD(, netlink_watched) pending;
	unsigned int round;

	struct netlink_route *routes; // the mirror, longest first
	size_t routes_n;
	struct netlink_neighbour **route_via; // [routes_n]; NULL where kind is not HOP
	struct publisher_route *published;    // as last told
	size_t published_n;
	bool has_published;
};

// ---- netlink.c ----

// Sends @message and calls @each for every message of the answer (NULL: none is wanted). The kernel
// answers rtnetlink requests before send() returns, and goes on with a dump in recv(): this waits
// for nobody. 0 or a negative errno; -errno of @each where that returned MNL_CB_ERROR.
int netlink_request(struct netlink *n, struct nlmsghdr *message, mnl_cb_t each, void *arg);
// Whether @status, of a request, says nothing of what was asked, for the kernel or this process was
// short of something: what was known holds, and is asked for again.
bool netlink_is_passing(int status);
// Looks again soon.
void netlink_set_stale(struct netlink *n, unsigned int what);

// ---- netlink_address.c ----

int netlink_dump_links(struct netlink *n, bool *ret_changed);
int netlink_dump_addresses(struct netlink *n, bool *ret_changed); // of the host's own, not our VIPs
const struct netlink_link *netlink_lookup_link(const struct netlink *n, uint32_t ifindex);
bool netlink_is_vip(const struct netlink *n, const struct lb_address *address);
int netlink_restore_vips(struct netlink *n, struct err *e);
void netlink_fini_addresses(struct netlink *n);

// ---- netlink_hops.c ----

// What the kernel answers for a destination. *ret_type is RTN_...; gateway is the destination
// itself where it is on the link.
struct netlink_answer {
	uint8_t type;
	bool has_gateway;
	uint32_t ifindex, mtu;
	struct lb_address gateway;
};
int netlink_ask_route(struct netlink *n, const struct lb_address *address,
		      struct netlink_answer *ret);
// Fills @ret. False: not resolved. @route_mtu 0: the interface's.
bool netlink_build_hop(const struct netlink *n, const struct netlink_neighbour *via,
		       uint32_t route_mtu, struct publisher_hop *ret);
// All routes are to be asked again.
void netlink_requeue_watched(struct netlink *n);
void netlink_run_lookups(struct netlink *n); // a bounded number
void netlink_report_watched(struct netlink *n, struct netlink_watched *w);
void netlink_fini_hops(struct netlink *n);

// ---- netlink_neighbour.c ----

// Finds or begins to follow it; it lives while netlink_drop_neighbour() finds a user. NULL: no
// memory.
struct netlink_neighbour *netlink_get_neighbour(struct netlink *n, uint32_t ifindex,
						const struct lb_address *address);
void netlink_drop_neighbour(struct netlink *n, struct netlink_neighbour *v);
void netlink_read_neighbour(struct netlink *n, const struct nlmsghdr *message);
int netlink_dump_neighbours(struct netlink *n);
void netlink_retry_neighbours(struct netlink *n);
void netlink_probe_neighbours(struct netlink *n); // every NETLINK_PROBE_MS

// ---- netlink_routes.c ----

void netlink_read_routes(struct netlink *n);
void netlink_publish_routes(struct netlink *n); // where they differ from the last time
void netlink_fini_routes(struct netlink *n);
