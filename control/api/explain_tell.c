// SPDX-License-Identifier: BSD-2-Clause
//
// An explanation as facts with names, and as a story: a sentence a fact, in the order
// of the walk, which lbctl prints as they are.
#include "control/api/explain.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/reasons.h"
#include "control/schema.h"

static const char *const entry_states[] = {"busy", "embryonic", "established", "closing"};

static void tell(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct telling *t, const char *format, ...)
{
	char line[2 * PACKET_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	json_array_append_new(t->story, json_string(line));
}

// ---- names ----

const char *explain_backend_text(const struct lbd *d, uint32_t row, char *buf)
{
	const struct lb_backend *b = &d->tables->rows.backends[row];

	if (!row || row >= d->tables->rows.meta->backend_n) {
		snprintf(buf, ADDRESS_TEXT_MAX, "no backend");
		return buf;
	}
	return address_render_port(&b->address, ntohs(b->port), buf);
}

json_t *explain_backend_json(const struct lbd *d, uint32_t row)
{
	char text[ADDRESS_TEXT_MAX];

	return row ? json_string(explain_backend_text(d, row, text)) : json_null();
}

json_t *explain_service_json(const struct lbd *d, uint32_t row)
{
	const char *name = publisher_get_service_name(d->publisher, row);

	return name ? json_string(name) : json_null();
}

json_t *explain_leaves_json(const struct explanation *x)
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	json_t *o;

	if (!x->out.len)
		return json_null();
	address_render_port(&x->out.source, x->out.source_port, source);
	address_render_port(&x->out.destination, x->out.destination_port, destination);
	o = json_pack("{s:s, s:s, s:i, s:I}", "source", source, "destination", destination, "ttl",
		      x->out.ttl, "length", (json_int_t)x->out.len);
	if (!x->tunnel)
		return o;
	address_render_port(&x->outer.source, x->outer.source_port, source);
	address_render_port(&x->outer.destination, x->outer.destination_port, destination);
	json_object_set_new(o, "tunnel", json_string(schema_mode_name(x->tunnel)));
	json_object_set_new(o, "outer_source", json_string(source));
	json_object_set_new(o, "outer_destination", json_string(destination));
	json_object_set_new(o, "outer_ttl", json_integer(x->outer.ttl));
	json_object_set_new(o, "outer_length", json_integer(x->outer.len));
	return o;
}

static bool is_ipv4(const struct explanation *x)
{
	return address_is_ipv4(&x->out.source);
}

json_t *explain_answer_json(const struct explanation *x)
{
	static const char *const names[] = {
		[EXPLAIN_ECHO_REPLY] = "echo_reply",
		[EXPLAIN_RST] = "rst",
		[EXPLAIN_PORT_UNREACHABLE] = "port_unreachable",
		[EXPLAIN_TOO_BIG] = "packet_too_big",
		[EXPLAIN_TIME_EXCEEDED] = "time_exceeded",
	};

	if (x->answer == EXPLAIN_NO_ANSWER)
		return json_null();
	if (x->answer == EXPLAIN_TOO_BIG && is_ipv4(x))
		return json_string("fragmentation_needed");
	return json_string(names[x->answer]);
}

// ---- the facts, in the order of the walk ----

static void tell_packet(struct telling *t)
{
	const struct explain_query *q = t->query;
	const char *protocol = q->protocol == IPPROTO_TCP   ? "tcp"
			       : q->protocol == IPPROTO_UDP ? "udp"
							    : "icmp";
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	uint32_t len = explain_query_len(q);

	len = q->ip_len > len ? q->ip_len : len;
	address_render_port(&q->source, q->source_port, source);
	address_render_port(&q->destination, q->destination_port, destination);
	json_object_set_new(t->o, "protocol", json_string(protocol));
	json_object_set_new(t->o, "source", json_string(source));
	json_object_set_new(t->o, "destination", json_string(destination));
	json_object_set_new(t->o, "syn", json_boolean(q->is_syn));
	json_object_set_new(t->o, "length", json_integer(len));
	tell(t, "packet    %s, %u bytes%s", t->x->text, len,
	     q->protocol != IPPROTO_TCP ? ""
	     : q->is_syn		? ": a new connection"
					: ": an open connection");
}

