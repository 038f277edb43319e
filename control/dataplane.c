// SPDX-License-Identifier: BSD-2-Clause
//
// Which dataplane it is: the one place of lbd where the two ways part. Called by the
// start, by netlink's events and by what shows the state.
#include "control/dataplane.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dpdk.h"
#include "control/pins.h"
#include "control/tap.h"
#include "control/trace.h"

#define NOTE_MAX 256

static bool is_dpdk(const struct settings *s)
{
	return s->dataplane == SETTINGS_DPDK;
}

int dataplane_check(const struct settings *s, struct err *e)
{
	int status = 0;

	if (!is_dpdk(s)) {
		status = pins_check(s, e);
		return status ? status : xdp_check(s, e);
	}
	for (size_t i = 0; i < s->interfaces_n && !status; i++) {
		status = tap_check(s->interfaces[i].name, e);
		if (status)
			snprintf(e->field, sizeof(e->field), "interfaces[%zu].name", i);
	}
	return status;
}

static int open_dpdk(struct lbd *d, const uint64_t hash_key[2], struct err *e)
{
	char note[NOTE_MAX];
	int status = tables_open_file(d->settings, hash_key, &d->tables, note, sizeof(note), e);

	if (status)
		return status;
	trace_remove_file(d->settings);
	if (note[0])
		events_add(d->events, "start", NULL, NULL, "%s", note);
	return dpdk_new(d, &d->dpdk, e);
}

int dataplane_open(struct lbd *d, const uint64_t hash_key[2], struct err *e)
{
	int status;

	if (is_dpdk(d->settings))
		return open_dpdk(d, hash_key, e);
	status = tables_open(d->settings, hash_key, &d->tables, e);
	return status ? status : xdp_load(d->settings, d->tables, &d->xdp, e);
}

int dataplane_attach(struct lbd *d, struct err *e)
{
	return d->xdp ? xdp_attach(d->xdp, e) : 0;
}

static void warn_interfaces(struct lbd *d)
{
	size_t n = d->settings->interfaces_n;
	struct dataplane_interface *all = calloc(n, sizeof(*all));
	char key[32];

	if (!all)
		return;
	dataplane_each_interface(d, all, n);
	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "xdp-%s", all[i].name);
		if (all[i].warning[0])
			events_set_warning(d->events, key, "%s", all[i].warning);
		else
			events_clear_warning(d->events, key);
	}
	free(all);
}

int dataplane_watch(struct lbd *d, struct err *e)
{
	warn_interfaces(d);
	return d->dpdk ? dpdk_watch(d->dpdk, e) : 0;
}

void dataplane_refresh(struct lbd *d)
{
	if (d->xdp)
		xdp_refresh(d->xdp);
	else if (d->dpdk)
		dpdk_refresh(d->dpdk);
	else
		return;
	warn_interfaces(d);
}

void dataplane_close(struct lbd *d)
{
	xdp_free(d->xdp);
	dpdk_free(d->dpdk);
	tables_close(d->tables);
}

int dataplane_detach(const struct settings *s, struct err *e)
{
	if (!is_dpdk(s))
		return xdp_detach(s, e);
	trace_remove_file(s);
	tables_remove_file(s);
	return 0;
}

// ---- shown ----

static struct dataplane_interface of_xdp(const struct xdp_interface_view *v)
{
	struct dataplane_interface all = {.attached = v->attached};

	memcpy(all.name, v->name, sizeof(all.name));
	memcpy(all.warning, v->warning, sizeof(all.warning));
	strcpy(all.how, !v->attached ? "none" : v->native ? "native" : "generic");
	return all;
}

static struct dataplane_interface of_dpdk(const struct dpdk_interface_view *v)
{
	struct dataplane_interface all = {.attached = v->attached};

	memcpy(all.name, v->name, sizeof(all.name));
	memcpy(all.warning, v->warning, sizeof(all.warning));
	snprintf(all.how, sizeof(all.how), "%s", v->port[0] ? v->port : "none");
	return all;
}

size_t dataplane_each_interface(const struct lbd *d, struct dataplane_interface *ret,
				size_t ret_max)
{
	size_t n = d->settings->interfaces_n;
	struct dpdk_interface_view *ports = calloc(n, sizeof(*ports));
	struct xdp_interface_view *views = calloc(n, sizeof(*views));

	if (!views || !ports)
		n = 0;
	if (d->xdp)
		xdp_each_interface(d->xdp, views, n);
	else if (d->dpdk)
		dpdk_each_interface(d->dpdk, ports, n);
	else
		n = 0;
	for (size_t i = 0; i < n && i < ret_max; i++)
		ret[i] = d->xdp ? of_xdp(&views[i]) : of_dpdk(&ports[i]);
	free(ports);
	free(views);
	return n;
}
