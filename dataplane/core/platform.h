// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The few functions that a driver supplies to the core. A driver has a file
// platform_impl.h that defines them; the include path picks it: xdp/ for the BPF
// program, dataplane/native/ for tests and `explain`, dataplane/dpdk/ for lb-dpdk.
//
// A row accessor returns a pointer to the row, or NULL where @i is out of the
// table (the BPF verifier wants the check; elsewhere it costs nothing). What it
// returns may be written only where the table's comment in tables.h says that
// packets write it. `explain` hands out private copies of those rows.
#pragma once

#include "index.h"
#include "route.h"
#include "tables.h"

// A driver's own: where its tables are, and its packet (struct xdp_md under XDP).
struct lb_env;

#include "platform_impl.h"

// Rows:
// const struct lb_meta *lb_meta(struct lb_env *);                     never NULL
// const struct lb_route_set *lb_route_set(struct lb_env *);           the one in use; never NULL
// const struct lb_index_line *lb_service_index_line(struct lb_env *, __u32 hash, __u32 i);
// const struct lb_index_line *lb_reverse_index_line(struct lb_env *, __u32 hash, __u32 i);
//                                                              both: at lb_index_at()
// const struct lb_service *lb_service_row(struct lb_env *, __u32 i);
// const struct lb_backend *lb_backend_row(struct lb_env *, __u32 i);
// const struct lb_hop *lb_hop_row(struct lb_env *, __u32 i);
// const __u32 *lb_slot(struct lb_env *, __u32 slot);                          its word
// struct lb_slot_time_line *lb_slot_time_line(struct lb_env *, __u32 i);
// struct lb_entry_line *lb_entry_line(struct lb_env *, __u32 i);
// struct lb_entry_line *lb_fragment_line(struct lb_env *, __u32 i);
// struct lb_limit_line *lb_limit_line(struct lb_env *);                       this CPU's row
// __u32 lb_cpu(struct lb_env *);                                              for the next three
// struct lb_service_counters *lb_service_counters(struct lb_env *, __u32 cpu, __u32 i);
// struct lb_backend_counters *lb_backend_counters(struct lb_env *, __u32 cpu, __u32 i);
// struct lb_reason_line *lb_reason_line(struct lb_env *, __u32 cpu, __u32 i);
//
// LB_CALLED: what a function of the core is declared with that is to be called, not put in line;
// its arguments are the env, numbers, and structs of numbers.
//
// LB_ROOM(type): room for such a struct, until the next LB_ROOM(); NULL only if the BPF verifier
// asks. On the stack, but for BPF, whose stack is short.
//
// The world outside:
// __u32 lb_now_s(struct lb_env *);            CLOCK_MONOTONIC, seconds; read only where needed
// const struct lb_route_answer *lb_route_lookup(struct lb_env *, const struct lb_route_query *);
//                                             the answer lives in the env as long as the packet
//
// Memory that others write too, always 8 bytes and aligned:
// __u64 lb_load64(const __u64 *);             acquire
// void lb_store64(__u64 *, __u64);            release
// __u64 lb_cas64(__u64 *, __u64 old, __u64 new);  returns what was there
//
// LB_SETTLE(x): the compiler is not to make @x anew, from what it was made of, where it is used.
// Nothing but for BPF, whose registers are few.
//
// LB_IS_BEYOND(at, n, end): whether the @n bytes at @at reach beyond @end, in the
// form that suits the compiler, or the BPF verifier.
//
// Bytes of a packet, at any address:
// __u32 lb_get32(const void *);   __u64 lb_get64(const void *);
// void lb_put32(void *, __u32);   void lb_put64(void *, __u64);
// void lb_copy16(void *to, const void *from);     16 of them
// void lb_mix16(void *to, const void *from, __u64 x, const void *mask);
//                                             the same, both halves with x's bits of @mask set
