// SPDX-License-Identifier: BSD-2-Clause
//
// The next hop of each watched address: the kernel's route to it names an interface
// and a gateway (or none: it is on the link), whose neighbour entry has the MAC. Told
// once per change; an address whose route or neighbour is not known yet is told as
// unresolved only when its first answer is overdue, so that a restarted lbd does not
// take away what the tables still have right.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink_internal.h"

#define LOOKUPS_MAX 256 // a turn of the loop: about two milliseconds

static int compare_watched(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lb_address));
}

// ---- routes to destinations ----

static void read_metrics(const struct nlattr *metrics, struct netlink_answer *answer)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, metrics)
	{
		if (mnl_attr_get_type(a) == RTAX_MTU)
			answer->mtu = netlink_read_u32(a);
	}
}

static int read_route_answer(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = netlink_read_header(message, sizeof(*info));
	struct netlink_answer *answer = arg;
	const struct nlattr *a;

	answer->type = info->rtm_type;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case RTA_OIF:
			answer->ifindex = netlink_read_u32(a);
			break;
		case RTA_GATEWAY:
			answer->gateway = netlink_read_address(a);
			answer->has_gateway = true;
			break;
		case RTA_VIA: // IPv4 by way of an IPv6 gateway (RFC 5549)
			if (mnl_attr_get_payload_len(a) ==
			    sizeof(struct rtvia) + sizeof(answer->gateway)) {
				const struct rtvia *via = mnl_attr_get_payload(a);

				memcpy(&answer->gateway, via->rtvia_addr, sizeof(answer->gateway));
				answer->has_gateway = true;
			}
			break;
		case RTA_METRICS:
			read_metrics(a, answer);
			break;
		}
	}
	return MNL_CB_OK;
}

int netlink_ask_route(struct netlink *n, const struct lb_address *address,
		      struct netlink_answer *ret)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct netlink_answer answer = {.gateway = *address};
	struct rtmsg *info;
	int status;

	m->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->rtm_family = netlink_family(address);
	info->rtm_dst_len = address_is_ipv4(address) ? 32 : 128;
	netlink_put_address(m, RTA_DST, address);
	status = netlink_request(n, m, read_route_answer, &answer);
	if (!status)
		*ret = answer;
	return status;
}

// ---- hops ----

bool netlink_build_hop(const struct netlink *n, const struct netlink_neighbour *via,
		       uint32_t route_mtu, struct publisher_hop *ret)
{
	const struct netlink_link *link = netlink_lookup_link(n, via->key.ifindex);
	struct publisher_hop hop = {};

	if (!link || !link->is_up || !link->has_mac || !via->has_mac)
		return false;
	hop.ifindex = link->ifindex;
	hop.mtu = route_mtu && route_mtu < link->mtu ? route_mtu : link->mtu;
	memcpy(hop.destination, via->mac, sizeof(hop.destination));
	memcpy(hop.source, link->mac, sizeof(hop.source));
	*ret = hop;
	return true;
}

void netlink_report_watched(struct netlink *n, struct netlink_watched *w)
{
	struct publisher_hop hop;
	bool awaited = w->via && w->via->give_up_ms > clock_now_ms();

	if (w->via && netlink_build_hop(n, w->via, w->route_mtu, &hop)) {
		hop.is_gateway = !address_is_equal(&w->via->key.address, &w->address);
		if (w->reported == NETLINK_RESOLVED && !memcmp(&hop, &w->hop, sizeof(hop)))
			return;
		w->reported = NETLINK_RESOLVED;
		w->hop = hop;
		n->calls.hop_changed(n->calls.arg, &w->address, &hop);
	} else if (!awaited && w->reported != NETLINK_UNRESOLVED) {
		w->reported = NETLINK_UNRESOLVED;
		n->calls.hop_changed(n->calls.arg, &w->address, NULL);
	}
}

size_t netlink_count_unresolved(const struct netlink *n, struct lb_address *ret_first)
{
	const struct netlink_watched *w;
	size_t count = 0;

	LIST_FOREACH(w, &n->watched, all)
	{
		if (w->reported != NETLINK_UNRESOLVED)
			continue;
		if (!count++)
			*ret_first = w->address;
	}
	return count;
}

static void set_via(struct netlink *n, struct netlink_watched *w, struct netlink_neighbour *via)
{
	struct netlink_neighbour *before = w->via;

	if (before == via)
		return;
	if (before)
		LIST_REMOVE(w, of_neighbour);
	w->via = via;
	if (via)
		LIST_INSERT_HEAD(&via->users, w, of_neighbour);
	if (before)
		netlink_drop_neighbour(n, before);
}

static void look_up(struct netlink *n, struct netlink_watched *w)
{
	struct netlink_neighbour *via = NULL;
	struct netlink_answer answer;
	int status = netlink_ask_route(n, &w->address, &answer);

	if (netlink_is_passing(status)) {
		netlink_set_stale(n, NETLINK_ROUTES);
		return;
	}
	if (!status && answer.type == RTN_UNICAST) {
		w->route_mtu = answer.mtu;
		via = netlink_get_neighbour(n, answer.ifindex, &answer.gateway);
	}
	set_via(n, w, via);
	netlink_report_watched(n, w);
}

// ---- the queue ----

static void start_lookups(struct netlink *n)
{
	const struct timeval now = {};

	if (!TAILQ_EMPTY(&n->pending) && !event_pending(n->lookups, EV_TIMEOUT, NULL))
		event_add(n->lookups, &now);
}

static void queue(struct netlink *n, struct netlink_watched *w)
{
	if (!w->is_pending)
		TAILQ_INSERT_TAIL(&n->pending, w, pending);
	w->is_pending = true;
}

void netlink_requeue_watched(struct netlink *n)
{
	struct netlink_watched *w;

	LIST_FOREACH(w, &n->watched, all)
	queue(n, w);
	start_lookups(n);
}

void netlink_run_lookups(struct netlink *n)
{
	struct netlink_watched *w;

	for (int i = 0; i < LOOKUPS_MAX && (w = TAILQ_FIRST(&n->pending)); i++) {
		TAILQ_REMOVE(&n->pending, w, pending);
		w->is_pending = false;
		look_up(n, w);
	}
	start_lookups(n);
}

// ---- which addresses ----

static void forget(struct netlink *n, struct netlink_watched *w)
{
	set_via(n, w, NULL);
	if (w->is_pending)
		TAILQ_REMOVE(&n->pending, w, pending);
	tdelete(w, &n->watched_tree, compare_watched);
	LIST_REMOVE(w, all);
	free(w);
}

int netlink_set_watched(struct netlink *n, const struct lb_address *addresses, size_t addresses_n)
{
	struct netlink_watched *w, *next;

	n->round++;
	for (size_t i = 0; i < addresses_n; i++) {
		struct netlink_watched **place =
			tfind(&addresses[i], &n->watched_tree, compare_watched);

		if (place) {
			(*place)->round = n->round;
			continue;
		}
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->address = addresses[i];
		w->round = n->round;
		if (!tsearch(w, &n->watched_tree, compare_watched)) {
			free(w);
			return -ENOMEM;
		}
		LIST_INSERT_HEAD(&n->watched, w, all);
		queue(n, w);
	}
	for (w = LIST_FIRST(&n->watched); w; w = next) {
		next = LIST_NEXT(w, all);
		if (w->round != n->round)
			forget(n, w);
	}
	start_lookups(n);
	return 0;
}

void netlink_fini_hops(struct netlink *n)
{
	while (!LIST_EMPTY(&n->watched))
		forget(n, LIST_FIRST(&n->watched));
}
