// SPDX-License-Identifier: BSD-2-Clause
//
// The slow reference (reference/reference.h) as an executor: on tables of its own, asking the rules
// of answers.c for routes by what it read itself.
#include <string.h>

#include "control/tables.h"
#include "tests/packet/answers.h"
#include "tests/packet/reference/reference.h"
#include "tests/packet/run.h"

static struct tables *tables;
static struct ref_walk walk;

static void ask_route(const void *routes, const struct ref_address *destination, int family,
		      uint32_t ip_len, struct ref_route *ret)
{
	struct lb_route_query q = {.family = (uint8_t)family, .ip_len = (uint16_t)ip_len};
	struct lb_route_answer answer;

	memcpy(q.destination.bytes, destination->bytes, 16);
	answers_lookup(&q, ((const struct case_facts *)routes)->forwarding, &answer);
	*ret = (struct ref_route){answer.reason, answer.link};
}

static const char *reference_start(const struct lb_meta *meta, uint32_t now_s,
				   struct lb_tables **ret)
{
	struct err e;

	if (tables_alloc(meta, &tables, &e))
		return "no memory";
	*ret = &tables->rows;
	walk = (struct ref_walk){.tables = &tables->rows, .now_s = now_s, .ask_route = ask_route};
	return NULL;
}

static void reference_stop(void)
{
	tables_close(tables);
}

static void reference_run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
	static struct ref_frame out;
	enum lb_verdict verdict;

	walk.cpu = cpu;
	walk.routes = facts;
	memcpy(walk.frame.bytes, facts->in, facts->in_len);
	walk.frame.len = facts->in_len;
	ref_decide(&walk);
	verdict = ref_verdict(walk.reason);
	*ret = (struct run_result){.verdict = verdict, .reason = walk.reason};
	if (verdict == LB_TRANSMIT) {
		ref_write(&walk, &out);
		ret->ifindex = walk.link.ifindex;
	} else if (verdict == LB_ANSWER) {
		ref_answer(&walk, &out);
		ret->verdict = LB_TRANSMIT;
		ret->ifindex = RUN_IFINDEX;
	} else {
		out = walk.frame;
	}
	memcpy(ret->out, out.bytes, out.len);
	ret->out_len = out.len;
}

const struct run_executor run_reference = {"reference", reference_start, reference_run,
					   reference_stop};
