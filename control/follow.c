// SPDX-License-Identifier: BSD-2-Clause
//
// What the parts tell each other: netlink and health tell the publisher; the model and
// the publisher tell netlink and health what to watch. And the sweep: ten small steps a
// second while any slot is in transition, one in five seconds otherwise.
#include "control/follow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/dataplane.h"
#include "control/follow_network.h"

#define SWEEP_BUSY_MS 100
#define SWEEP_IDLE_MS 5000
// A whole table takes this many busy steps: a few seconds.
#define SWEEP_STEPS 50
#define SWEEP_LINES_MIN 4096
// Answers of neighbours and checks come in bursts: rings are built once for those of this long.
#define BURST_MS 5

struct follow {
	struct lbd *d;
	struct event *sweep, *release;
	bool is_busy;	   // sweeping in busy steps
	bool is_held;	   // rings wait for the end of a burst
	bool hops_changed; // their warning is to be looked at
	bool is_guarded;   // else it is tried again
	uint32_t sweep_lines;
};

// ---- what the model tells ----

// What the publisher's rows say: the model's backends, and those that are leaving.
struct wanted {
	const struct model *model;
	const struct model_service *service; // of the row before: rows come by service
	struct lb_address *addresses;
	struct health_target *targets;
	size_t addresses_n, targets_n, max;
	bool is_full; // out of memory
};

static bool grow(struct wanted *w)
{
	size_t max = w->max ? w->max * 2 : 64;
	struct lb_address *addresses = realloc(w->addresses, max * sizeof(*addresses));
	struct health_target *targets;

	if (addresses)
		w->addresses = addresses;
	targets = addresses ? realloc(w->targets, max * sizeof(*targets)) : NULL;
	if (!targets)
		return false;
	w->targets = targets;
	w->max = max;
	return true;
}

static bool add_wanted(const struct publisher_backend_view *view, void *arg)
{
	struct wanted *w = arg;
	const struct model_service *s = w->service;

	if (w->addresses_n == w->max && !grow(w)) {
		w->is_full = true;
		return false;
	}
	w->addresses[w->addresses_n++] = view->address;
	if (!s || strcmp(s->name, view->service))
		s = w->service = model_lookup_service(w->model, view->service);
	// Of a service that is gone no check is known: its leaving backends stay as they are.
	if (s && s->check.type != MODEL_CHECK_NONE && view->state != MODEL_DISABLED)
		w->targets[w->targets_n++] = (struct health_target){
			.service = s->name,
			.address = view->address,
			.port = view->port,
			.check = &s->check,
			.initial = view->health,
		};
	return true;
}

// Watches and checks what the tables have.
static void set_followed(struct lbd *d)
{
	struct wanted w = {.model = d->model};
	struct err e = {.text = "out of memory"};
	int status = -ENOMEM;

	publisher_each_backend(d->publisher, NULL, add_wanted, &w);
	if (!w.is_full)
		status = health_set_targets(d->health, w.targets, w.targets_n, &e);
	if (!status)
		status = netlink_set_watched(d->netlink, w.addresses, w.addresses_n);
	if (status)
		events_set_warning(d->events, "follow",
				   "not every backend is checked and watched: %s", e.text);
	else
		events_clear_warning(d->events, "follow");
	free(w.targets);
	free(w.addresses);
	d->follow->hops_changed = true;
}

// ---- sweeping ----

static void set_sweep(struct follow *f, bool busy)
{
	const struct timeval delay = {.tv_sec = busy ? 0 : SWEEP_IDLE_MS / 1000,
				      .tv_usec = busy ? SWEEP_BUSY_MS * 1000 : 0};

	f->is_busy = busy;
	event_add(f->sweep, &delay);
}

// After any change of the tables: there may be something to settle.
static void sweep_soon(struct lbd *d)
{
	if (!d->follow->is_busy)
		set_sweep(d->follow, true);
}

// ---- bursts ----

// Before what netlink and health tell goes to the publisher.
static void begin_burst(struct lbd *d)
{
	const struct timeval delay = {.tv_usec = BURST_MS * 1000};

	sweep_soon(d);
	if (d->follow->is_held)
		return;
	d->follow->is_held = true;
	publisher_hold(d->publisher);
	event_add(d->follow->release, &delay);
}

void follow_end_burst(struct lbd *d)
{
	if (!d->follow->is_held)
		return;
	d->follow->is_held = false;
	event_del(d->follow->release);
	publisher_release(d->publisher, clock_now_s());
}

static void on_release(evutil_socket_t fd, short what, void *arg)
{
	follow_end_burst(arg);
}

