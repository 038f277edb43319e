// SPDX-License-Identifier: BSD-2-Clause
//
// In place of run_dpdk.c where libdpdk is not installed: its tests are skipped by name.
#include "tests/packet/run.h"

static const char *start(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret)
{
	return "built without DPDK (apt install libdpdk-dev, then build anew)";
}

static void run(const struct case_facts *facts, uint32_t cpu, struct run_result *ret)
{
}

static void stop(void)
{
}

const struct run_executor run_dpdk = {"dpdk", start, run, stop};
const struct run_executor run_dpdk_segments = {"dpdk, in segments", start, run, stop};
const struct run_executor run_dpdk_traced = {"dpdk, traced", start, run, stop};
const struct run_executor run_dpdk_bursts = {"dpdk, in bursts", start, run, stop};
const struct run_executor run_dpdk_worker = {"dpdk, a worker", start, run, stop};
const struct run_executor run_dpdk_worker_bursts = {"dpdk, a worker, in bursts", start, run, stop};
