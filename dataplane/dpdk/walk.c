// SPDX-License-Identifier: BSD-2-Clause
//
// The walk in stages: each takes all packets of a burst one step on, and prefetches for each the
// row that its next step reads, so that the burst waits for memory once a stage and not once a
// packet:
//
//   parse, whom for, hash -> service -> slot -> (entry, where the slot asks) -> backend -> end
//                         -> reverse --------------------------------------------------> end
//
// The end takes each packet in turn the rest of its way, by the core's own functions
// (core/decide.h) from the backend's row on; counts, writes, and sorts it.
//
// What a stage leaves to the next is a line a packet, for what is written and read again costs a
// packet more than what is found again: so a plain packet's headers, warm by then, are read twice.
// Which packets go through a stage is a set of bits, not a condition in its loop: a burst of
// requests and replies in any mixture costs one wrong guess of a branch a packet. Every rule is the
// core's; what is here is their order, and memory.
#include "walk.h"

#include <rte_prefetch.h>

#include "walk_end.h"

// Where a packet of a burst has got to.
enum lane_way {
	WAY_WHOLE,   // nowhere: it takes the whole walk at the end. Few do
	WAY_CURRENT, // to a service's backend, as its slot says
	WAY_TRACKED, // to a service's backend, as tracking says
	WAY_REPLY,   // from a backend in nat
	WAY_DECIDED, // there: full->decision
};

// A packet on its way.
struct lane {
	struct rte_mbuf *mbuf;
	const struct lb_service *service;
	__u64 hash;
	__u32 row; // of the service; of replies: of the backend, by the reverse index
	__u32 slot;
	__u32 slot_word;   // as it was read
	__u32 backend;	   // row, as the slot or tracking says
	__u8 family;	   // of a plain packet; 0: it is none, and full->packet says what it is
	__u8 way;	   // enum lane_way
	__u8 reason;	   // enum lb_reason, of WAY_TRACKED
	__u8 is_untracked; // of WAY_TRACKED
	__u8 pad[20];
};
_Static_assert(sizeof(struct lane) == 64, "a line");

// Of a packet that is not plain.
struct full {
	struct lb_packet packet;
	struct lb_decision decision;
};

struct burst {
	struct lb_env *env;
	struct lane lanes[WALK_BURST_MAX];
	struct full fulls[WALK_BURST_MAX];
};

// Lanes, a bit each; stages take them in the order in which they came in.
typedef __u32 lane_set;
_Static_assert(WALK_BURST_MAX <= 32, "a burst's lanes are bits of a word");

