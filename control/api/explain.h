// SPDX-License-Identifier: BSD-2-Clause
//
// What the two ways to ask share: the names of rows and answers in an explanation.
// explain.c asks for a five-tuple and tells a story (explain_tell.c); capture.c asks
// for each packet of a capture, a row each.
#pragma once

#include "control/api/request.h"
#include "control/explain.h"

// What is told, and of what.
struct telling {
	struct lbd *d;
	const struct explain_query *query;
	const struct explanation *x;
	json_t *o;     // facts
	json_t *story; // the same in sentences, one each
};

// The running tables, and the kernel's routes.
struct explain_world explain_world_of(struct lbd *d);

// Fills in t->o and t->story, in the order of the walk.
void explain_tell(struct telling *t);

// The backend of a row, as people write it, into @buf of ADDRESS_TEXT_MAX bytes; "no backend" of
// row 0. Returns @buf.
const char *explain_backend_text(const struct lbd *d, uint32_t row, char *buf);
json_t *explain_backend_json(const struct lbd *d, uint32_t row); // null of row 0
// Its service's name, or null.
json_t *explain_service_json(const struct lbd *d, uint32_t row);
// {"source", "destination", "ttl", "length"}, and of a tunnel {"tunnel", "outer_source",
// "outer_destination", "outer_ttl", "outer_length"}; null: nothing leaves.
json_t *explain_leaves_json(const struct explanation *x);
// "rst"; null: no answer is sent.
json_t *explain_answer_json(const struct explanation *x);
