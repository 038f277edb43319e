// SPDX-License-Identifier: BSD-2-Clause
//
// Reads cases.txt. A line is a verb and its arguments; a verb is a row of the table at
// the end. Numbers are decimal, or hexadecimal with 0x; bytes are hexadecimal.
// Lines before the first `case` are the world, which every case starts from. A line
// that starts with `then` is what the packet must leave in the tables.
#include "tests/packet/cases.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/reasons.h"
#include "dataplane/core/index.h"
#include "dataplane/core/packet.h"

struct filling {
	struct lb_tables *t;
	struct case_facts *facts;
	uint32_t cpu;
	const char *line; // for complaints
	char *words;	  // what is left of the line
};

_Noreturn void cases_die(const char *line, const char *why)
{
	fprintf(stderr, "cases.txt: %s: %.100s\n", why, line);
	exit(1);
}

// ---- words ----

static char *next_word(struct filling *f)
{
	char *word = strsep(&f->words, " ");

	if (!word || !*word)
		cases_die(f->line, "a word is missing");
	return word;
}

static uint64_t next_number(struct filling *f)
{
	char *end, *word = next_word(f);
	uint64_t n = strtoull(word, &end, 0);

	if (*end)
		cases_die(f->line, "no number");
	return n;
}

static __be16 next_port(struct filling *f)
{
	return LB_BE16((uint16_t)next_number(f));
}

static size_t next_bytes(struct filling *f, uint8_t *ret, size_t ret_max)
{
	const char *word = next_word(f);
	size_t n = strlen(word) / 2;

	if (n > ret_max)
		cases_die(f->line, "too many bytes");
	for (size_t i = 0; i < n; i++)
		if (sscanf(word + 2 * i, "%2hhx", &ret[i]) != 1)
			cases_die(f->line, "no bytes");
	return n;
}

static void next_address(struct filling *f, struct lb_address *ret)
{
	if (next_bytes(f, ret->bytes, 16) != 16)
		cases_die(f->line, "an address has 16 bytes");
}

// ---- rows ----

static void put_now(struct filling *f)
{
	f->facts->now_s = (uint32_t)next_number(f);
}

static void put_key(struct filling *f)
{
	f->t->meta->hash_key[0] = next_number(f);
	f->t->meta->hash_key[1] = next_number(f);
	for (size_t i = 0; i < LB_FLOW_KEYS; i++)
		f->t->meta->flow_keys[i] = next_number(f);
}

static void put_source(struct filling *f, struct lb_tunnel_source *source)
{
	next_address(f, &source->address);
	next_address(f, &source->host_bits);
	source->is_set = 1;
}

static void put_source4(struct filling *f)
{
	put_source(f, &f->t->meta->source4);
}

static void put_source6(struct filling *f)
{
	put_source(f, &f->t->meta->source6);
}

static void put_link(struct filling *f, struct lb_link *link)
{
	link->ifindex = (uint32_t)next_number(f);
	link->mtu = (uint32_t)next_number(f);
	next_bytes(f, link->macs, sizeof(link->macs));
}

static void put_hop(struct filling *f)
{
	struct lb_hop *hop = &f->t->hops[next_number(f)];

	put_link(f, &hop->link);
	hop->state = LB_ROW_LIVE;
}

static void put_service(struct filling *f)
{
	struct lb_service *s = &f->t->services[next_number(f)];

	s->ring_offset = (uint32_t)next_number(f);
	s->ring_len = (uint32_t)next_number(f);
	s->idle_s = (uint32_t)next_number(f);
	s->tracking = (uint8_t)next_number(f);
	s->protocol = (uint8_t)next_number(f);
	s->state = LB_ROW_LIVE;
}

static void put_backend(struct filling *f)
{
	struct lb_backend *b = &f->t->backends[next_number(f)];

	next_address(f, &b->address);
	next_address(f, &b->vip);
	b->port = next_port(f);
	b->vip_port = next_port(f);
	b->mode = (uint8_t)next_number(f);
	b->family = (uint8_t)next_number(f);
	b->protocol = (uint8_t)next_number(f);
	b->service = (uint32_t)next_number(f);
	b->hop = (uint32_t)next_number(f);
	b->flags = (uint8_t)next_number(f);
	b->state = (uint32_t)next_number(f);
	b->header_sum = (uint16_t)next_number(f);
	b->flow_sum = (uint16_t)next_number(f);
	b->reply_header_sum = (uint16_t)next_number(f);
	b->reply_flow_sum = (uint16_t)next_number(f);
	b->grow = (uint8_t)lb_mode_grow(b->mode, b->family);
}

// Slots OFFSET to OFFSET + LEN say WORD.
static void put_slots(struct filling *f)
{
	uint64_t offset = next_number(f), len = next_number(f);
	uint32_t word = (uint32_t)next_number(f);

	for (uint64_t i = offset; i < offset + len; i++)
		f->t->slots[i / LB_SLOTS_PER_LINE].words[i % LB_SLOTS_PER_LINE] = word;
}

