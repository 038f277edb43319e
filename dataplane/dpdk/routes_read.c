// SPDX-License-Identifier: BSD-2-Clause
//
// Dumps of the kernel's links, routes and neighbours. Of routes the local and the main
// table, as the kernel asks them; rules that the operator has added beside its own
// three are not followed. Called by routes.c on the main lcore.
#include "routes_read.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink_message.h"

#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define WAYS_MAX 64

struct link {
	uint32_t ifindex, mtu;
	uint8_t mac[6];
	bool is_usable;
};

struct reading {
	struct netlink_rows links, routes, hops, neighbours;
};

static struct reading start_reading(void)
{
	return (struct reading){.links.row_bytes = sizeof(struct link),
				.routes.row_bytes = sizeof(struct fib_route),
				.hops.row_bytes = sizeof(struct fib_hop),
				.neighbours.row_bytes = sizeof(struct neighbour)};
}

static void end_reading(struct reading *r)
{
	free(r->links.rows);
	free(r->routes.rows);
	free(r->hops.rows);
	free(r->neighbours.rows);
}

// ---- asking ----

static int no_memory(void)
{
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

// @message is a dump; calls @each for every message of the answer. 0 or a negative errno.
static int dump(struct mnl_socket *s, struct nlmsghdr *message, mnl_cb_t each, struct reading *r)
{
	static char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));
	static uint32_t sequence;
	int status = 0;

	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++sequence;
	if (mnl_socket_sendto(s, message, message->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t len = mnl_socket_recvfrom(s, buf, sizeof(buf));
		int run;

		// The kernel goes on with a dump in recv(): this waits for nobody.
		if (len <= 0)
			return status ? status : len ? -errno : -EIO;
		run = mnl_cb_run(buf, len, sequence, mnl_socket_get_portid(s), each, r);
		// What is left of an answer is read, so that it is not taken for the next one's.
		if (run < 0)
			status = -errno;
		if (run == MNL_CB_STOP)
			return status;
	}
}

// ---- links ----

static int read_link(const struct nlmsghdr *message, void *arg)
{
	const struct ifinfomsg *info = netlink_read_header(message, sizeof(*info));
	struct link *l = netlink_rows_add(&((struct reading *)arg)->links);
	const struct nlattr *a;

	if (!l)
		return no_memory();
	l->ifindex = info->ifi_index;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == IFLA_MTU)
			l->mtu = netlink_read_u32(a);
		if (mnl_attr_get_type(a) != IFLA_ADDRESS ||
		    mnl_attr_get_payload_len(a) != sizeof(l->mac))
			continue;
		memcpy(l->mac, mnl_attr_get_payload(a), sizeof(l->mac));
		l->is_usable = info->ifi_flags & IFF_UP && info->ifi_type == ARPHRD_ETHER;
	}
	return MNL_CB_OK;
}

static int dump_links(struct mnl_socket *s, struct reading *r)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);

	m->nlmsg_type = RTM_GETLINK;
	mnl_nlmsg_put_extra_header(m, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return dump(s, m, read_link, r);
}

static const struct link *find_link(const struct reading *r, uint32_t ifindex)
{
	const struct link *links = r->links.rows;

	for (size_t i = 0; i < r->links.n; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

// ---- routes ----

// What the kernel's kinds of routes mean for a packet that is forwarded (rtnetlink(7)).
static enum lb_reason reason_of(uint8_t type)
{
	switch (type) {
	case RTN_UNICAST:
		return LB_REASON_REPLY;
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return LB_REASON_ROUTE_REFUSED;
	default:
		return LB_REASON_ROUTE_LOCAL;
	}
}

// What of a way its attributes say: those of the route itself, or of one of its ways.
static void read_way(const struct nlattr *a, struct fib_hop *hop)
{
	const struct nlattr *metric;

	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
		hop->ifindex = netlink_read_u32(a);
		break;
	case RTA_GATEWAY:
		hop->gateway = netlink_read_address(a);
		hop->has_gateway = true;
		break;
	case RTA_VIA: // IPv4 by way of an IPv6 gateway (RFC 5549)
		if (mnl_attr_get_payload_len(a) == sizeof(struct rtvia) + sizeof(hop->gateway)) {
			const struct rtvia *via = mnl_attr_get_payload(a);

			memcpy(&hop->gateway, via->rtvia_addr, sizeof(hop->gateway));
			hop->has_gateway = true;
		}
		break;
	case RTA_ENCAP: // what the kernel wraps around it is the kernel's affair
		hop->reason = LB_REASON_ROUTE_LOCAL;
		break;
	case RTA_METRICS:
		mnl_attr_for_each_nested(metric, a)
		{
			if (mnl_attr_get_type(metric) == RTAX_MTU)
				hop->mtu = netlink_read_u32(metric);
		}
		break;
	}
}

// Fills in what the interface says; one that cannot send leaves the packet to the kernel.
static int add_hop(struct reading *r, struct fib_hop hop)
{
	const struct link *link = find_link(r, hop.ifindex);
	struct fib_hop *row = netlink_rows_add(&r->hops);

	if (!row)
		return -ENOMEM;
	if (hop.reason == LB_REASON_REPLY && (!link || !link->is_usable))
		hop.reason = LB_REASON_ROUTE_LOCAL;
	if (hop.reason == LB_REASON_REPLY) {
		hop.mtu = hop.mtu && hop.mtu < link->mtu ? hop.mtu : link->mtu;
		memcpy(hop.source, link->mac, sizeof(hop.source));
	}
	*row = hop;
	return 0;
}

// The ways of a multipath route, each as often as its weight says.
static int add_ways(struct reading *r, const struct nlattr *multipath, struct fib_hop common)
{
	const struct rtnexthop *way = mnl_attr_get_payload(multipath);
	int left = mnl_attr_get_payload_len(multipath), added = 0;
	size_t first = r->hops.n;

	for (; RTNH_OK(way, left); left -= NLMSG_ALIGN(way->rtnh_len), way = RTNH_NEXT(way)) {
		struct fib_hop hop = common;
		const struct nlattr *attr;

		hop.ifindex = way->rtnh_ifindex;
		mnl_attr_for_each_payload((const void *)RTNH_DATA(way),
					  way->rtnh_len - sizeof(*way)) read_way(attr, &hop);
		if (way->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN))
			continue;
		for (int i = 0; i <= way->rtnh_hops && added < WAYS_MAX; i++, added++)
			if (add_hop(r, hop))
				return -ENOMEM;
	}
	for (size_t i = first; i < r->hops.n; i++)
		((struct fib_hop *)r->hops.rows)[i].ways_n = (uint32_t)(r->hops.n - i);
	return 0;
}

