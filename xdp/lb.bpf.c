// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The XDP driver of the forwarding core: a thin one. It hands a frame to the core
// and carries out the answer. Loaded, pinned and attached by lbd (control/xdp.c) onto
// the maps that lbd made (see platform_impl.h for how they must be given).
//
// Plain packets take a way of their own, in line: a call costs them a fifth of it where the
// processor's returns are guarded. All others are parsed, decided and written in functions
// that the verifier sees one by one, so that what it learns in one does not multiply what
// comes behind; what one finds and another needs lies in a map, for the stack is short.
//
// There are two programs: lb_xdp, and lb_xdp_traced, which also copies packets for lbd (trace.h)
// and is loaded only while somebody looks. Both are made of the same functions; @is_traced, a
// constant everywhere, tells them apart, so that lb_xdp is what it would be without the other.
#include "platform_impl.h"
#include "dataplane/core/answer.h"
#include "leave.h"
#include "trace.h"

#define LB_XDP_NOT_PLAIN -1

// What is known of the packet that a CPU has in hand, in numbers: pointers (packet, decision) are
// not kept.
struct lb_xdp_aside {
	struct lb_packet packet;
	struct lb_decision decision;
	struct lb_whose whose;
	struct lb_link link;
	struct lb_address vip; // from whom an answer to a backend comes
	struct lb_answer answer;
	__u32 mtu;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_xdp_aside);
} aside SEC(".maps");

static __always_inline struct lb_xdp_aside *lb_xdp_aside(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&aside, &zero);
}

// Parses the frame into the aside.
__noinline int lb_xdp_parse(struct xdp_md *ctx)
{
	struct lb_xdp_aside *a = lb_xdp_aside();

	if (a)
		lb_parse(LB_START(ctx), LB_END(ctx), (__u32)(LB_END(ctx) - LB_START(ctx)),
			 &a->packet);
	return 0;
}

// ---- answers ----

// From the aside's packet. @family: a constant.
static __always_inline int lb_xdp_answer_of(struct xdp_md *ctx, struct lb_xdp_aside *a, int family,
					    enum lb_reason reason, __u32 mtu,
					    const struct lb_address *vip)
{
	struct lb_packet packet = a->packet;

	if (!lb_parse_locate(LB_START(ctx), LB_END(ctx), family, &packet))
		return 0;
	lb_answer_of(&packet, reason, mtu, vip, &a->answer);
	return 1;
}

// Fills in the aside's answer. @row: of the backend whose reply it answers; 0: none's. Parsed anew,
// for a plain packet's way ends with its decision. Returns 0 where there is none.
__noinline int lb_xdp_find_answer(struct xdp_md *ctx, __u32 reason, __u32 mtu, __u32 row)
{
	const struct lb_address *vip = 0;
	struct lb_xdp_aside *a;

	lb_xdp_parse(ctx);
	a = lb_xdp_aside();
	if (!a)
		return 0;
	if (row) {
		const struct lb_backend *backend = lb_backend_row(ctx, row);

		if (!backend)
			return 0;
		a->vip = backend->vip;
		vip = &a->vip;
	}
	if (a->packet.family == 4)
		return lb_xdp_answer_of(ctx, a, 4, reason, mtu, vip);
	return lb_xdp_answer_of(ctx, a, 6, reason, mtu, vip);
}

// Makes the frame the aside's answer. Returns 0 where there was no room.
__noinline int lb_xdp_write_answer(struct xdp_md *ctx)
{
	struct lb_xdp_aside *a = lb_xdp_aside();
	long frame_len;

	if (!a)
		return 0;
	if (a->answer.grow && bpf_xdp_adjust_head(ctx, -(int)a->answer.grow))
		return 0;
	frame_len = (long)ctx->data_end - (long)ctx->data;
	if (a->answer.len != frame_len && bpf_xdp_adjust_tail(ctx, a->answer.len - (int)frame_len))
		return 0;
	return lb_answer_write(LB_START(ctx), LB_END(ctx), &a->answer);
}

static __always_inline int lb_xdp_answer(struct xdp_md *ctx, const struct lb_xdp_here *here,
					 const struct lb_packet *p, struct lb_decision *d,
					 __u32 mtu, int is_traced)
{
	if (!lb_xdp_find_answer(ctx, d->reason, mtu, d->is_reply ? d->backend : 0) ||
	    !lb_xdp_write_answer(ctx)) {
		lb_decide_end(d, LB_REASON_HEADROOM);
		return lb_xdp_end(ctx, here, p, d, is_traced);
	}
	lb_xdp_count(ctx, here, p, d, is_traced);
	return XDP_TX;
}

