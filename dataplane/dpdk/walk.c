// SPDX-License-Identifier: BSD-2-Clause
//
// The walk in stages: each takes all packets of a burst through one step of the core
// (core/decide.h), and prefetches for each the row that its next step reads, so that
// the burst waits for memory once a stage and not once a packet:
//
//   parse, whom for -> service -> slot -> (entry, where the slot asks) -> backend -> link
//                   -> reverse -> reply
//                                                          all -> count, apply, sort
//
// Which packets go through a stage is a list of lanes, not a condition in its loop: a
// burst of requests and replies in any mixture costs one wrong guess of a branch a
// packet. Every rule is the core's; what is here is their order, and memory.
#include "walk.h"

#include <rte_branch_prediction.h>
#include <rte_prefetch.h>
#include <time.h>

#include "dataplane/core/answer.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"

// So much of a frame lies in its first segment, where there is as much: all that the core reads;
// and where it is answered, all that an answer quotes.
#define CONTIGUOUS_BYTES LB_PARSE_BYTES_MAX
#define CONTIGUOUS_ANSWERED_BYTES WALK_CONTIGUOUS_MAX

// A packet on its way.
struct lane {
	struct rte_mbuf *mbuf;
	const struct lb_service *service;
	__u32 reverse; // backend row by the reverse index
	int is_plain;
	struct lb_packet packet;
	struct lb_decision decision;
};

// Lanes by number.
struct list {
	unsigned int n;
	__u8 at[WALK_BURST_MAX];
};

struct burst {
	struct lb_env *env;
	struct list services, slots, entries, backends, links; // to a VIP
	struct list reverses, replies;			       // to none
	struct lane lanes[WALK_BURST_MAX];
};

static __always_inline void list_add(struct list *list, unsigned int lane)
{
	list->at[list->n++] = (__u8)lane;
}

