// SPDX-License-Identifier: BSD-2-Clause
//
// What xdp/decap.bpf.c uses of libbpf's header of this name, so that it can be compiled into
// fuzz_decap.c and run in a process: found before libbpf's own by the include path. The helpers
// are fuzz_decap.c's.
#pragma once

#include <linux/types.h>

#define SEC(name) __attribute__((unused))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name

struct xdp_md;

static void *bpf_map_lookup_elem(void *map, const void *key);
static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta);
static __u64 bpf_xdp_get_buff_len(struct xdp_md *ctx);
