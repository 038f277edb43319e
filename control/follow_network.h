// SPDX-License-Identifier: BSD-2-Clause
//
// The host's side of what is followed; for follow.c only.
#pragma once

#include "control/lbd.h"

// Makes the guard keep the kernel from what the tables' services and backends get: before their
// VIPs are put on loopback. False where it could not: there is a warning then.
bool follow_set_guard(struct lbd *d);
// Puts the model's VIPs on loopback, and says in the tables which of them are an interface's own.
void follow_set_vips(struct lbd *d);
// Sets or clears the standing warning of forwarding, which the replies of nat need.
void follow_warn_forwarding(struct lbd *d);
// And that of a backend of nat behind an interface without our program, by the tables' hops.
void follow_warn_interfaces(struct lbd *d);
