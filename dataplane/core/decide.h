// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The walk of TCP and UDP: from a packet to what is to be done with it. Reads the packet
// and changes none of it; writes only what tracking writes (entries and slot times).
//
//   parse -> service -> hash -> slot -> (track, where the slot asks) -> backend -> hop
//   no VIP -> backend's reply in nat -> route -> hop, or the driver's own look-up
//
// A plain packet (packet.h) takes this walk alone; decide_rest.h decides whatever else a
// packet can be, by these steps where it is TCP or UDP, and has lb_decide() for all.
// Every packet ends with one reason.
#pragma once

#include "hash.h"
#include "packet.h"
#include "refuse.h"
#include "select.h"
#include "service.h"

struct lb_decision {
	__u8 verdict;	   // enum lb_verdict
	__u8 reason;	   // enum lb_reason
	__u8 is_reply;	   // from a backend, in nat
	__u8 is_tracked;   // the flow has an entry (found or made now)
	__u8 is_untracked; // it goes to its slot's settled backend without one
	__u8 pad[3];
	__u32 service;		      // row; 0: none was found
	__u32 slot_word;	      // of its slot, as it was read; 0: not read, or nobody's
	__u32 backend;		      // row; 0: none
	__u32 hop;		      // row; 0: none, or the driver's look-up answered
	__u64 service_word;	      // what the index says of `service`; 0 for replies
	__u64 hash;		      // of the flow, the first; 0 for replies
	__u64 entry;		      // the word of the flow's entry as it was found; 0: none
	const struct lb_backend *row; // of `backend`; NULL: none
	// With verdict TRANSMIT. It is in the backend's or the hop's row (which stays as it is
	// while a packet can reach it), or in the driver's answer: not copied, for a walk's copies
	// cost it much.
	const struct lb_link *link;
};

// Bytes to be made in front of the frame. @d->row is set. (What a backend's row says is read from
// it where it is needed: what a walk keeps costs it more than a load.)
static __always_inline __u32 lb_decision_grow(const struct lb_decision *d)
{
	return d->row->grow;
}

