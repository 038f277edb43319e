// SPDX-License-Identifier: BSD-2-Clause
//
// The mirror of the kernel's routes for the replies of nat: at most LB_ROUTE_MAX a
// family, longest first, first match holds, and no match means "ask the kernel". A
// mirror must never answer what the kernel would not. So each route is a HOP where it
// has one gateway with a resolved neighbour, DIRECT where it is the host's own, and
// LOOKUP everywhere else; and a family whose routes do not fit, or that has rules
// beyond the kernel's three, keeps only what is DIRECT.
//
// Ranks: a `direct` prefix is asked before any route, and the kernel asks its local
// table before its main one whatever the lengths. What a better rank covers is left out.
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink_internal.h"

// A dump is given up here: it shrinks by what is redundant, but not from this to LB_ROUTE_MAX.
#define ROUTES_READ_MAX 512

enum rank { RANK_DIRECT, RANK_LOCAL, RANK_MAIN };

struct collection {
	struct netlink *n;
	int family; // AF_INET, AF_INET6
	enum rank rank;
	struct netlink_route rows[ROUTES_READ_MAX];
	size_t rows_n;
	bool has_other_rules;
};

// ---- prefixes ----

// Bits of the 16-byte form.
static unsigned int bits(const struct prefix *p)
{
	return p->len + (address_is_ipv4(&p->address) ? 96 : 0);
}

static bool covers(const struct prefix *a, const struct prefix *b)
{
	unsigned int n = bits(a);
	uint8_t mask = (uint8_t)(0xff00 >> (n % 8));

	if (n > bits(b) || memcmp(a->address.bytes, b->address.bytes, n / 8))
		return false;
	return n % 8 == 0 || !((a->address.bytes[n / 8] ^ b->address.bytes[n / 8]) & mask);
}

static void clear_host_bits(struct prefix *p)
{
	const struct lb_address mask = prefix_mask(p);

	for (int i = 0; i < 2; i++)
		p->address.halves[i] &= mask.halves[i];
}

static bool is_link_local(const struct prefix *p)
{
	return p->address.bytes[0] == 0xfe && (p->address.bytes[1] & 0xc0) == 0x80 && p->len >= 10;
}

// ---- reading ----

// The one gateway of a route; LOOKUP stays where there is none, or more than one way.
static void read_way(const struct nlmsghdr *message, struct netlink_route *r)
{
	const struct rtmsg *info = netlink_read_header(message, sizeof(*info));
	const struct nlattr *a, *m;
	bool has_gateway = false, is_plain = info->rtm_type == RTN_UNICAST && !info->rtm_tos;

	mnl_attr_for_each(a, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			r->ifindex = netlink_read_u32(a);
			break;
		case RTA_GATEWAY:
			r->gateway = netlink_read_address(a);
			has_gateway = true;
			break;
		case RTA_PRIORITY:
			r->metric = netlink_read_u32(a);
			break;
		case RTA_METRICS:
			mnl_attr_for_each_nested(m, a)
			{
				if (mnl_attr_get_type(m) == RTAX_MTU)
					r->mtu = netlink_read_u32(m);
			}
			break;
		case RTA_MULTIPATH:
		case RTA_ENCAP:
		case RTA_VIA:
			is_plain = false;
			break;
		}
	}
	if (is_plain && has_gateway && r->ifindex)
		r->kind = LB_ROUTE_HOP;
}

static int read_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = netlink_read_header(message, sizeof(*info));
	struct collection *c = arg;
	struct netlink_route r = {.kind = LB_ROUTE_LOOKUP, .rank = c->rank};
	const struct nlattr *a;

	if (info->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD))
		return MNL_CB_OK;
	if (c->family == AF_INET)
		r.prefix.address.bytes[10] = r.prefix.address.bytes[11] = 0xff;
	r.prefix.len = info->rtm_dst_len;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == RTA_DST)
			r.prefix.address = netlink_read_address(a);
	}
	if (!netlink_is_prefix(c->family, &r.prefix))
		return MNL_CB_OK;
	if (info->rtm_src_len)
		c->has_other_rules = true; // routes by source: only the kernel knows
	if (is_link_local(&r.prefix))
		r.prefix.len = 10;
	else if (info->rtm_type == RTN_LOCAL)
		r.kind = LB_ROUTE_DIRECT;
	else
		read_way(message, &r);
	clear_host_bits(&r.prefix);
	// A VIP is no destination of a backend's reply, and there may be hundreds.
	if (bits(&r.prefix) == 128 && netlink_is_vip(c->n, &r.prefix.address) &&
	    !netlink_is_host_address(c->n, &r.prefix.address))
		return MNL_CB_OK;
	if (c->rows_n == ROUTES_READ_MAX) {
		errno = E2BIG;
		return MNL_CB_ERROR;
	}
	c->rows[c->rows_n++] = r;
	return MNL_CB_OK;
}