// ---- plain packets ----

// How far lb_xdp_decide() came.
enum lb_xdp_decided {
	LB_XDP_UNDECIDED, // the packet is not plain, or something hinders it: it is the rest's
	LB_XDP_DECIDED,
	LB_XDP_CURRENT, // it goes to d->backend, its slot's current one, if nothing hinders it
};

// lb_decide_service(), but for the end that nearly all packets have.
static __always_inline enum lb_xdp_decided
lb_xdp_decide_service(struct xdp_md *ctx, const struct lb_packet *p, struct lb_decision *d)
{
	if (!lb_decide_is_unicast_source(p) || !lb_decide_slot_word(ctx, d))
		return LB_XDP_UNDECIDED;
	if (!lb_decide_is_tracked(d)) {
		d->backend = LB_SLOT_CURRENT(d->slot_word);
		return LB_XDP_CURRENT;
	}
	lb_decide_to_backend(ctx, p, d, lb_decide_tracked(ctx, p, d));
	return LB_XDP_DECIDED;
}

// Sends on a packet to its slot's current backend, by @way, a constant. What hinders it is found
// out by the rest, which decides it anew: so what seldom happens costs this way nothing.
static __always_inline int lb_xdp_current_by(struct xdp_md *ctx, const struct lb_xdp_here *here,
					     const struct lb_packet *p, struct lb_decision *d,
					     __u32 way, int is_traced)
{
	if (lb_decide_fit(p, way > LB_MODE_L2 ? way : 0, d) != LB_REASON_NONE)
		return LB_XDP_NOT_PLAIN;
	lb_decide_transmit(d, LB_REASON_CURRENT);
	if (is_traced)
		lb_xdp_trace_packet(p);
	return lb_xdp_by_way(ctx, here, p, d, way, is_traced);
}

// Each way is a straight one of its own.
static __always_inline int lb_xdp_current(struct xdp_md *ctx, const struct lb_xdp_here *here,
					  const struct lb_packet *p, struct lb_decision *d,
					  int is_traced)
{
	switch (lb_decide_way(ctx, d)) {
	case LB_MODE_NAT:
		return lb_xdp_current_by(ctx, here, p, d, LB_MODE_NAT, is_traced);
	case LB_MODE_L2:
		return lb_xdp_current_by(ctx, here, p, d, LB_MODE_L2, is_traced);
	case LB_IPV4_LEN:
		return lb_xdp_current_by(ctx, here, p, d, LB_IPV4_LEN, is_traced);
	case LB_IPV4_LEN + LB_UDP_LEN:
		return lb_xdp_current_by(ctx, here, p, d, LB_IPV4_LEN + LB_UDP_LEN, is_traced);
	case LB_IPV6_LEN:
		return lb_xdp_current_by(ctx, here, p, d, LB_IPV6_LEN, is_traced);
	case LB_IPV6_LEN + LB_UDP_LEN:
		return lb_xdp_current_by(ctx, here, p, d, LB_IPV6_LEN + LB_UDP_LEN, is_traced);
	default:
		return LB_XDP_NOT_PLAIN;
	}
}

// The walk of what may be a plain packet (lb_decide_sound(), step by step). What it asks of the
// tables takes long to answer, so that is asked first, while it is found out whether the packet is
// plain: nothing is written before. @family, @protocol: constants.
static __always_inline enum lb_xdp_decided lb_xdp_decide(struct xdp_md *ctx, __u8 *start, __u8 *end,
							 int family, __u8 protocol,
							 struct lb_packet *p, struct lb_decision *d)
{
	__u32 len, vip, row;

	if (!lb_packet_plain_is_there(start, end, family, protocol))
		return LB_XDP_UNDECIDED;
	len = (__u32)(end - start);
	lb_packet_parse_plain_again(start, end, len, family, protocol, p);
	vip = lb_decide_whom(ctx, p, d);
	if (d->service_word) {
		if (!lb_packet_parse_plain_of(start, end, len, family, protocol, p))
			return LB_XDP_UNDECIDED;
		return lb_xdp_decide_service(ctx, p, d);
	} else if (vip) {
		if (!lb_packet_parse_plain_of(start, end, len, family, protocol, p))
			return LB_XDP_UNDECIDED;
		lb_decide_end(d, lb_decide_no_service(ctx, p, vip));
	} else {
		row = lb_service_lookup_reverse(ctx, &p->source, protocol,
						lb_packet_source_port(p));
		if (!lb_packet_parse_plain_of(start, end, len, family, protocol, p))
			return LB_XDP_UNDECIDED;
		lb_decide_reply_of(ctx, p, row, LB_REASON_REPLY, d);
	}
	return LB_XDP_DECIDED;
}

