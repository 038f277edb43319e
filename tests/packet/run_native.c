// SPDX-License-Identifier: BSD-2-Clause
//
// The native core on tables in memory. Each packet goes through twice: first as
// `explain` does it, on private copies, which must decide the same and leave all as it
// was; then for good.
#include <stdlib.h>
#include <string.h>

#include "control/tables.h"
#include "dataplane/core/answer.h"
#include "dataplane/core/apply.h"
#include "dataplane/core/count.h"
#include "tests/packet/run.h"

#define HEADROOM 64

static struct tables *tables, *before;
static struct lb_env env;

static const char *native_start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	struct err e;

	if (tables_alloc(meta, &tables, &e) || tables_alloc(meta, &before, &e))
		return "no memory";
	env = (struct lb_env){.tables = &tables->rows, .now_s = now_s};
	*ret = &tables->rows;
	return NULL;
}

static void native_stop(void)
{
	tables_close(tables);
	tables_close(before);
}

static void keep_tables(void)
{
	const struct lb_meta *m = tables->rows.meta;

#define KEEP(table, type, number)                                                                  \
	memcpy(before->rows.table, tables->rows.table, sizeof(type) * (number));
	LB_TABLES(KEEP)
#undef KEEP
}

static bool are_tables_kept(void)
{
	const struct lb_meta *m = tables->rows.meta;
	bool same = true;

#define COMPARE(table, type, number)                                                               \
	same &= memcmp(before->rows.table, tables->rows.table, sizeof(type) * (number)) == 0;
	LB_TABLES(COMPARE)
#undef COMPARE
	return same;
}

// What a driver does with the verdict. Leaves the frame's start in @start.
static void carry_out(uint8_t **start, struct lb_packet *p, struct lb_decision *d,
		      struct run_result *ret)
{
	uint32_t grow = d->verdict == LB_TRANSMIT ? lb_decision_grow(d) : 0;
	struct lb_answer a = {0};

	ret->verdict = d->verdict;
	if (d->verdict == LB_TRANSMIT) {
		*start -= grow;
		ret->out_len += grow;
		ret->ifindex = d->link->ifindex;
		if (!lb_apply(&env, *start, *start + ret->out_len, grow, p, d))
			ret->complaint = "lb_apply() refused";
	} else if (d->verdict == LB_ANSWER) {
		lb_answer_of(p, d->reason, lb_answer_mtu(p, d), d->is_reply ? &d->row->vip : NULL,
			     &a);
		*start -= a.grow;
		ret->out_len = a.len;
		ret->verdict = LB_TRANSMIT;
		ret->ifindex = RUN_IFINDEX;
		if (!lb_answer_write(*start, *start + a.len, &a))
			ret->complaint = "lb_answer_write() refused";
	}
}

static void native_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	// On the heap, and just as long: ASan sees a read beyond the end. Even, not more.
	uint8_t *room = malloc(HEADROOM + 2 + facts->in_len), *start = room + HEADROOM + 2;
	struct lb_decision explained, d;
	struct lb_packet packet;

	memcpy(start, facts->in, facts->in_len);
	*ret = (struct run_result){};
	env.cpu = cpu;
	env.route = facts->answer;

	keep_tables();
	env.is_private = true;
	lb_decide(&env, start, start + facts->in_len, (uint32_t)facts->in_len, &packet, &explained);
	lb_count(&env, &packet, &explained);
	env.is_private = false;
	if (!are_tables_kept())
		ret->complaint = "a private walk changed the tables";

	lb_decide(&env, start, start + facts->in_len, (uint32_t)facts->in_len, &packet, &d);
	if (memcmp(start, facts->in, facts->in_len) != 0)
		ret->complaint = "lb_decide() changed the packet";
	if (explained.reason != d.reason || explained.backend != d.backend)
		ret->complaint = "a private walk decided otherwise";
	lb_count(&env, &packet, &d);
	ret->out_len = facts->in_len;
	carry_out(&start, &packet, &d, ret);
	ret->reason = d.reason;
	memcpy(ret->out, start, ret->out_len);
	free(room);
}

const struct run_executor run_native = {"native", native_start, native_run, native_stop};