static int read_table(struct netlink *n, struct collection *c, uint8_t table)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct rtmsg *info;
	int status;

	m->nlmsg_type = RTM_GETROUTE;
	m->nlmsg_flags = NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->rtm_family = c->family;
	info->rtm_table = table;
	mnl_attr_put_u32(m, RTA_TABLE, table);
	c->rank = table == RT_TABLE_LOCAL ? RANK_LOCAL : RANK_MAIN;
	status = netlink_request(n, m, read_route, c);
	return status == -ENOENT ? 0 : status; // no such table: no such routes
}

static int read_rule(const struct nlmsghdr *message, void *arg)
{
	const struct fib_rule_hdr *rule = netlink_read_header(message, sizeof(*rule));
	struct collection *c = arg;
	const struct nlattr *a;
	uint32_t priority = 0;

	mnl_attr_for_each(a, message, sizeof(*rule))
	{
		if (mnl_attr_get_type(a) == FRA_PRIORITY)
			priority = netlink_read_u32(a);
	}
	if (rule->src_len || rule->dst_len || rule->tos)
		c->has_other_rules = true;
	if (!(priority == 0 && rule->table == RT_TABLE_LOCAL) &&
	    !(priority == 32766 && rule->table == RT_TABLE_MAIN) &&
	    !(priority == 32767 && rule->table == RT_TABLE_DEFAULT))
		c->has_other_rules = true;
	return MNL_CB_OK;
}

static int read_rules(struct netlink *n, struct collection *c)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct fib_rule_hdr *rule;

	m->nlmsg_type = RTM_GETRULE;
	m->nlmsg_flags = NLM_F_DUMP;
	rule = mnl_nlmsg_put_extra_header(m, sizeof(*rule));
	rule->family = c->family;
	return netlink_request(n, m, read_rule, c);
}

// ---- making the list ----

// Longest first; of equal prefixes the one that the kernel would take first.
static int compare_routes(const void *pa, const void *pb)
{
	const struct netlink_route *a = pa, *b = pb;
	int order = (int)b->prefix.len - (int)a->prefix.len;

	if (!order)
		order = memcmp(&a->prefix.address, &b->prefix.address, sizeof(a->prefix.address));
	if (!order)
		order = (int)a->rank - (int)b->rank;
	if (!order)
		order = a->metric < b->metric ? -1 : a->metric > b->metric;
	return order;
}

static bool same_effect(const struct netlink_route *a, const struct netlink_route *b)
{
	return a->kind == b->kind &&
	       (a->kind != LB_ROUTE_HOP || (a->ifindex == b->ifindex && a->mtu == b->mtu &&
					    address_is_equal(&a->gateway, &b->gateway)));
}

static bool same_prefix(const struct netlink_route *a, const struct netlink_route *b)
{
	return a->prefix.len == b->prefix.len && covers(&a->prefix, &b->prefix);
}

// Whether row @i can go without changing any answer.
static bool is_redundant(const struct collection *c, size_t i)
{
	const struct netlink_route *r = &c->rows[i];

	if (i && same_prefix(&c->rows[i - 1], r))
		return true;
	for (size_t j = 0; j < c->rows_n; j++)
		if (c->rows[j].rank < r->rank && covers(&c->rows[j].prefix, &r->prefix))
			return true;
	for (size_t j = i + 1; j < c->rows_n; j++)
		if (!same_prefix(&c->rows[j], r) && covers(&c->rows[j].prefix, &r->prefix))
			return same_effect(&c->rows[j], r);
	return r->kind == LB_ROUTE_LOOKUP;
}

// Sorts, and leaves out what changes no answer.
static void reduce(struct collection *c)
{
	bool redundant[ROUTES_READ_MAX];
	size_t kept = 0;

	qsort(c->rows, c->rows_n, sizeof(c->rows[0]), compare_routes);
	// Two equally good routes to one prefix: the kernel's choice is not ours to guess.
	for (size_t i = 0; i + 1 < c->rows_n; i++)
		if (same_prefix(&c->rows[i], &c->rows[i + 1]) &&
		    c->rows[i].rank == c->rows[i + 1].rank &&
		    c->rows[i].metric == c->rows[i + 1].metric &&
		    !same_effect(&c->rows[i], &c->rows[i + 1]))
			c->rows[i].kind = LB_ROUTE_LOOKUP;
	for (size_t i = 0; i < c->rows_n; i++)
		redundant[i] = is_redundant(c, i);
	for (size_t i = 0; i < c->rows_n; i++)
		if (!redundant[i])
			c->rows[kept++] = c->rows[i];
	c->rows_n = kept;
}

