// SPDX-License-Identifier: BSD-2-Clause
//
// A model as text: JSON for programs, and YAML as a person would have written it
// (`lbctl export`, the kept generations). The YAML is written from the JSON tree: a
// list of maps becomes a block, what is inside them is written in one line. Quotes
// only where a reader of YAML could take a plain word for something else. Pure.
#include "control/schema.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

json_t *schema_render_service_json(const struct model_service *s)
{
	return fields_render(&schema_service_fields, s, false);
}

json_t *schema_render_json(const struct model *m)
{
	json_t *services = json_array();

	for (size_t i = 0; i < m->services_n && services; i++) {
		json_t *s = schema_render_service_json(&m->services[i]);

		if (json_array_append_new(services, s) < 0) {
			json_decref(services);
			services = NULL;
		}
	}
	return json_pack("{s:o}", "services", services);
}

// Whether @text can stand without quotes, in braces too, and is no number, boolean or null.
static bool is_plain(const char *text)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on",
					    "off",  "null",  "y",   "n"};
	size_t len = strlen(text);
	char *end;

	if (!len || (!isalnum((unsigned char)text[0]) && text[0] != '/') || text[len - 1] == ':')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._/-:", text[i]))
			return false;
	for (size_t i = 0; i < FIELDS_N(words); i++)
		if (!strcasecmp(text, words[i]))
			return false;
	strtod(text, &end);
	return *end != 0;
}

static void write_scalar(FILE *out, const json_t *value)
{
	if (json_is_string(value) && is_plain(json_string_value(value)))
		fputs(json_string_value(value), out);
	else if (json_is_integer(value))
		fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else
		json_dumpf(value, out, JSON_ENCODE_ANY); // a JSON string is a quoted YAML one
}

static void write_inline(FILE *out, json_t *value)
{
	const char *key, *comma = "";
	json_t *item;
	size_t i;

	if (json_is_array(value)) {
		fputc('[', out);
		json_array_foreach (value, i, item) {
			fputs(comma, out);
			write_inline(out, item);
			comma = ", ";
		}
		fputc(']', out);
	} else if (json_is_object(value)) {
		fputc('{', out);
		json_object_foreach (value, key, item) {
			fprintf(out, "%s%s: ", comma, key);
			write_inline(out, item);
			comma = ", ";
		}
		fputc('}', out);
	} else {
		write_scalar(out, value);
	}
}

static bool is_list_of_maps(const json_t *value)
{
	return json_is_object(json_array_get(value, 0));
}

static void write_service(FILE *out, json_t *service)
{
	const char *key, *indent = "  - ";
	json_t *value, *item;
	size_t i;

	json_object_foreach (service, key, value) {
		fprintf(out, "%s%s:", indent, key);
		indent = "    ";
		if (!is_list_of_maps(value)) {
			fputc(' ', out);
			write_inline(out, value);
			fputc('\n', out);
			continue;
		}
		fputc('\n', out);
		json_array_foreach (value, i, item) {
			fputs("      - ", out);
			write_inline(out, item);
			fputc('\n', out);
		}
	}
}

// One after the other: a service's tree is small, and is gone before the next is made.
static int write_services(FILE *out, const struct model *m)
{
	for (size_t i = 0; i < m->services_n; i++) {
		json_t *s = fields_render(&schema_service_fields, &m->services[i], true);

		if (!s)
			return -ENOMEM;
		write_service(out, s);
		json_decref(s);
	}
	return 0;
}

char *schema_render_yaml(const struct model *m)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int status;

	if (!out)
		return NULL;
	__fsetlocking(out, FSETLOCKING_BYCALLER); // nobody else has it
	fputs(m->services_n ? "services:\n" : "services: []\n", out);
	status = write_services(out, m);
	if (fclose(out) != 0 || status) {
		free(text);
		text = NULL;
	}
	return text;
}
