// SPDX-License-Identifier: BSD-2-Clause
//
// The order in which the daemon's parts come up and go down.
#pragma once

#include "control/lbd.h"

// Brings up everything of @d, whose settings, base and events are set. What fails leaves the tables
// and the dataplane as they were, and no pins where there were none. 0, or -errno with @e filled;
// call start_stop() in either case.
int start_run(struct lbd *d, struct err *e);
// Ends the daemon's parts; the dataplane goes on with what the tables have.
void start_stop(struct lbd *d);
