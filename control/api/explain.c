// SPDX-License-Identifier: BSD-2-Clause
//
// /v1/explain: what happens to a packet, and why. explain_run() walks it with the
// dataplane's own code; here its answer gets names and becomes JSON, with a story in
// sentences, a fact each, which lbctl prints. Handler of the API's table.
#include "control/explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/api/request.h"
#include "control/schema.h"

// What is told, and of what.
struct telling {
	struct lbd *d;
	const struct explain_query *query;
	const struct explain_answer *a;
	const struct model_service *service; // NULL: none
	json_t *story;
};

static const char *const meanings[] = {
#define MEANING(name, verdict, label, text) text,
	LB_REASONS(MEANING)
#undef MEANING
};
static const char *const labels[] = {
#define LABEL(name, verdict, label, text) label,
	LB_REASONS(LABEL)
#undef LABEL
};
static const char *const verdicts[] = {
	[LB_PASS] = "pass", [LB_DROP] = "drop", [LB_TRANSMIT] = "transmit", [LB_ANSWER] = "answer"};
static const char *const entry_states[] = {"busy", "embryonic", "established", "closing"};

static void tell(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct telling *t, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	json_array_append_new(t->story, json_string(line));
}

// The backend of a row, as people write it; row 0 is "no backend".
static const char *backend_text(const struct telling *t, uint32_t row, char *buf)
{
	const struct lb_meta *m = t->d->tables->rows.meta;
	const struct lb_backend *b = &t->d->tables->rows.backends[row];

	if (!row || row >= m->backend_n)
		return "no backend";
	return address_render_port(&b->address, ntohs(b->port), buf);
}

static json_t *backend_json(const struct telling *t, uint32_t row)
{
	char text[ADDRESS_TEXT_MAX];

	return row ? json_string(backend_text(t, row, text)) : json_null();
}

static const struct model_service *lookup_service(const struct lbd *d, uint32_t row)
{
	for (size_t i = 0; row && i < d->model->services_n; i++) {
		struct publisher_service_view v;

		if (!publisher_get_service(d->publisher, d->model->services[i].name, &v) &&
		    (v.row4 == row || v.row6 == row))
			return &d->model->services[i];
	}
	return NULL;
}

// ---- the facts, in the order of the walk ----

static void tell_packet(struct telling *t, json_t *o)
{
	const struct explain_query *q = t->query;
	const char *protocol = q->protocol == IPPROTO_TCP ? "tcp" : "udp";
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];

	address_render_port(&q->source, q->source_port, source);
	address_render_port(&q->destination, q->destination_port, destination);
	json_object_set_new(o, "protocol", json_string(protocol));
	json_object_set_new(o, "source", json_string(source));
	json_object_set_new(o, "destination", json_string(destination));
	json_object_set_new(o, "syn", json_boolean(q->is_syn));
	tell(t, "packet    %s %s -> %s%s", protocol, source, destination,
	     q->protocol != IPPROTO_TCP ? ""
	     : q->is_syn		? ", a SYN: a new connection"
					: ", an ACK: an open connection");
}

static void tell_service(struct telling *t, json_t *o)
{
	const struct model_service *s = t->service;

	json_object_set_new(o, "service", s ? json_string(s->name) : json_null());
	if (s && t->a->is_reply)
		tell(t, "service   %s: this is a backend's reply", s->name);
	else if (s)
		tell(t, "service   %s: mode %s, tracking %s", s->name, schema_mode_name(s->mode),
		     schema_tracking_name(s->tracking));
	else
		tell(t, "service   none");
}

