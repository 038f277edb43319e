// SPDX-License-Identifier: BSD-2-Clause
//
// Any bytes into everything that decodes by the tables of keys: services, one
// service, a backend, patches, lbd.yaml. Beyond not crashing: what is taken must
// render to YAML that is taken again and renders alike; what is refused must say so
// in a sentence, and change nothing that was passed in.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/schema.h"
#include "control/settings.h"
#include "fuzz.h"

static void demand(bool holds, const char *what, const char *text)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n%s\n", what, text);
	abort();
}

static void demand_refusal(int r, const struct err *e)
{
	demand(r == e->code && e->text[0], "refused without a sentence", e->field);
}

static void try_model(const char *text, size_t len)
{
	struct model *m, *back;
	char *yaml, *again;
	struct err e = {0};
	int r = schema_decode_model(text, len, &m, &e);

	if (r < 0) {
		demand_refusal(r, &e);
		return;
	}
	yaml = schema_render_yaml(m);
	r = schema_decode_model(yaml, strlen(yaml), &back, &e);
	demand(r == 0, e.text, yaml);
	again = schema_render_yaml(back);
	demand(!strcmp(yaml, again), "renders differently the second time", yaml);
	free(yaml);
	free(again);
	model_free(m);
	model_free(back);
}

// @s: patched, where the text is a patch.
static void try_patch(const char *text, size_t len, struct model_service *s)
{
	struct model whole = {.services = s, .services_n = 1};
	char *before = schema_render_yaml(&whole), *after;
	struct err e = {0};
	int r = schema_patch_service(text, len, s, &e);

	after = schema_render_yaml(&whole);
	if (r < 0) {
		demand_refusal(r, &e);
		demand(!strcmp(before, after), "a refused patch changed it", after);
	}
	free(before);
	free(after);
}

static void try_service(const char *text, size_t len)
{
	static const char web[] = "{vips: [203.0.113.10], port: 80, check: http, "
				  "backends: [{address: 10.1.0.11}]}";
	struct model_service s;
	struct err e = {0};

	if (schema_decode_service(text, len, "web", &s, &e) == 0) {
		try_patch(text, len, &s);
		model_service_fini(&s);
	}
	demand(schema_decode_service(web, strlen(web), "web", &s, &e) == 0, e.text, web);
	try_patch(text, len, &s);
	model_service_fini(&s);
}

static void try_backend(const char *text, size_t len)
{
	const struct model_service s = {.port = 80};
	struct model_backend b = {.weight = 1}, before = b;
	struct err e = {0};

	if (schema_decode_backend(text, len, &s, &b, &e) < 0)
		demand(!memcmp(&b, &before, sizeof(b)), "a refused backend changed it", e.text);
	before = b;
	if (schema_patch_backend(text, len, &b, &e) < 0)
		demand(!memcmp(&b, &before, sizeof(b)), "a refused patch changed it", e.text);
}

static void try_settings(const char *text, size_t len)
{
	struct settings *s;
	struct err e = {0};
	int r = settings_decode(text, len, &s, &e);

	if (r < 0)
		demand_refusal(r, &e);
	else
		settings_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;

	try_model(text, len);
	try_service(text, len);
	try_backend(text, len);
	try_settings(text, len);
	return 0;
}