static const struct model_service *lookup_service(const struct lbd *d, uint32_t row)
{
	const char *name = publisher_get_service_name(d->publisher, row);

	for (size_t i = 0; name && i < d->model->services_n; i++) {
		if (!strcmp(d->model->services[i].name, name))
			return &d->model->services[i];
	}
	return NULL;
}

static void tell_service(struct telling *t)
{
	const struct model_service *s = lookup_service(t->d, t->x->service);

	json_object_set_new(t->o, "service", s ? json_string(s->name) : json_null());
	if (s && t->x->is_reply)
		tell(t, "service   %s: this is a backend's reply", s->name);
	else if (s)
		tell(t, "service   %s: mode %s, tracking %s", s->name, schema_mode_name(s->mode),
		     schema_tracking_name(s->tracking));
	else
		tell(t, "service   none");
}

static void tell_slot(struct telling *t)
{
	const struct explanation *x = t->x;
	char current[ADDRESS_TEXT_MAX], settled[ADDRESS_TEXT_MAX];

	if (!x->has_slot) {
		json_object_set_new(t->o, "slot", json_null());
		return;
	}
	json_object_set_new(t->o, "slot",
			    json_pack("{s:I, s:o, s:o, s:b}", "index", (json_int_t)x->slot,
				      "current", explain_backend_json(t->d, x->current), "settled",
				      explain_backend_json(t->d, x->settled), "in_transition",
				      x->is_lookup));
	explain_backend_text(t->d, x->current, current);
	explain_backend_text(t->d, x->settled, settled);
	if (x->is_lookup)
		tell(t,
		     "slot      %u, in transition: new connections go to %s, old ones without "
		     "entry live on %s",
		     x->slot, current, settled);
	else if (!x->current)
		tell(t, "slot      %u, which has no backend", x->slot);
	else
		tell(t, "slot      %u, settled: %s go to %s", x->slot,
		     x->is_looked_up ? "connections without entry" : "all its connections",
		     current);
}

static void tell_entry(struct telling *t)
{
	const struct explanation *x = t->x;
	char backend[ADDRESS_TEXT_MAX];

	json_object_set_new(t->o, "entry", json_null());
	if (!x->has_slot)
		return;
	if (!x->is_looked_up) {
		tell(t, "entry     not looked for: the slot does not ask for it");
		return;
	}
	if (!x->has_entry) {
		tell(t, "entry     none: this connection is not tracked");
		return;
	}
	json_object_set_new(t->o, "entry",
			    json_pack("{s:o, s:s, s:I}", "backend",
				      explain_backend_json(t->d, x->entry_backend), "state",
				      entry_states[x->entry_state & 3], "age_seconds",
				      (json_int_t)x->entry_age_s));
	tell(t, "entry     %s, names %s, last used %u s ago", entry_states[x->entry_state & 3],
	     explain_backend_text(t->d, x->entry_backend, backend), x->entry_age_s);
}

static void tell_verdict(struct telling *t)
{
	const struct explanation *x = t->x;

	json_object_set_new(t->o, "verdict", json_string(verdict_name(x->verdict)));
	json_object_set_new(t->o, "reason", json_string(reason_label(x->reason)));
	json_object_set_new(t->o, "meaning", json_string(reason_text(x->reason)));
	tell(t, "verdict   %s (%s): %s", verdict_name(x->verdict), reason_label(x->reason),
	     reason_text(x->reason));
}

// ---- the backend ----

struct backend_search {
	struct lbd *d;
	const struct lb_backend *row;
	json_t *found;
};

