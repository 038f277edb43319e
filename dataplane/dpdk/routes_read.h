// SPDX-License-Identifier: BSD-2-Clause
//
// Reads all routes, or all neighbours, of the kernel by rtnetlink (RFC 3549).
#pragma once

#include <libmnl/libmnl.h>

#include "fib.h"
#include "lb_dpdk.h"

// Both: 0; -EINTR (a change came in between: try again); or a negative errno with @e filled.
int routes_read_fib(struct mnl_socket *s, struct fib **ret, struct err *e);
int routes_read_neighbours(struct mnl_socket *s, struct neighbours **ret, struct err *e);