// A plain packet of @family and @protocol, constants; LB_XDP_NOT_PLAIN: it is the rest's, and
// nothing was done. In line on for each kind of end, so that each has its own straight way: where
// they meet, the values of all of them go over the stack.
static __always_inline int lb_xdp_plain(struct xdp_md *ctx, int family, __u8 protocol,
					int is_traced)
{
	__u8 *start = LB_START(ctx), *end = LB_END(ctx);
	const struct lb_xdp_here here = lb_xdp_here(ctx);
	struct lb_decision decision = {};
	struct lb_packet packet;

	switch (lb_xdp_decide(ctx, start, end, family, protocol, &packet, &decision)) {
	case LB_XDP_UNDECIDED:
		return LB_XDP_NOT_PLAIN;
	case LB_XDP_CURRENT:
		return lb_xdp_current(ctx, &here, &packet, &decision, is_traced);
	case LB_XDP_DECIDED:
		break;
	}
	if (is_traced)
		lb_xdp_trace_packet(&packet);
	if (decision.verdict == LB_ANSWER)
		return lb_xdp_answer(ctx, &here, &packet, &decision,
				     lb_answer_mtu(&packet, &decision), is_traced);
	if (decision.verdict != LB_TRANSMIT)
		return lb_xdp_end(ctx, &here, &packet, &decision, is_traced);
	// What follows from the reason is said once more: so it is known from here on.
	decision.is_reply = decision.reason == LB_REASON_REPLY;
	if (decision.reason == LB_REASON_REPLY)
		return lb_xdp_in_place(ctx, &here, &packet, &decision, 1, is_traced);
	return lb_xdp_transmit(ctx, &here, &packet, &decision, 1, is_traced);
}

// Each kind of plain packet has its own straight way: what is known of it need not be kept.
static __always_inline int lb_xdp_plain_of(struct xdp_md *ctx, int family, int is_traced)
{
	if (LB_IS_BEYOND(LB_START(ctx), LB_PLAIN_LEAST,
			 LB_END(ctx))) // a function verified alone asks
		return LB_XDP_NOT_PLAIN;
	switch (lb_packet_plain_protocol(LB_START(ctx), family)) {
	case LB_IP_TCP:
		return lb_xdp_plain(ctx, family, LB_IP_TCP, is_traced);
	case LB_IP_UDP:
		return lb_xdp_plain(ctx, family, LB_IP_UDP, is_traced);
	default:
		return LB_XDP_NOT_PLAIN;
	}
}

// Out of line, for the verifier: here nobody counts nanoseconds.
__noinline int lb_xdp_ipv4_traced(struct xdp_md *ctx)
{
	return lb_xdp_plain_of(ctx, 4, 1);
}

__noinline int lb_xdp_ipv6_traced(struct xdp_md *ctx)
{
	return lb_xdp_plain_of(ctx, 6, 1);
}

// ---- the rest ----

// Whose the aside's packet is. @family: a constant.
static __always_inline int lb_xdp_whose(struct xdp_md *ctx, int family)
{
	struct lb_xdp_aside *a = lb_xdp_aside();
	struct lb_decision decision = {};
	struct lb_whose whose = {};
	struct lb_packet packet;
	int goes_on = 0;

	if (!a)
		return 0;
	packet = a->packet;
	if (lb_parse_locate(LB_START(ctx), LB_END(ctx), family, &packet))
		goes_on = lb_decide_rest_whose(ctx, &packet, &decision, &whose);
	else
		lb_decide_end(&decision, LB_REASON_TRUNCATED);
	a->mtu = 0;
	a->whose = whose;
	a->decision = decision;
	return goes_on;
}

// The two have frames of their own: in one function they share a greater one.
__noinline int lb_xdp_whose_ipv4(struct xdp_md *ctx)
{
	return lb_xdp_whose(ctx, 4);
}

__noinline int lb_xdp_whose_ipv6(struct xdp_md *ctx)
{
	return lb_xdp_whose(ctx, 6);
}

