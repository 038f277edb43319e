// SPDX-License-Identifier: BSD-2-Clause
//
// Asks the kernel's routes and neighbours what the dataplane would be told of a reply
// of nat that no mirrored route sends on: xdp/route.bpf.c, run once for each question.
// For `explain`, in both dataplanes: lb-dpdk's routes are the kernel's too.
#pragma once

#include <stdint.h>

#include "dataplane/core/route.h"

// Loads the program. A file descriptor, the caller's to close, or a negative errno.
int kernel_route_load(void);

// @fd: of the program. @ifindex: by which the reply comes in. 0, or a negative errno: not known.
int kernel_route_ask(int fd, uint32_t ifindex, const struct lb_route_query *query,
		     struct lb_route_answer *ret);
