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
#include "limit.h"
#include "packet.h"
#include "select.h"
#include "service.h"

struct lb_decision {
	enum lb_verdict verdict;
	enum lb_reason reason;
	__u32 service;	 // row; 0: none was found
	__u32 slot;	 // position in `slots`; valid where slot_word is not 0
	__u32 slot_word; // as it was read
	__u32 backend;	 // row; 0: none
	__u32 hop;	 // row; 0: none, or the driver's look-up answered
	__u64 hash;	 // of the flow; 0 for replies
	__u64 entry;	 // the word of the flow's entry as it was found; 0: none
	__u8 is_reply;
	__u8 is_tracked;   // the flow has an entry (found or made now)
	__u8 is_untracked; // it goes to its slot's settled backend without one
	__u8 pad[5];
	const struct lb_backend *row; // of `backend`; NULL: none
	// With verdict TRANSMIT. It is in the hop's row (which stays as it is while a packet can
	// reach it), or in the driver's answer: not copied, for a walk's copies cost it much.
	const struct lb_link *link;
};

// Bytes to be made in front of the frame for an outer header of @family in @mode.
static __always_inline __u32 lb_mode_grow(__u8 mode, __u8 family)
{
	if (mode < LB_MODE_IPIP)
		return 0;
	return (family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) + (mode == LB_MODE_GUE ? LB_UDP_LEN : 0);
}

