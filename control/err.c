// SPDX-License-Identifier: BSD-2-Clause
//
// struct err: filled where something was refused or failed, rendered where a
// person reads it (the API's problem+json, lbctl, the log). Whoever fills it
// returns it; whoever shows it renders it; nobody does both. Pure.
#include "control/err.h"

#include <stdarg.h>
#include <stdio.h>

static int fill(struct err *e, int code, int line, const char *field, const char *format,
		va_list args)
{
	e->code = code;
	e->line = line;
	snprintf(e->field, sizeof(e->field), "%s", field);
	vsnprintf(e->text, sizeof(e->text), format, args);
	return code;
}

int err_set(struct err *e, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(e, code, 0, "", format, args);
	va_end(args);
	return code;
}

int err_set_field(struct err *e, int code, int line, const char *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fill(e, code, line, field, format, args);
	va_end(args);
	return code;
}

const char *err_render(const struct err *e, const char *file, char *buf, size_t buf_len)
{
	const char *colon = e->field[0] ? ": " : "";

	if (file && e->line)
		snprintf(buf, buf_len, "%s%s%s (%s:%d)", e->field, colon, e->text, file, e->line);
	else if (file && e->field[0])
		snprintf(buf, buf_len, "%s: %s (%s)", e->field, e->text, file);
	else if (file) // it is about the file itself
		snprintf(buf, buf_len, "%s: %s", file, e->text);
	else if (e->line)
		snprintf(buf, buf_len, "%s%s%s (line %d)", e->field, colon, e->text, e->line);
	else
		snprintf(buf, buf_len, "%s%s%s", e->field, colon, e->text);
	return buf;
}