static int read_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *info = netlink_read_header(message, sizeof(*info));
	struct fib_hop hop = {.reason = reason_of(info->rtm_type), .ways_n = 1};
	const struct nlattr *a, *multipath = NULL;
	struct fib_route route = {.prefix.len = info->rtm_dst_len,
				  .rank = info->rtm_table == RT_TABLE_LOCAL ? 0 : 1};
	struct reading *r = arg;
	struct fib_route *row;

	if ((info->rtm_table != RT_TABLE_LOCAL && info->rtm_table != RT_TABLE_MAIN) ||
	    info->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD) || info->rtm_src_len || info->rtm_tos)
		return MNL_CB_OK;
	if (info->rtm_family == AF_INET)
		route.prefix.address.bytes[10] = route.prefix.address.bytes[11] = 0xff;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == RTA_DST)
			route.prefix.address = netlink_read_address(a);
		else if (mnl_attr_get_type(a) == RTA_PRIORITY)
			route.metric = netlink_read_u32(a);
		else if (mnl_attr_get_type(a) == RTA_MULTIPATH)
			multipath = a;
		read_way(a, &hop);
	}
	if (!netlink_is_prefix(info->rtm_family, &route.prefix))
		return MNL_CB_OK;
	route.hop = (uint32_t)r->hops.n;
	if (multipath ? add_ways(r, multipath, hop) : add_hop(r, hop))
		return no_memory();
	if (r->hops.n == route.hop)
		return MNL_CB_OK; // all its ways are dead
	row = netlink_rows_add(&r->routes);
	if (!row)
		return no_memory();
	*row = route;
	return MNL_CB_OK;
}

static int dump_routes(struct mnl_socket *s, int family, struct reading *r)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct rtmsg *info;

	m->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->rtm_family = family;
	return dump(s, m, read_route, r);
}

static int failed(int status, struct err *e)
{
	return status == -EINTR ? status
				: err_set(e, status, "cannot read the kernel's routes: %s",
					  strerror(-status));
}

int routes_read_fib(struct mnl_socket *s, struct fib **ret, struct err *e)
{
	struct reading r = start_reading();
	int status = dump_links(s, &r);

	if (!status)
		status = dump_routes(s, AF_INET, &r);
	if (!status)
		status = dump_routes(s, AF_INET6, &r);
	if (status)
		failed(status, e);
	else
		status = fib_new(r.routes.rows, r.routes.n, r.hops.rows, r.hops.n, ret, e);
	end_reading(&r);
	return status;
}

// ---- neighbours ----

static int read_neighbour(const struct nlmsghdr *message, void *arg)
{
	const struct ndmsg *info = netlink_read_header(message, sizeof(*info));
	const struct nlattr *a, *mac = NULL, *address = NULL;
	struct neighbour *row;

	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == NDA_DST)
			address = a;
		else if (mnl_attr_get_type(a) == NDA_LLADDR)
			mac = a;
	}
	if (!(info->ndm_state & NUD_VALID) || !address || !mac ||
	    mnl_attr_get_payload_len(mac) != sizeof(row->mac))
		return MNL_CB_OK;
	row = netlink_rows_add(&((struct reading *)arg)->neighbours);
	if (!row)
		return no_memory();
	row->ifindex = info->ndm_ifindex;
	row->address = netlink_read_address(address);
	memcpy(row->mac, mnl_attr_get_payload(mac), sizeof(row->mac));
	return MNL_CB_OK;
}

static int dump_neighbours(struct mnl_socket *s, int family, struct reading *r)
{
	char buf[256];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);
	struct ndmsg *info;

	m->nlmsg_type = RTM_GETNEIGH;
	info = mnl_nlmsg_put_extra_header(m, sizeof(*info));
	info->ndm_family = family;
	return dump(s, m, read_neighbour, r);
}

int routes_read_neighbours(struct mnl_socket *s, struct neighbours **ret, struct err *e)
{
	struct reading r = start_reading();
	int status = dump_neighbours(s, AF_INET, &r);

	if (!status)
		status = dump_neighbours(s, AF_INET6, &r);
	if (status)
		failed(status, e);
	else if ((status = neighbours_new(r.neighbours.rows, r.neighbours.n, ret)))
		err_set(e, status, "neighbours: out of memory");
	end_reading(&r);
	return status;
}
