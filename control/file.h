// SPDX-License-Identifier: BSD-2-Clause
//
// Small files, whole: read with a bound, written so that a crash leaves the old or
// the new one, never half of one. And locks, which end with their process.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control/err.h"

// Reads @path; *ret_text is malloc'ed, with a NUL behind it that *ret_len does not count. 0, -E2BIG
// (more than @max_bytes), or what the system said, with @e filled (without the path).
int file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len, struct err *e);

// Writes @text as @dir/@name, of @mode: aside (".NAME.tmp"), fsynced, renamed, the directory
// fsynced. On failure what was there stays, and nothing is left aside. 0, or what the system said,
// with @e filled.
int file_write(const char *dir, const char *name, const char *text, size_t text_len, mode_t mode,
	       struct err *e);

// Locks @fd, which is open for writing, until it is closed. False: it is locked by another open
// file, of whatever process.
bool file_lock(int fd);
bool file_is_locked(int fd); // by another open file
