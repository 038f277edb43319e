// SPDX-License-Identifier: BSD-2-Clause
//
// Mirrors what this host delivers locally into the program's table `local`, by
// rtnetlink (libmnl). The kernel's own answer is taken: its routes of type `local`
// (RFC 1122, 3.3.4.2), which hold each address and, for a prefix on loopback or an
// `ip route add local`, the whole prefix. Loopback's and link-local ones are left
// out: nobody sends them through a tunnel.
//
// Two sockets: one hears that something changed, the other asks what there is. On
// any change everything is asked again, and the difference is written; an overrun
// (ENOBUFS) is then just another change.
#include "tools/lb-decap/decap.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <poll.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink_message.h"

#define MESSAGES_BYTES 32768 // of netlink at once, as the kernel fills them
#define DUMP_TRIES 8	     // of a dump that changes interrupted

struct keys {
	struct decap_key *items; // owned; sorted
	size_t n, room;
};

struct local {
	int map_fd;
	struct mnl_socket *events, *queries;
	unsigned int seq;
	struct keys held; // what the table holds
};

struct decap_key decap_key_of(const struct lb_address *address, unsigned int len)
{
	struct decap_key key = {.bits = len + (address_is_ipv4(address) ? 96 : 0)};

	memcpy(key.words, address->bytes, sizeof(key.words));
	return key;
}

static int open_socket(struct mnl_socket **ret, struct err *e)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0) {
		int code = -errno;

		if (s)
			mnl_socket_close(s);
		return err_set(e, code, "netlink: cannot be opened: %s", strerror(-code));
	}
	*ret = s;
	return 0;
}

int local_open(int map_fd, struct local **ret, struct err *e)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
	struct local *l = calloc(1, sizeof(*l));
	int on = 1, code;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	l->map_fd = map_fd;
	code = open_socket(&l->queries, e);
	if (!code)
		code = open_socket(&l->events, e);
	if (code) {
		local_close(l);
		return code;
	}
	// Lets the kernel leave out of a dump what is not asked for: hosts with many routes.
	mnl_socket_setsockopt(l->queries, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (mnl_socket_setsockopt(l->events, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i],
					  sizeof(groups[i])) < 0) {
			code = err_set(e, -errno, "netlink: no notifications: %s", strerror(errno));
			local_close(l);
			return code;
		}
	*ret = l;
	return 0;
}

void local_close(struct local *l)
{
	if (!l)
		return;
	if (l->events)
		mnl_socket_close(l->events);
	if (l->queries)
		mnl_socket_close(l->queries);
	free(l->held.items);
	free(l);
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct decap_key));
}

static int add_key(struct keys *keys, const struct decap_key *key)
{
	if (keys->n == keys->room) {
		size_t room = keys->room ? 2 * keys->room : 64;
		struct decap_key *items = realloc(keys->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		keys->items = items;
		keys->room = room;
	}
	keys->items[keys->n++] = *key;
	return 0;
}

// One route of a dump; @arg is the struct keys.
static int on_route(const struct nlmsghdr *message, void *arg)
{
	const struct rtmsg *route = netlink_read_header(message, sizeof(*route));
	struct lb_address address = {0};
	const struct nlattr *attribute;
	struct decap_key key;

	if (route->rtm_type != RTN_LOCAL)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*route))
	{
		if (mnl_attr_get_type(attribute) == RTA_DST)
			address = netlink_read_address(attribute);
	}
	if (!address_is_usable(&address))
		return MNL_CB_OK;
	key = decap_key_of(&address, route->rtm_dst_len);
	errno = -add_key(arg, &key);
	return errno ? MNL_CB_ERROR : MNL_CB_OK;
}

