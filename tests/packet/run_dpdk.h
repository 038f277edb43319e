// SPDX-License-Identifier: BSD-2-Clause
//
// What the executors of the DPDK dataplane share (run_dpdk.c, run_dpdk_worker.c): the
// EAL, whose lcore 1 is for a worker, and mbufs.
#pragma once

#include <rte_mbuf.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/packet/run.h"

#define RUN_MBUFS_N 1023

extern struct rte_mempool *run_dpdk_pool;

// NULL, or why not. Each call that returns NULL wants a call of the other.
const char *run_dpdk_start_eal(void);
void run_dpdk_stop_eal(void);

struct rte_mbuf *run_dpdk_make(const uint8_t *frame, size_t len);
// What came out: its bytes.
void run_dpdk_read(struct rte_mbuf *m, struct run_result *ret);
// What `run_dpdk`, which was started, makes of @m. It is freed.
void run_dpdk_walk(struct rte_mbuf *m, const struct case_facts *facts, uint32_t cpu,
		   struct run_result *ret);
