// SPDX-License-Identifier: BSD-2-Clause
//
// Whose a packet is, and what becomes of it: docs/packets.md from top to bottom. Each function
// ends with the reason, or goes on to the next question.
#include "tests/packet/reference/reference.h"

#define IPV6_MTU_LEAST 1280 // RFC 8200, 5
#define IPV4_DF 0x40

enum lb_verdict ref_verdict(enum lb_reason reason)
{
	static const enum lb_verdict verdicts[] = {
#define VERDICT(name, verdict, label, text) LB_##verdict,
		LB_REASONS(VERDICT)
#undef VERDICT
	};

	return verdicts[reason];
}

static const uint8_t *ip_header(const struct ref_walk *w)
{
	return w->frame.bytes + w->packet.ip_at;
}

// ---- answers: whether one may be sent ----

// By a multicast or broadcast MAC address.
static bool is_to_many(const struct ref_walk *w)
{
	return w->frame.bytes[0] & 1;
}

// Nobody takes it. (Of a fragment the segment's length is not known, which a RST must
// acknowledge.)
static enum lb_reason refuse(struct ref_walk *w, enum lb_reason answer, enum lb_reason silent)
{
	const struct ref_packet *p = &w->packet;

	if (!ref_is_unicast_source(p))
		return LB_REASON_SOURCE;
	if (!p->has_ports || p->fragment != REF_WHOLE || p->tcp_flags & REF_RST || is_to_many(w))
		return silent;
	return ref_take(w, LB_RATE_REFUSED) ? answer : LB_REASON_REFUSED_RATE;
}

// A router's error about it.
static enum lb_reason report(struct ref_walk *w, enum lb_reason answer, enum lb_reason silent)
{
	if (w->is_quoting || w->packet.fragment == REF_LATER || is_to_many(w))
		return silent;
	return ref_take(w, LB_RATE_ERROR) ? answer : LB_REASON_ANSWER_RATE;
}

// ---- the way on ----

uint32_t ref_outer_len(const struct ref_walk *w)
{
	const struct lb_backend *b = ref_backend(w, w->backend);
	uint32_t ip = b->family == 4 ? 20 : 40;

	if (w->is_reply)
		return 0;
	if (b->mode == LB_MODE_IPIP)
		return ip;
	return b->mode == LB_MODE_GUE ? ip + 8 : 0;
}

// What w->link does to it; LB_REASON_NONE: nothing.
static enum lb_reason leave(struct ref_walk *w)
{
	const struct ref_packet *p = &w->packet;
	uint32_t outer_len = ref_outer_len(w);
	uint8_t ttl = p->family == 4 ? ip_header(w)[8] : ip_header(w)[7];

	// A tunnel takes no hop.
	if (outer_len == 0 && ttl <= 1)
		return report(w, LB_REASON_TTL, LB_REASON_TTL_SILENT);
	if (p->ip_len + outer_len <= w->link.mtu)
		return LB_REASON_NONE;
	if (p->family == 6 && p->ip_len <= IPV6_MTU_LEAST)
		return LB_REASON_TOO_BIG_MINIMUM;
	if (p->family == 4 && !(ip_header(w)[6] & IPV4_DF))
		return report(w, LB_REASON_TOO_BIG_NO_DF, LB_REASON_TOO_BIG_SILENT);
	return report(w, LB_REASON_TOO_BIG, LB_REASON_TOO_BIG_SILENT);
}

// There is none for w->service.
static enum lb_reason no_backend(struct ref_walk *w)
{
	const struct lb_service *s = ref_service(w, w->service);

	if (s && s->flags & LB_SERVICE_REJECT)
		return refuse(w, LB_REASON_REFUSED_BACKEND, LB_REASON_NO_BACKEND);
	return LB_REASON_NO_BACKEND;
}

// To w->backend, for @reason.
static enum lb_reason to_backend(struct ref_walk *w, enum lb_reason reason)
{
	const struct lb_backend *b = ref_backend(w, w->backend);
	const struct lb_hop *hop;
	enum lb_reason hindrance;

	if (w->backend == 0)
		return no_backend(w);
	if (!b || b->state != LB_ROW_LIVE)
		return LB_REASON_BACKEND_GONE;
	hop = ref_hop(w, b->hop);
	if (!hop)
		return LB_REASON_HOP_UNRESOLVED;
	w->link = hop->link;
	hindrance = leave(w);
	return hindrance != LB_REASON_NONE ? hindrance : reason;
}

