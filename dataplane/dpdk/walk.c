// SPDX-License-Identifier: BSD-2-Clause
//
// The walk in stages: each takes all packets of a burst one step on, and prefetches for each the
// row that its next step reads, so that the burst waits for memory once a stage and not once a
// packet:
//
//   whom for -> sound? hash -> slot -> (entry, where the slot asks) -> end
//                           -> reverse -------------------------------> end
//
// The end takes each packet in turn the rest of its way, by the core's own functions
// (core/decide.h) from the backend's row on; counts, writes, and sorts it.
//
// What makes it quick, each measured by tools/bench dpdk:
//  - A packet for the same address, port and protocol as the one before is not parsed to find that
//    out, but told by a few words of its headers (core/like.h).
//  - What is arithmetic is asked and computed of all packets of a burst together (walk_flows.h).
//    What it takes is a column a value; a plain packet's headers, warm by then, are read twice.
//  - In line is the straight way of what nearly all packets are. Whatever else a packet is, or
//    meets, is found out anew by functions that are called: so the straight way's values stay in
//    registers.
//  - Which packets go through a stage is a list, not a condition in its loop: a burst of requests
//    and replies in any mixture costs one wrong guess of a branch, and a call, a packet.
//  - The end takes runs of packets of one kind, each kind in a loop of its own (walk_straight.h).
//  - It is loads and stores that are scarce. Each of the hot loops has its own copy of the env,
//    for a store to a packet may have changed any other.
//  - What is written word by word is not read soon after as one wider word, which waits.
// Every rule is the core's; what is here is their order, and memory.
#include "walk.h"

#include <rte_prefetch.h>

#include "walk_start.h"
#include "walk_straight.h"

// For each row i of a list. A full burst, which is what comes when it matters, is a loop by itself,
// of a constant number of rounds, and reads no list: the body is there twice.
#define FOR_ROWS(list, body)                                                                       \
	do {                                                                                       \
		if ((list)->is_full) {                                                             \
			for (size_t i = 0; i < WALK_BURST_MAX; i++)                                \
				body;                                                              \
		} else {                                                                           \
			for (size_t k_ = 0; k_ < (list)->n; k_++) {                                \
				const size_t i = (list)->rows[k_];                                 \
				body;                                                              \
			}                                                                          \
		}                                                                                  \
	} while (0)

// ---- stages ----

static __always_inline void prefetch_backend(const struct lb_env *env, __u32 row)
{
	rte_prefetch0(&env->tables.backends[row]);
	rte_prefetch0(&env->backend_counters[row]);
}

// The rows of @way, of @n; there are @rows_n. Without a branch a row: whose way is which is
// nobody's guess.
static __always_inline void list_of(const struct burst *b, size_t n, enum lane_way way,
				    size_t rows_n, struct list *ret)
{
	ret->n = rows_n;
	ret->is_full = rows_n == WALK_BURST_MAX;
	if (!rows_n || ret->is_full)
		return;
	for (size_t i = 0, k = 0; i < n; i++) {
		ret->rows[k] = (__u8)i;
		k += LANE_WAY(kind_of(b, i)) == way;
	}
}

// Lists who goes which way.
static __always_inline void stage_flows(struct burst *b, size_t n, struct list *ret_requests,
					struct list *ret_replies)
{
	const __u32 *slots = &b->env->tables.slots[0].words[0];

	if (unlikely(b->rest_n < n && !walk_flows(lb_meta(b->env)->flow_keys, &b->flows,
						  b->families, b->replies_n > 0)))
		start_again(b, n);
	list_of(b, n, WAY_CURRENT, n - b->replies_n - b->rest_n, ret_requests);
	list_of(b, n, WAY_REPLY, b->replies_n, ret_replies);
	FOR_ROWS(ret_requests, rte_prefetch0(&slots[b->flows.slot[i]]));
	FOR_ROWS(ret_replies, rte_prefetch0(lb_service_reverse_line(b->env, b->flows.reverse[i])));
}

static __always_inline void prefetch_entry(struct lb_env *env, const struct burst *b, size_t i)
{
	__u64 whole = walk_flows_whole(lb_meta(env)->flow_keys, &b->flows, i);

	rte_prefetch0(lb_entry_line(env, (__u32)whole & env->connection_mask));
	rte_prefetch0(lb_slot_time_line(env, b->flows.slot[i] / LB_SLOTS_PER_LINE));
}

static __always_inline void slot_one(struct lb_env *env, struct burst *b, size_t i, __u8 tracking)
{
	const __u32 *at = lb_slot(env, b->flows.slot[i]);
	__u32 word;

	if (unlikely(!at)) {
		set_way(b, i, WAY_WHOLE);
		return;
	}
	word = lb_slot_read(at);
	if (lb_select_is_tracked(tracking, word)) {
		b->backends[i] = word;
		prefetch_entry(env, b, i);
		b->tracked.rows[b->tracked.n++] = (__u8)i;
		return;
	}
	b->backends[i] = LB_SLOT_CURRENT(word);
	prefetch_backend(env, b->backends[i]);
}

static __always_inline void stage_slot(struct burst *b, const struct list *requests)
{
	struct lb_env env = *b->env; // its own copy: what is in it stays in registers
	__u8 tracking;

	if (b->flows.targets_n == 1) {
		tracking = (__u8)LB_SERVICE_TRACKING(b->flows.targets[0].service);
		FOR_ROWS(requests, slot_one(&env, b, i, tracking));
		return;
	}
	FOR_ROWS(requests, slot_one(&env, b, i, (__u8)LB_SERVICE_TRACKING(service_of(b, i))));
}