// Adds the local prefixes of a family to @keys. -EINTR: something changed meanwhile, ask again.
static int dump(struct local *l, int family, struct keys *keys)
{
	char buf[MESSAGES_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	unsigned int port = mnl_socket_get_portid(l->queries);
	struct rtmsg *route;
	int rc = MNL_CB_OK;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = ++l->seq;
	route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
	route->rtm_family = family;
	route->rtm_table = RT_TABLE_LOCAL;
	route->rtm_type = RTN_LOCAL;
	if (mnl_socket_sendto(l->queries, request, request->nlmsg_len) < 0)
		return -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(l->queries, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		rc = mnl_cb_run(buf, n, request->nlmsg_seq, port, on_route, keys);
	}
	return rc < 0 ? -errno : 0;
}

static int dump_all(struct local *l, struct keys *ret)
{
	int code = -EINTR;

	for (int i = 0; i < DUMP_TRIES && code == -EINTR; i++) {
		ret->n = 0;
		code = dump(l, AF_INET, ret);
		if (!code)
			code = dump(l, AF_INET6, ret);
	}
	if (!code)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare_keys);
	return code;
}

// Writes to the table what is in one sorted list and not in the other.
static int write_difference(struct local *l, const struct keys *now)
{
	const struct keys *held = &l->held;
	const __u32 one = 1;
	size_t i = 0, j = 0;

	while (i < now->n || j < held->n) {
		int order = i == now->n	   ? 1
			    : j == held->n ? -1
					   : compare_keys(&now->items[i], &held->items[j]);

		if (order < 0 && bpf_map_update_elem(l->map_fd, &now->items[i], &one, BPF_ANY))
			return -errno;
		if (order > 0)
			bpf_map_delete_elem(l->map_fd, &held->items[j]);
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

int local_sync(struct local *l, size_t *ret_n, struct err *e)
{
	struct keys now = {0};
	int code = dump_all(l, &now);

	if (code) {
		free(now.items);
		return err_set(e, code, "the host's addresses cannot be read: %s", strerror(-code));
	}
	code = write_difference(l, &now);
	if (code) {
		free(now.items);
		return err_set(e, code,
			       "%zu local addresses and prefixes do not fit (at most %d): %s",
			       now.n, DECAP_LOCAL_MAX, strerror(-code));
	}
	free(l->held.items);
	l->held = now;
	*ret_n = now.n;
	return 0;
}

struct change {
	unsigned int ifindex;
	bool of_local, of_link;
};

static int on_event(const struct nlmsghdr *message, void *arg)
{
	struct change *change = arg;

	if (message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK) {
		const struct ifinfomsg *link = netlink_read_header(message, sizeof(*link));

		change->of_link |= (unsigned int)link->ifi_index == change->ifindex;
	} else {
		const struct rtmsg *route = netlink_read_header(message, sizeof(*route));

		change->of_local |= route->rtm_type == RTN_LOCAL;
	}
	return MNL_CB_OK;
}

// Waits until one of the two can be read.
static int wait_for(int events_fd, int watch_fd)
{
	struct pollfd fds[] = {{events_fd, POLLIN, 0}, {watch_fd, POLLIN, 0}};

	return poll(fds, 2, -1) < 0 && errno != EINTR ? -errno : fds[1].revents;
}

int local_follow(struct local *l, unsigned int ifindex, int watch_fd, struct err *e)
{
	struct change change = {.ifindex = ifindex};

	while (!change.of_link) {
		int seen = wait_for(mnl_socket_get_fd(l->events), watch_fd), code = 0;
		char buf[MESSAGES_BYTES];
		size_t prefixes_n;
		ssize_t n;

		if (seen)
			return seen < 0 ? err_set(e, seen, "poll: %s", strerror(-seen)) : 0;
		change.of_local = false;
		while ((n = recv(mnl_socket_get_fd(l->events), buf, sizeof(buf), MSG_DONTWAIT)) > 0)
			mnl_cb_run(buf, n, 0, 0, on_event, &change);
		if (n < 0 && errno == ENOBUFS)
			change.of_local = change.of_link = true;
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			return err_set(e, -errno, "netlink: %s", strerror(errno));
		if (change.of_local)
			code = local_sync(l, &prefixes_n, e);
		if (code)
			return code;
	}
	return 0;
}
