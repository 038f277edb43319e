// SPDX-License-Identifier: BSD-2-Clause
//
// Inside the publisher: what its files share. Nothing outside control/publish*.c,
// control/ring.c, control/sweep.c and the tests includes this.
//
//   publish.c        life, apply: from the model to services and their backends
//   publish_adopt.c  what a restarted lbd finds, also half done
//   publish_check.c  whether a model fits
//   publish_rows.c   rows of services and backends: made, matched, retired, freed
//   publish_address.c  the rows of an address
//   publish_index.c  the two indexes: VIP -> service, backend -> reply
//   publish_hops.c   hops and routes
//   ring.c           a service's slots: who is eligible, what a slot says
//   sweep.c          settles, clears `lookup`, lets rows go
//   publish_view.c   what is shown
//
// For each row of the tables there is a struct here, at the same number, with what
// the tables need not hold. Every store to the tables goes through publish_store_*(),
// which keeps an equal word as it is, and lets tests look between any two stores.
#pragma once

#include "control/map.h"
#include "control/maglev.h"
#include "control/publish.h"

struct slot_range {
	uint32_t begin, end; // whole lines
};

struct pub_service {
	char name[MODEL_NAME_MAX + 1];
	struct lb_address vips[MODEL_VIPS_MAX]; // whose index entries name this row
	size_t vips_n;
	uint32_t first_backend; // rows, in the order they came; 0: none
	uint32_t last_backend;
	uint32_t lookups_n;	// slots with `lookup`
	uint32_t changed_s;	// when a current last changed
	uint64_t eligible_hash; // of what its ring was built from
	uint8_t want_tracking;	// what the row shall say once stale entries are cleared
	bool has_check;
	bool keeps;	// on_down: keep
	bool rejects;	// on_empty: reject
	bool is_in_use; // from service_add() to service_retire()
	bool is_wanted; // by the model
	bool is_dirty;	// its ring must be looked through
	bool purges;	// waits for a sweep that began after purge_s
	bool purges_in_round;
	uint32_t purge_s;
};

struct pub_backend {
	uint32_t next;			       // of the same service row; 0: the last
	uint32_t address_before, address_next; // live rows of the same address; 0: none
	uint32_t weight;
	uint8_t wanted_state; // enum model_state
	uint8_t health;	      // enum health_state
	bool is_wanted;	      // by the model; else leaving, while the row is live
	bool is_listed;	      // publisher_apply(): the model has it
	bool is_clean;	      // this round: no slot and no unexpired entry named it so far
	bool has_told_hop;
	bool waits; // nat: for the replies of its address and port
	struct publisher_hop
		told_hop;     // what netlink says of its address, usable in its mode or not
	uint32_t link_left_s; // when packets were sent on from its copy of a hop's link
	uint32_t deadline_s;  // leaving
	uint32_t current_n;   // slots whose current it is
	uint32_t settled_n;   // slots whose settled it is
	uint32_t moving_n;    // of these, slots with another current
	uint32_t unnamed_s;   // since when no slot names it
	uint32_t tracked;     // unexpired entries in the last whole round
	uint32_t tracked_so_far;
	uint32_t untracked_s; // the latest time of its slots with `lookup`, last whole round
	uint32_t untracked_so_far;
};

struct pub_hop {
	uint32_t refs; // backends' hops and copies of links, and routes of the set in use
	uint32_t retired_s;
	bool is_retired;
};

struct pub_index_entry {
	uint32_t freed_s;
	bool is_tombstone; // freed, and a packet may still read it
	bool is_reserved;  // by publisher_check(), while it runs
	bool is_of_host;   // a VIP's entry
	uint32_t refs;	   // a VIP's entry: service rows that have it
	uint32_t any_refs; // of these, with port 0
};

struct pub_index {
	struct lb_index_line *lines;
	uint32_t shift;			 // as in struct lb_meta
	uint32_t mask;			 // lines - 1
	struct pub_index_entry *entries; // two a line
};

enum pub_phase { PUB_SLOTS, PUB_CONNECTIONS };

struct pub_sweep {
	enum pub_phase phase;
	uint32_t service;  // PUB_SLOTS: row
	uint32_t slot;	   // of its ring
	uint64_t line;	   // PUB_CONNECTIONS
	uint64_t *quiet;   // a bit a slot: its lookup may be cleared, as far as seen
	uint32_t purges_n; // services that wait
};

