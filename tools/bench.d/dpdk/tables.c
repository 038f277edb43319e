// SPDX-License-Identifier: BSD-2-Clause
//
// A row's tables, by lbd's own publisher: one service, its backends behind hops of their
// own, a default route for replies; in the steady state, which comes when the idle time
// has passed. In transition: once more with a backend less.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/publish.h"
#include "control/tables.h"
#include "tools/bench.d/dpdk/bench.h"
#include "tools/lb-pktgen/pktgen.h"

#define PORT 80
#define NAT_PORT 8080
#define IDLE_S 900
#define STEADY_ROUNDS 8

static struct lb_address address_of(const char *text)
{
	struct lb_address a = {0};

	address_parse(text, &a);
	return a;
}

static struct lb_address backend_address(int family, uint32_t number)
{
	struct lb_address a = address_of(family == 4 ? "10.1.0.0" : "fd10::");

	a.bytes[14] = (uint8_t)((number + 11) >> 8);
	a.bytes[15] = (uint8_t)(number + 11);
	return a;
}

static struct lb_address vip(int family)
{
	return address_of(family == 4 ? "203.0.113.1" : "2001:db8:ffff::1");
}

static uint16_t backend_port(const struct bench_row *row)
{
	return row->mode == LB_MODE_NAT ? NAT_PORT : PORT;
}

static int make_model(const struct bench_row *row, uint32_t backends_n, struct model **ret)
{
	struct model_service s = {
		.name = "bench",
		.vips_n = row->vips_n ? row->vips_n : 1,
		.protocol = row->is_udp ? IPPROTO_UDP : IPPROTO_TCP,
		.port = PORT,
		.mode = row->mode,
		.tracking = row->tracking,
		.idle_s = IDLE_S,
		.ring = row->ring,
	};
	struct model *m = model_new();
	int code = m ? 0 : -ENOMEM;

	for (size_t i = 0; i < s.vips_n; i++) {
		s.vips[i] = vip(row->family);
		s.vips[i].bytes[15] += (uint8_t)i;
	}
	for (uint32_t i = 0; i < backends_n && !code; i++) {
		const struct model_backend b = {.address = backend_address(row->family, i),
						.port = backend_port(row),
						.weight = MODEL_WEIGHT_DEFAULT};

		code = model_add_backend(&s, &b);
	}
	if (!code)
		code = model_add_service(m, &s);
	model_service_fini(&s);
	*ret = m;
	return code;
}

static void resolve(struct publisher *p, const struct bench_row *row, uint32_t now_s)
{
	struct publisher_route route = {.kind = LB_ROUTE_HOP,
					.hop = {.ifindex = 1, .mtu = 1500, .is_gateway = 1}};

	publisher_hold(p);
	for (uint32_t i = 0; i < row->backends_n; i++) {
		struct lb_address a = backend_address(row->family, i);
		struct publisher_hop hop = {.ifindex = 1, .mtu = 1500};

		memcpy(hop.destination, &a.bytes[10], sizeof(hop.destination));
		publisher_set_hop(p, &a, &hop, now_s);
	}
	publisher_release(p, now_s);
	prefix_parse(row->family == 4 ? "0.0.0.0/0" : "::/0", &route.prefix);
	publisher_set_routes(p, &route, 1, now_s);
}

// As of BENCH_NOW_S.
static int publish(const struct bench_row *row, struct lb_tables *t, struct err *e)
{
	uint32_t now_s = BENCH_NOW_S - (IDLE_S + PUBLISH_GRACE_S + 1) * STEADY_ROUNDS;
	struct model *all = NULL, *less = NULL;
	struct publisher *p = NULL;
	int code = publisher_new(t, &p, e);

	if (!code &&
	    (make_model(row, row->backends_n, &all) || make_model(row, row->backends_n - 1, &less)))
		code = err_set(e, -ENOMEM, "out of memory");
	if (!code)
		code = publisher_adopt(p, all, now_s, e);
	if (!code)
		resolve(p, row, now_s);
	while (!code && now_s < BENCH_NOW_S) {
		now_s += IDLE_S + PUBLISH_GRACE_S + 1;
		publisher_sweep_all(p, now_s);
	}
	// Less and more again, a moment ago: no connection is known to have ended since.
	if (!code && row->is_in_transition)
		code = publisher_apply(p, less, now_s, e);
	if (!code && row->is_in_transition)
		code = publisher_apply(p, all, now_s, e);
	publisher_free(p);
	model_free(less);
	model_free(all);
	return code;
}

static void set_source(struct lb_tunnel_source *source, const char *address)
{
	source->address = address_of(address);
	source->is_set = 1;
}

int bench_tables(const struct bench_row *row, struct lb_tables **ret, struct err *e)
{
	static struct tables *tables; // the row before's
	const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	struct settings *s;
	struct lb_meta meta;
	const char *text = "interfaces: [{name: none}]\n";
	int code = settings_decode(text, strlen(text), &s, e);

	if (code)
		return code;
	tables_size(s, key, 1, &meta);
	settings_free(s);
	tables_close(tables);
	tables = NULL;
	code = tables_alloc(&meta, &tables, e);
	if (code)
		return code;
	*ret = &tables->rows;
	set_source(&(*ret)->meta->source4, "10.0.0.2");
	set_source(&(*ret)->meta->source6, "fd10::2");
	return publish(row, *ret, e);
}

uint64_t bench_connections_bytes(const struct lb_tables *t)
{
	return ((uint64_t)t->meta->connection_mask + 1) * sizeof(struct lb_entry_line);
}

int bench_shape(const struct bench_row *row, uint32_t flows, struct traffic_shape *ret,
		uint32_t *ret_size, struct err *e)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	struct options o = {
		.server = row->is_reply ? backend_address(row->family, 0) : vip(row->family),
		.port = row->is_reply ? backend_port(row) : PORT,
		.is_reply = row->is_reply,
		.via = {2, 0, 0, 0, 0, 2},
		.is_tcp = !row->is_udp,
		.flows = flows,
		.syn_percent = row->syn_percent,
	};
	int code = shape_build(&o, 1, mac, ret, e);

	*ret_size = o.size;
	return code;
}
