// SPDX-License-Identifier: BSD-2-Clause
//
// One packet through the native core: copied, decided, and written as a driver would, in
// memory of its own. What leaves is then read from the bytes that were written.
#include "control/explain.h"

#include <arpa/inet.h>
#include <string.h>

#include "dataplane/core/answer.h"
#include "dataplane/core/apply.h"

#define ROOM 64 // in front, for an outer header or an answer's
// What the core looks at, and what an answer quotes of it.
#define BYTES_MAX (LB_PARSE_BYTES_MAX + LB_IPV6_MTU_LEAST)

// The frame, and who walks it.
struct walk {
	struct lb_tables view; // the live ones, but for the limits
	struct lb_limit_line limits;
	struct lb_env env;
	struct lb_packet p;
	struct lb_decision d;
	uint32_t frame_len;
	uint32_t captured_len;
	uint8_t *start;
	_Alignas(8) uint8_t bytes[ROOM + BYTES_MAX];
};

static void walk_init(struct walk *w, const struct explain_world *world,
		      const struct explain_frame *frame)
{
	memset(w, 0, sizeof(*w));
	w->view = *world->tables;
	w->view.limits = &w->limits;
	// Where nobody knows what the routes say, that they are asked is the answer.
	w->env = (struct lb_env){.tables = &w->view,
				 .now_s = world->now_s,
				 .is_private = true,
				 .route = {.reason = LB_REASON_REPLY, .link = {.mtu = UINT16_MAX}}};
	w->frame_len = frame->len;
	w->captured_len =
		frame->captured_len < LB_PARSE_BYTES_MAX ? frame->captured_len : LB_PARSE_BYTES_MAX;
	w->start = w->bytes + ROOM;
	memcpy(w->start, frame->bytes, w->captured_len);
}

static void decide(struct walk *w)
{
	lb_decide(&w->env, w->start, w->start + w->captured_len, w->frame_len, &w->p, &w->d);
}

// Walks it again where the routes beyond the mirrored ones were asked, with what they say. True:
// they did.
static bool decide_by_routes(struct walk *w, const struct explain_world *world)
{
	uint32_t hop;

	if (!w->env.asked.family || !world->ask_route)
		return false;
	// It comes in where packets to its backend leave.
	hop = w->d.row->hop;
	if (!hop || world->ask_route(world->arg, w->view.hops[hop].link.ifindex, &w->env.asked,
				     &w->env.route))
		return false;
	decide(w);
	return true;
}

// ---- fragments of a capture ----

// A fragment whose first one the tables do not know, but the capture had.
static void decide_later(struct walk *w, struct explain_fragments *f)
{
	const bool is_stranger =
		w->d.reason == LB_REASON_FRAGMENT_EARLY || w->d.reason == LB_REASON_NOT_VIP;

	if (!is_stranger || w->p.fragment != LB_FRAGMENT_LATER)
		return;
	f->meta = *w->view.meta;
	f->meta.fragment_mask = EXPLAIN_FRAGMENT_LINES - 1;
	w->view.meta = &f->meta;
	w->view.fragments = f->lines;
	decide(w);
}

// A first fragment that is sent on: the walk wrote its line of the table, in the private copy.
static void remember_first(struct walk *w, struct explain_fragments *f)
{
	const uint32_t i =
		(uint32_t)lb_fragment_hash(&w->env, &w->p) & (EXPLAIN_FRAGMENT_LINES - 1);

	if (w->p.fragment == LB_FRAGMENT_FIRST && w->d.verdict == LB_TRANSMIT)
		f->lines[i] = w->env.fragment_copy;
}

// ---- what was decided ----

static void read_slot(const struct walk *w, uint32_t now_s, struct explanation *ret)
{
	const struct lb_decision *d = &w->d;
	const struct lb_service *s = &w->view.services[d->service];

	// A source that is refused is refused before its slot is sought; a later fragment goes
	// where the first one went.
	if (!d->hash || d->is_reply || !d->service || w->p.fragment == LB_FRAGMENT_LATER)
		return;
	ret->has_slot = true;
	ret->slot = lb_slot_of(d->service_word, d->hash) - s->ring_offset;
	ret->is_lookup = d->slot_word & LB_SLOT_LOOKUP;
	ret->is_looked_up =
		lb_select_is_tracked(LB_SERVICE_TRACKING(d->service_word), d->slot_word);
	ret->current = LB_SLOT_CURRENT(d->slot_word);
	ret->settled = LB_SLOT_SETTLED(d->slot_word);
	if (!d->entry)
		return;
	ret->has_entry = true;
	ret->entry_backend = LB_ENTRY_BACKEND(d->entry);
	ret->entry_state = LB_ENTRY_STATE(d->entry);
	ret->entry_age_s = lb_track_age_s(d->entry, now_s);
	if (ret->entry_age_s > LB_IDLE_MAX_S)
		ret->entry_age_s = 0; // used a moment ago, by a later clock than ours
}

// A capture that keeps the first bytes of each packet may have cut what the parser needs.
static bool is_cut(const struct walk *w)
{
	const struct lb_packet *p = &w->p;

	if (w->captured_len >= w->frame_len || w->captured_len >= LB_PARSE_BYTES_MAX)
		return false;
	return p->defect == LB_REASON_TRUNCATED || p->defect == LB_REASON_FRAGMENT_HEADER ||
	       (p->defect == LB_REASON_NONE && lb_parse_is_icmp_error(p) && !p->quote.at);
}