// From the side of the backend in @row (0: of none) to a client, for @reason.
static enum lb_reason to_client(struct ref_walk *w, uint32_t row, enum lb_reason reason)
{
	const struct lb_backend *b = ref_backend(w, row);
	struct ref_route route = {.reason = LB_REASON_REPLY};
	enum lb_reason hindrance;
	enum lb_route_kind kind;
	const struct lb_hop *hop;
	uint32_t hop_row;

	if (row == 0 || !b || b->state != LB_ROW_LIVE)
		return LB_REASON_NOT_VIP;
	kind = ref_find_route(w, &hop_row);
	if (kind == LB_ROUTE_DIRECT)
		return LB_REASON_DIRECT;
	w->backend = row;
	w->service = b->service;
	w->is_reply = true;
	if (w->packet.wrong != LB_REASON_NONE)
		return w->packet.wrong;
	hop = ref_hop(w, hop_row);
	if (kind == LB_ROUTE_HOP && !hop)
		return LB_REASON_HOP_UNRESOLVED;
	if (kind == LB_ROUTE_HOP)
		route.link = hop->link;
	else
		w->ask_route(w->routes, &w->packet.destination, w->packet.family, w->packet.ip_len,
			     &route);
	if (route.reason != LB_REASON_REPLY)
		return route.reason;
	w->link = route.link;
	hindrance = leave(w);
	return hindrance != LB_REASON_NONE ? hindrance : reason;
}

// ---- for a VIP ----

// A flow's hash: of its source, of the VIP, and of the ports in that order.
static void hash_flow(struct ref_walk *w, const struct ref_address *client, uint16_t client_port,
		      const struct ref_address *vip, uint16_t vip_port, uint8_t protocol)
{
	struct ref_hashes hashes;
	uint8_t ports[4];

	ref_put16(ports, client_port);
	ref_put16(ports + 2, vip_port);
	hashes = ref_hash_flow(w->tables->meta, w->packet.family, client, vip, protocol, ports);
	w->hash = hashes.first;
	w->key = hashes.key;
}

static enum lb_reason vip_ports(struct ref_walk *w, uint32_t vip)
{
	const struct ref_packet *p = &w->packet;
	enum lb_reason reason;

	w->service = ref_find_service(w, vip, &p->destination, p->protocol, p->destination_port);
	if (w->service == 0 && vip & LB_VIP_OF_HOST)
		return LB_REASON_VIP_OF_HOST;
	if (w->service == 0)
		return refuse(w, LB_REASON_REFUSED_PORT, LB_REASON_NO_SERVICE);
	if (!ref_service(w, w->service)) // lbd writes no such row
		return LB_REASON_NO_SERVICE;
	if (!ref_is_unicast_source(p))
		return LB_REASON_SOURCE;
	hash_flow(w, &p->source, p->source_port, &p->destination, p->destination_port, p->protocol);
	reason = ref_track_choose(w);
	if (reason == LB_REASON_NONE) // nor such a slot
		return LB_REASON_NO_BACKEND;
	return to_backend(w, reason);
}

// Goes where the flow that it quotes goes. The quote is a packet from the VIP to a client.
static enum lb_reason vip_icmp_error(struct ref_walk *w, uint32_t vip)
{
	const struct ref_packet *p = &w->packet, *q = &w->quote;

	if (w->is_quoting && ref_is_same(&q->source, &p->destination))
		w->service = ref_find_service(w, vip, &q->source, q->protocol, q->source_port);
	if (!ref_service(w, w->service))
		w->service = 0;
	if (w->service == 0)
		return vip & LB_VIP_OF_HOST ? LB_REASON_VIP_OF_HOST : LB_REASON_ICMP_STRANGER;
	if (!ref_is_unicast_source(p))
		return LB_REASON_SOURCE;
	hash_flow(w, &q->destination, q->destination_port, &q->source, q->source_port, q->protocol);
	if (ref_track_look(w) == LB_REASON_NONE)
		return LB_REASON_NO_BACKEND;
	return to_backend(w, LB_REASON_ICMP_ERROR);
}

static enum lb_reason vip_icmp(struct ref_walk *w, uint32_t vip)
{
	const struct ref_packet *p = &w->packet;
	const bool is_ipv4 = p->family == 4;

	if (p->fragment != REF_WHOLE)
		return LB_REASON_VIP_ICMP;
	if (is_ipv4 ? p->icmp_type == 3 || p->icmp_type == 11 || p->icmp_type == 12
		    : p->icmp_type >= 1 && p->icmp_type <= 4)
		return vip_icmp_error(w, vip);
	// Echo with options is to be answered with them (RFC 1122, 3.2.2.6): the kernel's.
	if (p->icmp_type != (is_ipv4 ? 8 : 128) || !p->is_bare || is_to_many(w))
		return LB_REASON_VIP_ICMP;
	if (!ref_is_unicast_source(p))
		return LB_REASON_SOURCE;
	return ref_take(w, LB_RATE_ECHO) ? LB_REASON_ECHO : LB_REASON_ECHO_RATE;
}

