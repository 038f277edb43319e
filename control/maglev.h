// SPDX-License-Identifier: BSD-2-Clause
//
// Weighted Maglev rings (Eisenbud et al., "Maglev: A Fast and Reliable Software
// Network Load Balancer", NSDI 2016, 3.4). Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/tables.h"

struct maglev_backend {
	struct lb_address address;
	uint16_t port;	 // host order
	uint32_t weight; // 0: no slot
	uint32_t value;	 // what is written into the slots: a backend row
};

// Fills @slots with a backend's value each; slots in proportion to weights. Depends on addresses,
// ports, weights and @key only: not on the order of @backends, nor on their values.
// @slots: [slots_n], slots_n prime. With no weight above 0 all slots are 0.
// Returns 0, -EINVAL (slots_n is no prime), -ENOMEM.
int maglev_build(const struct maglev_backend *backends, size_t backends_n, const uint64_t key[2],
		 uint32_t *slots, uint32_t slots_n);

bool maglev_is_prime(uint32_t n);