// ---- what leaves ----

static void set_headers(const uint8_t *l3, const struct lb_packet *p, struct explain_headers *ret)
{
	ret->source = p->source;
	ret->destination = p->destination;
	ret->source_port = ntohs(lb_packet_source_port(p));
	ret->destination_port = ntohs(lb_packet_destination_port(p));
	ret->len = p->ip_len;
	ret->ttl = l3[p->family == 4 ? 8 : 7];
}

// @len: of the frame that was written at @w->start.
static void read_out(struct walk *w, uint32_t len, uint32_t grow, struct explanation *ret)
{
	const uint32_t here_len = len < BYTES_MAX ? len : BYTES_MAX;
	struct lb_packet out;

	lb_parse(w->start, w->start + here_len, len, &out);
	packet_text_render(w->start, here_len, len, ret->out_text);
	if (!out.family)
		return;
	if (!grow) {
		set_headers(w->start + out.l3_at, &out, &ret->out);
		return;
	}
	// The packet itself is as it came.
	ret->tunnel = (enum lb_mode)w->d.row->mode;
	set_headers(w->start + out.l3_at, &out, &ret->outer);
	set_headers(w->start + grow + w->p.l3_at, &w->p, &ret->out);
}

static void send_on(struct walk *w, struct explanation *ret)
{
	const uint32_t grow = lb_decision_grow(&w->d);

	w->start -= grow;
	if (lb_apply(&w->env, w->start, w->start + w->captured_len + grow, grow, &w->p, &w->d))
		read_out(w, w->frame_len + grow, grow, ret);
}

static enum explain_answer answer_of(const struct lb_answer *a, enum lb_reason reason)
{
	if (a->kind == LB_ANSWER_ECHO)
		return EXPLAIN_ECHO_REPLY;
	if (a->kind == LB_ANSWER_RESET)
		return EXPLAIN_RST;
	if (reason == LB_REASON_TTL)
		return EXPLAIN_TIME_EXCEEDED;
	return a->mtu ? EXPLAIN_TOO_BIG : EXPLAIN_PORT_UNREACHABLE;
}

static void answer(struct walk *w, struct explanation *ret)
{
	struct lb_answer a = {0};
	uint32_t here_len;

	lb_answer_of(&w->p, w->d.reason, lb_answer_mtu(&w->p, &w->d),
		     w->d.is_reply ? &w->d.row->vip : NULL, &a);
	ret->answer = answer_of(&a, w->d.reason);
	ret->answer_mtu = a.mtu;
	w->start -= a.grow;
	here_len = a.len < BYTES_MAX ? a.len : BYTES_MAX;
	if (lb_answer_write(w->start, w->start + here_len, &a))
		read_out(w, a.len, 0, ret);
}

void explain_run_frame(const struct explain_world *world, const struct explain_frame *frame,
		       struct explain_fragments *fragments, struct explanation *ret)
{
	struct walk w;

	memset(ret, 0, sizeof(*ret));
	walk_init(&w, world, frame);
	packet_text_render(w.start, w.captured_len, w.frame_len, ret->text);
	decide(&w);
	ret->is_cut = is_cut(&w);
	if (ret->is_cut)
		return;
	if (fragments) {
		decide_later(&w, fragments);
		remember_first(&w, fragments);
	}
	ret->is_route_known = decide_by_routes(&w, world);
	ret->verdict = w.d.verdict;
	ret->reason = w.d.reason;
	ret->service = w.d.service;
	ret->backend = w.d.backend;
	ret->hop = w.d.hop;
	ret->is_reply = w.d.is_reply;
	ret->is_route_asked = w.env.asked.family != 0;
	read_slot(&w, world->now_s, ret);
	if (w.d.link && (ret->is_route_known || !ret->is_route_asked))
		ret->link = *w.d.link;
	if (w.d.verdict == LB_TRANSMIT)
		send_on(&w, ret);
	else if (w.d.verdict == LB_ANSWER)
		answer(&w, ret);
}

// ---- rates ----

enum lb_rate explain_rate_of(enum lb_reason reason)
{
	switch (reason) {
	case LB_REASON_ECHO:
		return LB_RATE_ECHO;
	case LB_REASON_ICMP_ERROR:
	case LB_REASON_ICMP_REPLY:
		return LB_RATE_ICMP;
	case LB_REASON_REFUSED_PORT:
	case LB_REASON_REFUSED_BACKEND:
		return LB_RATE_REFUSED;
	case LB_REASON_TOO_BIG:
	case LB_REASON_TOO_BIG_NO_DF:
	case LB_REASON_TTL:
		return LB_RATE_ERROR;
	default:
		return LB_RATE_N;
	}
}

uint32_t explain_count_full(const struct lb_tables *tables, enum lb_rate rate, uint32_t now_s)
{
	const uint32_t max = tables->meta->rates[rate];
	uint32_t n = 0;

	for (uint32_t cpu = 0; max && cpu < tables->meta->cpu_n; cpu++) {
		const struct lb_limit *l = &tables->limits[cpu].limits[rate];

		n += l->second == now_s && l->pkts >= max;
	}
	return n;
}
