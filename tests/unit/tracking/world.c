// SPDX-License-Identifier: BSD-2-Clause
//
// See world.h.
#include "world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/core/count.h"
#include "dataplane/core/decide_rest.h"

static struct world *the_world; // for the hook in the core's driver

// ---- chance (splitmix64) ----

uint32_t world_random(struct world *w, uint32_t below)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ z >> 31) >> 32) % below;
}

bool world_chance(struct world *w, uint32_t percent)
{
	return world_random(w, 100) < percent;
}

// ---- packets ----

static const char *const vips[WORLD_SERVICES] = {"192.0.2.1", "192.0.2.2", "192.0.2.3"};
static const char *const names[WORLD_SERVICES] = {"adaptive", "always", "udp"};

bool world_is_udp(uint32_t service)
{
	return service == 2;
}

struct model_service *world_service(struct world *w, uint32_t service)
{
	return model_lookup_service(w->m, names[service]);
}

uint32_t world_row(struct world *w, uint32_t service)
{
	return service_lookup(w->p, publish_name_hash(names[service]), 4);
}

struct frame {
	struct lb_eth_header eth;
	struct lb_ipv4_header ip;
	union {
		struct lb_tcp_header tcp;
		struct lb_udp_header udp;
	};
} __attribute__((packed));

static const uint8_t tcp_flags[] = {
	[PACKET_SYN] = LB_TCP_SYN,
	[PACKET_ACK] = LB_TCP_ACK,
	[PACKET_FIN] = LB_TCP_FIN | LB_TCP_ACK,
	[PACKET_RST] = LB_TCP_RST,
};

static uint32_t make_frame(struct world *w, struct frame *f, uint32_t service, uint32_t flow,
			   enum world_packet kind)
{
	struct lb_address vip = world_service(w, service)->vips[0];
	const uint32_t source = htonl(0xc6336400 | (1 + flow % 7)); // 198.51.100.0
	bool is_udp = kind == PACKET_UDP;
	uint32_t l4_len = is_udp ? LB_UDP_LEN : LB_TCP_LEN;

	*f = (struct frame){
		.eth.type = LB_ETH_P_IPV4,
		.ip = {.version_ihl = 0x45,
		       .total_len = htons((uint16_t)(LB_IPV4_LEN + l4_len)),
		       .ttl = 64,
		       .protocol = is_udp ? IPPROTO_UDP : IPPROTO_TCP},
	};
	memcpy(f->ip.source, &source, 4);
	memcpy(f->ip.destination, &vip.words[3], 4);
	f->tcp.source = htons((uint16_t)(10000 + flow));
	f->tcp.destination = htons(80);
	if (is_udp) {
		f->udp.len = htons(LB_UDP_LEN);
	} else {
		f->tcp.offset = LB_TCP_LEN / 4 << 4;
		f->tcp.flags = tcp_flags[kind];
	}
	return LB_ETH_LEN + LB_IPV4_LEN + l4_len;
}

// Rules whose breach costs no connection of which the clients know.
static void check_entry_rules(struct world *w, const struct lb_packet *p,
			      const struct lb_decision *d)
{
	uint32_t flags = w->t->rows.backends[d->backend].flags;

	if (w->may_interleave || w->store_depth || d->reason != LB_REASON_TRACKED)
		return;
	if (flags & LB_BACKEND_RESET)
		fail_msg("row %u is down under reset, but an entry led there", d->backend);
	if (lb_packet_is_syn(p) && flags & LB_BACKEND_DOWN)
		fail_msg("row %u is down, but a SYN followed an entry to it", d->backend);
	if (lb_packet_is_syn(p) && LB_ENTRY_STATE(d->entry) == LB_ENTRY_CLOSING)
		fail_msg("a SYN followed an entry that is closing");
}