static bool is_searched(const struct publisher_backend_view *v, void *arg)
{
	struct backend_search *search = arg;

	if (v->port != ntohs(search->row->port) ||
	    !address_is_equal(&v->address, &search->row->address))
		return true;
	search->found = view_backend(search->d, v);
	return false;
}

// What the API shows of the backend of a row; NULL: it is no more.
static json_t *view_row(struct lbd *d, uint32_t row)
{
	struct backend_search search = {d, &d->tables->rows.backends[row], NULL};
	const char *service = publisher_get_service_name(d->publisher, search.row->service);

	if (service && search.row->state == LB_ROW_LIVE)
		publisher_each_backend(d->publisher, service, is_searched, &search);
	return search.found;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static void tell_backend(struct telling *t)
{
	static const char *const told[] = {"state", "weight", "health", "cause", "why_not"};
	const uint32_t row = t->x->backend;
	char backend[ADDRESS_TEXT_MAX];
	const char *cause, *why_not;
	json_t *view, *state;

	json_object_set_new(t->o, "backend", explain_backend_json(t->d, row));
	json_object_set_new(t->o, "backend_state", json_null());
	if (!row)
		return;
	explain_backend_text(t->d, row, backend);
	view = view_row(t->d, row);
	if (!view) {
		tell(t, "backend   %s, which is no more", backend);
		return;
	}
	state = json_object();
	for (size_t i = 0; i < sizeof(told) / sizeof(*told); i++)
		json_object_set(state, told[i], json_object_get(view, told[i]));
	json_object_set_new(t->o, "backend_state", state);
	cause = text_of(view, "cause");
	why_not = text_of(view, "why_not");
	tell(t, "backend   %s: %s, health %s%s%s%s%s%s", backend, text_of(view, "state"),
	     text_of(view, "health"), *cause ? " (" : "", cause, *cause ? ")" : "",
	     *why_not ? "; it gets no new connections: " : "", why_not);
	json_decref(view);
}

// ---- how it leaves ----

static void render_mac(const uint8_t *mac, char *buf, size_t buf_len)
{
	snprintf(buf, buf_len, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
}

static void tell_hop(struct telling *t)
{
	const struct explanation *x = t->x;
	char name[IF_NAMESIZE], destination[24], source[24];

	json_object_set_new(t->o, "hop", json_null());
	if (x->is_route_asked && !x->is_route_known)
		tell(t, "next hop  by the kernel's routes: no mirrored route matches");
	if (!x->link.ifindex)
		return;
	if (!if_indextoname(x->link.ifindex, name))
		snprintf(name, sizeof(name), "%u", x->link.ifindex);
	render_mac(x->link.macs, destination, sizeof(destination));
	render_mac(x->link.macs + 6, source, sizeof(source));
	json_object_set_new(t->o, "hop",
			    json_pack("{s:s, s:I, s:s, s:s, s:b}", "interface", name, "mtu",
				      (json_int_t)x->link.mtu, "destination_mac", destination,
				      "source_mac", source, "mirrored", !x->is_route_asked));
	tell(t, "next hop  %s, by interface %s (%s), MTU %u%s", destination, name, source,
	     x->link.mtu,
	     x->is_route_asked ? ": by the kernel's routes, no mirrored route matches" : "");
}

static void tell_answer(struct telling *t)
{
	static const char *const names[] = {
		[EXPLAIN_ECHO_REPLY] = "an echo reply",
		[EXPLAIN_RST] = "a TCP RST",
		[EXPLAIN_PORT_UNREACHABLE] = "ICMP port unreachable",
		[EXPLAIN_TOO_BIG] = "ICMP packet too big",
		[EXPLAIN_TIME_EXCEEDED] = "ICMP time exceeded",
	};
	const struct explanation *x = t->x;
	const char *name = names[x->answer];
	char mtu[32] = "";

	json_object_set_new(t->o, "answer", explain_answer_json(x));
	json_object_set_new(t->o, "answer_mtu",
			    x->answer_mtu ? json_integer(x->answer_mtu) : json_null());
	if (x->answer == EXPLAIN_NO_ANSWER)
		return;
	if (x->answer == EXPLAIN_TOO_BIG && is_ipv4(x))
		name = "ICMP fragmentation needed";
	if (x->answer_mtu)
		snprintf(mtu, sizeof(mtu), ", MTU %u", x->answer_mtu);
	tell(t, "answer    %s%s, sent back the way the packet came, MAC addresses swapped", name,
	     mtu);
}

static void tell_headers(struct telling *t)
{
	const struct explanation *x = t->x;

	json_object_set_new(t->o, "leaves", explain_leaves_json(x));
	if (!x->out.len)
		return;
	if (!x->tunnel) {
		tell(t, "leaves    %s, TTL %u, %u bytes", x->out_text, x->out.ttl, x->out.len);
		return;
	}
	tell(t, "leaves    %s%s, TTL %u, %u bytes", x->tunnel == LB_MODE_GUE ? "gue, in " : "",
	     x->out_text, x->outer.ttl, x->outer.len);
	tell(t, "          inside it %s, TTL %u, as it came", x->text, x->out.ttl);
}

// What bounds it, and whether there is room now.
static void tell_rate(struct telling *t)
{
	static const char *const names[] = {[LB_RATE_ECHO] = "echo",
					    [LB_RATE_ICMP] = "icmp",
					    [LB_RATE_REFUSED] = "refused",
					    [LB_RATE_ERROR] = "errors"};
	const struct lb_tables *tables = &t->d->tables->rows;
	const enum lb_rate rate = explain_rate_of(t->x->reason);
	const uint32_t cpus_n = tables->meta->cpu_n;
	uint32_t max, full_n;

	json_object_set_new(t->o, "rate", json_null());
	if (rate == LB_RATE_N)
		return;
	max = tables->meta->rates[rate];
	full_n = explain_count_full(tables, rate, clock_now_s());
	json_object_set_new(t->o, "rate",
			    json_pack("{s:s, s:I, s:I, s:I}", "name", names[rate], "limit",
				      (json_int_t)max, "cpus", (json_int_t)cpus_n, "cpus_full",
				      (json_int_t)full_n));
	if (!max)
		tell(t, "rate      rates.%s is 0: any number", names[rate]);
	else if (full_n)
		tell(t,
		     "rate      at most %u a second on each CPU (rates.%s), and %u of %u CPUs have "
		     "no room left in this second: there it is dropped",
		     max, names[rate], full_n, cpus_n);
	else
		tell(t,
		     "rate      at most %u a second on each CPU (rates.%s); every CPU has room now",
		     max, names[rate]);
}

// A new connection of the same five-tuple, where it would go elsewhere.
static void tell_new_connection(struct telling *t)
{
	struct explain_query query = *t->query;
	const struct explain_world world = explain_world_of(t->d);
	struct explanation x;
	char backend[ADDRESS_TEXT_MAX];

	json_object_set_new(t->o, "new_connection", json_null());
	if (query.protocol != IPPROTO_TCP || query.is_syn || !t->x->has_slot)
		return;
	query.is_syn = true;
	explain_run_query(&world, &query, &x);
	if (x.verdict == t->x->verdict && x.backend == t->x->backend)
		return;
	json_object_set_new(t->o, "new_connection",
			    json_pack("{s:s, s:s, s:o}", "verdict", verdict_name(x.verdict),
				      "reason", reason_label(x.reason), "backend",
				      explain_backend_json(t->d, x.backend)));
	tell(t, "a SYN     %s (%s): %s", verdict_name(x.verdict), reason_label(x.reason),
	     explain_backend_text(t->d, x.backend, backend));
}

void explain_tell(struct telling *t)
{
	tell_packet(t);
	tell_service(t);
	tell_slot(t);
	tell_entry(t);
	tell_verdict(t);
	tell_backend(t);
	tell_hop(t);
	tell_answer(t);
	tell_headers(t);
	tell_rate(t);
	tell_new_connection(t);
}
