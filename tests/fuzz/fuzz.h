// SPDX-License-Identifier: BSD-2-Clause
//
// What a fuzz target defines, under the name that libFuzzer calls. Linked with
// mutate.c it is a test; with clang -fsanitize=fuzzer,address,undefined instead, a
// fuzzer that is led by coverage. Corpora are in corpus/TARGET.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// Aborts where something that must hold does not. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

// @what: the sentence that is said where @holds is not so.
static inline void fuzz_demand(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}
