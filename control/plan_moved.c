// SPDX-License-Identifier: BSD-2-Clause
//
// Two rings are compared slot by slot, so the share is what will happen, not an
// estimate; all backends that may have slots are taken as healthy. Values in the
// rings are ranks in the sorted union of both sets of backends, so that the same
// backend has the same value before and after. Called by plan.c. Pure.
#include "control/plan_moved.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/maglev.h"

// A ring's backends, sorted by address and port.
struct set {
	struct maglev_backend *list;
	size_t n;
};

static int compare(const void *x, const void *y)
{
	const struct maglev_backend *a = x, *b = y;
	int c = memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes));

	return c ? c : (int)a->port - (int)b->port;
}

// @family: of the ring's VIPs. A tunnel takes its backends of either family.
static int set_init(struct set *set, const struct model_service *s, int family)
{
	set->n = 0;
	set->list = calloc(s->backends_n + 1, sizeof(*set->list));
	if (!set->list)
		return -ENOMEM;
	for (size_t i = 0; i < s->backends_n; i++) {
		const struct model_backend *b = &s->backends[i];
		bool is_tunnel = s->mode == LB_MODE_IPIP || s->mode == LB_MODE_GUE;

		if (b->state != MODEL_ENABLED || !b->weight)
			continue;
		if (is_tunnel || address_family(&b->address) == family)
			set->list[set->n++] = (struct maglev_backend){
				.address = b->address, .port = b->port, .weight = b->weight};
	}
	qsort(set->list, set->n, sizeof(*set->list), compare);
	return 0;
}

// Numbers both sets' backends from 1, equal ones alike. Returns whether the sets differ.
static bool number(struct set *before, struct set *after)
{
	bool is_changed = before->n != after->n;
	uint32_t value = 0;
	size_t i = 0, j = 0;

	while (i < before->n || j < after->n) {
		struct maglev_backend *a = i < before->n ? &before->list[i] : NULL;
		struct maglev_backend *b = j < after->n ? &after->list[j] : NULL;
		int c = !a ? 1 : !b ? -1 : compare(a, b);

		value++;
		if (c <= 0) {
			a->value = value;
			i++;
		}
		if (c >= 0) {
			b->value = value;
			j++;
		}
		is_changed |= c || a->weight != b->weight;
	}
	return is_changed;
}

static int count_moved(const struct set *before, const struct set *after, const uint64_t key[2],
		       uint32_t slots_n, uint64_t *ret_moved)
{
	uint32_t *old = calloc(slots_n, sizeof(*old)), *new = calloc(slots_n, sizeof(*new));
	uint64_t moved = 0;
	int r = -ENOMEM;

	if (old && new)
		r = maglev_build(before->list, before->n, key, old, slots_n);
	if (r == 0)
		r = maglev_build(after->list, after->n, key, new, slots_n);
	for (uint32_t i = 0; i < slots_n && r == 0; i++)
		moved += old[i] != new[i];
	free(old);
	free(new);
	if (r == 0)
		*ret_moved = moved;
	return r;
}

static bool has_family(const struct model_service *s, int family)
{
	for (size_t i = 0; i < s->vips_n; i++)
		if (address_family(&s->vips[i]) == family)
			return true;
	return false;
}

int plan_moved(const struct model_service *before, const struct model_service *after,
	       const uint64_t key[2], double *ret_moved)
{
	uint64_t slots = 0, moved = 0;

	for (int family = 4; family <= 6; family += 2) {
		struct set a = {0}, b = {0};
		uint64_t ring_moved = 0;
		int r;

		if (!has_family(before, family) || !has_family(after, family))
			continue;
		r = set_init(&a, before, family);
		r = r ? r : set_init(&b, after, family);
		if (r == 0 && number(&a, &b))
			r = count_moved(&a, &b, key, after->ring, &ring_moved);
		free(a.list);
		free(b.list);
		if (r < 0)
			return r;
		slots += after->ring;
		moved += ring_moved;
	}
	*ret_moved = slots ? (double)moved / (double)slots : 0;
	return 0;
}