#define FOR_LANES(burst, set, lane, i)                                                             \
	for (lane_set i##_rest = (set), i = 0;                                                     \
	     i##_rest && (i = (__u32)__builtin_ctz(i##_rest), lane = &(burst)->lanes[i], 1);       \
	     i##_rest &= i##_rest - 1)

// ---- stages ----

static __always_inline void prefetch_backend(struct burst *b, __u32 row)
{
	rte_prefetch0(lb_backend_row(b->env, row));
	rte_prefetch0(lb_backend_counters(b->env, row));
}

// A sound TCP or UDP packet.
static __always_inline enum lane_way start_sound(struct burst *b, struct lane *lane,
						 const struct lb_packet *p)
{
	struct lb_decision d = {};
	__u32 vip = lb_decide_whom(b->env, p, &d);

	if (d.service) {
		if (!lb_decide_is_unicast_source(p))
			return WAY_WHOLE;
		rte_prefetch0(lb_service_row(b->env, d.service));
		lane->row = d.service;
		lane->hash = lb_hash_flow(lb_meta(b->env)->flow_keys, p);
		return WAY_CURRENT;
	}
	if (vip)
		return WAY_WHOLE;
	rte_prefetch0(lb_service_reverse_line(b->env, &p->source, p->protocol, p->source_port));
	return WAY_REPLY;
}

// Returns false where the packet is not plain, and nothing was done.
static __always_inline bool start_family(struct burst *b, struct lane *lane, __u8 *start, __u8 *end,
					 int family)
{
	struct lb_packet p;

	if (!lb_packet_parse_plain(start, end, lane->mbuf->pkt_len, family, &p))
		return false;
	lane->family = (__u8)family;
	lane->way = start_sound(b, lane, &p);
	return true;
}

static __always_inline bool start_plain(struct burst *b, struct lane *lane, __u8 *start, __u8 *end)
{
	switch (lb_packet_family(start, end)) {
	case 4:
		return start_family(b, lane, start, end, 4);
	case 6:
		return start_family(b, lane, start, end, 6);
	default:
		return false;
	}
}

// Not a plain one. @is_first: none that came before is still on its way. Returns false where it
// must wait for those: it follows a packet's first fragment, or asks where a flow lives.
static __noinline bool start_rest(struct burst *b, struct lane *lane, struct full *full,
				  bool is_first, __u8 *start, __u8 *end)
{
	struct lb_packet *p = &full->packet;
	bool is_orderly;

	lb_parse(start, end, lane->mbuf->pkt_len, p);
	is_orderly = p->fragment != LB_FRAGMENT_NONE || p->quote.at;
	if (is_orderly && !is_first)
		return false;
	lane->family = 0;
	if (!is_orderly && p->has_ports && p->defect == LB_REASON_NONE &&
	    lb_parse_locate(start, end, p->family, p)) {
		lane->way = start_sound(b, lane, p);
	} else {
		lb_decide_parsed(b->env, start, end, p, &full->decision);
		lane->way = WAY_DECIDED;
	}
	return true;
}

struct started {
	unsigned int n; // so many packets are under way: all, or those before one that must wait
	lane_set services, reverses;
};

static __always_inline struct started stage_start(struct burst *b, struct rte_mbuf **pkts,
						  unsigned int n)
{
	struct started s = {.n = 0};

	for (; s.n < n; s.n++) {
		struct lane *lane = &b->lanes[s.n];
		__u8 *start, *end;

		lane->mbuf = pkts[s.n];
		find_frame(pkts[s.n], &start, &end);
		if (!start_plain(b, lane, start, end) &&
		    !start_rest(b, lane, &b->fulls[s.n], !(s.services | s.reverses), start, end))
			break;
		s.services |= (lane_set)(lane->way == WAY_CURRENT) << s.n;
		s.reverses |= (lane_set)(lane->way == WAY_REPLY) << s.n;
	}
	return s;
}

// What was read of a plain packet, once more. @family: a constant. (Measured: one function that
// stages give their step by a pointer costs a reply 6 ns; the packet lies in memory then.)
static __always_inline void again_plain(const struct lane *lane, int family, struct lb_packet *ret)
{
	const struct rte_mbuf *m = lane->mbuf;
	__u8 *start = rte_pktmbuf_mtod(m, __u8 *);

	lb_packet_parse_plain_again(start, start + m->data_len, m->pkt_len, family, ret);
}

// The stages below return the lanes of their next one; what ends a lane's way in them is found
// again at the end.

static __always_inline lane_set stage_service(struct burst *b, lane_set set)
{
	lane_set slots = 0;
	struct lane *lane;

	FOR_LANES(b, set, lane, i)
	{
		lane->service = lb_service_row(b->env, lane->row);
		if (unlikely(!lane->service)) {
			lane->way = WAY_WHOLE;
			continue;
		}
		lane->slot = lb_slot_of(lane->service, lane->hash);
		rte_prefetch0(lb_slot_line(b->env, lane->slot / LB_SLOTS_PER_LINE));
		slots |= 1u << i;
	}
	return slots;
}

static __always_inline void prefetch_entry(struct burst *b, const struct lane *lane)
{
	rte_prefetch0(lb_entry_line(b->env, (__u32)lane->hash & b->env->connection_mask));
	rte_prefetch0(lb_slot_time_line(b->env, lane->slot / LB_SLOTS_PER_LINE));
}

static __always_inline lane_set stage_slot(struct burst *b, lane_set set, lane_set *ret_entries)
{
	lane_set backends = 0;
	struct lane *lane;

	*ret_entries = 0;
	FOR_LANES(b, set, lane, i)
	{
		const struct lb_slot_line *line =
			lb_slot_line(b->env, lane->slot / LB_SLOTS_PER_LINE);

		if (unlikely(!line)) {
			lane->way = WAY_WHOLE;
			continue;
		}
		lane->slot_word = lb_slot_read(line, lane->slot);
		if (lb_select_is_tracked(lane->service->tracking, lane->slot_word)) {
			prefetch_entry(b, lane);
			*ret_entries |= 1u << i;
			continue;
		}
		lane->backend = LB_SLOT_CURRENT(lane->slot_word);
		prefetch_backend(b, lane->backend);
		backends |= 1u << i;
	}
	return backends;
}

static __always_inline void track(struct burst *b, struct lane *lane, const struct lb_packet *p)
{
	struct lb_decision d = {
		.hash = lane->hash, .slot = lane->slot, .slot_word = lane->slot_word};

	lane->way = WAY_TRACKED;
	lane->reason = (__u8)lb_decide_tracked(b->env, p, lane->service, &d);
	lane->backend = d.backend;
	lane->is_untracked = d.is_untracked;
	prefetch_backend(b, d.backend);
}

static __always_inline void track_plain(struct burst *b, struct lane *lane, int family)
{
	struct lb_packet p;

	again_plain(lane, family, &p);
	track(b, lane, &p);
}

static __always_inline void stage_entry(struct burst *b, lane_set set)
{
	struct lane *lane;

	FOR_LANES(b, set, lane, i)
	{
		if (lane->family == 4)
			track_plain(b, lane, 4);
		else if (lane->family == 6)
			track_plain(b, lane, 6);
		else
			track(b, lane, &b->fulls[i].packet);
	}
}

static __always_inline void stage_backend(struct burst *b, lane_set set)
{
	struct lane *lane;

	FOR_LANES(b, set, lane, i)
	{
		const struct lb_backend *backend = lb_backend_row(b->env, lane->backend);

		if (likely(backend))
			rte_prefetch0(lb_hop_row(b->env, *(const volatile __u32 *)&backend->hop));
	}
}

static __always_inline void reverse(struct burst *b, struct lane *lane, const struct lb_packet *p)
{
	lane->row = lb_service_lookup_reverse(b->env, &p->source, p->protocol, p->source_port);
	prefetch_backend(b, lane->row);
}

static __always_inline void reverse_plain(struct burst *b, struct lane *lane, int family)
{
	struct lb_packet p;

	again_plain(lane, family, &p);
	reverse(b, lane, &p);
}

static __always_inline void stage_reverse(struct burst *b, lane_set set)
{
	struct lane *lane;

	FOR_LANES(b, set, lane, i)
	{
		if (lane->family == 4)
			reverse_plain(b, lane, 4);
		else if (lane->family == 6)
			reverse_plain(b, lane, 6);
		else
			reverse(b, lane, &b->fulls[i].packet);
	}
}

// ---- ends ----

// @way: lane->way; a constant where the packet is plain.
static __always_inline void end_way(struct lb_env *env, const struct lane *lane, enum lane_way way,
				    int is_plain, const struct lb_packet *p,
				    struct walk_result *ret, struct dropped *dropped)
{
	struct lb_decision d = {};

	if (way == WAY_REPLY) {
		lb_decide_reply_of(env, p, lane->row, LB_REASON_REPLY, &d);
	} else {
		d.service = lane->row;
		d.hash = lane->hash;
		d.backend = lane->backend;
		d.is_untracked = way == WAY_TRACKED ? lane->is_untracked : 0;
		lb_decide_to_backend(env, p, &d,
				     way == WAY_TRACKED ? (enum lb_reason)lane->reason
							: LB_REASON_CURRENT);
	}
	end_packet(env, lane->mbuf, is_plain, p, &d, ret, dropped);
}

// @family, @way: constants.
static __always_inline void end_plain(struct lb_env *env, const struct lane *lane, int family,
				      enum lane_way way, struct walk_result *ret,
				      struct dropped *dropped)
{
	struct lb_packet p;

	again_plain(lane, family, &p);
	end_way(env, lane, way, 1, &p, ret, dropped);
}

static __noinline void end_tracked(struct lb_env *env, const struct lane *lane,
				   struct walk_result *ret, struct dropped *dropped)
{
	if (lane->family == 4)
		end_plain(env, lane, 4, WAY_TRACKED, ret, dropped);
	else
		end_plain(env, lane, 6, WAY_TRACKED, ret, dropped);
}

// A packet that is not plain.
static __noinline void end_rest(struct lb_env *env, const struct lane *lane, struct full *full,
				struct walk_result *ret, struct dropped *dropped)
{
	if (lane->way == WAY_WHOLE)
		end_whole(env, lane->mbuf, ret, dropped);
	else if (lane->way == WAY_DECIDED)
		end_packet(env, lane->mbuf, 0, &full->packet, &full->decision, ret, dropped);
	else
		end_way(env, lane, (enum lane_way)lane->way, 0, &full->packet, ret, dropped);
}

// @family: a constant. In line is what nearly all packets take.
static __always_inline void end_family(struct lb_env *env, const struct lane *lane, int family,
				       struct walk_result *ret, struct dropped *dropped)
{
	if (likely(lane->way == WAY_CURRENT))
		end_plain(env, lane, family, WAY_CURRENT, ret, dropped);
	else if (lane->way == WAY_REPLY)
		end_plain(env, lane, family, WAY_REPLY, ret, dropped);
	else if (lane->way == WAY_TRACKED)
		end_tracked(env, lane, ret, dropped);
	else
		end_whole(env, lane->mbuf, ret, dropped);
}

static __always_inline void stage_end(struct burst *b, unsigned int n, struct walk_result *ret,
				      struct dropped *dropped)
{
	for (unsigned int i = 0; i < n; i++) {
		const struct lane *lane = &b->lanes[i];

		if (lane->family == 4)
			end_family(b->env, lane, 4, ret, dropped);
		else if (lane->family == 6)
			end_family(b->env, lane, 6, ret, dropped);
		else
			end_rest(b->env, lane, &b->fulls[i], ret, dropped);
	}
}

// The first packets of @n that can go through the stages together. Returns how many.
static unsigned int walk_run(struct lb_env *env, struct rte_mbuf **pkts, unsigned int n,
			     struct walk_result *ret, struct dropped *dropped)
{
	struct started started;
	lane_set slots, backends, entries;
	struct burst b;

	b.env = env;
	started = stage_start(&b, pkts, n);
	slots = stage_service(&b, started.services);
	backends = stage_slot(&b, slots, &entries);
	stage_entry(&b, entries);
	stage_backend(&b, backends | entries);
	stage_reverse(&b, started.reverses);
	stage_end(&b, started.n, ret, dropped);
	return started.n;
}

void walk_burst(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (unsigned int i = 0; i < n;)
		i += walk_run(&w->env, pkts + i, n - i, ret, &dropped);
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}
