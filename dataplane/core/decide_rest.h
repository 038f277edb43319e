// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The walk of whatever is not plain (packet.h), and lb_decide() for every packet.
//
// TCP and UDP behind VLAN tags, options and extension headers take the same steps as plain
// packets do (decide.h). Beside them there are:
//  - fragments: the first is decided, the others follow it (fragment.h);
//  - ICMP for a VIP: echo is answered; an error goes to the backend of the flow inside it
//    (RFC 792, 4443; RFC 5508 for nat); what else there is, is the kernel's;
//  - ICMP errors from the backends' side in nat: to the client;
//  - what has a defect: ends here where it is for a VIP or a backend's reply, else it is the
//    kernel's.
#pragma once

#include "decide.h"
#include "fragment.h"
#include "parse.h"

static __always_inline int lb_decide_is_icmp(const struct lb_packet *p)
{
	return p->protocol == (p->family == 4 ? LB_IP_ICMP : LB_IP_ICMPV6);
}

// ---- fragments ----

// A first fragment that is sent on: the others will follow it, and tunnels vary their source for
// all of them alike.
static __always_inline void lb_decide_first(struct lb_env *env, const struct lb_packet *p,
					    struct lb_decision *d)
{
	__u32 more = (__u32)(d->hash & LB_FRAGMENT_HASH_MASK) << 1;

	lb_fragment_remember(env, lb_fragment_hash(env, p), d->backend,
			     more | (d->is_reply ? LB_FRAGMENT_REPLY : 0));
	if (!d->is_reply)
		d->hash = lb_fragment_spread(d->hash);
}

// Any but the first, for a VIP or (@vip 0) none. Where its packet goes: to a backend, then
// d->backend is set; or from the backend @ret_row. Returns FRAGMENT, or NONE where it ended.
static __always_inline enum lb_reason lb_decide_later(struct lb_env *env, const struct lb_packet *p,
						      __u32 vip, struct lb_decision *d,
						      __u32 *ret_row)
{
	__u64 word = lb_fragment_lookup(env, lb_fragment_hash(env, p));
	__u32 more = LB_ENTRY_SLOT(word);
	const struct lb_backend *row;

	// What went the other way was remembered before its destination became a VIP, or ceased to
	// be one.
	if (!word || !vip == !(more & LB_FRAGMENT_REPLY)) {
		enum lb_reason to_vip =
			vip & LB_VIP_OF_HOST ? LB_REASON_VIP_OF_HOST : LB_REASON_FRAGMENT_EARLY;

		lb_decide_end(d, vip ? to_vip : LB_REASON_NOT_VIP);
		return LB_REASON_NONE;
	}
	if (!vip) {
		*ret_row = LB_ENTRY_BACKEND(word);
		return LB_REASON_FRAGMENT;
	}
	d->hash = lb_fragment_spread(more >> 1);
	d->backend = LB_ENTRY_BACKEND(word);
	row = lb_backend_row(env, d->backend);
	if (row)
		d->service = row->service;
	return LB_REASON_FRAGMENT;
}

// ---- ICMP ----

// What the index says of the service of the flow that an error quotes, as the VIP's side sent it;
// 0: there is none.
static __always_inline __u64 lb_decide_quoted_service(struct lb_env *env, const struct lb_packet *p,
						      __u32 vip)
{
	const struct lb_quote *q = &p->quote;
	__u64 service;

	if (!q->at || !lb_address_is_equal(&q->source, &p->destination))
		return 0;
	service = lb_service_lookup_rarely(env, &p->destination, q->protocol, q->source_port);
	if (!service && vip & LB_VIP_ANY_PORT)
		service = lb_service_lookup_rarely(env, &p->destination, q->protocol, 0);
	return service;
}

// An error for a VIP: to where the flow inside it goes, d->backend. That flow's packets came from
// the quote's destination. Nothing is stamped or tracked: an error proves no life. Returns
// ICMP_ERROR, or NONE where it ended.
static __always_inline enum lb_reason lb_decide_icmp_error(struct lb_env *env,
							   const struct lb_packet *p, __u32 vip,
							   struct lb_decision *d)
{
	const __u64 *keys = lb_meta(env)->flow_keys;
	const struct lb_quote *q = &p->quote;
	const __u32 ports = q->destination_port | (__u32)q->source_port << 16;
	const struct lb_service *service;