struct world_answer world_send(struct world *w, uint32_t service, uint32_t flow,
			       enum world_packet kind, bool is_peek)
{
	struct lb_env env = {.tables = &w->t->rows, .now_s = w->now_s, .is_private = is_peek};
	struct lb_decision d;
	struct lb_packet p;
	struct frame f;
	uint32_t len = make_frame(w, &f, service, flow, kind);

	w->packet_depth += is_peek ? 2 : 1; // nothing happens during a glance
	if (w->packet_depth == 1) {
		w->under_way_s = 0;
		w->under_way_service = service;
		w->under_way_flow = flow;
	}
	lb_decide(&env, (uint8_t *)&f, (uint8_t *)&f + len, len, &p, &d);
	w->packet_depth -= is_peek ? 2 : 1;
	if (!is_peek) {
		check_entry_rules(w, &p, &d);
		lb_count(&env, &p, &d);
		w->packets++;
	}
	return (struct world_answer){
		.backend = d.backend,
		.is_sent = d.verdict == LB_TRANSMIT,
		.is_tracked = d.is_tracked,
		.reason = d.reason,
		.entry = d.entry,
		.hash = lb_hash_whole_flow(d.hash, w->t->rows.meta->flow_keys, &p),
		.slot_word = d.slot_word,
		.slot = lb_slot_of(d.service_word, d.hash),
	};
}

// ---- while a packet is under way ----

static bool may_happen(struct world *w)
{
	return w && w->may_interleave && w->packet_depth <= 1 && !w->store_depth && !w->killed;
}

// Time passes too, but for no packet longer than lbd's grace period.
static void pass_time(struct world *w, struct lb_env *env)
{
	uint32_t s = world_random(w, PUBLISH_GRACE_S - w->under_way_s + 1);

	w->under_way_s += s;
	w->now_s += s;
	env->now_s = w->now_s;
}

void world_packet_under_way(struct lb_env *env)
{
	struct world *w = the_world;

	if (!may_happen(w) || w->packet_depth != 1 || !world_chance(w, 10))
		return;
	w->packet_depth++; // of what follows, nothing is interrupted again
	clients_act_under_way(w);
	for (uint32_t n = world_random(w, 4); n; n--)
		changes_act(w);
	if (world_chance(w, 50)) {
		pass_time(w, env);
		changes_sweep(w);
		changes_sweep(w);
		changes_sweep(w);
	}
	w->packet_depth--;
}

// By a packet, or by the sweep.
void world_swap_under_way(void)
{
	struct world *w = the_world;

	if (!may_happen(w) || !world_chance(w, 10))
		return;
	w->packet_depth++;
	w->store_depth++;
	clients_act_under_way(w);
	w->store_depth--;
	w->packet_depth--;
}

// A row says a way only while it is the right one: packets ask nothing else.
static void check_ways(const struct world *w)
{
	for (uint32_t row = 1; row < w->t->rows.meta->backend_n; row++) {
		const struct lb_backend *b = &w->t->rows.backends[row];

		if (!b->way)
			continue;
		assert_int_equal(b->way, lb_backend_way(b));
		assert_memory_equal(&b->link, &w->t->rows.hops[b->hop].link, sizeof(b->link));
	}
}

// A row says that its service tracks only while the index says so, by which packets go.
static void check_tracking(const struct world *w)
{
	const struct lb_tables *t = &w->t->rows;

	for (uint64_t line = 0; line < 1ull << (32 - t->meta->service_shift); line++)
		for (int i = 0; i < LB_INDEX_ENTRIES; i++) {
			const struct lb_index_entry *e = &t->service_index[line].entries[i];

			if (!e->value || !e->protocol) // free, or of a VIP
				continue;
			if (t->services[LB_SERVICE_ROW(e->value)].tracking != LB_TRACK_NONE)
				assert_int_not_equal(LB_SERVICE_TRACKING(e->value), 0);
		}
}