struct publisher {
	struct lb_tables *t;
	uint32_t now_s;	  // as last told
	uint32_t quiet_s; // publisher_set_quiet()
	bool has_quiet;
	bool has_left_links; // maybe
	struct pub_service *services;
	struct pub_backend *backends;
	struct pub_hop *hops;
	struct map service_map; // name, family -> row in use
	struct map backend_map; // service row, address, port -> live row
	struct map address_map; // address -> the first of its live rows
	struct map hop_map;	// content -> row, live or retired
	struct pub_index service_index, reverse_index;
	struct slot_range *ranges; // scratch of slots_list(), slots_take(): [service_n]
	size_t ranges_n;
	uint32_t next_backend, next_hop; // where to look for a free row
	// Scratch of ring_update(): [backend_n], [slot_n].
	struct maglev_backend *eligible;
	uint32_t *wanted;
	uint32_t *dirty; // [service_n]: rows whose ring must be looked through
	uint32_t dirty_n;
	uint32_t held;	    // publisher_hold() calls open
	uint32_t waiting_n; // rows with `waits`
	uint32_t lookups_n, leaving_n, retired_backends_n, retired_services_n, retired_hops_n;
	uint32_t earliest_deadline_s;
	uint32_t routes_left_s[LB_ROUTE_SETS];	// when packets were sent on to the next one
	struct publisher_route *pending_routes; // owned; wait for the grace period
	size_t pending_routes_n;
	struct pub_sweep sweep;
	void (*stored)(void *arg); // tests: after each store
	void *stored_arg;
};

// @a is later than @b, or equal: how many seconds; earlier: 0. Times may wrap.
static inline uint32_t publish_age(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0 ? a - b : 0;
}

// Every packet that could have read what went at @since_s is done.
static inline bool publish_is_past_grace(const struct publisher *p, uint32_t since_s)
{
	return publish_age(p->now_s, since_s) > PUBLISH_GRACE_S &&
	       (!p->has_quiet || publish_age(p->quiet_s, since_s));
}

// ---- stores (publish_rows.c) ----
void publish_store_8(struct publisher *p, uint8_t *word, uint8_t value);
void publish_store_32(struct publisher *p, uint32_t *word, uint32_t value);
void publish_store_64(struct publisher *p, __u64 *word, uint64_t value);
// What no packet can reach.
void publish_store_bytes(struct publisher *p, void *to, const void *from, size_t len);

// ---- rows (publish_rows.c) ----
uint64_t publish_name_hash(const char *name);
static inline bool backend_is_live(const struct publisher *p, uint32_t row)
{
	return p->t->backends[row].state == LB_ROW_LIVE;
}

static inline bool backend_is_leaving(const struct publisher *p, uint32_t row)
{
	return backend_is_live(p, row) && !p->backends[row].is_wanted;
}

// The row in use of a service's name and family (4, 6); 0: none.
uint32_t service_lookup(const struct publisher *p, uint64_t name_hash, int family);
// A live row; 0: none.
uint32_t backend_lookup(const struct publisher *p, uint32_t service,
			const struct lb_address *address, uint16_t port);
// Into the map of rows in use by name and family, or out of it.
void service_link(struct publisher *p, uint32_t row);
void service_unlink(struct publisher *p, uint32_t row);
// The VIP of @family that a nat service has; NULL: none.
const struct lb_address *service_vip(const struct model_service *m, int family);
// Whether the service has backend @b behind its VIPs of @family.
bool service_has_backend(const struct model_service *m, int family, const struct model_backend *b);
// Whether @row can go on as @m's row for @family; else @m needs a new one.
bool service_fits(const struct publisher *p, uint32_t row, const struct model_service *m,
		  int family);
// Writes a new row that nothing names yet; its ring is all "none". Room was checked.
uint32_t service_add(struct publisher *p, const struct model_service *m, int family);
// No packet finds it any more; its backends are retired with it.
void service_retire(struct publisher *p, uint32_t row);
void service_free(struct publisher *p, uint32_t row);
uint32_t backend_add(struct publisher *p, uint32_t service, const struct model_service *m,
		     const struct model_backend *b);
// Links a live row into its service's list and the maps.
void backend_link(struct publisher *p, uint32_t row);
// Cut: its entries read as misses, no slot names it, no packet goes to it.
void backend_retire(struct publisher *p, uint32_t row);
void backend_free(struct publisher *p, uint32_t row);
// Writes the flags that health and the operator's state call for.
void backend_set_flags(struct publisher *p, uint32_t row);
void backend_leave(struct publisher *p, uint32_t row, uint32_t deadline_s);

// ---- rows of an address (publish_address.c) ----
// Yields the live ones, 0 at the end; *cursor is 0 at first.
uint32_t backend_next_of_address(const struct publisher *p, const struct lb_address *address,
				 uint32_t *cursor);
void address_link(struct publisher *p, uint32_t row);
void address_unlink(struct publisher *p, uint32_t row);

// ---- ranges of slots (publish_rows.c) ----
// Lists in p->ranges, sorted, what the rows that are not free have.
void slots_list(struct publisher *p);
// Where a ring of this length fits first; then it is listed too. UINT32_MAX: nowhere.
uint32_t slots_take(struct publisher *p, uint32_t ring_len);

