// SPDX-License-Identifier: BSD-2-Clause
//
// The walk in stages: each takes all packets of a burst one step on, and prefetches for each the
// row that its next step reads, so that the burst waits for memory once a stage and not once a
// packet:
//
//   parse, whom for -> hash -> slot -> (entry, where the slot asks) -> end
//                   -> reverse -------------------------------------> end
//
// The end takes each packet in turn the rest of its way, by the core's own functions
// (core/decide.h) from the backend's row on; counts, writes, and sorts it.
//
// What makes it quick, each measured by tools/bench dpdk:
//  - What a stage leaves to the next is less than a line a packet, for what is written and read
//    again costs a packet more than what is found again: so a plain packet's headers, warm by
//    then, are read twice.
//  - In line is the straight way of what nearly all packets are. Whatever else a packet is, or
//    meets, is found out anew by functions that are called: so the straight way's values stay in
//    registers.
//  - Which packets go through a stage is a list, not a condition in its loop: a burst of requests
//    and replies in any mixture costs one wrong guess of a branch, and a call, a packet.
//  - The hash is a stage by itself, of all flows of a burst together (walk_hash.h).
//  - The end takes runs of packets of one kind, each kind in a loop of its own (walk_straight.h).
// Every rule is the core's; what is here is their order, and memory.
#include "walk.h"

#include <rte_prefetch.h>

#include "walk_straight.h"

static __always_inline struct full *full_of(struct burst *b, const struct lane *lane)
{
	return &b->fulls[lane - b->lanes];
}

// ---- stages ----

static __always_inline void prefetch_backend(struct burst *b, __u32 row)
{
	rte_prefetch0(&b->env->tables.backends[row]);
	rte_prefetch0(&b->env->backend_counters[row]);
}

static __always_inline struct last *last_of(struct burst *b, const struct lb_packet *p)
{
	return &b->lasts[p->family == 6];
}

static __always_inline bool is_for(const struct last *last, const struct lb_packet *p)
{
	if (last->port != p->destination_port || last->protocol != p->protocol)
		return false;
	if (p->family == 4)
		return lb_address_ipv4(&last->vip) == lb_address_ipv4(&p->destination);
	return lb_address_is_equal(&last->vip, &p->destination);
}

// A packet for the service of last_of(). @i: which request of the burst it is.
static __always_inline enum lane_way start_request(struct burst *b, struct lane *lane,
						   const struct lb_packet *p, size_t i)
{
	const struct last *last = last_of(b, p);

	if (unlikely(!lb_decide_is_unicast_source(p)))
		return WAY_WHOLE;
	lane->request = (__u8)i;
	b->services[i] = last->service;
	if (p->family == 4) {
		b->flows.source_ipv4[i] = lb_address_ipv4(&p->source);
	} else {
		b->flows.source_halves[0][i] = p->source.halves[0];
		b->flows.source_halves[1][i] = p->source.halves[1];
		b->flows.is_ipv6[i] = 1;
	}
	b->flows.ports[i] = lb_hash_ports(p);
	b->flows.targets[i] = last->target;
	return WAY_CURRENT;
}

static __always_inline enum lane_way start_reply(struct burst *b, struct lane *lane,
						 const struct lb_packet *p)
{
	lane->backend = lb_index_hash(&p->source, p->protocol, p->source_port);
	rte_prefetch0(lb_service_reverse_line(b->env, lane->backend));
	return WAY_REPLY;
}

// A sound TCP or UDP packet that is not for the service of last_of().
static __always_inline enum lane_way start_other(struct burst *b, struct lane *lane,
						 const struct lb_packet *p, size_t i)
{
	struct lb_decision d = {};
	__u32 vip = lb_decide_whom(b->env, p, &d);
	const struct lb_service *service;

	if (!d.service)
		return vip ? WAY_WHOLE : start_reply(b, lane, p);
	service = lb_service_row(b->env, d.service);
	if (!service)
		return WAY_WHOLE;
	*last_of(b, p) = (struct last){
		.vip = p->destination,
		.port = p->destination_port,
		.protocol = p->protocol,
		.target.to = lb_hash_to(&p->destination, p->protocol),
		.target.ring = WALK_RING(service),
		.service = service,
	};
	return start_request(b, lane, p, i);
}

