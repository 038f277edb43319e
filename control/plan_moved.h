// SPDX-License-Identifier: BSD-2-Clause
//
// The share of a service's slots that a change of its backends moves. Pure.
#pragma once

#include "control/model.h"

// Builds the rings before and after, of each VIP family that the service has both times, and counts
// the slots that differ; both have the same ring length. *ret_moved: 0 to 1. Where no ring's
// backends changed nothing is built. 0 or -ENOMEM.
int plan_moved(const struct model_service *before, const struct model_service *after,
	       const uint64_t key[2], double *ret_moved);
