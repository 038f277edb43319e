// SPDX-License-Identifier: BSD-2-Clause
//
// The key of the flow hash: 32 hex digits in a file, made on the first start, the same
// on every balancer of a fleet. It is a secret: no sentence shows it.
#pragma once

#include "control/err.h"
#include "control/settings.h"

// Reads settings->hash_key_file, or makes it (0600) where it is missing. 0 or a negative errno.
int hash_key_open(const struct settings *s, uint64_t ret_key[2], struct err *e);
