// SPDX-License-Identifier: BSD-2-Clause
//
// How far a mistyped word is from a known one, to suggest what was meant. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// Insertions, deletions, replacements and swaps of neighbours that make @b of @a (Damerau,
// optimal string alignment); of words longer than 63 the difference counts as the whole word.
size_t nearest_distance(const char *a, const char *b);
// Whether @known is near enough to @word to be suggested: its beginning, or wrong in at
// most a third of its letters (but one).
bool nearest_is_close(const char *word, const char *known);
