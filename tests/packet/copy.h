// SPDX-License-Identifier: BSD-2-Clause
//
// The copy of a packet that an executor which traces has made: judged by what became of it.
#pragma once

#include "dataplane/core/trace.h"
#include "tests/packet/run.h"

struct copy {
	unsigned int n; // so many of the one packet
	struct lb_trace_record record;
	uint8_t bytes[2 * LB_TRACE_SNAP_MAX]; // before, and after
};

// Adds what the copy says to @ret, and compares the rest. Returns what is wrong, or NULL. All of
// every packet is wanted, as far as it is kept.
const char *copy_judge(const struct copy *copy, const struct case_facts *facts,
		       struct run_result *ret);