static void tell_slot(struct telling *t, json_t *o)
{
	const struct explain_answer *a = t->a;
	char current[ADDRESS_TEXT_MAX], settled[ADDRESS_TEXT_MAX];

	if (!a->has_slot) {
		json_object_set_new(o, "slot", json_null());
		return;
	}
	json_object_set_new(o, "slot",
			    json_pack("{s:I, s:o, s:o, s:b}", "index", (json_int_t)a->slot,
				      "current", backend_json(t, a->current), "settled",
				      backend_json(t, a->settled), "in_transition", a->is_lookup));
	if (a->is_lookup)
		tell(t,
		     "slot      %u, in transition: new connections go to %s, old ones without "
		     "entry "
		     "live on %s",
		     a->slot, backend_text(t, a->current, current),
		     backend_text(t, a->settled, settled));
	else if (!a->current)
		tell(t, "slot      %u, which has no backend", a->slot);
	else
		tell(t, "slot      %u, settled: %s go to %s", a->slot,
		     a->is_looked_up ? "connections without entry" : "all its connections",
		     backend_text(t, a->current, current));
}

static void tell_entry(struct telling *t, json_t *o)
{
	const struct explain_answer *a = t->a;
	char backend[ADDRESS_TEXT_MAX];

	json_object_set_new(o, "entry", json_null());
	if (!a->has_slot)
		return;
	if (!a->is_looked_up) {
		tell(t, "entry     not looked for: the slot does not ask for it");
		return;
	}
	if (!a->has_entry) {
		tell(t, "entry     none: this connection is not tracked");
		return;
	}
	json_object_set_new(o, "entry",
			    json_pack("{s:o, s:s, s:I}", "backend",
				      backend_json(t, a->entry_backend), "state",
				      entry_states[a->entry_state & 3], "age_seconds",
				      (json_int_t)a->entry_age_s));
	tell(t, "entry     %s, names %s, last used %u s ago", entry_states[a->entry_state & 3],
	     backend_text(t, a->entry_backend, backend), a->entry_age_s);
}

static void tell_verdict(struct telling *t, json_t *o)
{
	const struct explain_answer *a = t->a;

	json_object_set_new(o, "verdict", json_string(verdicts[a->verdict]));
	json_object_set_new(o, "reason", json_string(labels[a->reason]));
	json_object_set_new(o, "meaning", json_string(meanings[a->reason]));
	tell(t, "verdict   %s (%s): %s", verdicts[a->verdict], labels[a->reason],
	     meanings[a->reason]);
}

static void tell_backend(struct telling *t, json_t *o)
{
	const struct lb_backend *b = &t->d->tables->rows.backends[t->a->backend];
	char backend[ADDRESS_TEXT_MAX];

	json_object_set_new(o, "backend", backend_json(t, t->a->backend));
	if (t->a->backend)
		tell(t, "backend   %s%s%s", backend_text(t, t->a->backend, backend),
		     b->flags & LB_BACKEND_DOWN ? ", which is down" : "",
		     b->state == LB_ROW_LIVE ? "" : ", which is no more");
}