// One warning for all: there may be thousands.
static void warn_hops(struct lbd *d)
{
	struct lb_address first;
	char text[ADDRESS_TEXT_MAX];
	size_t n = netlink_count_unresolved(d->netlink, &first);

	d->follow->hops_changed = false;
	if (n)
		events_set_warning(
			d->events, "hops",
			"%zu backend %s no new connections, %s first: no route leads to it, or "
			"its neighbour does not answer",
			n,
			n == 1 ? "address has no next hop and gets"
			       : "addresses have no next hop and get",
			address_render(&first, text));
	else
		events_clear_warning(d->events, "hops");
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct follow *f = arg;
	struct lbd *d = f->d;
	bool was_busy = f->is_busy;
	uint32_t leaving_n = publisher_count_leaving(d->publisher);
	bool busy = publisher_sweep(d->publisher, f->sweep_lines, clock_now_s());
	bool is_one_gone = publisher_count_leaving(d->publisher) < leaving_n;
	const char *warning = health_get_warning(d->health);

	set_sweep(f, busy);
	// Nobody needs the next hop, the checks and the guard of a backend that is gone.
	if (is_one_gone || (was_busy && !busy))
		set_followed(d);
	if (is_one_gone || (!busy && (was_busy || !f->is_guarded)))
		f->is_guarded = follow_set_guard(d);
	if (f->hops_changed) {
		warn_hops(d);
		follow_warn_interfaces(d);
	}
	if (warning)
		events_set_warning(d->events, "health", "%s", warning);
	else
		events_clear_warning(d->events, "health");
}

// ---- what netlink and health tell ----

static void on_hop(void *arg, const struct lb_address *address, const struct publisher_hop *hop)
{
	struct lbd *d = arg;

	begin_burst(d);
	publisher_set_hop(d->publisher, address, hop, clock_now_s());
	d->follow->hops_changed = true;
}

static void on_routes(void *arg, const struct publisher_route *routes, size_t routes_n)
{
	struct lbd *d = arg;

	publisher_set_routes(d->publisher, routes, routes_n, clock_now_s());
	sweep_soon(d);
}

static void on_interface(void *arg)
{
	dataplane_refresh(arg);
}

static void on_links(void *arg)
{
	struct lbd *d = arg;

	dataplane_refresh(d);
	follow_set_sources(d);
	follow_set_vips(d);
	follow_warn_forwarding(d);
	follow_warn_network(d);
}

const struct netlink_calls follow_netlink_calls = {
	.hop_changed = on_hop,
	.routes_changed = on_routes,
	.links_changed = on_links,
	.interface_came = on_interface,
};

void follow_health(void *arg, const char *service, const struct lb_address *address, uint16_t port,
		   enum health_state state, const char *cause)
{
	static const char *const names[] = {"unknown", "up", "down"};
	char text[ADDRESS_TEXT_MAX];
	struct lbd *d = arg;

	begin_burst(d);
	publisher_set_health(d->publisher, service, address, port, state, clock_now_s());
	events_add(d->events, "health", service, address_render_port(address, port, text),
		   "is %s: %s", names[state], cause);
}

void follow_guard_lost(void *arg)
{
	struct lbd *d = arg;

	events_add(d->events, "warning", NULL, NULL,
		   "the nftables table inet sluice or what is in it was taken away (`nft flush "
		   "ruleset`?); it is put there again");
	d->follow->is_guarded = follow_set_guard(d);
}

void follow_model(struct lbd *d)
{
	set_followed(d);
	d->follow->is_guarded = follow_set_guard(d);
	follow_set_vips(d);
	follow_warn_forwarding(d);
	events_clear_warning(d->events, "network");
	sweep_soon(d);
}

// ---- made and ended ----

int follow_new(struct lbd *d, struct follow **ret, struct err *e)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->d = d;
	f->sweep_lines = (d->tables->rows.meta->connection_mask + 1) / SWEEP_STEPS;
	if (f->sweep_lines < SWEEP_LINES_MIN)
		f->sweep_lines = SWEEP_LINES_MIN;
	f->sweep = evtimer_new(d->base, on_sweep, f);
	f->release = evtimer_new(d->base, on_release, d);
	if (!f->sweep || !f->release) {
		follow_free(f);
		return err_set(e, -ENOMEM, "out of memory");
	}
	set_sweep(f, true);
	*ret = f;
	return 0;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	if (f->sweep)
		event_free(f->sweep);
	if (f->release)
		event_free(f->release);
	free(f);
}
