// SPDX-License-Identifier: BSD-2-Clause
//
// The distance between two words, row by row, three rows kept. Used for unknown
// keys (fields.c) and unknown commands (lbctl). Words here are short; longer ones
// are not compared. Pure.
#include "control/nearest.h"

#include <string.h>
#include <sys/param.h>

#define WORD_MAX 63

size_t nearest_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	size_t rows[3][WORD_MAX + 1];

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return MAX(a_len, b_len);
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = MIN(replaced, MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

bool nearest_is_close(const char *word, const char *known)
{
	size_t len = strlen(word);

	if (len >= 3 && !strncmp(word, known, len))
		return true;
	return nearest_distance(word, known) <= MAX(strlen(known) / 3, (size_t)1);
}