static void put_time(struct filling *f)
{
	uint64_t slot = next_number(f);

	f->t->slot_times[slot / LB_SLOTS_PER_LINE].times_s[slot % LB_SLOTS_PER_LINE] =
		(uint32_t)next_number(f);
}

// HASH (whose low bits are the line), place in the line, fingerprint, word.
static void put_entry(struct filling *f)
{
	uint64_t line = next_number(f) & f->t->meta->connection_mask;
	struct lb_entry *entry = &f->t->connections[line].entries[next_number(f)];

	entry->fingerprint = next_number(f);
	entry->word = next_number(f);
}

// As put_entry().
static void put_fragment(struct filling *f)
{
	uint64_t line = next_number(f) & f->t->meta->fragment_mask;
	struct lb_entry *entry = &f->t->fragments[line].entries[next_number(f)];

	entry->fingerprint = next_number(f);
	entry->word = next_number(f);
}

// The flags of a service's row, which is there.
static void put_flags(struct filling *f)
{
	struct lb_service *s = &f->t->services[next_number(f)];

	s->flags = (uint32_t)next_number(f);
}

// RATE: so many a second.
static void put_rate(struct filling *f)
{
	uint64_t rate = next_number(f) % LB_RATE_MAX;

	f->t->meta->rates[rate] = (uint32_t)next_number(f);
}

// RATE SECOND: so many passed in it.
static void put_limit(struct filling *f)
{
	struct lb_limit *limit = &f->t->limits[f->cpu].limits[next_number(f) % LB_RATE_MAX];

	limit->second = (uint32_t)next_number(f);
	limit->pkts = (uint32_t)next_number(f);
}

static void put_gue_port(struct filling *f)
{
	f->t->meta->gue_port = next_port(f);
}

// The entry of a key, or a free one at least @at lines behind the key's first line.
static void put_index_entry(struct filling *f, struct lb_index_line *lines, uint32_t shift,
			    bool far)
{
	struct lb_address address;
	uint8_t protocol;
	__be16 port;
	uint64_t value;
	uint32_t hash;

	next_address(f, &address);
	protocol = (uint8_t)next_number(f);
	port = next_port(f);
	value = next_number(f);
	hash = lb_index_hash(&address, protocol, port);
	for (uint32_t at = far ? (uint32_t)next_number(f) : 0; at < LB_INDEX_PROBE; at++) {
		for (int i = 0; i < LB_INDEX_ENTRIES; i++) {
			struct lb_index_entry *e = &lines[lb_index_at(hash, shift, at)].entries[i];

			if (e->value && !(lb_address_is_equal(&e->address, &address) &&
					  e->protocol == protocol && e->port == port))
				continue;
			e->address = address;
			e->protocol = protocol;
			e->port = port;
			e->value = value;
			lb_index_set_more(lines, shift, hash, at);
			return;
		}
	}
	cases_die(f->line, "the index is full");
}

// Says of an address that it may be a VIP, whether it is one or not.
static void put_filter(struct filling *f)
{
	struct lb_address address;

	next_address(f, &address);
	f->t->meta->vip_filter[lb_index_filter_at(&address)] = 1;
}

static void put_index(struct filling *f)
{
	put_index_entry(f, f->t->service_index, f->t->meta->service_shift, false);
}

static void put_index_far(struct filling *f)
{
	put_index_entry(f, f->t->service_index, f->t->meta->service_shift, true);
}

static void put_reverse(struct filling *f)
{
	put_index_entry(f, f->t->reverse_index, f->t->meta->reverse_shift, false);
}

static void put_route4(struct filling *f)
{
	struct lb_route_set *set = &f->t->routes->sets[f->t->meta->route_set];
	struct lb_route4 *r = &set->route4[set->route4_n++];

	next_bytes(f, (uint8_t *)&r->prefix, 4);
	next_bytes(f, (uint8_t *)&r->mask, 4);
	r->kind = (uint32_t)next_number(f);
	r->hop = (uint32_t)next_number(f);
}

static void put_route6(struct filling *f)
{
	struct lb_route_set *set = &f->t->routes->sets[f->t->meta->route_set];
	struct lb_route6 *r = &set->route6[set->route6_n++];

	next_address(f, &r->prefix);
	next_address(f, &r->mask);
	r->kind = (uint32_t)next_number(f);
	r->hop = (uint32_t)next_number(f);
}

// ---- the packet ----

static enum lb_reason next_reason(struct filling *f)
{
	const char *word = next_word(f);

	for (enum lb_reason i = 0; i < LB_REASON_N; i++)
		if (strcmp(reason_label(i), word) == 0)
			return i;
	cases_die(f->line, "no such reason");
}

static void put_answer(struct filling *f)
{
	struct lb_route_answer *a = &f->facts->answer;

	a->reason = next_reason(f);
	put_link(f, &a->link);
}

