// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the programs of xdp/lb.bpf.c onto the tables; for xdp.c and trace_xdp.c only.
#pragma once

#include "control/tables.h"
#include "dataplane/core/trace.h"

// On success *ret_fd is the caller's to close. On failure @e ends with what the verifier said.
int xdp_load_program(const struct tables *t, int *ret_fd, uint32_t *ret_id, struct err *e);

// The variant that copies packets, and its own maps.
struct xdp_traced {
	int program_fd;
	uint32_t program_id;
	int events_fd; // a ring buffer of struct lb_trace_record and what follows it
	int counts_fd; // a CPU's struct lb_trace_counts, of row 0
};
int xdp_load_traced(const struct tables *t, const struct lb_trace_filter *filter,
		    struct xdp_traced *ret, struct err *e);
void xdp_close_traced(struct xdp_traced *traced); // what it holds may go on behind links