// Between two stores of the publisher: packets, a glance at every connection, or the end of lbd.
static void on_store(void *arg)
{
	struct world *w = arg;

	check_ways(w);
	check_tracking(w);
	if (w->kill_after && !--w->kill_after)
		w->killed = bed_snapshot(w->t, NULL);
	if (w->killed)
		return;
	w->store_depth++;
	clients_give_up_untracked(w);
	if (world_chance(w, 20))
		clients_act_under_way(w);
	if (world_chance(w, 25))
		clients_check(w);
	w->store_depth--;
}

// ---- life ----

static void start_lbd(struct world *w)
{
	struct err e;

	assert_int_equal(publisher_new(&w->t->rows, &w->p, &e), 0);
	w->p->stored = on_store;
	w->p->stored_arg = w;
	assert_int_equal(publisher_adopt(w->p, w->m, w->now_s, &e), 0);
	bed_check(w->p);
}

void world_restart(struct world *w)
{
	publisher_free(w->p);
	start_lbd(w);
}

static void add_service(struct world *w, uint32_t service)
{
	const uint32_t rings[] = {11, 13, 31};
	struct model_service s =
		bed_service(names[service], vips[service], 80, service ? LB_MODE_L2 : LB_MODE_NAT,
			    rings[world_random(w, 3)]);

	if (service)
		s.tracking = LB_TRACK_ALWAYS;
	if (world_is_udp(service))
		s.protocol = IPPROTO_UDP;
	s.check.type = MODEL_CHECK_TCP;
	s.on_down = world_chance(w, 70) ? MODEL_RESET : MODEL_KEEP;
	for (uint32_t i = 0; i < WORLD_BACKENDS; i++) {
		struct choice *c = &w->choices[service][i];
		char text[32];

		snprintf(text, sizeof(text), "10.0.%u.%u", service, i + 1);
		c->address = bed_address(text);
		c->is_listed = i < 4;
		c->has_hop = true;
		if (c->is_listed)
			bed_add_backend(&s, text, 80);
	}
	assert_int_equal(model_add_service(w->m, &s), 0);
	model_service_fini(&s);
}

struct world *world_new(uint64_t seed)
{
	struct bed_sizes sizes = {.services = 12, .backends = 120, .slots = 2048};
	struct world *w = calloc(1, sizeof(*w));
	struct err e;

	w->random = seed;
	sizes.lines = 1u << world_random(w, 5);
	w->t = bed_tables(&sizes);
	w->m = model_new();
	w->now_s = (uint32_t)world_random(w, 1u << 24) * 256; // anywhere, also near a wrap
	w->floods = world_chance(w, 50);
	w->may_interleave = world_chance(w, 50);
	// In a calm world slots settle.
	w->change_percent = (uint32_t[]){1, 3, 12}[world_random(w, 3)];
	the_world = w;
	for (uint32_t i = 0; i < WORLD_SERVICES; i++)
		add_service(w, i);
	start_lbd(w);
	bed_resolve_hops(w->p, w->m, w->now_s);
	publisher_hold(w->p);
	for (uint32_t i = 0; i < WORLD_SERVICES; i++)
		for (uint32_t j = 0; j < WORLD_BACKENDS; j++)
			publisher_set_health(w->p, names[i], &w->choices[i][j].address, 80,
					     HEALTH_UP, w->now_s);
	publisher_release(w->p, w->now_s);
	assert_int_equal(publisher_check(w->p, w->m, &e), 0);
	return w;
}

void world_free(struct world *w)
{
	the_world = NULL;
	publisher_free(w->p);
	model_free(w->m);
	tables_close(w->t);
	free(w);
}

void world_step(struct world *w)
{
	uint32_t what = world_random(w, 100), what_time = world_random(w, 100);

	if (what_time < 12)
		w->now_s += 1;
	else if (what_time < 14)
		w->now_s += world_random(w, 21);
	if (what < w->change_percent)
		changes_act(w);
	else if (what < w->change_percent + 12)
		changes_sweep(w);
	else
		clients_act(w);
	clients_check(w);
}
