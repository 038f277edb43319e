// SPDX-License-Identifier: BSD-2-Clause
//
// The publisher owns the tables' rows: it gives services, backends and hops their
// rows, fills rings, and moves slots from old backends to new ones so that no
// connection breaks (design: tracking on demand). It writes to mapped memory only,
// so it serves either dataplane and the tests; it does no other I/O.
//
// What it is told: the model (what is wanted), each backend's health, each
// backend's next hop, and the time. From these alone follow the rings.
// A backend gets new connections when it is enabled, up (or has no check), its
// weight is above 0 and its hop is resolved.
//
// A backend that leaves the model stays as a row that is "leaving" (no new
// connections) until nothing has gone to it for the idle time, or its deadline is
// past; then its row is retired, and used again after the grace period. A restarted
// lbd finds all of this in the tables: publisher_adopt().
#pragma once

#include "control/model.h"
#include "dataplane/native/native.h"

enum health_state { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };

#define PUBLISH_GRACE_S 2 // after this, every packet that could have read a row is done
#define PUBLISH_LEAVE_DEFAULT_S 3600

struct publisher;

// Borrows @tables until publisher_free(). The tables' meta must be LB_META_LIVE.
int publisher_new(struct lb_tables *tables, struct publisher **ret, struct err *e);
void publisher_free(struct publisher *p);

// Whether @m fits beside what the tables hold: rows, slots, index lines. Changes nothing.
// 0, or -ENOSPC with @e naming the limit and its mend.
int publisher_check(const struct publisher *p, const struct model *m, struct err *e);

// Takes over what the tables hold: matches rows to @m by name, address and port. Rows that @m does
// not name become leaving (backends) or are removed (services). Health is read from the tables: a
// backend that is some slot's current is up, one flagged down is down, else unknown. Then does what
// publisher_apply() does; where the tables already show @m, not a byte changes.
// Fresh tables are the case where nothing matches. Refuses what publisher_check() refuses.
int publisher_adopt(struct publisher *p, const struct model *m, uint32_t now_s, struct err *e);

// Makes the tables show @m (borrowed until the next call; the caller frees the one before after).
// After publisher_check() said 0 it can only fail by memory, before the first write.
int publisher_apply(struct publisher *p, const struct model *m, uint32_t now_s, struct err *e);

// Cuts a leaving backend at once (`remove --now`), or sets by when it goes. Call after the apply
// that removed it. -ENOENT where it is not leaving.
int publisher_set_deadline(struct publisher *p, const char *service,
			   const struct lb_address *address, uint16_t port, uint32_t deadline_s,
			   uint32_t now_s);

// A dataplane that tells it: packets that came before @quiet_s are done, later ones may not be.
// Rows then wait for that too before they are used again. Never called: the grace period alone
// holds.
void publisher_set_quiet(struct publisher *p, uint32_t quiet_s);

// Both: no such backend is no error (it has just gone). @backend as the model names it.
void publisher_set_health(struct publisher *p, const char *service,
			  const struct lb_address *address, uint16_t port, enum health_state health,
			  uint32_t now_s);
// @hop NULL: unresolved. Applies to every backend row with this address.
struct publisher_hop {
	uint32_t ifindex, mtu;
	uint8_t destination[6], source[6];
	uint32_t
		is_gateway; // not the backend itself: no way for l2, whose backends stay unresolved
};
void publisher_set_hop(struct publisher *p, const struct lb_address *address,
		       const struct publisher_hop *hop, uint32_t now_s);
// Routes for the replies of nat, longest prefix first; the publisher finds rows for the hops.
struct publisher_route {
	struct prefix prefix;
	uint32_t kind;		  // enum lb_route_kind
	struct publisher_hop hop; // LB_ROUTE_HOP
};
void publisher_set_routes(struct publisher *p, const struct publisher_route *routes,
			  size_t routes_n, uint32_t now_s);
// Which VIPs are addresses of an interface (other than by our own doing): LB_VIP_OF_HOST.
void publisher_set_vip_of_host(struct publisher *p, const struct lb_address *vip, bool of_host);

// One small step of sweeping and settling: reads at most @lines lines of connections (or slots),
// retires and frees what is due. Call it from a timer; a step of 4096 lines takes well under a
// millisecond. Returns true while any slot has `lookup` set, anything is leaving or retired: while
// false, it may be called rarely, but must be: what has expired is cleared in days, not months.
bool publisher_sweep(struct publisher *p, uint32_t lines, uint32_t now_s);
// How many live backends are leaving: a sweep takes away those that are done.
uint32_t publisher_count_leaving(const struct publisher *p);
// Finishes the round, then does a whole one.
bool publisher_sweep_all(struct publisher *p, uint32_t now_s);

// Between the two, rings wait: many changes at once (hops and health at start) then build each ring
// once, and a backend that would get all slots for a moment does not. Rows and flags do not wait.
// Pairs may be nested; the last release updates the rings.
void publisher_hold(struct publisher *p);
void publisher_release(struct publisher *p, uint32_t now_s);

// ---- what is shown ----

struct publisher_backend_view {
	uint32_t row;
	const char *service; // borrowed
	struct lb_address address;
	uint16_t port;
	uint32_t weight;
	enum model_state state;
	enum health_state health;
	bool has_check;
	bool hop_resolved;
	bool leaving;
	uint32_t deadline_s;	   // leaving: when it goes at the latest
	uint32_t slots;		   // of all its rings: slots whose current it is
	uint32_t slots_n;	   // slots of all its rings
	uint32_t settled_slots;	   // slots in transition whose settled it is
	uint32_t tracked;	   // unexpired entries, as of the last whole sweep
	uint32_t last_untracked_s; // when an untracked packet last may have gone to it; 0: never
	struct lb_backend_counters counters; // summed over CPUs, since the row was made
};

// Calls @fn for each backend of @service (NULL: of all), leaving ones last. @fn returns false to
// stop.
void publisher_each_backend(const struct publisher *p, const char *service,
			    bool (*fn)(const struct publisher_backend_view *view, void *arg),
			    void *arg);

struct publisher_service_view {
	uint32_t row4, row6; // 0: no VIP of that family
	uint32_t slots_in_transition;
	struct lb_service_counters counters; // summed over CPUs and families
};
int publisher_get_service(const struct publisher *p, const char *service,
			  struct publisher_service_view *ret); // 0 or -ENOENT
// The name of the service whose row it is; NULL: it is no service's. Borrowed.
const char *publisher_get_service_name(const struct publisher *p, uint32_t row);
// Totals of a reason since the tables were made.
uint64_t publisher_get_reason(const struct publisher *p, enum lb_reason reason);