// A later fragment, to where its first one went.
static enum lb_reason vip_later(struct ref_walk *w, uint32_t vip)
{
	const struct lb_backend *b;

	if (!ref_follow_first(w, false))
		return vip & LB_VIP_OF_HOST ? LB_REASON_VIP_OF_HOST : LB_REASON_FRAGMENT_EARLY;
	b = ref_backend(w, w->backend);
	if (b)
		w->service = b->service;
	return to_backend(w, LB_REASON_FRAGMENT);
}

static enum lb_reason for_vip(struct ref_walk *w, uint32_t vip)
{
	const struct ref_packet *p = &w->packet;

	if (p->wrong != LB_REASON_NONE)
		return p->wrong;
	if (ref_is_icmp(p))
		return vip_icmp(w, vip);
	if (p->fragment == REF_LATER)
		return vip_later(w, vip);
	if (p->has_ports)
		return vip_ports(w, vip);
	if (vip & LB_VIP_OF_HOST)
		return LB_REASON_VIP_OF_HOST;
	if (p->protocol == REF_AH || p->protocol == REF_ESP)
		return LB_REASON_IPSEC;
	return LB_REASON_VIP_PROTOCOL;
}

// ---- for no VIP: a backend's reply in nat, or the kernel's ----

static enum lb_reason for_no_vip(struct ref_walk *w)
{
	const struct ref_packet *p = &w->packet, *q = &w->quote;
	uint32_t row = 0;

	if (p->wrong == LB_REASON_NONE && p->fragment == REF_LATER) {
		if (!ref_follow_first(w, true))
			return LB_REASON_NOT_VIP;
		return to_client(w, w->backend, LB_REASON_FRAGMENT);
	}
	// The quote is a packet from a client to the backend.
	if (w->is_quoting && ref_is_same(&q->source, &p->destination)) {
		row = ref_find_sender(w, &q->destination, q->protocol, q->destination_port);
		return to_client(w, row, LB_REASON_ICMP_REPLY);
	}
	if (p->has_ports)
		row = ref_find_sender(w, &p->source, p->protocol, p->source_port);
	return to_client(w, row, LB_REASON_REPLY);
}

static enum lb_reason decide(struct ref_walk *w)
{
	const struct ref_packet *p = &w->packet;
	enum lb_reason reason;
	uint32_t vip;

	if (p->family == 0)
		return p->wrong;
	vip = ref_find_vip(w, &p->destination);
	reason = vip ? for_vip(w, vip) : for_no_vip(w);
	if (ref_verdict(reason) != LB_TRANSMIT)
		return reason;
	if (w->is_quoting && !ref_take(w, LB_RATE_ICMP))
		return LB_REASON_ICMP_RATE;
	if (p->fragment == REF_FIRST)
		ref_follow_remember(w);
	return reason;
}

// ---- counters ----

static void count_sent(const struct ref_walk *w)
{
	const size_t row = (size_t)w->cpu * w->tables->meta->backend_n + w->backend;
	struct lb_backend_counters *c = &w->tables->backend_counters[row];

	if (w->is_reply) {
		c->reply_pkts++;
		c->reply_bytes += w->frame.len;
		c->reply_rsts += w->packet.tcp_flags & REF_RST ? 1 : 0;
		return;
	}
	c->pkts++;
	c->bytes += w->frame.len;
	c->syns += ref_is_syn(&w->packet);
	c->untracked += w->is_untracked;
}

// Every packet at its reason; what is sent at its backend; what ends here at its service.
static void count(const struct ref_walk *w)
{
	const struct lb_meta *m = w->tables->meta;
	enum lb_verdict verdict = ref_verdict(w->reason);
	size_t reason = (size_t)w->cpu * LB_REASON_MAX + w->reason;

	w->tables->reason_counters[reason / LB_REASONS_PER_LINE]
		.pkts[reason % LB_REASONS_PER_LINE]++;
	if (verdict == LB_TRANSMIT)
		count_sent(w);
	else if (verdict != LB_PASS && w->service != 0 && w->service < m->service_n)
		w->tables->service_counters[(size_t)w->cpu * m->service_n + w->service].drops++;
}

void ref_decide(struct ref_walk *w)
{
	ref_read(w);
	w->service = w->backend = 0;
	w->is_reply = w->is_untracked = false;
	w->hash = 0;
	w->reason = decide(w);
	count(w);
}
