// SPDX-License-Identifier: BSD-2-Clause
//
// The executors of the packet cases: each takes a packet through one dataplane. What
// it does to the tables, test_packet.c compares.
#pragma once

#include "tests/packet/cases.h"

struct run_result {
	enum lb_verdict
		verdict; // TRANSMIT for an answer too, on RUN_IFINDEX: the reason tells them apart
	enum lb_reason reason; // LB_REASON_NONE: the executor cannot say; the counters do
	uint8_t out[CASE_FRAME_MAX];
	size_t out_len;	       // the frame as it is afterwards
	uint32_t ifindex;      // TRANSMIT: where it leaves; 0: by another interface than it came in
	const char *complaint; // what else was wrong; NULL: nothing
};

// The interface that packets come in by.
#define RUN_IFINDEX 1

struct run_executor {
	const char *name;
	// Makes tables with the sizes in @meta. Returns NULL, or why it cannot run on this host.
	const char *(*start)(const struct lb_meta *meta, uint32_t now_s, struct lb_tables **ret);
	void (*run)(const struct case_facts *facts, uint32_t cpu, struct run_result *ret);
	void (*stop)(void);
	// Instead of run(): @n packets at once, at most 32. Only in the differential run.
	void (*run_burst)(const struct case_facts *facts, size_t n, uint32_t cpu,
			  struct run_result *ret);
};

extern const struct run_executor run_native, run_xdp;
// The XDP program that copies packets (`lbctl trace`): its copies are judged too.
extern const struct run_executor run_xdp_traced;
// Written apart from the core, and slow: reference/reference.h.
extern const struct run_executor run_reference;
// The DPDK walk: with frames in one segment, in small ones, in bursts; and a worker that calls it.
extern const struct run_executor run_dpdk, run_dpdk_segments, run_dpdk_bursts;
// The one that copies packets; likewise.
extern const struct run_executor run_dpdk_traced;
extern const struct run_executor run_dpdk_worker, run_dpdk_worker_bursts;