// ---- indexes (publish_index.c) ----
int index_init(struct pub_index *x, struct lb_index_line *lines, uint32_t shift);
void index_fini(struct pub_index *x);
// Number of the entry with this key and a value, else of one with this key that is free (a
// value of 0); -1: none.
int64_t index_lookup(const struct pub_index *x, const struct lb_address *address, uint8_t protocol,
		     uint16_t port_be);
// The entry that index_set() would use for a new key; -1: no room.
int64_t index_place(const struct publisher *p, const struct pub_index *x,
		    const struct lb_address *address, uint8_t protocol, uint16_t port_be);
struct lb_index_entry *index_entry(const struct pub_index *x, uint32_t entry);
// Adds or switches. Returns the entry's number; -1: no room.
int64_t index_set(struct publisher *p, struct pub_index *x, const struct lb_address *address,
		  uint8_t protocol, uint16_t port_be, uint64_t value);
void index_clear(struct publisher *p, struct pub_index *x, uint32_t entry);
uint64_t index_value(const struct pub_index *x, const struct lb_address *address, uint8_t protocol,
		     uint16_t port_be);

// Counts a VIP that an index entry names the row for. Number of the VIP's own entry; -1: no room.
int64_t vip_count(struct publisher *p, uint32_t row, const struct lb_address *vip);
// False: no room.
bool service_add_vip(struct publisher *p, uint32_t row, const struct lb_address *vip);
// Makes what the index says of the row what the row says, but for its tracking.
void service_publish(struct publisher *p, uint32_t row, uint8_t tracking);
void service_del_vip(struct publisher *p, uint32_t row, const struct lb_address *vip);
// Recomputes what a VIP's own entry says.
void vip_publish(struct publisher *p, uint32_t entry);
// nat: makes replies of this backend its own, unless a live one of another service has them. 1: it
// has them; 0: it must wait; -1: no room.
int reverse_claim(struct publisher *p, uint32_t row);
bool reverse_is_claimed(const struct publisher *p, uint32_t row);
// Gives the replies to the next row that waits for them, or to none.
void reverse_release(struct publisher *p, uint32_t row);

// ---- hops (publish_hops.c) ----
// A row with this content, referenced once more; 0: NULL, or no room.
uint32_t hop_get(struct publisher *p, const struct publisher_hop *hop);
// Once more named by a row; 0 is no hop. These also take a retired row back.
void hop_ref(struct publisher *p, uint32_t row);
void hop_put(struct publisher *p, uint32_t row);
uint64_t hop_hash(const struct lb_hop *h);
// Takes over a row that is found; then retires those that nothing turned out to name.
void hop_adopt(struct publisher *p, uint32_t row);
void hops_retire_unnamed(struct publisher *p);
void hops_free_retired(struct publisher *p);
// The row's copy of a link is not its hop's any more.
void link_leave(struct publisher *p, uint32_t row);
// Makes @row's `way` what its other fields say; behind their last store. Before a store that ends a
// way it is cleared.
void backend_set_way(struct publisher *p, uint32_t row);
// Renews such copies, once the grace period has passed.
void links_renew_left(struct publisher *p);
// Gives a new row the hop of its address, as the other rows were told. Netlink says it once.
void hop_inherit(struct publisher *p, uint32_t row);
// The same for a row that is found: from what its hop says.
void hop_recall(struct publisher *p, uint32_t row);
void routes_flush(struct publisher *p);
void routes_count(struct publisher *p, int by); // references of the set in use

// ---- rings (ring.c) ----
bool backend_is_eligible(const struct publisher *p, uint32_t row);
// The ring must be looked through at the next ring_flush(): always, or only if the eligible
// backends are others than its ring was built from.
void ring_set_dirty(struct publisher *p, uint32_t service);
void ring_touch(struct publisher *p, uint32_t service);
// Updates the dirty rings, unless held.
void ring_flush(struct publisher *p);
void ring_update(struct publisher *p, uint32_t service);
void slot_store(struct publisher *p, uint32_t service, uint32_t slot, uint32_t word);
// Counts what the slots of a found ring name.
void ring_count(struct publisher *p, uint32_t service);

static inline uint32_t *slot_word(const struct publisher *p, uint32_t slot)
{
	return &p->t->slots[slot / LB_SLOTS_PER_LINE].words[slot % LB_SLOTS_PER_LINE];
}

static inline uint32_t *slot_time(const struct publisher *p, uint32_t slot)
{
	return &p->t->slot_times[slot / LB_SLOTS_PER_LINE].times_s[slot % LB_SLOTS_PER_LINE];
}

// ---- sweep (sweep.c) ----
void sweep_forget_ring(struct publisher *p, uint32_t service);
// Now, or after the sweep that must come first.
void service_set_tracking(struct publisher *p, uint32_t row, uint8_t tracking);
