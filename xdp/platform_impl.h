// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The core's driver for the BPF program: the tables as maps. Found by include path
// (see core/platform.h); included by lb.bpf.c alone, which thereby owns the maps.
//
// The maps are made and pinned by lbd, not by libbpf, a map a table of LB_TABLES and of its name:
// before loading it gives each to the object (control/xdp_tables.h). Their sizes are known only
// then, so max_entries here says nothing.
//
// Nearly all that packets read is read by its address, as a variable is, for a look-up costs ten
// instructions more: the maps of those tables (LB_FLAT_TABLES) have one row, which is all of the
// table. Rows are looked up in tables that may be too big, for the verifier follows an address for
// 512 MiB only (connections, counters of a CPU and backend), and in those that few packets read.
// Either kind is a BPF_MAP_TYPE_ARRAY with BPF_F_MMAPABLE, of the same bytes.
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

// The core's env is the program's context: so the core's functions that are called (LB_CALLED) can
// be global ones, which the verifier sees once each and not once a call. (Weak, or the compiler
// leaves out arguments that a function makes no use of, and the verifier misses the context.)
#define lb_env xdp_md
#define LB_CALLED __attribute__((noinline, weak))

// In a map, not on the stack: its 512 bytes are for the whole chain of calls.
#define LB_ROOM(type)                                                                              \
	({                                                                                         \
		_Static_assert(sizeof(type) <= LB_ROOM_BYTES, "");                                 \
		(type *)lb_room();                                                                 \
	})
#define LB_ROOM_BYTES 64

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[LB_ROOM_BYTES]);
} room SEC(".maps");

static __always_inline void *lb_room(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&room, &zero);
}

#define LB_SETTLE(x) asm volatile("" : "+r"(x))

#define LB_IS_BEYOND(at, n, end) ((at) + (n) > (end))

#include "dataplane/core/platform.h"
#include "fib.h"
#include "flat.h"

// 0: the kernel's clock; else the time in seconds, fixed by tests before loading.
const volatile __u32 lb_fixed_now_s = 0;

// What the verifier must know of the tables' sizes; set from meta before loading.
const volatile struct lb_flat_sizes lb_flat_sizes = {};

#define LB_MAP(table, row, rows)                                                                   \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(map_flags, BPF_F_MMAPABLE);                                                 \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__type(value, row);                                                                \
	} table SEC(".maps");
LB_TABLES(LB_MAP)
#undef LB_MAP

// The first row of a flat table. (Whoever loads the program makes an address of what is a map
// here: control/xdp_tables.c.)
#define LB_FLAT(name, type) ((type *)(void *)&name)
#define lb_meta_row (*LB_FLAT(meta, struct lb_meta))

static __always_inline const struct lb_meta *lb_meta(struct lb_env *env)
{
	return &lb_meta_row;
}

static __always_inline const struct lb_route_set *lb_route_set(struct lb_env *env)
{
	return &LB_FLAT(routes, struct lb_routes)
			->sets[*(volatile __u32 *)&lb_meta_row.route_set & (LB_ROUTE_SETS - 1)];
}

static __always_inline const struct lb_index_line *lb_service_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return LB_FLAT(service_index, struct lb_index_line) +
	       lb_index_at(hash, lb_flat_sizes.service_shift, i);
}

static __always_inline const struct lb_index_line *lb_reverse_index_line(struct lb_env *env,
									 __u32 hash, __u32 i)
{
	return LB_FLAT(reverse_index, struct lb_index_line) +
	       lb_index_at(hash, lb_flat_sizes.reverse_shift, i);
}

static __always_inline const struct lb_service *lb_service_row(struct lb_env *env, __u32 i)
{
	return bpf_map_lookup_elem(&services, &i);
}

static __always_inline const struct lb_backend *lb_backend_row(struct lb_env *env, __u32 i)
{
	const struct lb_backend *row = LB_FLAT(backends, struct lb_backend) + (i & LB_BACKEND_MAX);

	LB_SETTLE(row); // made once
	if (!row)
		__builtin_unreachable();
	return row;
}

static __always_inline const struct lb_hop *lb_hop_row(struct lb_env *env, __u32 i)
{
	__u64 at = i;

	if (at >= lb_flat_sizes.hop_n)
		return 0;
	LB_SETTLE(at); // no address is made of it before: the verifier must see that it is bounded
	return LB_FLAT(hops, struct lb_hop) + at;
}