static __noinline enum lane_way start_other_plain(struct burst *b, struct lane *lane, int family,
						  unsigned int i)
{
	struct lb_packet p;

	if (family == 4) {
		again_plain(lane->mbuf, 4, &p);
		return start_other(b, lane, &p, i);
	}
	again_plain(lane->mbuf, 6, &p);
	return start_other(b, lane, &p, i);
}

// Returns false where the packet is not plain, and nothing was done.
static __always_inline bool start_plain(struct burst *b, struct lane *lane, __u8 *start, __u8 *end,
					int family, size_t i)
{
	enum lane_way way;
	struct lb_packet p;

	if (!lb_packet_parse_plain(start, end, lane->mbuf->pkt_len, family, &p))
		return false;
	if (is_for(last_of(b, &p), &p))
		way = start_request(b, lane, &p, i);
	else if (!lb_index_filter_has(lb_meta(b->env), &p.destination))
		way = start_reply(b, lane, &p);
	else
		way = start_other_plain(b, lane, family, i);
	lane->kind = LANE_KIND(family, way);
	return true;
}

// Not a plain one. Returns false where it must wait for those that came before, and are still on
// their way (@requests and @replies are their numbers): it follows a packet's first fragment, or
// asks where a flow lives.
static __noinline bool start_rest(struct burst *b, struct lane *lane, size_t requests,
				  size_t replies, __u8 *start, __u8 *end)
{
	struct full *full = full_of(b, lane);
	struct lb_packet *p = &full->packet;
	enum lane_way way = WAY_DECIDED;
	bool is_orderly;

	lb_parse(start, end, lane->mbuf->pkt_len, p);
	is_orderly = p->fragment != LB_FRAGMENT_NONE || p->quote.at;
	if (is_orderly && requests + replies)
		return false;
	if (!is_orderly && p->has_ports && p->defect == LB_REASON_NONE &&
	    lb_parse_locate(start, end, p->family, p))
		way = is_for(last_of(b, p), p) ? start_request(b, lane, p, requests)
					       : start_other(b, lane, p, requests);
	else
		lb_decide_parsed(b->env, start, end, p, &full->decision);
	lane->kind = LANE_KIND(0, way);
	return true;
}

static __always_inline bool start(struct burst *b, struct lane *lane, size_t requests,
				  size_t replies)
{
	bool is_started = false;
	__u8 *start, *end;
	int family;

	find_frame(lane->mbuf, &start, &end);
	if (likely(!LB_IS_BEYOND(start, PLAIN_BYTES, end))) {
		family = lb_packet_family(start, end);
		if (likely(family == 4))
			is_started = start_plain(b, lane, start, end, 4, requests);
		else if (family == 6)
			is_started = start_plain(b, lane, start, end, 6, requests);
	}
	return likely(is_started) || start_rest(b, lane, requests, replies, start, end);
}

// Returns how many are under way: all, or those before one that must wait.
static __always_inline unsigned int stage_start(struct burst *b, struct rte_mbuf *const *pkts,
						unsigned int n)
{
	struct rte_mbuf *const *end = pkts + n;
	size_t requests = 0, replies = 0;
	struct lane *lane = b->lanes;

	for (; pkts < end; pkts++, lane++) {
		lane->mbuf = *pkts;
		if (!start(b, lane, requests, replies))
			break;
		if (LANE_WAY(lane->kind) == WAY_CURRENT)
			b->requests.lanes[requests++] = lane;
		else if (LANE_WAY(lane->kind) == WAY_REPLY)
			b->replies.lanes[replies++] = lane;
	}
	b->requests.n = (unsigned int)requests;
	b->replies.n = (unsigned int)replies;
	return (unsigned int)(lane - b->lanes);
}