#define FOR_LANES(burst, list, lane, i)                                                            \
	for (unsigned int i##_at = 0, i = 0;                                                       \
	     i##_at < (list)->n && (i = (list)->at[i##_at], lane = &(burst)->lanes[i], 1);         \
	     i##_at++)

// ---- frames ----

// Moves bytes from the segments behind into the first one, until it has @bytes, as far as it has
// room.
static __noinline void gather(struct rte_mbuf *m, int bytes)
{
	while (m->next && m->data_len < bytes) {
		struct rte_mbuf *next = m->next;
		__u16 take = RTE_MIN(bytes - m->data_len, (int)next->data_len);

		take = RTE_MIN(take, rte_pktmbuf_tailroom(m));
		if (take == 0 && next->data_len)
			return;
		memcpy(rte_pktmbuf_mtod_offset(m, __u8 *, m->data_len),
		       rte_pktmbuf_mtod(next, __u8 *), take);
		m->data_len += take;
		next->data_off += take;
		next->data_len -= take;
		if (next->data_len == 0) {
			m->next = next->next;
			m->nb_segs--;
			rte_pktmbuf_free_seg(next);
		}
	}
}

static __always_inline void find_frame(struct rte_mbuf *m, __u8 **ret_start, __u8 **ret_end)
{
	if (unlikely(m->nb_segs > 1 && m->data_len < CONTIGUOUS_BYTES))
		gather(m, CONTIGUOUS_BYTES);
	*ret_start = rte_pktmbuf_mtod(m, __u8 *);
	*ret_end = *ret_start + m->data_len;
}

// ---- stages ----

static __always_inline void prefetch_backend(struct burst *b, __u32 row)
{
	rte_prefetch0(lb_backend_row(b->env, row));
	rte_prefetch0(lb_backend_counters(b->env, row));
}

// What lb_decide_sound() does first; the rest of it is the stages.
static __always_inline void start_sound(struct burst *b, struct lane *lane, unsigned int i)
{
	const struct lb_packet *p = &lane->packet;
	struct lb_decision *d = &lane->decision;
	__u32 vip = lb_decide_whom(b->env, p, d);

	if (d->service) {
		rte_prefetch0(lb_service_row(b->env, d->service));
		list_add(&b->services, i);
	} else if (vip) {
		lb_decide_end(d, lb_decide_no_service(b->env, p, vip));
	} else {
		rte_prefetch0(
			lb_service_reverse_line(b->env, &p->source, p->protocol, p->source_port));
		list_add(&b->reverses, i);
	}
}

// Returns false where the packet is not plain, and nothing was done.
static __always_inline bool start_family(struct burst *b, struct lane *lane, unsigned int i,
					 __u8 *start, __u8 *end, int family)
{
	if (!lb_packet_parse_plain(start, end, lane->mbuf->pkt_len, family, &lane->packet))
		return false;
	lane->decision = (struct lb_decision){};
	start_sound(b, lane, i);
	return true;
}

static __always_inline bool start_plain(struct burst *b, struct lane *lane, unsigned int i,
					__u8 *start, __u8 *end)
{
	switch (lb_packet_family(start, end)) {
	case 4:
		return start_family(b, lane, i, start, end, 4);
	case 6:
		return start_family(b, lane, i, start, end, 6);
	default:
		return false;
	}
}

// Not a plain one. Returns false where it must wait for what came before it, which is in the
// stages: it follows a packet's first fragment, or asks where a flow lives.
static __noinline bool start_rest(struct burst *b, struct lane *lane, unsigned int i, __u8 *start,
				  __u8 *end)
{
	struct lb_packet *p = &lane->packet;
	bool is_orderly;

	lb_parse(start, end, lane->mbuf->pkt_len, p);
	is_orderly = p->fragment != LB_FRAGMENT_NONE || p->quote.at;
	if (is_orderly && b->services.n + b->reverses.n > 0)
		return false;
	if (!is_orderly && p->has_ports && p->defect == LB_REASON_NONE &&
	    lb_parse_locate(start, end, p->family, p)) {
		lane->decision = (struct lb_decision){};
		start_sound(b, lane, i);
	} else {
		lb_decide_parsed(b->env, start, end, p, &lane->decision);
	}
	return true;
}

// Returns how many of the @n packets are under way: all, or those before one that must wait.
static __always_inline unsigned int stage_start(struct burst *b, struct rte_mbuf **pkts,
						unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct lane *lane = &b->lanes[i];
		__u8 *start, *end;

		lane->mbuf = pkts[i];
		find_frame(pkts[i], &start, &end);
		lane->is_plain = start_plain(b, lane, i, start, end);
		if (!lane->is_plain && !start_rest(b, lane, i, start, end))
			return i;
	}
	return n;
}

static __always_inline void stage_service(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->services, lane, i)
	{
		struct lb_decision *d = &lane->decision;

		lane->service = lb_decide_slot(b->env, &lane->packet, d);
		if (!lane->service)
			continue;
		rte_prefetch0(lb_slot_line(b->env, d->slot / LB_SLOTS_PER_LINE));
		list_add(&b->slots, i);
	}
}

static __always_inline void stage_slot(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->slots, lane, i)
	{
		struct lb_decision *d = &lane->decision;

		if (!lb_decide_slot_word(b->env, d))
			continue;
		if (lb_select_is_tracked(lane->service->tracking, d->slot_word)) {
			rte_prefetch0(
				lb_entry_line(b->env, (__u32)d->hash & b->env->connection_mask));
			rte_prefetch0(lb_slot_time_line(b->env, d->slot / LB_SLOTS_PER_LINE));
			list_add(&b->entries, i);
			continue;
		}
		d->backend = LB_SLOT_CURRENT(d->slot_word);
		d->reason = LB_REASON_CURRENT;
		prefetch_backend(b, d->backend);
		list_add(&b->backends, i);
	}
}

static __always_inline void stage_entry(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->entries, lane, i)
	{
		struct lb_decision *d = &lane->decision;

		d->reason = lb_decide_tracked(b->env, &lane->packet, lane->service, d);
		prefetch_backend(b, d->backend);
		list_add(&b->backends, i);
	}
}

