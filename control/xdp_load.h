// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the program of xdp/lb.bpf.c onto the tables; for xdp.c only.
#pragma once

#include "control/tables.h"

// On success *ret_fd is the caller's to close. On failure @e ends with what the verifier said.
int xdp_load_program(const struct tables *t, int *ret_fd, uint32_t *ret_id, struct err *e);