	lb_decide_set_service(d, lb_decide_quoted_service(env, p, vip));
	service = d->service ? lb_service_row(env, d->service) : 0;
	if (!service) {
		lb_decide_end(d, vip & LB_VIP_OF_HOST ? LB_REASON_VIP_OF_HOST
						      : LB_REASON_ICMP_STRANGER);
		return LB_REASON_NONE;
	}
	if (!lb_decide_is_unicast_source(p)) {
		lb_decide_end(d, LB_REASON_SOURCE);
		return LB_REASON_NONE;
	}
	d->hash = lb_hash_tuple(keys, p->family, &q->destination, &q->source, q->protocol, ports);
	if (!lb_decide_slot_word(env, d))
		return LB_REASON_NONE;
	d->backend = LB_SLOT_CURRENT(d->slot_word);
	if (lb_decide_is_tracked(d)) {
		struct lb_track_flow *flow = LB_ROOM(struct lb_track_flow);
		__u32 otherwise = q->protocol == LB_IP_TCP ? LB_SLOT_SETTLED(d->slot_word)
							   : LB_SLOT_CURRENT(d->slot_word);

		if (!flow) // the BPF verifier asks
			return LB_REASON_NONE;
		*flow = lb_decide_flow(service, d,
				       lb_hash_whole(d->hash, keys, p->family, &q->destination,
						     ports, lb_hash_to(&q->source, q->protocol)));
		d->backend = lb_select_peek(env, flow, otherwise);
	}
	return LB_REASON_ICMP_ERROR;
}

// An echo request. What has options or extension headers is the kernel's to answer (RFC 1122,
// 3.2.2.6, wants them answered in kind), and so is what went to many.
static __always_inline enum lb_reason lb_decide_echo(struct lb_env *env, const struct lb_packet *p)
{
	if (!p->is_bare || !lb_decide_is_to_one(p))
		return LB_REASON_VIP_ICMP;
	if (!lb_decide_is_unicast_source(p))
		return LB_REASON_SOURCE;
	return lb_limit_take(env, LB_RATE_ECHO) ? LB_REASON_ECHO : LB_REASON_ECHO_RATE;
}

static __always_inline enum lb_reason
lb_decide_vip_icmp(struct lb_env *env, const struct lb_packet *p, __u32 vip, struct lb_decision *d)
{
	enum lb_reason reason = LB_REASON_VIP_ICMP;

	if (p->fragment == LB_FRAGMENT_NONE && lb_parse_is_icmp_error(p))
		return lb_decide_icmp_error(env, p, vip, d);
	if (p->fragment == LB_FRAGMENT_NONE && p->icmp_type == (p->family == 4 ? 8 : 128))
		reason = lb_decide_echo(env, p);
	lb_decide_end(d, reason);
	return LB_REASON_NONE;
}

// ---- whose it is ----

// TCP or UDP with ports, for a VIP: chooses d->backend. Returns why, or NONE where it ended.
static __always_inline enum lb_reason
lb_decide_vip_ports(struct lb_env *env, const struct lb_packet *p, __u32 vip, struct lb_decision *d)
{
	__u64 word = lb_service_lookup_rarely(env, &p->destination, p->protocol,
					      lb_packet_destination_port(p));

	if (!word && vip & LB_VIP_ANY_PORT)
		word = lb_service_lookup_rarely(env, &p->destination, p->protocol, 0);
	lb_decide_set_service(d, word);
	if (!d->service) {
		lb_decide_end(d, lb_decide_no_service(env, p, vip));
		return LB_REASON_NONE;
	}
	d->hash = lb_hash_flow(lb_meta(env)->flow_keys, p);
	if (!lb_decide_slot(env, p, d))
		return LB_REASON_NONE;
	if (lb_decide_is_tracked(d))
		return lb_decide_tracked(env, p, d);
	d->backend = LB_SLOT_CURRENT(d->slot_word);
	return LB_REASON_CURRENT;
}

// For a VIP, without defect. As above.
static __always_inline enum lb_reason lb_decide_vip(struct lb_env *env, const struct lb_packet *p,
						    __u32 vip, struct lb_decision *d)
{
	enum lb_reason reason = LB_REASON_VIP_PROTOCOL;

	if (p->has_ports)
		return lb_decide_vip_ports(env, p, vip, d);
	if (lb_decide_is_icmp(p))
		return lb_decide_vip_icmp(env, p, vip, d);
	if (vip & LB_VIP_OF_HOST)
		reason = LB_REASON_VIP_OF_HOST;
	else if (p->protocol == LB_IP_AH || p->protocol == LB_IP_ESP)
		reason = LB_REASON_IPSEC;
	lb_decide_end(d, reason);
	return LB_REASON_NONE;
}

