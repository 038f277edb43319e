// SPDX-License-Identifier: BSD-2-Clause
//
// What would change between two models: what is added, changed, removed, and the
// share of each service's slots that moves. Pure.
#pragma once

#include <jansson.h>

#include "control/model.h"

enum plan_kind { PLAN_ADDED, PLAN_CHANGED, PLAN_REMOVED, PLAN_REPLACED };

struct plan_item {
	enum plan_kind kind;
	char service[MODEL_NAME_MAX + 1];
	char backend[ADDRESS_TEXT_MAX]; // "": the service itself
	char text[160]; // "weight 100 -> 50", "mode nat -> l2 (its connections break)"
};

struct plan_share {
	char service[MODEL_NAME_MAX + 1];
	double moved; // 0 to 1, of the slots that a service has before and after
};

struct plan {
	struct plan_item *items; // owned
	size_t items_n;
	struct plan_share *shares; // owned; services that stay and whose slots move
	size_t shares_n;
	size_t services_before, services_gone;
	size_t backends_before, backends_gone;
};

// @key: the rings' key, so that the shares are the real ones (all eligible backends taken as
// healthy). Refuses with -EINVAL a changed ring (fixed once the service exists). The caller frees
// *ret with plan_free(). 0, -EINVAL, -ENOMEM.
int plan_build(const struct model *before, const struct model *after, const uint64_t key[2],
	       struct plan **ret, struct err *e);
void plan_free(struct plan *p);

// More than half of the services, or of the backends, would go at once: needs --force.
bool plan_needs_force(const struct plan *p);
bool plan_is_empty(const struct plan *p);

// {"changes": [{"kind", "service", "backend"?, "text"}], "moved": [{"service", "share"}]}
json_t *plan_render_json(const struct plan *p);