static __always_inline void stage_backend(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->backends, lane, i)
	{
		struct lb_decision *d = &lane->decision;
		enum lb_reason hindrance = lb_decide_backend(b->env, d);

		if (hindrance != LB_REASON_NONE) {
			lb_decide_hindered(b->env, &lane->packet, d, hindrance);
			continue;
		}
		rte_prefetch0(lb_hop_row(b->env, d->hop));
		list_add(&b->links, i);
	}
}

static __always_inline void stage_link(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->links, lane, i)
	{
		struct lb_decision *d = &lane->decision;
		enum lb_reason hindrance = lb_decide_link(b->env, &lane->packet, d);

		if (hindrance == LB_REASON_NONE)
			lb_decide_transmit(d, d->reason);
		else
			lb_decide_end(d, hindrance);
	}
}

static __always_inline void stage_reverse(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->reverses, lane, i)
	{
		const struct lb_packet *p = &lane->packet;

		lane->reverse =
			lb_service_lookup_reverse(b->env, &p->source, p->protocol, p->source_port);
		prefetch_backend(b, lane->reverse);
		list_add(&b->replies, i);
	}
}

static __always_inline void stage_reply(struct burst *b)
{
	struct lane *lane;

	FOR_LANES(b, &b->replies, lane, i)
	lb_decide_reply_of(b->env, &lane->packet, lane->reverse, LB_REASON_REPLY, &lane->decision);
}

// ---- ends ----

struct dropped {
	unsigned int n;
	struct rte_mbuf *pkts[WALK_BURST_MAX];
};

// The frame's first @len bytes, which lie in its first segment, and no more.
static bool cut(struct rte_mbuf *m, __u16 len)
{
	if (len > m->data_len)
		return false;
	rte_pktmbuf_free(m->next);
	m->next = NULL;
	m->nb_segs = 1;
	m->data_len = len;
	m->pkt_len = len;
	return true;
}

// Makes the packet its own answer. Returns false where there was no room.
static __noinline bool answer(struct lb_env *env, struct rte_mbuf *m, const struct lb_packet *p,
			      const struct lb_decision *d)
{
	struct lb_answer a = {};
	__u8 *start = p->start;

	if (m->next)
		gather(m, CONTIGUOUS_ANSWERED_BYTES);
	lb_answer_of(p, d->reason, lb_answer_mtu(p, d), d->is_reply ? &d->row->vip : NULL, &a);
	if (a.grow)
		start = (__u8 *)rte_pktmbuf_prepend(m, a.grow);
	if (!start || (a.len != m->pkt_len && !cut(m, a.len)))
		return false;
	return lb_answer_write(start, start + m->data_len, &a);
}

// Makes room, counts, writes the headers, sorts.
static __always_inline void end_packet(struct lb_env *env, struct rte_mbuf *m, int is_plain,
				       const struct lb_packet *p, struct lb_decision *d,
				       struct walk_result *ret, struct dropped *dropped)
{
	__u32 grow = d->verdict == LB_TRANSMIT ? lb_decision_grow(d) : 0;
	__u8 *start = p->start;

	if (grow) {
		start = (__u8 *)rte_pktmbuf_prepend(m, (__u16)grow);
		if (unlikely(!start))
			lb_decide_end(d, LB_REASON_HEADROOM);
	}
	if (unlikely(d->verdict == LB_ANSWER) && !answer(env, m, p, d))
		lb_decide_end(d, LB_REASON_HEADROOM);
	lb_count(env, p, d);
	if (likely(d->verdict == LB_TRANSMIT) &&
	    likely(is_plain && !grow ? lb_apply_in_place_plain(p, d)
				     : lb_apply(env, start, start + m->data_len, grow, p, d))) {
		ret->ifindex[ret->send_n] = d->link->ifindex;
		ret->send[ret->send_n++] = m;
	} else if (d->verdict == LB_PASS) {
		ret->kernel[ret->kernel_n++] = m;
	} else if (d->verdict == LB_ANSWER) {
		ret->back[ret->back_n++] = m;
	} else {
		dropped->pkts[dropped->n++] = m;
	}
}