// For no VIP, and no later fragment: the backend from whose side it comes in nat, by the reverse
// index (0: none's), and why it may go on.
static __always_inline enum lb_reason lb_decide_no_vip(struct lb_env *env,
						       const struct lb_packet *p, __u32 *ret_row)
{
	const struct lb_quote *q = &p->quote;

	if (q->at && lb_address_is_equal(&q->source, &p->destination)) {
		*ret_row = lb_service_lookup_reverse_rarely(env, &q->destination, q->protocol,
							    q->destination_port);
		return LB_REASON_ICMP_REPLY;
	}
	if (p->has_ports)
		*ret_row = lb_service_lookup_reverse_rarely(env, &p->source, p->protocol,
							    lb_packet_source_port(p));
	return LB_REASON_REPLY;
}

// Whose a packet is, and why it may go on.
struct lb_whose {
	__u32 vip; // bits of enum lb_vip; 0: it is for no VIP
	__u32 row; // of the backend from whose side it comes in nat; 0: none's
	enum lb_reason why;
};

// First half of the walk of what lb_parse() made of a frame with a family, and lb_parse_locate()
// located. Returns 0 where the walk ended.
static __always_inline int lb_decide_rest_whose(struct lb_env *env, const struct lb_packet *p,
						struct lb_decision *d, struct lb_whose *ret)
{
	const int is_later = p->fragment == LB_FRAGMENT_LATER && p->defect == LB_REASON_NONE;
	__u32 vip = 0, row = 0;
	enum lb_reason why;

	if (lb_index_filter_has(lb_meta(env), &p->destination))
		vip = (__u32)lb_service_lookup_rarely(env, &p->destination, 0, 0);

	if (vip && p->defect != LB_REASON_NONE) {
		lb_decide_end(d, p->defect);
		return 0;
	}
	if (is_later && !(vip && lb_decide_is_icmp(p)))
		why = lb_decide_later(env, p, vip, d, &row);
	else if (vip)
		why = lb_decide_vip(env, p, vip, d);
	else
		why = lb_decide_no_vip(env, p, &row);
	*ret = (struct lb_whose){.vip = vip, .row = row, .why = why};
	return why != LB_REASON_NONE;
}

// Second half: its way.
static __always_inline void lb_decide_rest_way(struct lb_env *env, const struct lb_packet *p,
					       const struct lb_whose *whose, struct lb_decision *d)
{
	if (whose->vip)
		lb_decide_to_backend(env, p, d, whose->why);
	else
		lb_decide_reply_of(env, p, whose->row, whose->why, d);
	if (d->verdict != LB_TRANSMIT)
		return;
	if (p->quote.at && !lb_limit_take(env, LB_RATE_ICMP))
		lb_decide_end(d, LB_REASON_ICMP_RATE);
	if (p->fragment == LB_FRAGMENT_FIRST)
		lb_decide_first(env, p, d);
}

static __always_inline void lb_decide_rest(struct lb_env *env, const struct lb_packet *p,
					   struct lb_decision *d)
{
	struct lb_whose whose;

	if (lb_decide_rest_whose(env, p, d, &whose))
		lb_decide_rest_way(env, p, &whose, d);
}

// Decides the frame at @start that lb_parse() filled @p from; fills in p's pointers.
static __always_inline void lb_decide_parsed(struct lb_env *env, __u8 *start, __u8 *end,
					     struct lb_packet *p, struct lb_decision *ret)
{
	*ret = (struct lb_decision){};
	p->start = start;
	p->end = end;
	// Each family in a place of its own: what is in bounds differs, and the BPF verifier asks.
	if (p->family == 4 && lb_parse_locate(start, end, 4, p))
		lb_decide_rest(env, p, ret);
	else if (p->family == 6 && lb_parse_locate(start, end, 6, p))
		lb_decide_rest(env, p, ret);
	else
		lb_decide_end(ret, p->family ? LB_REASON_TRUNCATED : (enum lb_reason)p->defect);
}

// Parses the frame into @ret_packet and decides it. The driver then does what ret->verdict says.
// TRANSMIT: makes room for lb_decision_grow() bytes in front (no room: lb_decide_end(d,
// LB_REASON_HEADROOM)), calls lb_count(), then lb_apply(), and sends it out of ret->link->ifindex.
// ANSWER: see answer.h. Else it counts.
static __always_inline void lb_decide(struct lb_env *env, __u8 *start, __u8 *end, __u32 frame_len,
				      struct lb_packet *ret_packet, struct lb_decision *ret)
{
	int family = lb_packet_family(start, end);

	if (family && lb_packet_parse_plain(start, end, frame_len, family, ret_packet)) {
		*ret = (struct lb_decision){};
		lb_decide_sound(env, ret_packet, ret);
		return;
	}
	lb_parse(start, end, frame_len, ret_packet);
	lb_decide_parsed(env, start, end, ret_packet, ret);
}
