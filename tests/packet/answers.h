// SPDX-License-Identifier: BSD-2-Clause
//
// What the routes of run_xdp.c's namespace answer, for executors that have no kernel to
// ask: written from the routes, not from what the kernel said.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/platform.h"

// IPv4: any destination. IPv6: those in 2001:db8:64::/48.
void answers_lookup(const struct lb_route_query *query, bool forwarding,
		    struct lb_route_answer *ret);
