// SPDX-License-Identifier: BSD-2-Clause
//
// GET /v1/explain: what happens to a packet of a five-tuple, and why.
// explain_run_query() walks it with the dataplane's own code, explain_tell.c tells it.
// Handler of the API's table.
#include "control/api/explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "control/kernel_route.h"

#define IP_LEN_MAX 65535

// Only TCP and UDP have ports.
static int parse_end(const struct api_request *r, const char *name, bool has_port,
		     struct lb_address *ret_address, uint16_t *ret_port, struct err *e)
{
	const char *text = request_parameter(r, name);

	if (has_port && (!text || address_parse_port(text, ret_address, ret_port) || !*ret_port))
		return err_set_field(e, -EPROTO, 0, name,
				     "must be address and port, such as 198.51.100.7:40000 or "
				     "[2001:db8::7]:40000, is %.64s",
				     text ? text : "absent");
	if (!has_port && (!text || address_parse(text, ret_address)))
		return err_set_field(e, -EPROTO, 0, name,
				     "must be an address (icmp has no ports), such as "
				     "198.51.100.7 or 2001:db8::7, is %.64s",
				     text ? text : "absent");
	return 0;
}

static int parse_protocol(const struct api_request *r, uint8_t *ret, struct err *e)
{
	const char *protocol = request_parameter(r, "protocol");

	if (protocol && !strcmp(protocol, "tcp"))
		*ret = IPPROTO_TCP;
	else if (protocol && !strcmp(protocol, "udp"))
		*ret = IPPROTO_UDP;
	else if (protocol && !strcmp(protocol, "icmp"))
		*ret = IPPROTO_ICMP;
	else
		return err_set_field(e, -EPROTO, 0, "protocol",
				     "must be tcp, udp or icmp (an echo request), is %.32s",
				     protocol ? protocol : "absent");
	return 0;
}

static int parse_size(const struct api_request *r, struct explain_query *q, struct err *e)
{
	uint64_t size = 0;
	int code = request_number(r, "size", IP_LEN_MAX, &size, e);

	if (code)
		return code;
	if (request_parameter(r, "size") && size < explain_query_len(q))
		return err_set_field(e, -EPROTO, 0, "size",
				     "must be at least %u, the bytes of its headers, is %u",
				     explain_query_len(q), (unsigned int)size);
	q->ip_len = (uint32_t)size;
	return 0;
}

static int parse_query(const struct api_request *r, struct explain_query *ret, struct err *e)
{
	int code = parse_protocol(r, &ret->protocol, e);
	const bool has_port = ret->protocol != IPPROTO_ICMP;

	if (!code)
		code = parse_end(r, "source", has_port, &ret->source, &ret->source_port, e);
	if (!code)
		code = parse_end(r, "destination", has_port, &ret->destination,
				 &ret->destination_port, e);
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
	return parse_size(r, ret, e);
}

static int ask_route(void *arg, uint32_t ifindex, const struct lb_route_query *query,
		     struct lb_route_answer *ret)
{
	struct lbd *d = arg;

	if (!d->route_fd)
		d->route_fd = kernel_route_load();
	return d->route_fd < 0 ? d->route_fd : kernel_route_ask(d->route_fd, ifindex, query, ret);
}

struct explain_world explain_world_of(struct lbd *d)
{
	return (struct explain_world){.tables = &d->tables->rows,
				      .now_s = clock_now_s(),
				      .ask_route = ask_route,
				      .arg = d};
}

int api_explain_get(struct api_request *r, struct err *e)
{
	const struct explain_world world = explain_world_of(r->d);
	struct explain_query query = {0};
	struct explanation x;
	struct telling t = {.d = r->d, .query = &query, .x = &x};
	int code = parse_query(r, &query, e);

	if (code)
		return code;
	explain_run_query(&world, &query, &x);
	t.o = json_object();
	t.story = json_array();
	explain_tell(&t);
	json_object_set_new(t.o, "story", t.story);
	return reply_json(r, 200, t.o);
}