static void put_forwarding(struct filling *f)
{
	f->facts->forwarding = next_number(f) != 0;
}

static void put_in(struct filling *f)
{
	f->facts->in_len = next_bytes(f, f->facts->in, sizeof(f->facts->in));
}

static void put_out(struct filling *f)
{
	f->facts->out_len = next_bytes(f, f->facts->out, sizeof(f->facts->out));
}

static void put_reason(struct filling *f)
{
	f->facts->reason = next_reason(f);
	f->facts->ifindex = (uint32_t)next_number(f);
}

// ---- counters ----

// ROW, then each word of the row in its order.
static void put_words(struct filling *f, uint64_t *words, size_t words_n)
{
	for (size_t i = 0; i < words_n; i++)
		words[i] = next_number(f);
}

static void put_count_service(struct filling *f)
{
	uint64_t row = next_number(f) + (uint64_t)f->cpu * f->t->meta->service_n;

	put_words(f, (uint64_t *)&f->t->service_counters[row], 4);
}

static void put_count_backend(struct filling *f)
{
	uint64_t row = next_number(f) + (uint64_t)f->cpu * f->t->meta->backend_n;

	put_words(f, (uint64_t *)&f->t->backend_counters[row], 7);
}

static const struct {
	const char *verb;
	void (*put)(struct filling *f);
} verbs[] = {
	{"now", put_now},
	{"key", put_key},
	{"source4", put_source4},
	{"source6", put_source6},
	{"hop", put_hop},
	{"service", put_service},
	{"backend", put_backend},
	{"slots", put_slots},
	{"time", put_time},
	{"entry", put_entry},
	{"fragment", put_fragment},
	{"flags", put_flags},
	{"rate", put_rate},
	{"limit", put_limit},
	{"gue-port", put_gue_port},
	{"index", put_index},
	{"index-far", put_index_far},
	{"filter", put_filter},
	{"reverse", put_reverse},
	{"route4", put_route4},
	{"route6", put_route6},
	{"answer", put_answer},
	{"forwarding", put_forwarding},
	{"in", put_in},
	{"out", put_out},
	{"reason", put_reason},
	{"count-service", put_count_service},
	{"count-backend", put_count_backend},
};

static void put_line(struct filling *f, const char *line, bool is_after)
{
	char *copy = strdup(line), *verb;

	f->line = line;
	f->words = copy;
	verb = next_word(f);
	if (strcmp(verb, "then") == 0) {
		if (!is_after)
			goto out;
		verb = next_word(f);
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].verb, verb) == 0) {
			verbs[i].put(f);
			goto out;
		}
	}
	cases_die(line, "no such verb");
out:
	free(copy);
}

void cases_size(uint32_t cpu_n, struct lb_meta *ret)
{
	*ret = (struct lb_meta){
		.magic = LB_MAGIC,
		.layout_version = LB_LAYOUT_VERSION,
		.service_n = 32,
		.backend_n = 64,
		.slot_n = 32 * 16,
		.hop_n = 8,
		.cpu_n = cpu_n,
		.service_shift = 32 - 6,
		.reverse_shift = 32 - 6,
		.connection_mask = 255,
		.fragment_mask = 15,
	};
}

// Some rows know their hop's link, some that of another hop, some none.
static void fill_own_links(struct lb_tables *t)
{
	for (uint32_t row = 1; row < t->meta->backend_n; row++) {
		struct lb_backend *b = &t->backends[row];
		const uint32_t hops[] = {b->hop, (b->hop + 1) % t->meta->hop_n, 0};

		b->link_hop = hops[row % 3];
		if (b->link_hop >= t->meta->hop_n)
			continue;
		b->link = t->hops[b->link_hop].link;
		b->way = lb_backend_way(b);
	}
}

void cases_fill(const struct cases *c, const struct packet_case *pc, bool is_after, uint32_t cpu,
		struct lb_tables *t, struct case_facts *ret)
{
	struct filling f = {.t = t, .facts = ret, .cpu = cpu};
	struct lb_meta meta, *m = &meta;

	cases_size(t->meta->cpu_n, m);
	m->state = LB_META_LIVE;
#define EMPTY(table, type, number) memset(t->table, 0, sizeof(type) * (number));
	LB_TABLES(EMPTY)
#undef EMPTY
	*t->meta = meta;
	*ret = (struct case_facts){.forwarding = true};
	for (size_t i = 0; i < c->world_n; i++)
		put_line(&f, c->world[i], is_after);
	for (size_t i = 0; i < pc->lines_n; i++)
		put_line(&f, pc->lines[i], is_after);
	fill_own_links(t);
	if (is_after) {
		uint32_t line = cpu * LB_REASON_LINES + ret->reason / LB_REASONS_PER_LINE;

		t->reason_counters[line].pkts[ret->reason % LB_REASONS_PER_LINE]++;
	}
}
