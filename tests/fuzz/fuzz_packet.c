// SPDX-License-Identifier: BSD-2-Clause
//
// Packets through the native core, on the random tables of the differential run: the first byte
// names the world (and, by its highest bit, that checksums are made right first), behind it come
// packets, each as a gap (seconds that pass before it), a length of two bytes (little endian) and
// its bytes. Each frame lies in memory of just its size, so that ASan sees a byte too far.
//
// Beyond not crashing: every packet ends with one reason, whose verdict it is, and is counted
// once; a private walk decides alike and leaves all as it was; so does a walk that sees the first
// bytes alone, as of a frame in segments; what goes out is as long as it says, and its checksums
// are right where those that came were.
//
// libFuzzer mutates bytes; every fourth time the differential run's own frames come in.
#include <stdlib.h>
#include <string.h>

#include "control/tables.h"
#include "dataplane/core/answer.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"
#include "fuzz.h"
#include "fuzz_packet.h"
#include "tests/packet/answers.h"
#include "tests/packet/differential/world.h"

#define WORLDS 16
#define NOW_S (LB_ENTRY_TIME_MASK + 1000u) // an entry's time wraps just before
#define RECORD_LEN 3			   // what is before a packet's bytes
#define FRAME_MAX 1700
#define ROOM 50 // for outer headers and ICMP errors, so that frames begin at an even address
#define PACKETS_MAX 8

static struct world worlds[WORLDS];
static struct tables *made[WORLDS]; // as world_fill() left them
static struct tables *tables, *before;
static struct lb_env env;

static void copy_tables(const struct tables *from, struct tables *to)
{
	const struct lb_meta *m = from->rows.meta;

#define COPY(table, type, number) memcpy(to->rows.table, from->rows.table, sizeof(type) * (number));
	LB_TABLES(COPY)
#undef COPY
}

// What packets write.
#define FOR_WRITTEN(X)                                                                             \
	X(slot_times, m->slot_n / LB_SLOTS_PER_LINE)                                               \
	X(connections, m->connection_mask + 1)                                                     \
	X(fragments, m->fragment_mask + 1)                                                         \
	X(limits, 1)                                                                               \
	X(service_counters, m->service_n)                                                          \
	X(backend_counters, m->backend_n)                                                          \
	X(reason_counters, LB_REASON_LINES)

static void keep_written(void)
{
	const struct lb_meta *m = tables->rows.meta;

#define KEEP(table, n)                                                                             \
	memcpy(before->rows.table, tables->rows.table, sizeof(*tables->rows.table) * (n));
	FOR_WRITTEN(KEEP)
#undef KEEP
}

static bool is_written_kept(void)
{
	const struct lb_meta *m = tables->rows.meta;
	bool is_kept = true;

#define COMPARE(table, n)                                                                          \
	is_kept &= memcmp(before->rows.table, tables->rows.table,                                  \
			  sizeof(*tables->rows.table) * (n)) == 0;
	FOR_WRITTEN(COMPARE)
#undef COMPARE
	return is_kept;
}

static struct tables *make_tables(void)
{
	struct tables *t;
	struct lb_meta meta;
	struct err e;

	world_size(1, &meta);
	fuzz_demand(tables_alloc(&meta, &t, &e) == 0, "no memory for tables");
	return t;
}

static void make_worlds(void)
{
	if (tables)
		return;
	for (uint32_t i = 0; i < WORLDS; i++) {
		made[i] = make_tables();
		world_fill(&worlds[i], i, NOW_S, &made[i]->rows);
	}
	tables = make_tables();
	before = make_tables();
	env.tables = &tables->rows;
}

static uint64_t count_all(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < LB_REASON_LINES; i++)
		for (uint32_t j = 0; j < LB_REASONS_PER_LINE; j++)
			sum += tables->rows.reason_counters[i].pkts[j];
	return sum;
}

// What the kernel would say to a reply.
static void ask_answers(const struct world *w, const uint8_t *frame, size_t len)
{
	struct lb_route_query q = {0};
	struct lb_packet p;

	lb_parse(frame, frame + len, (uint32_t)len, &p);
	q.family = p.family;
	q.destination = p.destination;
	q.ip_len = (uint16_t)p.ip_len;
	answers_lookup(&q, w->forwarding, &env.route);
}

// On private copies: what `explain` sees. @seen: bytes that are contiguous.
static void walk_privately(const uint8_t *frame, size_t len, size_t seen, struct lb_decision *ret)
{
	uint8_t *copy = malloc(seen);
	struct lb_packet p;

	memcpy(copy, frame, seen);
	env.is_private = true;
	lb_decide(&env, copy, copy + seen, (uint32_t)len, &p, ret);
	lb_count(&env, &p, ret);
	env.is_private = false;
	fuzz_demand(memcmp(copy, frame, seen) == 0, "lb_decide() changed the packet");
	free(copy);
}

static void demand_alike(const struct lb_decision *a, const struct lb_decision *b, const char *what)
{
	fuzz_demand(a->reason == b->reason && a->verdict == b->verdict &&
			    a->backend == b->backend && a->hash == b->hash && a->hop == b->hop,
		    what);
}