// One bit a reason: whose verdict is this.
#define LB_REASON_PASS_BIT(name, verdict, label, text)                                             \
	| (__u64)(LB_##verdict == LB_PASS) << LB_REASON_##name
#define LB_REASON_TRANSMIT_BIT(name, verdict, label, text)                                         \
	| (__u64)(LB_##verdict == LB_TRANSMIT) << LB_REASON_##name
#define LB_REASON_ANSWER_BIT(name, verdict, label, text)                                           \
	| (__u64)(LB_##verdict == LB_ANSWER) << LB_REASON_##name
#define LB_REASONS_PASS (0 LB_REASONS(LB_REASON_PASS_BIT))
#define LB_REASONS_TRANSMIT (0 LB_REASONS(LB_REASON_TRANSMIT_BIT))
#define LB_REASONS_ANSWER (0 LB_REASONS(LB_REASON_ANSWER_BIT))
_Static_assert(LB_REASON_N <= 64, "a reason is a bit in a word");

// Of a reason that does not send on.
static __always_inline enum lb_verdict lb_reason_end(enum lb_reason reason)
{
	if (LB_REASONS_PASS >> reason & 1)
		return LB_PASS;
	return LB_REASONS_ANSWER >> reason & 1 ? LB_ANSWER : LB_DROP;
}

static __always_inline enum lb_verdict lb_reason_verdict(enum lb_reason reason)
{
	return LB_REASONS_TRANSMIT >> reason & 1 ? LB_TRANSMIT : lb_reason_end(reason);
}

// Ends the walk, sent on; @reason has verdict TRANSMIT.
static __always_inline void lb_decide_transmit(struct lb_decision *d, enum lb_reason reason)
{
	d->reason = reason;
	d->verdict = LB_TRANSMIT;
}

// Ends the walk here, at the kernel or with an answer; @reason has another verdict than TRANSMIT.
// (Each way of ending has a function, so that the compiler sees that they never meet again.)
static __always_inline void lb_decide_end(struct lb_decision *d, enum lb_reason reason)
{
	d->reason = reason;
	d->verdict = lb_reason_end(reason);
}

// ---- to a backend ----

// Of d->hop; hop 0 never resolves.
static __always_inline enum lb_reason lb_decide_hop(struct lb_env *env, struct lb_decision *d)
{
	const struct lb_hop *hop = d->hop ? lb_hop_row(env, d->hop) : 0;

	if (!hop)
		return LB_REASON_HOP_UNRESOLVED;
	d->link = &hop->link;
	return LB_REASON_NONE;
}

// Most often the backend's row alone says how a packet gets there. Fills in d's row and link;
// returns lb_way(), or 0 where it does not.
static __always_inline __u32 lb_decide_way(struct lb_env *env, struct lb_decision *d)
{
	const struct lb_backend *backend = lb_backend_row(env, d->backend);

	if (!backend)
		return 0;
	d->row = backend;
	d->link = &backend->link;
	return *(const volatile __u8 *)&backend->way; // 0 in the row of "none", too
}

// Reads the row of the backend that was chosen. LB_REASON_NONE, or what hinders.
static __always_inline enum lb_reason lb_decide_backend(struct lb_env *env, struct lb_decision *d)
{
	const struct lb_backend *backend;

	backend = lb_backend_row(env, d->backend);
	if (!backend || backend->state != LB_ROW_LIVE) // as the row of "none" is
		return d->backend ? LB_REASON_BACKEND_GONE : LB_REASON_NO_BACKEND;
	d->row = backend;
	d->hop = *(const volatile __u32 *)&backend->hop;
	return LB_REASON_NONE;
}

// Whether it may go by d->link. @grow: lb_decision_grow(). LB_REASON_NONE, or TTL and TOO_BIG,
// where an error may be sent of it.
static __always_inline enum lb_reason lb_decide_fit(const struct lb_packet *p, __u32 grow,
						    const struct lb_decision *d)
{
	if (grow)
		return p->ip_len + grow > d->link->mtu ? LB_REASON_TOO_BIG : LB_REASON_NONE;
	if (lb_packet_ttl(p) <= 1)
		return LB_REASON_TTL;
	return p->ip_len > d->link->mtu ? LB_REASON_TOO_BIG : LB_REASON_NONE;
}

// By d->hop out of the interface. LB_REASON_NONE, or what hinders.
static __always_inline enum lb_reason lb_decide_link(struct lb_env *env, const struct lb_packet *p,
						     __u32 grow, struct lb_decision *d)
{
	enum lb_reason reason = lb_decide_hop(env, d);

	return reason == LB_REASON_NONE ? lb_decide_fit(p, grow, d) : reason;
}

// What hinders a packet on its way to d->backend; LB_REASON_NONE: nothing does. Fills in d's row,
// hop and link as far as it came, and changes nothing else: it may be asked again.
static __always_inline enum lb_reason
lb_decide_hindrance(struct lb_env *env, const struct lb_packet *p, struct lb_decision *d)
{
	enum lb_reason hindrance;

	if (lb_decide_way(env, d)) {
		d->hop = *(const volatile __u32 *)&d->row->hop;
		return lb_decide_fit(p, lb_decision_grow(d), d);
	}
	hindrance = lb_decide_backend(env, d);
	return hindrance == LB_REASON_NONE ? lb_decide_link(env, p, lb_decision_grow(d), d)
					   : hindrance;
}

// Ends the walk of a packet for d->service by what hinders it.
static __always_inline void lb_decide_hindered(struct lb_env *env, const struct lb_packet *p,
					       struct lb_decision *d, enum lb_reason hindrance)
{
	if (hindrance == LB_REASON_NO_BACKEND) {
		const struct lb_service *service = lb_service_row(env, d->service);

		if (service && *(const volatile __u32 *)&service->flags & LB_SERVICE_REJECT)
			hindrance = lb_decide_refuse(env, p, LB_REASON_REFUSED_BACKEND,
						     LB_REASON_NO_BACKEND);
	} else if (hindrance == LB_REASON_TTL) {
		hindrance = lb_decide_error(env, p, LB_REASON_TTL, LB_REASON_TTL_SILENT);
	} else if (hindrance == LB_REASON_TOO_BIG) {
		hindrance = lb_decide_too_big(env, p);
	}
	lb_decide_end(d, hindrance);
}

// The rest of the way to d->backend, for @reason.
static __always_inline void lb_decide_to_backend(struct lb_env *env, const struct lb_packet *p,
						 struct lb_decision *d, enum lb_reason reason)
{
	enum lb_reason hindrance = lb_decide_hindrance(env, p, d);

	if (hindrance != LB_REASON_NONE) {
		lb_decide_hindered(env, p, d, hindrance);
		return;
	}
	lb_decide_transmit(d, reason);
}

// d's flow, as tracking asks for it. @hash: lb_hash_whole().
static __always_inline struct lb_track_flow lb_decide_flow(const struct lb_service *service,
							   const struct lb_decision *d, __u64 hash)
{
	__u64 word = d->service_word;

	LB_SETTLE(word); // what the steady state made of it need not be kept for this
	return (struct lb_track_flow){
		.hash = hash,
		.slot = lb_slot_of(word, hash),
		.ring_offset = LB_SERVICE_RING_OFFSET(word),
		.ring_len = LB_SERVICE_RING_LEN(word),
		.idle_s = *(const volatile __u32 *)&service->idle_s,
	};
}

// The slot asks for tracking, or the service does. Chooses the backend; returns the reason.
static __always_inline enum lb_reason
lb_decide_tracked(struct lb_env *env, const struct lb_packet *p, struct lb_decision *d)
{
	const struct lb_service *service = lb_service_row(env, d->service);
	struct lb_choice *choice = LB_ROOM(struct lb_choice);
	__u64 hash;

	if (!choice || !service) // the BPF verifier asks
		return LB_REASON_NO_BACKEND;
	hash = lb_hash_whole_flow(d->hash, lb_meta(env)->flow_keys, p);
	*choice = (struct lb_choice){
		.flow = lb_decide_flow(service, d, hash),
		.slot_word = d->slot_word,
		.tracking = (__u8)LB_SERVICE_TRACKING(d->service_word),
		.is_tcp = p->protocol == LB_IP_TCP,
		.is_syn = (__u8)lb_packet_is_syn(p),
		.tcp_flags = p->tcp_flags,
	};

	d->backend = lb_select_tracked(env, choice);
	d->entry = choice->entry;
	d->is_tracked = choice->is_tracked;
	d->is_untracked = choice->is_untracked;
	return choice->reason;
}

// The slot of d->hash. Returns 0 where the walk ended.
static __always_inline int lb_decide_slot_word(struct lb_env *env, struct lb_decision *d)
{
	const __u32 *at = lb_slot(env, lb_slot_of(d->service_word, d->hash));

	if (!at) {
		lb_decide_end(d, LB_REASON_NO_BACKEND);
		return 0;
	}
	d->slot_word = lb_slot_read(at);
	return 1;
}

// A sound TCP or UDP packet for d->service, whose flow's hash is known: finds and reads its slot.
// Returns 0 where the walk ended.
static __always_inline int lb_decide_slot(struct lb_env *env, const struct lb_packet *p,
					  struct lb_decision *d)
{
	if (!lb_decide_is_unicast_source(p)) {
		d->hash = 0;
		lb_decide_end(d, LB_REASON_SOURCE);
		return 0;
	}
	return lb_decide_slot_word(env, d);
}

// Whether tracking chooses the backend, and not the slot alone.
static __always_inline int lb_decide_is_tracked(const struct lb_decision *d)
{
	return lb_select_is_tracked(LB_SERVICE_TRACKING(d->service_word), d->slot_word);
}

// A sound TCP or UDP packet for a service.
static __always_inline void lb_decide_service(struct lb_env *env, const struct lb_packet *p,
					      struct lb_decision *d)
{
	if (!lb_decide_slot(env, p, d))
		return;
	if (lb_decide_is_tracked(d)) {
		enum lb_reason reason = lb_decide_tracked(env, p, d);

		lb_decide_to_backend(env, p, d, reason);
		return;
	}
	d->backend = LB_SLOT_CURRENT(d->slot_word);
	lb_decide_to_backend(env, p, d, LB_REASON_CURRENT);
}

// TCP or UDP for a VIP, but no service's. @vip: bits of enum lb_vip.
static __always_inline enum lb_reason lb_decide_no_service(struct lb_env *env,
							   const struct lb_packet *p, __u32 vip)
{
	if (vip & LB_VIP_OF_HOST)
		return LB_REASON_VIP_OF_HOST;
	return lb_decide_refuse(env, p, LB_REASON_REFUSED_PORT, LB_REASON_NO_SERVICE);
}

// ---- from a backend ----

// The first of the mirrored routes that holds the client. Returns its kind and hop.
static __always_inline enum lb_route_kind lb_decide_route(const struct lb_route_set *set,
							  const struct lb_packet *p, __u32 *ret_hop)
{
	if (p->family == 4) {
		const struct lb_route4 *r = set->route4;
		const __u32 n = set->route4_n;

		for (__u32 i = 0; i < LB_ROUTE_MAX && i < n; i++, r++)
			if ((lb_address_ipv4(&p->destination) & r->mask) == r->prefix) {
				*ret_hop = r->hop;
				return r->kind;
			}
	} else {
		const struct lb_route6 *r = set->route6;
		const __u32 n = set->route6_n;

		for (__u32 i = 0; i < LB_ROUTE_MAX && i < n; i++, r++)
			if (lb_address_is_within(&p->destination, &r->prefix, &r->mask)) {
				*ret_hop = r->hop;
				return r->kind;
			}
	}
	return LB_ROUTE_LOOKUP;
}

// Asks the driver. Fills the link; LB_REASON_NONE: nothing hinders it.
static __always_inline enum lb_reason
lb_decide_driver_route(struct lb_env *env, const struct lb_packet *p, struct lb_decision *d)
{
	const struct lb_route_answer *answer;
	struct lb_route_query *query = LB_ROOM(struct lb_route_query);

	if (!query) // the BPF verifier asks
		return LB_REASON_ROUTE_NONE;
	*query = (struct lb_route_query){
		.source = d->row->vip,
		.destination = p->destination,
		.source_port = p->has_ports ? d->row->vip_port : 0,
		.destination_port = lb_packet_destination_port(p),
		.ip_len = (__u16)p->ip_len,
		.family = p->family,
		.protocol = p->protocol,
		.tos = lb_packet_tos(p->l3, p->family),
	};

	answer = lb_route_lookup(env, query);
	if (!answer) // the BPF verifier asks
		return LB_REASON_ROUTE_NONE;
	if (answer->reason != LB_REASON_REPLY)
		return answer->reason;
	d->link = &answer->link;
	return LB_REASON_NONE;
}

// Fills in the live backend whose address and port the packet comes from in nat, and how the
// mirrored routes (@routes: lb_route_set()) say it leaves. LB_REASON_NONE, or the reason for which
// it is the kernel's.
static __always_inline enum lb_reason lb_decide_from_backend(struct lb_env *env,
							     const struct lb_packet *p,
							     const struct lb_route_set *routes,
							     __u32 row, struct lb_decision *d,
							     enum lb_route_kind *ret_kind)
{
	const struct lb_backend *backend = row ? lb_backend_row(env, row) : 0;

	if (!backend || backend->state != LB_ROW_LIVE)
		return LB_REASON_NOT_VIP;
	*ret_kind = lb_decide_route(routes, p, &d->hop);
	if (*ret_kind == LB_ROUTE_DIRECT)
		return LB_REASON_DIRECT;
	d->backend = row;
	d->service = backend->service;
	d->row = backend;
	d->is_reply = 1;
	return LB_REASON_NONE;
}

// From backend @row's side, by the reverse index (0: no backend's), for no VIP: goes to the client
// in nat for @why, or ends by its defect, or is the kernel's.
static __always_inline void lb_decide_reply_of(struct lb_env *env, const struct lb_packet *p,
					       __u32 row, enum lb_reason why, struct lb_decision *d)
{
	enum lb_route_kind kind = LB_ROUTE_LOOKUP;
	enum lb_reason reason = lb_decide_from_backend(env, p, lb_route_set(env), row, d, &kind);

	if (reason == LB_REASON_NONE)
		reason = p->defect;
	if (reason != LB_REASON_NONE) {
		lb_decide_end(d, reason);
		return;
	}
	if (kind == LB_ROUTE_HOP) {
		reason = lb_decide_hop(env, d);
	} else {
		d->hop = 0;
		reason = lb_decide_driver_route(env, p, d);
	}
	if (!d->link)
		lb_decide_end(d, reason);
	else if (lb_packet_ttl(p) <= 1)
		lb_decide_end(d, lb_decide_error(env, p, LB_REASON_TTL, LB_REASON_TTL_SILENT));
	else if (p->ip_len > d->link->mtu)
		lb_decide_end(d, lb_decide_too_big(env, p));
	else
		lb_decide_transmit(d, why);
}

// A sound TCP or UDP packet for no VIP.
static __always_inline void lb_decide_reply(struct lb_env *env, const struct lb_packet *p,
					    struct lb_decision *d)
{
	__u32 row =
		lb_service_lookup_reverse(env, &p->source, p->protocol, lb_packet_source_port(p));

	lb_decide_reply_of(env, p, row, LB_REASON_REPLY, d);
}

// ---- the walk ----

// @word: what the index says of it; 0: none.
static __always_inline void lb_decide_set_service(struct lb_decision *d, __u64 word)
{
	d->service_word = word;
	d->service = LB_SERVICE_ROW(word);
}

// Whom a sound TCP or UDP packet is for: fills d->service and its flow's hash, or returns the bits
// of enum lb_vip of a VIP without such a service; 0: for no VIP.
static __always_inline __u32 lb_decide_whom(struct lb_env *env, const struct lb_packet *p,
					    struct lb_decision *d)
{
	__u64 word = 0;
	__u32 vip = 0;

	if (lb_index_filter_has(lb_meta(env), &p->destination)) {
		__u64 key = lb_index_port_protocol(lb_packet_destination_port(p), p->protocol);
		const struct lb_meta *meta = lb_meta(env);

		LB_SETTLE(key);
		LB_SETTLE(meta);
		d->hash = lb_hash_flow(meta->flow_keys, p);
		word = lb_index_lookup_hashed(env, LB_INDEX_SERVICE, &p->destination, key,
					      lb_index_hash_words(p->destination.halves[0],
								  p->destination.halves[1], key));
		if (!word)
			vip = (__u32)lb_service_lookup(env, &p->destination, 0, 0);
		if (vip & LB_VIP_ANY_PORT)
			word = lb_service_lookup_rarely(env, &p->destination, p->protocol, 0);
	}
	lb_decide_set_service(d, word);
	return vip;
}

// A sound TCP or UDP packet: a plain one, or one that lb_parse() finds no defect in.
static __always_inline void lb_decide_sound(struct lb_env *env, const struct lb_packet *p,
					    struct lb_decision *d)
{
	__u32 vip = lb_decide_whom(env, p, d);

	if (d->service)
		lb_decide_service(env, p, d);
	else if (vip)
		lb_decide_end(d, lb_decide_no_service(env, p, vip));
	else
		lb_decide_reply(env, p, d);
}

// A driver that takes a burst through each step, and prefetches what the next one reads, calls the
// steps of lb_decide_sound() itself: lb_decide_whom() (or like.h), then what lb_decide_slot() does,
// lb_decide_tracked() where lb_select_is_tracked(), and lb_decide_to_backend(); for no VIP's
// lb_service_lookup_reverse_hashed() and lb_decide_reply_of(). Both of these ends it may take apart
// for a packet that nothing hinders: lb_decide_way() and lb_decide_fit(), or
// lb_decide_from_backend() and lb_decide_link(), then lb_decide_transmit().
