// SPDX-License-Identifier: BSD-2-Clause
//
// What a fuzz target defines, under the name that libFuzzer calls. Linked with
// mutate.c it is a test; with clang -fsanitize=fuzzer,address,undefined instead, a
// fuzzer that is led by coverage. Corpora are in corpus/TARGET.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Aborts where something that must hold does not. Returns 0.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