static __always_inline void stage_hash(struct burst *b)
{
	const size_t n = b->requests.n;

	// A family's requests left a service in its `last`.
	walk_hash(lb_meta(b->env)->flow_keys, &b->flows, n,
		  (b->lasts[0].protocol ? WALK_IPV4 : 0) | (b->lasts[1].protocol ? WALK_IPV6 : 0));
	for (size_t i = 0; i < n; i++)
		rte_prefetch0(&b->env->tables.slots[0].words[0] + b->flows.slot[i]);
}

static __always_inline void prefetch_entry(struct burst *b, size_t i)
{
	rte_prefetch0(lb_entry_line(b->env, (__u32)b->flows.hash[i] & b->env->connection_mask));
	rte_prefetch0(lb_slot_time_line(b->env, b->flows.slot[i] / LB_SLOTS_PER_LINE));
}

static __always_inline void stage_slot(struct burst *b)
{
	const size_t n = b->requests.n;
	size_t tracked = 0;

	for (size_t i = 0; i < n; i++) {
		struct lane *lane = b->requests.lanes[i];
		const __u32 *at = lb_slot(b->env, b->flows.slot[i]);
		__u32 word;

		if (unlikely(!at)) {
			lane->kind = LANE_KIND(LANE_FAMILY(lane->kind), WAY_WHOLE);
			continue;
		}
		word = lb_slot_read(at);
		if (lb_select_is_tracked(b->services[i]->tracking, word)) {
			lane->backend = word;
			prefetch_entry(b, i);
			b->tracked.lanes[tracked++] = lane;
			continue;
		}
		lane->backend = LB_SLOT_CURRENT(word);
		prefetch_backend(b, lane->backend);
	}
	b->tracked.n = (unsigned int)tracked;
}

static __always_inline void track(struct burst *b, struct lane *lane, const struct lb_packet *p)
{
	const unsigned int i = lane->request;
	struct lb_decision d = {
		.hash = b->flows.hash[i], .slot = b->flows.slot[i], .slot_word = lane->backend};

	lane->kind = LANE_KIND(LANE_FAMILY(lane->kind), WAY_TRACKED);
	lane->reason = (__u8)lb_decide_tracked(b->env, p, b->services[i], &d);
	lane->backend = d.backend;
	lane->is_untracked = d.is_untracked;
	prefetch_backend(b, d.backend);
}

static __always_inline void track_plain(struct burst *b, struct lane *lane, int family)
{
	struct lb_packet p;

	again_plain(lane->mbuf, family, &p);
	track(b, lane, &p);
}

static __always_inline void stage_entry(struct burst *b)
{
	for (unsigned int i = 0; i < b->tracked.n; i++) {
		struct lane *lane = b->tracked.lanes[i];

		if (LANE_FAMILY(lane->kind) == 4)
			track_plain(b, lane, 4);
		else if (LANE_FAMILY(lane->kind) == 6)
			track_plain(b, lane, 6);
		else
			track(b, lane, &full_of(b, lane)->packet);
	}
}

static __always_inline void reverse(struct burst *b, struct lane *lane, const struct lb_packet *p)
{
	lane->backend = lb_service_lookup_reverse_hashed(b->env, &p->source, p->protocol,
							 p->source_port, lane->backend);
	prefetch_backend(b, lane->backend);
}

static __always_inline void reverse_plain(struct burst *b, struct lane *lane, int family)
{
	struct lb_packet p;

	again_plain(lane->mbuf, family, &p);
	reverse(b, lane, &p);
}

static __always_inline void stage_reverse(struct burst *b)
{
	for (unsigned int i = 0; i < b->replies.n; i++) {
		struct lane *lane = b->replies.lanes[i];

		if (LANE_FAMILY(lane->kind) == 4)
			reverse_plain(b, lane, 4);
		else if (LANE_FAMILY(lane->kind) == 6)
			reverse_plain(b, lane, 6);
		else
			reverse(b, lane, &full_of(b, lane)->packet);
	}
}

