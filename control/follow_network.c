// SPDX-License-Identifier: BSD-2-Clause
//
// What a model needs of the host: VIPs on loopback, a source for tunnels, backends of
// l2 on a connected network, forwarding for the replies of nat. Asked of netlink and
// sysctl; what is missing is refused in a change, and a warning later.
#include "control/follow_network.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/follow.h"

// ---- VIPs ----

static int compare_addresses(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_address));
}

static size_t collect_vips(const struct lbd *d, struct lb_address *vips)
{
	size_t n = 0, unique = 0;

	for (size_t i = 0; i < d->model->services_n; i++) {
		const struct model_service *s = &d->model->services[i];

		memcpy(vips + n, s->vips, s->vips_n * sizeof(*vips));
		n += s->vips_n;
	}
	qsort(vips, n, sizeof(*vips), compare_addresses);
	for (size_t i = 0; i < n; i++)
		if (!i || compare_addresses(&vips[i], &vips[i - 1]))
			vips[unique++] = vips[i];
	return unique;
}

void follow_set_vips(struct lbd *d)
{
	struct lb_address *vips =
		malloc((d->model->services_n * MODEL_VIPS_MAX + 1) * sizeof(*vips));
	struct err e = {.text = "out of memory"};
	size_t vips_n, kept = 0;
	int status = -ENOMEM;

	if (vips) {
		vips_n = collect_vips(d, vips);
		for (size_t i = 0; i < vips_n; i++) {
			bool own = netlink_is_host_address(d->netlink, &vips[i]);

			publisher_set_vip_of_host(d->publisher, &vips[i], own);
			if (!own)
				vips[kept++] = vips[i];
		}
		status = netlink_set_vips(d->netlink, vips, kept, &e);
	}
	if (status)
		events_set_warning(d->events, "vips", "%s", e.text);
	else
		events_clear_warning(d->events, "vips");
	free(vips);
}

// ---- the guard ----

static bool add_key(struct guard_keys *k, size_t *max, const struct guard_key *key)
{
	size_t grown = *max ? *max * 2 : 64;
	struct guard_key *keys = k->keys;

	if (k->n == *max) {
		keys = realloc(keys, grown * sizeof(*keys));
		if (!keys)
			return false;
		k->keys = keys;
		*max = grown;
	}
	k->keys[k->n++] = *key;
	return true;
}

static bool add_services(const struct model *m, struct guard_keys *k)
{
	size_t max = 0;

	for (size_t i = 0; i < m->services_n; i++) {
		const struct model_service *s = &m->services[i];
		struct guard_key key = {.port = s->port, .protocol = s->protocol};

		for (size_t j = 0; j < s->vips_n; j++) {
			key.address = s->vips[j];
			if (!add_key(k, &max, &key))
				return false;
		}
	}
	return true;
}

struct backend_keys {
	const struct lb_backend *rows;
	struct guard_keys *keys;
	size_t max;
	bool is_full; // out of memory
};

static bool add_backend(const struct publisher_backend_view *view, void *arg)
{
	struct backend_keys *b = arg;
	const struct lb_backend *row = &b->rows[view->row];
	const struct guard_key key = {
		.address = view->address, .port = view->port, .protocol = row->protocol};

	b->is_full = row->mode == LB_MODE_NAT && !add_key(b->keys, &b->max, &key);
	return !b->is_full;
}

bool follow_set_guard(struct lbd *d)
{
	struct guard_wanted wanted = {};
	struct backend_keys b = {.rows = d->tables->rows.backends, .keys = &wanted.backends};
	struct err e = {.text = "guard: out of memory"};
	int status = -ENOMEM;

	publisher_each_backend(d->publisher, NULL, add_backend, &b);
	if (!b.is_full && add_services(d->model, &wanted.services)) {
		status = guard_put(d->guard, &wanted, &e);
	} else {
		free(wanted.services.keys);
		free(wanted.backends.keys);
	}
	if (status)
		events_set_warning(d->events, "guard", "%s", e.text);
	else
		events_clear_warning(d->events, "guard");
	return !status;
}

// ---- tunnels ----

static void set_source(struct lbd *d, int family, bool is_given, const struct prefix *given,
		       struct lb_tunnel_source *source)
{
	struct lb_tunnel_source next = {.is_set = 1};
	unsigned int fixed_bits = 128;

	if (is_given) {
		next.address = given->address;
		fixed_bits = given->len + (family == 4 ? 96 : 0);
	} else if (netlink_lookup_source(d->netlink,
					 if_nametoindex(d->settings->interfaces[0].name), family,
					 &next.address)) {
		return; // what there was stays: connections in tunnels go on
	}
	for (unsigned int i = fixed_bits; i < 128; i++) {
		next.host_bits.bytes[i / 8] |= 0x80 >> i % 8;
		next.address.bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	}
	if (memcmp(source, &next, sizeof(next)))
		*source = next;
}

void follow_set_sources(struct lbd *d)
{
	struct lb_meta *meta = d->tables->rows.meta;

	set_source(d, 4, d->settings->has_source4, &d->settings->source4, &meta->source4);
	set_source(d, 6, d->settings->has_source6, &d->settings->source6, &meta->source6);
	meta->gue_port = htons(d->settings->gue_port);
	for (int i = 0; i < LB_RATE_N; i++)
		meta->rates[i] = d->settings->rates[i];
}

static bool has_source(const struct lbd *d, const struct lb_address *backend)
{
	const struct lb_meta *meta = d->tables->rows.meta;

	return address_is_ipv4(backend) ? meta->source4.is_set : meta->source6.is_set;
}