// What a driver does with the verdict. Returns the frame's start and its length.
static uint8_t *carry_out(uint8_t *start, struct lb_packet *p, struct lb_decision *d,
			  size_t *ret_len)
{
	uint32_t grow = d->verdict == LB_TRANSMIT ? lb_decision_grow(d) : 0;
	struct lb_answer a = {0};

	*ret_len = p->frame_len + grow;
	if (d->verdict == LB_TRANSMIT) {
		start -= grow;
		fuzz_demand(grow <= ROOM, "more room than a driver has");
		fuzz_demand(lb_apply(&env, start, start + *ret_len, grow, p, d),
			    "lb_apply() refused");
	} else if (d->verdict == LB_ANSWER) {
		lb_answer_of(p, d->reason, lb_answer_mtu(p, d), d->is_reply ? &d->row->vip : NULL,
			     &a);
		fuzz_demand(a.grow <= ROOM && a.len <= a.grow + p->frame_len,
			    "an answer longer than what it answers");
		start -= a.grow;
		*ret_len = a.len;
		fuzz_demand(lb_answer_write(start, start + a.len, &a), "lb_answer_write() refused");
	}
	return start;
}

static void try_packet(const struct world *w, const uint8_t *frame, size_t len)
{
	uint8_t *room = malloc(ROOM + len), *out;
	struct lb_decision explained, d;
	struct lb_packet packet, came;
	uint64_t counted = count_all();
	size_t out_len;

	memcpy(room + ROOM, frame, len);
	ask_answers(w, frame, len);
	keep_written();
	walk_privately(frame, len, len, &explained);
	if (len > LB_PARSE_BYTES_MAX) {
		walk_privately(frame, len, LB_PARSE_BYTES_MAX, &d);
		demand_alike(&explained, &d, "a frame in segments is decided otherwise");
	}
	fuzz_demand(is_written_kept(), "a private walk changed the tables");

	lb_decide(&env, room + ROOM, room + ROOM + len, (uint32_t)len, &packet, &d);
	demand_alike(&explained, &d, "a private walk decided otherwise");
	fuzz_demand(memcmp(room + ROOM, frame, len) == 0, "lb_decide() changed the packet");
	fuzz_demand(d.reason > LB_REASON_NONE && d.reason < LB_REASON_N, "no reason");
	fuzz_demand(d.verdict == lb_reason_verdict(d.reason), "not its reason's verdict");
	lb_count(&env, &packet, &d);
	fuzz_demand(count_all() == counted + 1, "not counted once");
	came = packet;
	out = carry_out(room + ROOM, &packet, &d, &out_len);
	if (d.verdict == LB_TRANSMIT || d.verdict == LB_ANSWER)
		packet_demand_sound(frame, &came, &d, out, out_len);
	else
		fuzz_demand(memcmp(out, frame, len) == 0, "the kernel gets another packet");
	free(room);
}

// The record at @data: its frame's length, or 0 where there is none.
static size_t read_record(const uint8_t *data, size_t len)
{
	size_t frame_len;

	if (len < RECORD_LEN + LB_ETH_LEN)
		return 0;
	frame_len = (data[1] | data[2] << 8) % (FRAME_MAX + 1);
	if (frame_len > len - RECORD_LEN)
		frame_len = len - RECORD_LEN;
	return frame_len < LB_ETH_LEN ? LB_ETH_LEN : frame_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t frame[FRAME_MAX];
	const struct world *w;
	bool is_mended;
	size_t frame_len;

	if (!len)
		return 0;
	make_worlds();
	w = &worlds[*data % WORLDS];
	copy_tables(made[*data % WORLDS], tables);
	env.now_s = NOW_S;
	is_mended = *data & 0x80;
	data++;
	len--;
	for (int i = 0; i < PACKETS_MAX && (frame_len = read_record(data, len)); i++) {
		env.now_s += data[0];
		memcpy(frame, data + RECORD_LEN, frame_len);
		if (is_mended)
			packet_right(frame, frame_len);
		try_packet(w, frame, frame_len);
		data += RECORD_LEN + frame_len;
		len -= RECORD_LEN + frame_len;
	}
	return 0;
}

// ---- libFuzzer's own ----

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

// A packet more, of those that world @data[0] knows.
static size_t append_frame(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	static struct case_facts facts;
	struct world w;

	make_worlds();
	w = worlds[data[0] % WORLDS];
	w.random.state = seed;
	frame_make(&w, &facts);
	if (size + RECORD_LEN + facts.in_len > max)
		return LLVMFuzzerMutate(data, size, max);
	data[size] = seed % 16 ? 0 : (uint8_t)(seed >> 8);
	data[size + 1] = (uint8_t)facts.in_len;
	data[size + 2] = (uint8_t)(facts.in_len >> 8);
	memcpy(data + size + RECORD_LEN, facts.in, facts.in_len);
	return size + RECORD_LEN + facts.in_len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	if (seed % 4 || max < 1)
		return LLVMFuzzerMutate(data, size, max);
	if (seed % 8 == 0 || !size) { // alone
		data[0] = (uint8_t)(seed >> 16);
		size = 1;
	}
	return append_frame(data, size, max, seed);
}