// ---- ends ----

// The whole rest of the way. @way: LANE_WAY(). @is_plain: a constant.
static __always_inline void end_way(struct burst *b, const struct lane *lane, enum lane_way way,
				    int is_plain, const struct lb_packet *p,
				    struct walk_result *ret, struct dropped *dropped)
{
	struct lb_env *env = b->env;
	struct lb_decision d = {};

	if (way == WAY_REPLY) {
		lb_decide_reply_of(env, p, lane->backend, LB_REASON_REPLY, &d);
	} else {
		d.service = (__u32)(b->services[lane->request] - env->tables.services);
		d.hash = b->flows.hash[lane->request];
		d.backend = lane->backend;
		d.is_untracked = way == WAY_TRACKED ? lane->is_untracked : 0;
		lb_decide_to_backend(env, p, &d,
				     way == WAY_TRACKED ? (enum lb_reason)lane->reason
							: LB_REASON_CURRENT);
	}
	end_packet(env, lane->mbuf, is_plain, p, &d, ret, dropped);
}

// @family: a constant.
static __always_inline void end_plain(struct burst *b, const struct lane *lane, int family,
				      struct walk_result *ret, struct dropped *dropped)
{
	struct lb_packet p;

	again_plain(lane->mbuf, family, &p);
	end_way(b, lane, LANE_WAY(lane->kind), 1, &p, ret, dropped);
}

static __noinline void end_ipv4(struct burst *b, const struct lane *lane, struct walk_result *ret,
				struct dropped *dropped)
{
	end_plain(b, lane, 4, ret, dropped);
}

static __noinline void end_ipv6(struct burst *b, const struct lane *lane, struct walk_result *ret,
				struct dropped *dropped)
{
	end_plain(b, lane, 6, ret, dropped);
}

// Any packet.
static __noinline void end_rest(struct burst *b, const struct lane *lane, struct walk_result *ret,
				struct dropped *dropped)
{
	struct full *full = full_of(b, lane);

	if (LANE_WAY(lane->kind) == WAY_WHOLE)
		end_whole(b->env, lane->mbuf, ret, dropped);
	else if (LANE_WAY(lane->kind) == WAY_DECIDED)
		end_packet(b->env, lane->mbuf, 0, &full->packet, &full->decision, ret, dropped);
	else if (LANE_FAMILY(lane->kind) == 4)
		end_ipv4(b, lane, ret, dropped);
	else if (LANE_FAMILY(lane->kind) == 6)
		end_ipv6(b, lane, ret, dropped);
	else
		end_way(b, lane, LANE_WAY(lane->kind), 0, &full->packet, ret, dropped);
}

static __always_inline void stage_end(struct burst *b, unsigned int n, struct walk_result *ret,
				      struct dropped *dropped)
{
	const struct lane *const end = b->lanes + n;
	const struct lane *lane = b->lanes;

	while (lane < end) {
		const struct lane *next = end_straight(b, lane, end, ret);

		if (unlikely(next == lane)) {
			end_rest(b, lane, ret, dropped);
			next++;
		}
		lane = next;
	}
}

// The first packets of @n that can go through the stages together. Returns how many.
static unsigned int walk_run(struct lb_env *env, struct rte_mbuf **pkts, unsigned int n,
			     struct walk_result *ret, struct dropped *dropped)
{
	struct burst b;

	b.env = env;
	b.lasts[0].protocol = b.lasts[1].protocol = 0;
	memset(b.flows.is_ipv6, 0, sizeof(b.flows.is_ipv6));
	n = stage_start(&b, pkts, n);
	stage_hash(&b);
	stage_slot(&b);
	stage_entry(&b);
	stage_reverse(&b);
	stage_end(&b, n, ret, dropped);
	return n;
}

void walk_burst(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (size_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (unsigned int i = 0; i < n;)
		i += walk_run(&w->env, pkts + i, n - i, ret, &dropped);
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}
