// SPDX-License-Identifier: BSD-2-Clause
//
// What a person reads when something was refused or failed. A function of the
// control side that can fail takes a struct err, and on failure fills and returns
// it in one statement: return err_set(e, -ENOENT, "...: no such service; `lbctl
// service list` shows them", name). The API, lbctl and the log show the same
// sentence. It names the object, the cause and the mend.
#pragma once

#include <stddef.h>

struct err {
	int code;	 // negative errno
	int line;	 // 1-based line of the input; 0: none
	char field[128]; // "services[2].backends[0].weight"; "": none
	char text[384];	 // without field and line
};

// Each fills @e and returns @code.
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int err_set_field(struct err *e, int code, int line, const char *field, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

// Renders "field: text (file:line)" into @buf, less what is absent; "file: text" where there is
// neither field nor line. @file may be NULL.
// Returns @buf.
const char *err_render(const struct err *e, const char *file, char *buf, size_t buf_len);