static int check_backend(const struct lbd *d, const struct model_service *s,
			 const struct model_backend *b, const char *field, struct err *e)
{
	char text[ADDRESS_TEXT_MAX];
	int family = address_family(&b->address);

	if (s->mode == LB_MODE_L2 && !netlink_is_connected(d->netlink, &b->address))
		return err_set_field(
			e, -EINVAL, b->line, field,
			"%s is not on a network that an interface of lbd.yaml is "
			"connected to, which mode l2 needs; nat, ipip or gue reach it by a "
			"gateway",
			address_render(&b->address, text));
	if ((s->mode == LB_MODE_IPIP || s->mode == LB_MODE_GUE) && !has_source(d, &b->address))
		return err_set_field(
			e, -EINVAL, b->line, field,
			"a tunnel to %s needs an outer IPv%d source: give interface %s "
			"an IPv%d address, or set `source: {ipv%d: ...}` in lbd.yaml",
			address_render(&b->address, text), family, d->settings->interfaces[0].name,
			family, family);
	return 0;
}

int follow_check(const struct lbd *d, const struct model *m, struct err *e)
{
	for (size_t i = 0; i < m->services_n; i++) {
		const struct model_service *s = &m->services[i];

		for (size_t j = 0; j < s->backends_n; j++) {
			char field[80];
			int status;

			snprintf(field, sizeof(field), "services[%zu].backends[%zu].address", i, j);
			status = check_backend(d, s, &s->backends[j], field, e);
			if (status)
				return status;
		}
	}
	return 0;
}

// ---- warnings ----

static bool is_forwarding(const char *interface, int family)
{
	char path[128];
	FILE *file;
	int c;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%d/conf/%s/forwarding", family, interface);
	file = fopen(path, "re");
	if (!file)
		return true; // no such family here, or the interface is gone: another warning's
	c = fgetc(file);
	fclose(file);
	return c != '0';
}

static bool has_nat(const struct model *m, int family)
{
	for (size_t i = 0; i < m->services_n; i++)
		for (size_t j = 0; j < m->services[i].vips_n; j++)
			if (m->services[i].mode == LB_MODE_NAT &&
			    address_family(&m->services[i].vips[j]) == family)
				return true;
	return false;
}

static void warn_forwarding_of(struct lbd *d, int family)
{
	const char *off = NULL;
	char key[32];

	// lb-dpdk forwards by itself, whatever the kernel may.
	for (size_t i = 0; d->xdp && i < d->settings->interfaces_n && !off; i++)
		if (!is_forwarding(d->settings->interfaces[i].name, family))
			off = d->settings->interfaces[i].name;
	snprintf(key, sizeof(key), "forwarding-ipv%d", family);
	if (off && has_nat(d->model, family))
		events_set_warning(
			d->events, key,
			"IPv%d forwarding is off on %s: replies of nat to clients on its "
			"networks are dropped (forwarding_off); `sysctl -w "
			"net/ipv%d/conf/%s/forwarding=1` switches it on",
			family, off, family, off);
	else
		events_clear_warning(d->events, key);
}

void follow_warn_forwarding(struct lbd *d)
{
	warn_forwarding_of(d, 4);
	warn_forwarding_of(d, 6);
}

struct stray {
	const struct lbd *d;
	struct lb_address backend;
	uint32_t known_ifindex;	     // of the row before, and in the settings
	char interface[IF_NAMESIZE]; // "": there is none
};

static bool is_in_settings(const struct settings *s, const char *interface)
{
	for (size_t i = 0; i < s->interfaces_n; i++)
		if (!strcmp(s->interfaces[i].name, interface))
			return true;
	return false;
}

static bool find_stray(const struct publisher_backend_view *view, void *arg)
{
	struct stray *stray = arg;
	const struct lb_tables *rows = &stray->d->tables->rows;
	const struct lb_backend *row = &rows->backends[view->row];
	uint32_t ifindex = rows->hops[row->hop].link.ifindex;

	// To ask for a name costs a socket: not for each of thousands.
	if (row->mode != LB_MODE_NAT || !row->hop || ifindex == stray->known_ifindex)
		return true;
	if (!if_indextoname(ifindex, stray->interface) ||
	    is_in_settings(stray->d->settings, stray->interface)) {
		stray->interface[0] = '\0';
		stray->known_ifindex = ifindex;
		return true;
	}
	stray->backend = view->address;
	return false;
}

void follow_warn_interfaces(struct lbd *d)
{
	struct stray stray = {.d = d};
	char text[ADDRESS_TEXT_MAX];

	if (d->xdp) // a port of lb-dpdk is always in the settings
		publisher_each_backend(d->publisher, NULL, find_stray, &stray);
	if (stray.interface[0])
		events_set_warning(
			d->events, "interfaces",
			"backend %s of mode nat is reached by %s, which `interfaces` of lbd.yaml "
			"does not name: its replies come in there and are not rewritten, so "
			"clients get no answer; name %s too, and restart lbd",
			address_render(&stray.backend, text), stray.interface, stray.interface);
	else
		events_clear_warning(d->events, "interfaces");
}

void follow_warn_network(struct lbd *d)
{
	struct err e = {};
	char text[sizeof(e.text) + sizeof(e.field)];

	if (follow_check(d, d->model, &e))
		events_set_warning(d->events, "network", "%s",
				   err_render(&e, NULL, text, sizeof(text)));
	else
		events_clear_warning(d->events, "network");
}