// @d->row is set. (What a backend's row says is read from it where it is needed: what a walk keeps
// costs it more than a load.)
static __always_inline __u32 lb_decision_grow(const struct lb_decision *d)
{
	return lb_mode_grow(d->row->mode, d->row->family);
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

// No source that could be answered: RFC 1122, 3.2.1.3 (0/8, 127/8, multicast) and RFC 1112, 4
// (240/4: reserved, and broadcast); RFC 4291, 2.5.2, 2.5.3, 2.7.
static __always_inline int lb_decide_is_unicast_ipv4(__be32 source)
{
	__u32 first = source & 0xff;

	return first != 0 && first < 224 && first != 127;
}

static __always_inline int lb_decide_is_unicast_ipv6(__u64 half0, __u64 half1)
{
	return (__u8)half0 != 0xff && (half0 != 0 || (half1 != 0 && half1 != (__u64)1 << 56));
}

static __always_inline int lb_decide_is_unicast_source(const struct lb_packet *p)
{
	return p->family == 4 ? lb_decide_is_unicast_ipv4(lb_address_ipv4(&p->source))
			      : lb_decide_is_unicast_ipv6(p->source.halves[0], p->source.halves[1]);
}

// ---- answers: whether one may be sent instead of the packet ----

// Not to what a link's many got (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
static __always_inline int lb_decide_is_to_one(const struct lb_packet *p)
{
	return !(p->is_plain ? p->start[0] & 1 : p->is_to_many);
}

// Nobody takes it: @answer for TCP and UDP, else in silence @silent. No RST is answered (RFC
// 9293, 3.10.7.1).
static __always_inline enum lb_reason lb_decide_refuse(struct lb_env *env,
						       const struct lb_packet *p,
						       enum lb_reason answer, enum lb_reason silent)
{
	if (!lb_decide_is_unicast_source(p))
		return LB_REASON_SOURCE;
	if (!p->has_ports || !lb_decide_is_to_one(p) || p->fragment != LB_FRAGMENT_NONE ||
	    p->tcp_flags & LB_TCP_RST)
		return silent;
	return lb_limit_take(env, LB_RATE_REFUSED) ? answer : LB_REASON_REFUSED_RATE;
}

// A router's ICMP error: @answer, or in silence @silent. Not about ICMP errors, nor about fragments
// but the first (RFC 1122, 3.2.2).
static __always_inline enum lb_reason lb_decide_error(struct lb_env *env, const struct lb_packet *p,
						      enum lb_reason answer, enum lb_reason silent)
{
	if (!lb_decide_is_to_one(p) || p->fragment == LB_FRAGMENT_LATER || p->quote.at)
		return silent;
	return lb_limit_take(env, LB_RATE_ERROR) ? answer : LB_REASON_ANSWER_RATE;
}

#define LB_IPV6_MTU_LEAST 1280 // RFC 8200, 5

// Does not fit d->link. A way that cannot carry what IPv6 promises is no news to the sender.
static __always_inline enum lb_reason lb_decide_too_big(struct lb_env *env,
							const struct lb_packet *p)
{
	if (p->family == 6 && p->ip_len <= LB_IPV6_MTU_LEAST)
		return LB_REASON_TOO_BIG_MINIMUM;
	if (p->family == 4 && !(((const struct lb_ipv4_header *)p->l3)->fragment & LB_IPV4_DF))
		return lb_decide_error(env, p, LB_REASON_TOO_BIG_NO_DF, LB_REASON_TOO_BIG_SILENT);
	return lb_decide_error(env, p, LB_REASON_TOO_BIG, LB_REASON_TOO_BIG_SILENT);
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

// From the row of the backend out of the interface. @grow: lb_decision_grow(). LB_REASON_NONE, or
// what hinders: TTL and TOO_BIG where an error may be sent of it.
static __always_inline enum lb_reason lb_decide_link(struct lb_env *env, const struct lb_packet *p,
						     __u32 grow, struct lb_decision *d)
{
	enum lb_reason reason = lb_decide_hop(env, d);

	if (reason != LB_REASON_NONE)
		return reason;
	if (!grow && lb_packet_ttl(p) <= 1)
		return LB_REASON_TTL;
	return p->ip_len + grow > d->link->mtu ? LB_REASON_TOO_BIG : LB_REASON_NONE;
}

// What hinders a packet on its way to d->backend; LB_REASON_NONE: nothing does. Fills in d's row,
// hop and link as far as it came, and changes nothing else: it may be asked again.
static __always_inline enum lb_reason
lb_decide_hindrance(struct lb_env *env, const struct lb_packet *p, struct lb_decision *d)
{
	enum lb_reason hindrance = lb_decide_backend(env, d);

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

// d's flow, as tracking asks for it.
static __always_inline struct lb_track_flow lb_decide_flow(const struct lb_service *service,
							   const struct lb_decision *d)
{
	return (struct lb_track_flow){
		.hash = d->hash,
		.slot = d->slot,
		.ring_offset = service->ring_offset,
		.ring_len = service->ring_len,
		.idle_s = service->idle_s,
	};
}

// The slot asks for tracking, or the service does. Chooses the backend; returns the reason.
static __always_inline enum lb_reason lb_decide_tracked(struct lb_env *env,
							const struct lb_packet *p,
							const struct lb_service *service,
							struct lb_decision *d)
{
	struct lb_choice *choice = LB_ROOM(struct lb_choice);

	if (!choice) // the BPF verifier asks
		return LB_REASON_NO_BACKEND;
	*choice = (struct lb_choice){
		.flow = lb_decide_flow(service, d),
		.slot_word = d->slot_word,
		.tracking = service->tracking,
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

// A sound TCP or UDP packet for d->service: finds its flow's slot. Returns the service's row; NULL
// where the walk ended.
static __always_inline const struct lb_service *
lb_decide_slot(struct lb_env *env, const struct lb_packet *p, struct lb_decision *d)
{
	const struct lb_service *service = lb_service_row(env, d->service);

	if (!service) {
		lb_decide_end(d, LB_REASON_NO_SERVICE);
		return 0;
	}
	if (!lb_decide_is_unicast_source(p)) {
		lb_decide_end(d, LB_REASON_SOURCE);
		return 0;
	}
	d->hash = lb_hash_flow(lb_meta(env)->flow_keys, p);
	d->slot = lb_slot_of(service, d->hash);
	return service;
}

// Reads it. Returns 0 where the walk ended.
static __always_inline int lb_decide_slot_word(struct lb_env *env, struct lb_decision *d)
{
	const __u32 *at = lb_slot(env, d->slot);

	if (!at) {
		lb_decide_end(d, LB_REASON_NO_BACKEND);
		return 0;
	}
	d->slot_word = lb_slot_read(at);
	return 1;
}

// A sound TCP or UDP packet for a service.
static __always_inline void lb_decide_service(struct lb_env *env, const struct lb_packet *p,
					      struct lb_decision *d)
{
	const struct lb_service *service = lb_decide_slot(env, p, d);

	if (!service || !lb_decide_slot_word(env, d))
		return;
	if (lb_select_is_tracked(service->tracking, d->slot_word)) {
		enum lb_reason reason = lb_decide_tracked(env, p, service, d);

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
		.destination_port = p->destination_port,
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
	__u32 row = lb_service_lookup_reverse(env, &p->source, p->protocol, p->source_port);

	lb_decide_reply_of(env, p, row, LB_REASON_REPLY, d);
}

// ---- the walk ----

// Whom a sound TCP or UDP packet is for: fills d->service, or returns the bits of enum lb_vip of a
// VIP without such a service; 0: for no VIP.
static __always_inline __u32 lb_decide_whom(struct lb_env *env, const struct lb_packet *p,
					    struct lb_decision *d)
{
	__u32 vip = 0;

	if (lb_index_filter_has(lb_meta(env), &p->destination)) {
		d->service =
			lb_service_lookup(env, &p->destination, p->protocol, p->destination_port);
		if (!d->service)
			vip = lb_service_lookup(env, &p->destination, 0, 0);
		if (vip & LB_VIP_ANY_PORT)
			d->service = lb_service_lookup_rarely(env, &p->destination, p->protocol, 0);
	}
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
// steps of lb_decide_sound() itself: lb_decide_whom() (or like.h), then what lb_decide_slot() and
// lb_decide_slot_word() do, lb_decide_tracked() where lb_select_is_tracked(), and
// lb_decide_to_backend(); for no VIP's lb_service_lookup_reverse_hashed() and lb_decide_reply_of().
// Both of these ends it may take apart for a packet that nothing hinders: lb_decide_backend() or
// lb_decide_from_backend(), then lb_decide_link() and lb_decide_transmit().