static __always_inline void track(struct burst *b, size_t i, const struct lb_packet *p)
{
	struct lb_decision d = {.hash = b->flows.hash[i], .slot_word = b->backends[i]};

	lb_decide_set_service(&d, service_of(b, i));
	set_way(b, i, WAY_TRACKED);
	b->reasons[i] = (__u8)lb_decide_tracked(b->env, p, &d);
	b->backends[i] = d.backend;
	b->is_untracked[i] = d.is_untracked;
	prefetch_backend(b->env, d.backend);
}

static __always_inline void entry_one(struct burst *b, size_t i)
{
	const __u8 kind = kind_of(b, i);
	struct lb_packet p;

	if (!(kind & LANE_PLAIN)) {
		track(b, i, &b->fulls[i].packet);
	} else if (kind & LANE_IPV6) {
		again_plain(b->pkts[i], 6, protocol_of(kind), &p);
		track(b, i, &p);
	} else {
		again_plain(b->pkts[i], 4, protocol_of(kind), &p);
		track(b, i, &p);
	}
}

static __always_inline void stage_entry(struct burst *b)
{
	for (size_t k = 0; k < b->tracked.n; k++)
		entry_one(b, b->tracked.rows[k]);
}

static __always_inline void reverse_one(struct burst *b, size_t i)
{
	const struct lb_address source = walk_flow_source(&b->flows, i, family_of(kind_of(b, i)));

	b->backends[i] = lb_service_lookup_reverse_hashed(b->env, &source, b->flows.ports[i],
							  b->flows.reverse[i]);
	prefetch_backend(b->env, b->backends[i]);
}

static __always_inline void stage_reverse(struct burst *b, const struct list *replies)
{
	FOR_ROWS(replies, reverse_one(b, i));
}

// ---- ends ----

// The whole rest of the way. @way: LANE_WAY(). @is_plain: a constant.
static __always_inline void end_way(struct burst *b, size_t i, enum lane_way way, int is_plain,
				    const struct lb_packet *p, struct walk_result *ret,
				    struct dropped *dropped)
{
	struct lb_env *env = b->env;
	struct lb_decision d = {};

	if (way == WAY_REPLY) {
		lb_decide_reply_of(env, p, b->backends[i], LB_REASON_REPLY, &d);
	} else {
		lb_decide_set_service(&d, service_of(b, i));
		d.hash = b->flows.hash[i];
		d.backend = b->backends[i];
		d.is_untracked = way == WAY_TRACKED ? b->is_untracked[i] : 0;
		lb_decide_to_backend(env, p, &d,
				     way == WAY_TRACKED ? (enum lb_reason)b->reasons[i]
							: LB_REASON_CURRENT);
	}
	end_packet(env, b->pkts[i], is_plain, p, &d, ret, dropped);
}

// @family: a constant.
static __always_inline void end_plain(struct burst *b, size_t i, int family,
				      struct walk_result *ret, struct dropped *dropped)
{
	const __u8 kind = kind_of(b, i);
	struct lb_packet p;

	again_plain(b->pkts[i], family, protocol_of(kind), &p);
	end_way(b, i, LANE_WAY(kind), 1, &p, ret, dropped);
}

static __noinline void end_ipv4(struct burst *b, size_t i, struct walk_result *ret,
				struct dropped *dropped)
{
	end_plain(b, i, 4, ret, dropped);
}

static __noinline void end_ipv6(struct burst *b, size_t i, struct walk_result *ret,
				struct dropped *dropped)
{
	end_plain(b, i, 6, ret, dropped);
}

// Any packet.
static __noinline void end_rest(struct burst *b, size_t i, struct walk_result *ret,
				struct dropped *dropped)
{
	const __u8 kind = kind_of(b, i);
	struct full *full = &b->fulls[i];

	if (LANE_WAY(kind) == WAY_WHOLE)
		end_whole(b->env, b->pkts[i], ret, dropped);
	else if (LANE_WAY(kind) == WAY_DECIDED)
		end_packet(b->env, b->pkts[i], 0, &full->packet, &full->decision, ret, dropped);
	else if (!(kind & LANE_PLAIN))
		end_way(b, i, LANE_WAY(kind), 0, &full->packet, ret, dropped);
	else if (kind & LANE_IPV6)
		end_ipv6(b, i, ret, dropped);
	else
		end_ipv4(b, i, ret, dropped);
}

static __always_inline void stage_end(struct burst *b, size_t n, struct walk_result *ret,
				      struct dropped *dropped)
{
	for (size_t i = 0; i < n;) {
		const size_t next = end_straight(b, i, n, ret);

		if (unlikely(next == i)) {
			end_rest(b, i, ret, dropped);
			i++;
		} else {
			i = next;
		}
	}
}

// The first packets of @n that can go through the stages together. Returns how many.
static unsigned int walk_run(struct lb_env *env, struct rte_mbuf **pkts, unsigned int n,
			     struct walk_result *ret, struct dropped *dropped)
{
	struct burst b;
	struct list requests, replies;

	b.env = env;
	b.pkts = pkts;
	b.lasts[0].like = b.lasts[1].like = (struct lb_packet_like){.rest = LB_LIKE_NONE};
	b.is_known = 0;
	b.families = 0;
	b.replies_n = b.rest_n = 0;
	b.tracked.n = 0;
	b.flows.targets_n = 0;
	n = (unsigned int)stage_start(&b, n);
	stage_flows(&b, n, &requests, &replies);
	stage_slot(&b, &requests);
	stage_entry(&b);
	stage_reverse(&b, &replies);
	stage_end(&b, n, ret, dropped);
	return n;
}

void walk_burst(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n;)
		i += walk_run(&w->env, pkts + i, n - i, ret, &dropped);
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}
