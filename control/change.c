// SPDX-License-Identifier: BSD-2-Clause
//
// The one way to change the services: all that can fail comes first (validate, plan,
// room, network, disk), then the tables are made to show the new model, then what is
// watched and checked follows. Called by the API.
#include "control/lbd.h"

#include <errno.h>

#include "control/follow.h"

static int check_force(const struct plan *plan, const struct lbd_change *how, struct err *e)
{
	if (how->force || how->dry_run || !plan_needs_force(plan))
		return 0;
	return err_set(e, -EPERM,
		       "%zu of %zu services and %zu of %zu backends would go at once, more than "
		       "half: repeat it with --force if that is meant",
		       plan->services_gone, plan->services_before, plan->backends_gone,
		       plan->backends_before);
}

// All that can be wrong with @after before anything is touched. *ret_plan is the caller's in any
// case; NULL: there is none.
static int check(struct lbd *d, const struct model *after, const struct lbd_change *how,
		 struct plan **ret_plan, struct err *e)
{
	const struct lb_meta *meta = d->tables->rows.meta;
	const uint64_t key[2] = {meta->hash_key[0], meta->hash_key[1]};
	struct plan *plan = NULL;
	int status;

	*ret_plan = NULL;
	if (how->if_generation && how->if_generation != d->model->generation)
		return err_set(e, -ESTALE,
			       "the services are at generation %llu, not at %llu: read them again, "
			       "then repeat the change",
			       (unsigned long long)d->model->generation,
			       (unsigned long long)how->if_generation);
	status = model_validate(after, e);
	if (!status)
		status = plan_build(d->model, after, key, &plan, e);
	if (!status)
		status = check_force(plan, how, e);
	if (!status)
		status = publisher_check(d->publisher, after, e);
	if (!status)
		status = follow_check(d, after, e);
	*ret_plan = plan;
	return status;
}

static int carry_out(struct lbd *d, struct model *after, const struct lbd_change *how,
		     struct err *e)
{
	struct model *before = d->model;
	int status;

	follow_end_burst(d);
	status = store_save(d->store, after, how->cause, e);

	if (!status)
		status = publisher_apply(d->publisher, after, clock_now_s(), e);
	if (status)
		return status;
	d->model = after;
	follow_model(d);
	model_free(before);
	events_add(d->events, "change", NULL, NULL, "generation %llu: %s",
		   (unsigned long long)after->generation, how->cause);
	return 0;
}

int lbd_change(struct lbd *d, struct model *after, const struct lbd_change *how,
	       struct plan **ret_plan, struct err *e)
{
	struct plan *plan = NULL;
	int status = check(d, after, how, &plan, e);
	bool carry = !status && !how->dry_run && !plan_is_empty(plan);

	if (carry)
		status = carry_out(d, after, how, e);
	if (!carry || status)
		model_free(after);
	if (!status && ret_plan)
		*ret_plan = plan;
	else if (plan)
		plan_free(plan);
	return status;
}
