// SPDX-License-Identifier: BSD-2-Clause
//
// The core's driver for DPDK: the tables as a worker sees them in the mapped file.
// Found by include path (see core/platform.h); included by the walk (walk.h), and by whoever
// fills a struct lb_env. One env a worker; nothing in it is shared.
//
// Sizes never change while tables are mapped, so they are copied beside the pointers
// by lb_env_init(): no access reads `meta` for them.
#pragma once

#include <stddef.h>

#include "dataplane/core/platform.h"
#include "dataplane/native/memory.h"
#include "dataplane/native/native.h"

// What lb_route_lookup() asks: the worker's FIBs (routes.c), a test's own routes. @routes: its
// state. Fills *ret whole; ret->reason as core/platform.h says.
typedef void lb_route_fn(const void *routes, const struct lb_route_query *query,
			 struct lb_route_answer *ret);

#define LB_ROUTE_ANSWERS 64 // at least the packets of a burst; a power of two

struct lb_env {
	struct lb_tables tables; // pointers to the mapped tables
	// This worker's rows of the counters.
	struct lb_service_counters *service_counters;
	struct lb_backend_counters *backend_counters;
	struct lb_reason_line *reason_lines;
	struct lb_limit_line *limits;
	// Sizes of the tables, as meta has them.
	__u32 service_n;
	__u32 backend_n;
	__u32 hop_n;
	__u32 slot_n;
	__u32 service_shift;
	__u32 reverse_shift;
	__u32 connection_mask;
	__u32 fragment_mask;
	__u32 now_s; // the clock of this burst: CLOCK_MONOTONIC, seconds
	lb_route_fn *route;
	const void *routes;
	// What it answered: each is kept until a burst's worth of others was asked.
	struct lb_route_answer answers[LB_ROUTE_ANSWERS];
	__u32 answer_n;
};

// @worker: below meta.cpu_n. @tables: mapped, live. Clock and routes stay as they are.
static inline void lb_env_init(struct lb_env *env, const struct lb_tables *tables, __u32 worker)
{
	const struct lb_meta *m = tables->meta;

	env->tables = *tables;
	env->service_counters = tables->service_counters + (size_t)worker * m->service_n;
	env->backend_counters = tables->backend_counters + (size_t)worker * m->backend_n;
	env->reason_lines = tables->reason_counters + (size_t)worker * LB_REASON_LINES;
	env->limits = tables->limits + worker;
	env->service_n = m->service_n;
	env->backend_n = m->backend_n;
	env->hop_n = m->hop_n;
	env->slot_n = m->slot_n;
	env->service_shift = m->service_shift;
	env->reverse_shift = m->reverse_shift;
	env->connection_mask = m->connection_mask;
	env->fragment_mask = m->fragment_mask;
}

// Row @i of @rows, which is there. (The compiler learns that it is never NULL.)
#define LB_ROW_AT(rows, i)                                                                         \
	({                                                                                         \
		__typeof__(&(rows)[0]) row_ = &(rows)[i];                                          \
		if (!row_)                                                                         \
			__builtin_unreachable();                                                   \
		row_;                                                                              \
	})

// Row @i of @rows, of which there are @n; else NULL.
#define LB_ROW(rows, i, n) ((i) < (n) ? LB_ROW_AT(rows, i) : NULL)

static __always_inline const struct lb_meta *lb_meta(struct lb_env *env)
{
	return env->tables.meta;
}

static __always_inline const struct lb_route_set *lb_route_set(struct lb_env *env)
{
	return &env->tables.routes->sets[*(volatile __u32 *)&env->tables.meta->route_set &
					 (LB_ROUTE_SETS - 1)];
}

static __always_inline const struct lb_index_line *lb_service_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return LB_ROW_AT(env->tables.service_index, lb_index_at(hash, env->service_shift, i));
}

static __always_inline const struct lb_index_line *lb_reverse_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return LB_ROW_AT(env->tables.reverse_index, lb_index_at(hash, env->reverse_shift, i));
}

static __always_inline const struct lb_service *lb_service_row(struct lb_env *env, __u32 i)
{
	return LB_ROW(env->tables.services, i, env->service_n);
}

static __always_inline const struct lb_backend *lb_backend_row(struct lb_env *env, __u32 i)
{
	return LB_ROW(env->tables.backends, i, env->backend_n);
}

static __always_inline const struct lb_hop *lb_hop_row(struct lb_env *env, __u32 i)
{
	return LB_ROW(env->tables.hops, i, env->hop_n);
}

static __always_inline const __u32 *lb_slot(struct lb_env *env, __u32 slot)
{
	return LB_ROW(&env->tables.slots[0].words[0], slot, env->slot_n);
}

static __always_inline struct lb_slot_time_line *lb_slot_time_line(struct lb_env *env, __u32 i)
{
	return LB_ROW(env->tables.slot_times, i, env->slot_n / LB_SLOTS_PER_LINE);
}

static __always_inline struct lb_entry_line *lb_entry_line(struct lb_env *env, __u32 i)
{
	return &env->tables.connections[i & env->connection_mask];
}

static __always_inline struct lb_entry_line *lb_fragment_line(struct lb_env *env, __u32 i)
{
	return &env->tables.fragments[i & env->fragment_mask];
}

static __always_inline struct lb_limit_line *lb_limit_line(struct lb_env *env)
{
	return env->limits;
}

static __always_inline __u32 lb_cpu(struct lb_env *env)
{
	return 0; // its rows are known
}

static __always_inline struct lb_service_counters *lb_service_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	return LB_ROW(env->service_counters, i, env->service_n);
}

static __always_inline struct lb_backend_counters *lb_backend_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	return LB_ROW(env->backend_counters, i, env->backend_n);
}

static __always_inline struct lb_reason_line *lb_reason_line(struct lb_env *env, __u32 cpu, __u32 i)
{
	return LB_ROW(env->reason_lines, i, LB_REASON_LINES);
}

// ---- the world outside ----

static __always_inline __u32 lb_now_s(struct lb_env *env)
{
	return env->now_s;
}

static __always_inline const struct lb_route_answer *
lb_route_lookup(struct lb_env *env, const struct lb_route_query *query)
{
	struct lb_route_answer *answer = &env->answers[env->answer_n++ % LB_ROUTE_ANSWERS];

	env->route(env->routes, query, answer);
	return answer;
}
