// SPDX-License-Identifier: BSD-2-Clause
//
// The sockets of the netlink part, and when it looks again. Two sockets (rtnetlink,
// RFC 3549): `events` is told of changes and lives in the loop; `requests` is for
// questions, which the kernel answers at once. A burst of events is one look, at most
// five a second; an overrun (ENOBUFS) makes everything stale.
#include "control/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/netlink_internal.h"

#define SETTLE_MS 20	  // after the first event of a burst
#define SETTLE_GAP_MS 200 // between two looks
#define RETRY_MS 250
#define RECEIVE_BYTES (1 << 20)
#define RECEIVES_MAX 64 // a turn of the loop; the rest comes in the next

static const int groups[] = {
	RTNLGRP_LINK,	      RTNLGRP_NEIGH,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE,   RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
	RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF,
};

// ---- requests ----

static struct mnl_socket *open_socket(struct err *e)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (s && !mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID))
		return s;
	if (e)
		err_set(e, -errno, "cannot open a netlink socket: %s", strerror(errno));
	if (s)
		mnl_socket_close(s);
	return NULL;
}

static struct mnl_socket *open_requests(struct err *e)
{
	struct mnl_socket *s = open_socket(e);
	int on = 1;

	// The kernel then filters dumps by table, and refuses what it does not understand.
	if (s)
		mnl_socket_setsockopt(s, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return s;
}

// What is left of an answer must not be taken for the next one's: a new socket.
static int give_up_answer(struct netlink *n, int status)
{
	struct mnl_socket *s = open_requests(NULL);

	if (s) {
		mnl_socket_close(n->requests);
		n->requests = s;
	}
	return status;
}

int netlink_request(struct netlink *n, struct nlmsghdr *message, mnl_cb_t each, void *arg)
{
	bool dump = (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	message->nlmsg_flags |= NLM_F_REQUEST | (dump ? 0 : NLM_F_ACK);
	message->nlmsg_seq = ++n->sequence;
	if (mnl_socket_sendto(n->requests, message, message->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t len = mnl_socket_recvfrom(n->requests, buf, sizeof(buf));
		int status;

		if (len <= 0)
			return give_up_answer(n, len ? -errno : -EIO);
		status = mnl_cb_run(buf, len, message->nlmsg_seq,
				    mnl_socket_get_portid(n->requests), each, arg);
		if (status < 0)
			return dump ? give_up_answer(n, -errno) : -errno;
		if (status == MNL_CB_STOP)
			return 0;
	}
}

bool netlink_is_passing(int status)
{
	return status == -ENOBUFS || status == -ENOMEM || status == -EAGAIN || status == -EINTR ||
	       status == -EIO;
}

// ---- events ----

void netlink_set_stale(struct netlink *n, unsigned int what)
{
	uint64_t now_ms = clock_now_ms(), at_ms = now_ms + SETTLE_MS;
	struct timeval delay;

	n->stale |= what;
	if (event_pending(n->settle, EV_TIMEOUT, NULL))
		return;
	if (at_ms < n->settled_ms + SETTLE_GAP_MS)
		at_ms = n->settled_ms + SETTLE_GAP_MS;
	delay.tv_sec = (at_ms - now_ms) / 1000;
	delay.tv_usec = (at_ms - now_ms) % 1000 * 1000;
	event_add(n->settle, &delay);
}

static bool is_configured(const struct netlink *n, const char *name)
{
	for (size_t i = 0; i < n->settings->interfaces_n; i++)
		if (!strcmp(n->settings->interfaces[i].name, name))
			return true;
	return false;
}

// An interface of lbd.yaml that was not there before, or not under this name: until it has its
// program, nothing that comes by it is balanced.
static bool is_new_interface(const struct netlink *n, const struct nlmsghdr *message)
{
	const struct ifinfomsg *info = netlink_read_header(message, sizeof(*info));
	const struct nlattr *a, *name = NULL;
	const struct netlink_link *known;

	if (message->nlmsg_type != RTM_NEWLINK)
		return false;
	mnl_attr_for_each(a, message, sizeof(*info))
	{
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			name = a;
	}
	if (!name || !is_configured(n, netlink_read_text(name)))
		return false;
	known = netlink_lookup_link(n, info->ifi_index);
	return !known || strcmp(known->name, netlink_read_text(name));
}

static int read_event(const struct nlmsghdr *message, void *arg)
{
	struct netlink *n = arg;

	switch (message->nlmsg_type) {
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		netlink_read_neighbour(n, message);
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
	case RTM_NEWNETCONF:
		netlink_set_stale(n, NETLINK_LINKS | NETLINK_ADDRESSES | NETLINK_ROUTES);
		n->has_new_interface |= is_new_interface(n, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		netlink_set_stale(n, NETLINK_ADDRESSES | NETLINK_ROUTES);
		break;
	default:
		netlink_set_stale(n, NETLINK_ROUTES);
	}
	return MNL_CB_OK;
}

// After an overrun the kernel throws away events, without saying so again, until the socket is
// empty: what is read before then may be old before its events could come.
static void read_events(struct netlink *n)
{
	char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (int i = 0; i < RECEIVES_MAX; i++) {
		ssize_t len = mnl_socket_recvfrom(n->events, buf, sizeof(buf));

		if (len > 0) {
			mnl_cb_run(buf, len, 0, 0, read_event, n);
		} else if (len < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			n->is_overrun = true;
		} else {
			if (n->is_overrun)
				netlink_set_stale(n, NETLINK_ALL);
			n->is_overrun = false;
			return;
		}
	}
}

// Once for all events that there are: a storm of them leaves the loop its turns.
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct netlink *n = arg;

	read_events(n);
	if (n->has_new_interface)
		n->calls.interface_came(n->calls.arg);
	n->has_new_interface = false;
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct netlink *n = arg;
	unsigned int stale = n->stale;
	bool links_changed = false, addresses_changed = false;
	struct err e = {};
	int status = 0;

	n->stale = 0;
	n->settled_ms = clock_now_ms();
	if (stale & NETLINK_LINKS)
		status = netlink_dump_links(n, &links_changed);
	if (!status && stale & NETLINK_ADDRESSES)
		status = netlink_dump_addresses(n, &addresses_changed);
	if (!status && stale & NETLINK_NEIGHBOURS)
		status = netlink_dump_neighbours(n);
	if (status) { // interrupted by yet another change, or no memory
		netlink_set_stale(n, stale);
		return;
	}
	if (stale & NETLINK_ADDRESSES)
		netlink_restore_vips(n, &e);
	if (stale & (NETLINK_LINKS | NETLINK_ROUTES)) {
		netlink_requeue_watched(n);
		netlink_read_routes(n);
	}
	// Links are told of even where none changed: forwarding may have been switched.
	if (stale & NETLINK_LINKS || addresses_changed)
		n->calls.links_changed(n->calls.arg);
}

static void on_lookups(evutil_socket_t fd, short what, void *arg)
{
	netlink_run_lookups(arg);
}

static void on_probes(evutil_socket_t fd, short what, void *arg)
{
	struct netlink *n = arg;

	read_events(n); // answers that wait, where the loop is late
	netlink_probe_neighbours(n);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	netlink_retry_neighbours(arg);
}

// ---- open and close ----

static int open_events(struct netlink *n, struct event_base *base, struct err *e)
{
	const struct timeval tick = {.tv_usec = NETLINK_PROBE_MS * 1000};
	int bytes = RECEIVE_BYTES;
	int fd;

	n->events = open_socket(e);
	if (!n->events)
		return e->code;
	fd = mnl_socket_get_fd(n->events);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(n->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			return err_set(e, -errno, "cannot follow netlink's events: %s",
				       strerror(errno));
	}
	n->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, n);
	n->settle = evtimer_new(base, on_settle, n);
	n->lookups = evtimer_new(base, on_lookups, n);
	n->retry = evtimer_new(base, on_retry, n);
	n->probes = event_new(base, -1, EV_PERSIST, on_probes, n);
	if (!n->readable || !n->settle || !n->lookups || !n->retry || !n->probes ||
	    event_add(n->readable, NULL) || event_add(n->probes, &tick))
		return err_set(e, -ENOMEM, "netlink: out of memory");
	return 0;
}

int netlink_open(struct event_base *base, const struct settings *settings,
		 const struct netlink_calls *calls, struct netlink **ret, struct err *e)
{
	struct netlink *n = calloc(1, sizeof(*n));
	bool changed;
	int status;

	if (!n)
		return err_set(e, -ENOMEM, "netlink: out of memory");
	n->settings = settings;
	n->calls = *calls;
	LIST_INIT(&n->watched);
	TAILQ_INIT(&n->neighbours);
	TAILQ_INIT(&n->pending);
	n->requests = open_requests(e);
	// Events first: what changes during the dumps is then heard of.
	status = n->requests ? open_events(n, base, e) : e->code;
	if (!status) {
		// A dump that a change interrupts is repeated from the loop.
		if (netlink_dump_links(n, &changed) || netlink_dump_addresses(n, &changed))
			netlink_set_stale(n, NETLINK_ALL);
		netlink_set_stale(n, NETLINK_ROUTES);
		*ret = n;
		return 0;
	}
	netlink_close(n);
	return status;
}

void netlink_close(struct netlink *n)
{
	struct event **events[] = {&n->readable, &n->settle, &n->lookups, &n->retry, &n->probes};

	netlink_fini_routes(n);
	netlink_fini_hops(n);
	netlink_fini_addresses(n);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (*events[i])
			event_free(*events[i]);
	if (n->requests)
		mnl_socket_close(n->requests);
	if (n->events)
		mnl_socket_close(n->events);
	free(n);
}