static void render_mac(const uint8_t *mac, char *buf, size_t buf_len)
{
	snprintf(buf, buf_len, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
}

static void tell_hop(struct telling *t, json_t *o)
{
	const struct explain_answer *a = t->a;
	char name[IF_NAMESIZE], destination[24], source[24];

	json_object_set_new(o, "hop", json_null());
	if (a->is_route_asked)
		tell(t, "next hop  by the kernel's routes: no mirrored route matches");
	if (a->is_route_asked || a->verdict != LB_TRANSMIT)
		return;
	if (!if_indextoname(a->ifindex, name))
		snprintf(name, sizeof(name), "%u", a->ifindex);
	render_mac(a->macs, destination, sizeof(destination));
	render_mac(a->macs + 6, source, sizeof(source));
	json_object_set_new(o, "hop",
			    json_pack("{s:s, s:I, s:s, s:s}", "interface", name, "mtu",
				      (json_int_t)a->mtu, "destination_mac", destination,
				      "source_mac", source));
	tell(t, "next hop  %s by interface %s, MTU %u", destination, name, a->mtu);
}

static void tell_headers(struct telling *t, json_t *o)
{
	const struct explain_answer *a = t->a;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	json_t *headers;

	json_object_set_new(o, "leaves", json_null());
	if (a->verdict != LB_TRANSMIT)
		return;
	address_render_port(&a->out_source, a->out_source_port, source);
	address_render_port(&a->out_destination, a->out_destination_port, destination);
	headers = json_pack("{s:s, s:s}", "source", source, "destination", destination);
	tell(t, "leaves    %s -> %s", source, destination);
	if (a->has_outer) {
		address_render(&a->outer_source, source);
		address_render(&a->outer_destination, destination);
		json_object_set_new(headers, "outer_source", json_string(source));
		json_object_set_new(headers, "outer_destination", json_string(destination));
		tell(t, "          inside a tunnel %s -> %s", source, destination);
	}
	json_object_set_new(o, "leaves", headers);
}

// A new connection of the same five-tuple, where it would go elsewhere.
static void tell_new_connection(struct telling *t, json_t *o)
{
	struct explain_query query = *t->query;
	struct explain_answer a;
	char backend[ADDRESS_TEXT_MAX];

	json_object_set_new(o, "new_connection", json_null());
	if (query.protocol != IPPROTO_TCP || query.is_syn || !t->a->has_slot)
		return;
	query.is_syn = true;
	explain_run(&t->d->tables->rows, &query, clock_now_s(), &a);
	if (a.verdict == t->a->verdict && a.backend == t->a->backend)
		return;
	json_object_set_new(o, "new_connection",
			    json_pack("{s:s, s:s, s:o}", "verdict", verdicts[a.verdict], "reason",
				      labels[a.reason], "backend", backend_json(t, a.backend)));
	tell(t, "a SYN     %s (%s): %s", verdicts[a.verdict], labels[a.reason],
	     backend_text(t, a.backend, backend));
}

// ---- the request ----

static int parse_end(const struct api_request *r, const char *name, struct lb_address *ret_address,
		     uint16_t *ret_port, struct err *e)
{
	const char *text = request_parameter(r, name);

	if (!text || address_parse_port(text, ret_address, ret_port) || !*ret_port)
		return err_set_field(e, -EPROTO, 0, name,
				     "must be address and port, such as 198.51.100.7:40000 or "
				     "[2001:db8::7]:40000, is %.64s",
				     text ? text : "absent");
	return 0;
}

static int parse_query(const struct api_request *r, struct explain_query *ret, struct err *e)
{
	const char *protocol = request_parameter(r, "protocol");
	int code;

	if (!protocol || (strcmp(protocol, "tcp") && strcmp(protocol, "udp")))
		return err_set_field(e, -EPROTO, 0, "protocol", "must be tcp or udp, is %.32s",
				     protocol ? protocol : "absent");
	ret->protocol = strcmp(protocol, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	code = parse_end(r, "source", &ret->source, &ret->source_port, e);
	if (!code)
		code = parse_end(r, "destination", &ret->destination, &ret->destination_port, e);
	if (!code)
		code = request_flag(r, "syn", &ret->is_syn, e);
	if (code)
		return code;
	if (ret->is_syn && ret->protocol != IPPROTO_TCP)
		return err_set_field(e, -EPROTO, 0, "syn", "is for tcp");
	if (address_family(&ret->source) != address_family(&ret->destination))
		return err_set_field(e, -EPROTO, 0, "destination",
				     "must be of the source's family, IPv%d",
				     address_family(&ret->source));
	return 0;
}

int api_explain_get(struct api_request *r, struct err *e)
{
	struct explain_query query = {0};
	struct explain_answer answer;
	struct telling t = {.d = r->d, .query = &query, .a = &answer};
	json_t *o;
	int code = parse_query(r, &query, e);

	if (code)
		return code;
	explain_run(&r->d->tables->rows, &query, clock_now_s(), &answer);
	t.service = lookup_service(r->d, answer.service);
	t.story = json_array();
	o = json_object();
	tell_packet(&t, o);
	tell_service(&t, o);
	tell_slot(&t, o);
	tell_entry(&t, o);
	tell_verdict(&t, o);
	tell_backend(&t, o);
	tell_hop(&t, o);
	tell_headers(&t, o);
	tell_new_connection(&t, o);
	json_object_set_new(o, "story", t.story);
	return reply_json(r, 200, o);
}
