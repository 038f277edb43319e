// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The core's driver for a process that has the tables in its memory: tests and
// `explain`. Found by include path (see core/platform.h). The caller fills struct
// lb_env and calls lb_decide(), lb_count(), lb_apply() as a driver does.
//
// With `is_private` set, rows that packets write are copied into the env, and the
// copies are handed out: such a walk stamps, tracks and counts nothing. A copy is
// made anew where another row is asked for, so one walk sees one consistent copy.
#pragma once

#include <stdbool.h>
#include <string.h>

#include "dataplane/core/platform.h"
#include "dataplane/native/memory.h"
#include "dataplane/native/native.h"

struct lb_env {
	struct lb_tables *tables;
	__u32 cpu;		      // row of the counters, below meta.cpu_n
	__u32 now_s;		      // the clock
	struct lb_route_answer route; // what lb_route_lookup() answers
	struct lb_route_query asked;  // what it was asked last
	bool is_private;
	struct lb_slot_time_line slot_time_copy;
	struct lb_entry_line entry_copy;
	struct lb_entry_line fragment_copy;
	struct lb_limit_line limit_copy;
	struct lb_service_counters service_copy;
	struct lb_backend_counters backend_copy;
	struct lb_reason_line reason_copy;
};

static __always_inline const struct lb_meta *lb_meta(struct lb_env *env)
{
	return env->tables->meta;
}

static __always_inline const struct lb_route_set *lb_route_set(struct lb_env *env)
{
	return &env->tables->routes->sets[env->tables->meta->route_set & (LB_ROUTE_SETS - 1)];
}

static __always_inline const struct lb_index_line *lb_service_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return &env->tables->service_index[lb_index_at(hash, env->tables->meta->service_shift, i)];
}

static __always_inline const struct lb_index_line *lb_reverse_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return &env->tables->reverse_index[lb_index_at(hash, env->tables->meta->reverse_shift, i)];
}

static __always_inline const struct lb_service *lb_service_row(struct lb_env *env, __u32 i)
{
	return i < env->tables->meta->service_n ? &env->tables->services[i] : NULL;
}

static __always_inline const struct lb_backend *lb_backend_row(struct lb_env *env, __u32 i)
{
	return i < env->tables->meta->backend_n ? &env->tables->backends[i] : NULL;
}

static __always_inline const struct lb_hop *lb_hop_row(struct lb_env *env, __u32 i)
{
	return i < env->tables->meta->hop_n ? &env->tables->hops[i] : NULL;
}

static __always_inline const __u32 *lb_slot(struct lb_env *env, __u32 slot)
{
	return slot < env->tables->meta->slot_n ? &env->tables->slots[0].words[0] + slot : NULL;
}

// ---- rows that packets write ----

#define LB_NATIVE_ROW(env, row, copy)                                                              \
	({                                                                                         \
		if ((env)->is_private)                                                             \
			memcpy((copy), (row), sizeof(*(copy)));                                    \
		(env)->is_private ? (copy) : (row);                                                \
	})

static __always_inline struct lb_slot_time_line *lb_slot_time_line(struct lb_env *env, __u32 i)
{
	if (i >= env->tables->meta->slot_n / LB_SLOTS_PER_LINE)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->slot_times[i], &env->slot_time_copy);
}

static __always_inline struct lb_entry_line *lb_entry_line(struct lb_env *env, __u32 i)
{
	if (i > env->tables->meta->connection_mask)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->connections[i], &env->entry_copy);
}

static __always_inline struct lb_entry_line *lb_fragment_line(struct lb_env *env, __u32 i)
{
	if (i > env->tables->meta->fragment_mask)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->fragments[i], &env->fragment_copy);
}

static __always_inline struct lb_limit_line *lb_limit_line(struct lb_env *env)
{
	if (env->cpu >= env->tables->meta->cpu_n)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->limits[env->cpu], &env->limit_copy);
}

static __always_inline __u32 lb_cpu(struct lb_env *env)
{
	return env->cpu;
}

static __always_inline struct lb_service_counters *lb_service_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	const struct lb_meta *m = env->tables->meta;

	if (i >= m->service_n || cpu >= m->cpu_n)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->service_counters[(size_t)cpu * m->service_n + i],
			     &env->service_copy);
}

static __always_inline struct lb_backend_counters *lb_backend_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	const struct lb_meta *m = env->tables->meta;

	if (i >= m->backend_n || cpu >= m->cpu_n)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->backend_counters[(size_t)cpu * m->backend_n + i],
			     &env->backend_copy);
}

static __always_inline struct lb_reason_line *lb_reason_line(struct lb_env *env, __u32 cpu, __u32 i)
{
	const struct lb_meta *m = env->tables->meta;

	if (i >= LB_REASON_LINES || cpu >= m->cpu_n)
		return NULL;
	return LB_NATIVE_ROW(env, &env->tables->reason_counters[(size_t)cpu * LB_REASON_LINES + i],
			     &env->reason_copy);
}

// ---- the world outside ----

static __always_inline __u32 lb_now_s(struct lb_env *env)
{
	return env->now_s;
}

static __always_inline const struct lb_route_answer *
lb_route_lookup(struct lb_env *env, const struct lb_route_query *query)
{
	env->asked = *query;
	return &env->route;
}