static __always_inline const __u32 *lb_slot(struct lb_env *env, __u32 slot)
{
	__u64 at = slot;

	if (at >= lb_flat_sizes.slot_n)
		return 0;
	LB_SETTLE(at); // as above
	return LB_FLAT(slots, __u32) + at;
}

static __always_inline struct lb_slot_time_line *lb_slot_time_line(struct lb_env *env, __u32 i)
{
	return bpf_map_lookup_elem(&slot_times, &i);
}

static __always_inline struct lb_entry_line *lb_entry_line(struct lb_env *env, __u32 i)
{
	return bpf_map_lookup_elem(&connections, &i);
}

static __always_inline struct lb_entry_line *lb_fragment_line(struct lb_env *env, __u32 i)
{
	return bpf_map_lookup_elem(&fragments, &i);
}

static __always_inline struct lb_limit_line *lb_limit_line(struct lb_env *env)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&limits, &cpu);
}

static __always_inline __u32 lb_cpu(struct lb_env *env)
{
	return bpf_get_smp_processor_id();
}

static __always_inline struct lb_service_counters *lb_service_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	__u32 row = cpu * lb_meta_row.service_n + i;

	return bpf_map_lookup_elem(&service_counters, &row);
}

static __always_inline struct lb_backend_counters *lb_backend_counters(struct lb_env *env,
								       __u32 cpu, __u32 i)
{
	__u32 row = cpu * lb_meta_row.backend_n + i;

	return bpf_map_lookup_elem(&backend_counters, &row);
}

static __always_inline struct lb_reason_line *lb_reason_line(struct lb_env *env, __u32 cpu, __u32 i)
{
	__u64 at = ((__u64)cpu * sizeof(struct lb_reason_line[LB_REASON_LINES])) %
		   sizeof(struct lb_reason_line[LB_CPU_MAX * LB_REASON_LINES]);

	return (struct lb_reason_line *)(LB_FLAT(reason_counters, __u8) + at) + i % LB_REASON_LINES;
}

// ---- the world outside ----

static __always_inline __u32 lb_now_s(struct lb_env *env)
{
	return lb_fixed_now_s ? lb_fixed_now_s : (__u32)(bpf_ktime_get_coarse_ns() / 1000000000);
}

// The answer to the packet that a CPU has in hand.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_route_answer);
} route_answer SEC(".maps");

static __always_inline struct lb_route_answer *lb_route_answer(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&route_answer, &zero);
}

// Not in line, for what the mirrored routes answer never comes here. Returns the reason (a function
// that BPF calls must return a number).
LB_CALLED int lb_route_fib(struct lb_env *env, const struct lb_route_query *q)
{
	struct lb_route_answer *ret = lb_route_answer();

	if (!ret || !q)
		return LB_REASON_ROUTE_NONE;
	lb_route_ask(env, env->ingress_ifindex, q, ret);
	return ret->reason;
}

static __always_inline const struct lb_route_answer *lb_route_lookup(struct lb_env *env,
								     const struct lb_route_query *q)
{
	lb_route_fib(env, q);
	return lb_route_answer();
}

// ---- memory ----
//
// BPF (-mcpu=v3) has no loads with acquire or stores with release. On x86 plain ones are that. On
// other machines the exchange below is a full barrier; and a fingerprint that is read too early
// or late still has to equal 64 bits of the flow's own hash.

static __always_inline __u64 lb_load64(const __u64 *p)
{
	return *(const volatile __u64 *)p;
}

static __always_inline void lb_store64(__u64 *p, __u64 value)
{
	__sync_lock_test_and_set(p, value);
}

static __always_inline __u64 lb_cas64(__u64 *p, __u64 old, __u64 new)
{
	return __sync_val_compare_and_swap(p, old, new);
}

static __always_inline __u32 lb_get32(const void *p)
{
	return *(const __u32 *)p;
}

static __always_inline __u64 lb_get64(const void *p)
{
	return *(const __u64 *)p;
}

static __always_inline void lb_put32(void *p, __u32 value)
{
	*(__u32 *)p = value;
}

static __always_inline void lb_put64(void *p, __u64 value)
{
	*(__u64 *)p = value;
}

static __always_inline void lb_copy16(void *to, const void *from)
{
	lb_put64(to, lb_get64(from));
	lb_put64((__u8 *)to + 8, lb_get64((const __u8 *)from + 8));
}

static __always_inline void lb_mix16(void *to, const void *from, __u64 x, const void *mask)
{
	const __u64 *halves = from, *bits = mask;

	lb_put64(to, halves[0] | (x & bits[0]));
	lb_put64((__u8 *)to + 8, halves[1] | (x & bits[1]));
}