// The list does not fit: `direct` prefixes hold, and the kernel is asked for all else.
static void keep_direct(struct collection *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->rows_n; i++)
		if (c->rows[i].rank == RANK_DIRECT)
			c->rows[kept++] = c->rows[i];
	c->rows_n = kept;
}

static void collect_direct(struct collection *c)
{
	const struct settings *s = c->n->settings;

	for (size_t i = 0; i < s->direct_n; i++) {
		struct netlink_route r = {.kind = LB_ROUTE_DIRECT, .rank = RANK_DIRECT};

		r.prefix = s->direct[i];
		clear_host_bits(&r.prefix);
		if (netlink_family(&r.prefix.address) == c->family && c->rows_n < LB_ROUTE_MAX)
			c->rows[c->rows_n++] = r;
	}
}

static int collect(struct netlink *n, int family, struct collection *c)
{
	int status;

	memset(c, 0, sizeof(*c));
	c->n = n;
	c->family = family;
	collect_direct(c);
	status = read_rules(n, c);
	if (!status)
		status = read_table(n, c, RT_TABLE_LOCAL);
	if (!status)
		status = read_table(n, c, RT_TABLE_MAIN);
	reduce(c);
	if (status == -E2BIG || c->has_other_rules || c->rows_n > LB_ROUTE_MAX) {
		keep_direct(c);
		return 0;
	}
	return status;
}

// ---- the mirror ----

static void replace_mirror(struct netlink *n, struct netlink_route *routes, size_t routes_n,
			   struct netlink_neighbour **via)
{
	struct netlink_neighbour **before = n->route_via;
	size_t before_n = n->routes_n;

	free(n->routes);
	n->routes = routes;
	n->routes_n = routes_n;
	n->route_via = via;
	for (size_t i = 0; i < before_n; i++) {
		if (!before[i])
			continue;
		before[i]->routes_n--;
		netlink_drop_neighbour(n, before[i]);
	}
	free(before);
}

void netlink_read_routes(struct netlink *n)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct netlink_route *routes = calloc(2 * LB_ROUTE_MAX, sizeof(*routes));
	struct netlink_neighbour **via =
		calloc(2 * LB_ROUTE_MAX, sizeof(struct netlink_neighbour *));
	struct collection *c = malloc(sizeof(*c));
	size_t routes_n = 0;
	int status = routes && via && c ? 0 : -ENOMEM;

	for (size_t f = 0; f < 2 && !status; f++) {
		status = collect(n, families[f], c);
		if (status)
			break;
		memcpy(routes + routes_n, c->rows, c->rows_n * sizeof(*routes));
		routes_n += c->rows_n;
	}
	free(c);
	if (status) { // interrupted by yet another change, or no memory
		free(routes);
		free(via);
		netlink_set_stale(n, NETLINK_ROUTES);
		return;
	}
	qsort(routes, routes_n, sizeof(*routes), compare_routes);
	for (size_t i = 0; i < routes_n; i++) {
		if (routes[i].kind != LB_ROUTE_HOP)
			continue;
		via[i] = netlink_get_neighbour(n, routes[i].ifindex, &routes[i].gateway);
		if (via[i])
			via[i]->routes_n++;
	}
	replace_mirror(n, routes, routes_n, via);
	netlink_publish_routes(n);
}

void netlink_publish_routes(struct netlink *n)
{
	struct publisher_route *list = calloc(n->routes_n + 1, sizeof(*list));

	if (!list)
		return netlink_set_stale(n, NETLINK_ROUTES);
	for (size_t i = 0; i < n->routes_n; i++) {
		list[i].prefix = n->routes[i].prefix;
		list[i].kind = n->routes[i].kind;
		// Without a neighbour yet the kernel is asked, and resolves it.
		if (list[i].kind == LB_ROUTE_HOP &&
		    (!n->route_via[i] ||
		     !netlink_build_hop(n, n->route_via[i], n->routes[i].mtu, &list[i].hop)))
			list[i].kind = LB_ROUTE_LOOKUP;
	}
	if (n->has_published && n->published_n == n->routes_n &&
	    !memcmp(list, n->published, n->routes_n * sizeof(*list))) {
		free(list);
		return;
	}
	free(n->published);
	n->published = list;
	n->published_n = n->routes_n;
	n->has_published = true;
	n->calls.routes_changed(n->calls.arg, list, n->routes_n);
}

void netlink_fini_routes(struct netlink *n)
{
	replace_mirror(n, NULL, 0, NULL);
	free(n->published);
}
