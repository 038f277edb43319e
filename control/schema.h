// SPDX-License-Identifier: BSD-2-Clause
//
// The one schema of services, for YAML and JSON (JSON is read as YAML, so that
// errors name lines): text to model, model to text. Unknown keys, wrong types and
// ranges are refused with line and field. Bounded: 8 MiB of text, 32 levels deep,
// no aliases. Pure.
#pragma once

#include <jansson.h>

#include "control/fields.h"
#include "control/model.h"

// The keys, for help and completion.
extern const struct fields schema_service_fields, schema_backend_fields, schema_check_fields;

// Decodes a whole document, {services: [...]}. Fills defaults; calls model_validate().
// On success *ret_model is the caller's. 0, -EINVAL, -E2BIG, -ENOMEM with @e filled.
int schema_decode_model(const char *text, size_t text_len, struct model **ret_model, struct err *e);

// Decodes one service (the body of PUT /v1/services/{name}; `name` may be absent, but must not
// differ; NULL: it must be there). *ret is filled with what the caller owns: model_service_fini().
int schema_decode_service(const char *text, size_t text_len, const char *name,
			  struct model_service *ret, struct err *e);

// Changes @b by a PATCH body: any of {weight, state}.
int schema_patch_backend(const char *text, size_t text_len, struct model_backend *b, struct err *e);
// Decodes a backend of @s (PUT body). *b holds the address and port that the path names (port 0:
// none): they may be absent, but must not differ. Defaults are filled.
int schema_decode_backend(const char *text, size_t text_len, const struct model_service *s,
			  struct model_backend *b, struct err *e);
// Sets keys of a service ({"idle_timeout": "30m", "check.interval": "2s", "ring": "65537"}; keys as
// in the schema, no lists; numbers may be quoted): `lbctl service set NAME KEY=VALUE` as PATCH.
int schema_patch_service(const char *text, size_t text_len, struct model_service *s, struct err *e);

// The model as a JSON tree with the schema's keys, in its order; defaults that depend on others are
// spelt out. The caller owns it. NULL: out of memory.
json_t *schema_render_json(const struct model *m);
json_t *schema_render_service_json(const struct model_service *s);
// As YAML that schema_decode_model() takes and that a person would have written. malloc'ed.
char *schema_render_yaml(const struct model *m);

const char *schema_mode_name(uint8_t mode);	    // "nat"
const char *schema_tracking_name(uint8_t tracking); // "adaptive"
const char *schema_state_name(enum model_state s);  // "drain"
