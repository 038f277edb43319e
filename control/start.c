// SPDX-License-Identifier: BSD-2-Clause
//
// The start of lbd, in the order that what is refused is refused before anything is
// changed: first all that is only looked at (interfaces, the bpf filesystem, the kept
// services, the tables, whether the program loads), then the tables are made to
// show the model, and only then is the program attached, or swapped for this one.
#include "control/start.h"

#include <errno.h>
#include <unistd.h>

#include "control/api.h"
#include "control/dataplane.h"
#include "control/environment.h"
#include "control/follow.h"
#include "control/hash_key.h"

// Opens all that the daemon reads and writes; changes none of it, but makes what is not there yet.
static int open_state(struct lbd *d, int lock_fds[2], struct err *e)
{
	uint64_t key[2];
	int status = environment_check_privileges(d->settings, e);

	if (!status)
		status = dataplane_check(d->settings, e);
	if (!status)
		status = environment_lock(d->settings, lock_fds, e);
	if (!status)
		status = store_open(d->settings->state_dir, &d->store, e);
	if (!status)
		status = store_load(d->store, &d->model, e);
	if (!status)
		status = hash_key_open(d->settings, key, e);
	if (!status)
		status = dataplane_open(d, key, e);
	return status;
}

static int open_netlink(struct lbd *d, struct err *e)
{
	struct netlink_calls calls = follow_netlink_calls;

	calls.arg = d;
	return netlink_open(d->base, d->settings, &calls, &d->netlink, e);
}

// Makes the tables show the model, then the program run on them.
static int publish(struct lbd *d, struct err *e)
{
	int status = publisher_new(&d->tables->rows, &d->publisher, e);

	if (!status)
		status = open_netlink(d, e);
	if (status)
		return status;
	follow_set_sources(d);
	status = publisher_adopt(d->publisher, d->model, clock_now_s(), e);
	if (!status)
		status = dataplane_attach(d, e);
	return status;
}

static int begin_following(struct lbd *d, struct err *e)
{
	int status = health_new(d->base, follow_health, d, &d->health, e);

	if (!status)
		status = follow_new(d, &d->follow, e);
	if (!status)
		status = guard_open(d->base, d->settings, follow_guard_lost, d, &d->guard, e);
	if (status)
		return status;
	follow_model(d);
	follow_warn_network(d);
	status = dataplane_watch(d, e);
	if (status)
		return status;
	return api_start(d, &d->api, e);
}

// What this start made, as far as it came.
static void take_back(struct lbd *d)
{
	struct err unused;

	dataplane_detach(d->settings, &unused);
	if (!d->guard)
		return;
	netlink_set_vips(d->netlink, NULL, 0, &unused);
	guard_remove(&unused);
}

int start_run(struct lbd *d, struct err *e)
{
	int lock_fds[2] = {-1, -1}; // held to the end of the process
	int status;

	d->started_ns = clock_now_ns();
	status = open_state(d, lock_fds, e);
	if (!status)
		status = publish(d, e);
	if (!status)
		status = begin_following(d, e);
	if (status) {
		if (d->tables && !d->tables->is_adopted)
			take_back(d);
		return status;
	}
	events_add(d->events, "start", NULL, NULL,
		   "lbd " LBD_VERSION ": generation %llu, %zu services, %s",
		   (unsigned long long)d->model->generation, d->model->services_n,
		   d->tables->is_adopted ? "tables taken over" : "tables made");
	return 0;
}

void start_stop(struct lbd *d)
{
	if (d->api)
		api_stop(d->api);
	if (d->health)
		health_free(d->health);
	follow_free(d->follow);
	guard_close(d->guard);
	if (d->netlink)
		netlink_close(d->netlink);
	if (d->publisher)
		publisher_free(d->publisher);
	dataplane_close(d);
	if (d->route_fd > 0)
		close(d->route_fd);
	if (d->store)
		store_close(d->store);
	model_free(d->model);
}