// Its way from there. @family: a constant.
static __always_inline int lb_xdp_way(struct xdp_md *ctx, int family)
{
	struct lb_xdp_aside *a = lb_xdp_aside();
	struct lb_decision decision;
	struct lb_packet packet;

	if (!a)
		return 0;
	packet = a->packet;
	decision = a->decision;
	decision.row = 0;
	decision.link = 0;
	if (lb_parse_locate(LB_START(ctx), LB_END(ctx), family, &packet))
		lb_decide_rest_way(ctx, &packet, &a->whose, &decision);
	else
		lb_decide_end(&decision, LB_REASON_TRUNCATED);
	if (decision.verdict == LB_ANSWER)
		a->mtu = lb_answer_mtu(&packet, &decision);
	if (decision.link)
		a->link = *decision.link;
	decision.row = 0;
	decision.link = 0;
	a->decision = decision;
	return 0;
}

__noinline int lb_xdp_way_ipv4(struct xdp_md *ctx)
{
	return lb_xdp_way(ctx, 4);
}

__noinline int lb_xdp_way_ipv6(struct xdp_md *ctx)
{
	return lb_xdp_way(ctx, 6);
}

// Sends the aside's packet on. @family: a constant.
static __always_inline int lb_xdp_send_of(struct xdp_md *ctx, struct lb_xdp_aside *a, int family,
					  int is_traced)
{
	const struct lb_xdp_here here = lb_xdp_here(ctx);
	struct lb_packet packet = a->packet;
	struct lb_decision decision = a->decision;

	decision.row = lb_backend_row(ctx, decision.backend);
	decision.link = &a->link;
	if (!decision.row || !lb_parse_locate(LB_START(ctx), LB_END(ctx), family, &packet))
		return XDP_DROP;
	return lb_xdp_transmit(ctx, &here, &packet, &decision, 0, is_traced);
}

static __always_inline int lb_xdp_send_aside(struct xdp_md *ctx, int is_traced)
{
	struct lb_xdp_aside *a = lb_xdp_aside();

	if (!a)
		return XDP_DROP;
	if (a->packet.family == 4)
		return lb_xdp_send_of(ctx, a, 4, is_traced);
	return lb_xdp_send_of(ctx, a, 6, is_traced);
}

__noinline int lb_xdp_send(struct xdp_md *ctx)
{
	return lb_xdp_send_aside(ctx, 0);
}

__noinline int lb_xdp_send_traced(struct xdp_md *ctx)
{
	return lb_xdp_send_aside(ctx, 1);
}

static __always_inline int lb_xdp_rest(struct xdp_md *ctx, int is_traced)
{
	const struct lb_xdp_here here = lb_xdp_here(ctx);
	struct lb_xdp_aside *a;

	lb_xdp_parse(ctx);
	a = lb_xdp_aside();
	if (!a)
		return XDP_DROP;
	if (is_traced)
		lb_xdp_trace_packet(&a->packet);
	switch (a->packet.family) {
	case 4:
		if (lb_xdp_whose_ipv4(ctx))
			lb_xdp_way_ipv4(ctx);
		break;
	case 6:
		if (lb_xdp_whose_ipv6(ctx))
			lb_xdp_way_ipv6(ctx);
		break;
	default:
		a->decision = (struct lb_decision){};
		lb_decide_end(&a->decision, a->packet.defect);
	}
	if (a->decision.verdict == LB_TRANSMIT)
		return is_traced ? lb_xdp_send_traced(ctx) : lb_xdp_send(ctx);
	if (a->decision.verdict == LB_ANSWER)
		return lb_xdp_answer(ctx, &here, &a->packet, &a->decision, a->mtu, is_traced);
	return lb_xdp_end(ctx, &here, &a->packet, &a->decision, is_traced);
}

SEC("xdp")
int lb_xdp(struct xdp_md *ctx)
{
	int action = LB_XDP_NOT_PLAIN;

	switch (lb_packet_family(LB_START(ctx), LB_END(ctx))) {
	case 4:
		action = lb_xdp_plain_of(ctx, 4, 0);
		break;
	case 6:
		action = lb_xdp_plain_of(ctx, 6, 0);
		break;
	}
	return action == LB_XDP_NOT_PLAIN ? lb_xdp_rest(ctx, 0) : action;
}

// Loaded where it is asked for by name alone ("?").
SEC("?xdp")
int lb_xdp_traced(struct xdp_md *ctx)
{
	int action = LB_XDP_NOT_PLAIN;

	lb_xdp_trace_begin(ctx);
	switch (lb_packet_family(LB_START(ctx), LB_END(ctx))) {
	case 4:
		action = lb_xdp_ipv4_traced(ctx);
		break;
	case 6:
		action = lb_xdp_ipv6_traced(ctx);
		break;
	}
	if (action == LB_XDP_NOT_PLAIN)
		action = lb_xdp_rest(ctx, 1);
	lb_xdp_trace_end(ctx, action);
	return action;
}

char _license[] SEC("license") = "Dual BSD/GPL";