// The first packets of @n that can go through the stages together. Returns how many.
static unsigned int walk_run(struct lb_env *env, struct rte_mbuf **pkts, unsigned int n,
			     struct walk_result *ret, struct dropped *dropped)
{
	struct burst b;

	b.env = env;
	b.services.n = b.slots.n = b.entries.n = b.backends.n = b.links.n = 0;
	b.reverses.n = b.replies.n = 0;
	n = stage_start(&b, pkts, n);
	stage_service(&b);
	stage_slot(&b);
	stage_entry(&b);
	stage_backend(&b);
	stage_link(&b);
	stage_reverse(&b);
	stage_reply(&b);
	for (unsigned int i = 0; i < n; i++)
		end_packet(env, b.lanes[i].mbuf, b.lanes[i].is_plain, &b.lanes[i].packet,
			   &b.lanes[i].decision, ret, dropped);
	return n;
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

void walk_plain(struct walk *w, struct rte_mbuf **pkts, unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[i], void *));
	for (unsigned int i = 0; i < n; i++) {
		struct lb_decision d;
		struct lb_packet p;
		__u8 *start, *end;

		find_frame(pkts[i], &start, &end);
		lb_decide(&w->env, start, end, pkts[i]->pkt_len, &p, &d);
		end_packet(&w->env, pkts[i], 0, &p, &d, ret, &dropped);
	}
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}

// ---- traced ----

// A packet that may be wanted.
struct copy {
	struct lb_trace_tuple tuple;
	struct lb_trace_record record;
	__u8 before[LB_TRACE_SNAP_MAX];
};

// The frame's first bytes, at most @max, into @buf; returns how many.
static __u32 snap(struct rte_mbuf *m, __u32 max, __u8 *buf)
{
	const __u32 n = RTE_MIN(m->pkt_len, max);
	const void *bytes = rte_pktmbuf_read(m, 0, n, buf);

	if (!bytes)
		return 0;
	if (bytes != buf)
		memcpy(buf, bytes, n);
	return n;
}

// The packet as it leaves is in @m.
static void tell(struct walk_trace *t, struct rte_mbuf *m, struct copy *c)
{
	__u8 after[LB_TRACE_SNAP_MAX];
	struct timespec now;

	if (!lb_trace_is_wanted(&t->filter, &c->tuple, &c->record))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!lb_trace_take(t->window, t->filter.rate, (__u32)now.tv_sec)) {
		t->ring->counts.left_out++;
		return;
	}
	c->record.time_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	if (c->record.out_ifindex) {
		c->record.after_len = m->pkt_len;
		c->record.after_snap = snap(m, t->filter.snap, after);
	}
	lb_trace_ring_put(t->ring, &c->record, c->before, after);
}

void walk_traced(struct walk *w, struct walk_trace *t, __u32 ifindex, struct rte_mbuf **pkts,
		 unsigned int n, struct walk_result *ret)
{
	struct dropped dropped = {.n = 0};

	ret->send_n = ret->kernel_n = ret->back_n = 0;
	for (unsigned int i = 0; i < n; i++) {
		const unsigned int send_n = ret->send_n, back_n = ret->back_n;
		struct rte_mbuf *m = pkts[i];
		struct lb_decision d;
		struct lb_packet p;
		__u8 *start, *end;
		struct copy c;

		find_frame(m, &start, &end);
		c.tuple = (struct lb_trace_tuple){};
		c.record =
			(struct lb_trace_record){.in_ifindex = ifindex, .before_len = m->pkt_len};
		c.record.before_snap = snap(m, t->filter.snap, c.before);
		lb_decide(&w->env, start, end, m->pkt_len, &p, &d);
		end_packet(&w->env, m, 0, &p, &d, ret, &dropped);
		lb_trace_note_packet(&c.tuple, &p);
		lb_trace_note_decision(&c.record, &d);
		if (ret->send_n > send_n)
			c.record.out_ifindex = ret->ifindex[send_n];
		else if (ret->back_n > back_n)
			c.record.out_ifindex = ifindex;
		tell(t, m, &c);
	}
	rte_pktmbuf_free_bulk(dropped.pkts, dropped.n);
}
