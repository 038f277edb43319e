// SPDX-License-Identifier: BSD-2-Clause
//
// The kernel's routes and neighbours, mirrored for the workers: when netlink says that
// something is another, all of that kind is read again (routes_read.c) into a new
// table, and one pointer is switched. The old table is freed when each worker has begun
// another turn. Runs on the main lcore; routes_lookup() on the workers.
//
// A reply that no route forwards, or whose neighbour is not known, is the kernel's, as
// under XDP: it answers, or resolves.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "routes_read.h"

#define GAP_MS 100 // between two looks
#define RECEIVE_BYTES (1 << 20)

static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};

// What workers read, and the one before, which they may still be reading.
struct switched {
	void *now, *before;
	uint64_t turns[WORKERS_MAX]; // of each worker, when it was switched
};

struct routes {
	const struct lb_dpdk *all;
	struct mnl_socket *requests, *events;
	struct switched fib, neighbours;
	bool is_fib_stale, are_neighbours_stale, are_links_stale;
	bool has_said;	 // that there is no memory
	uint64_t due_ms; // not before
};

// ---- switching ----

static void set(const struct routes *r, struct switched *s, void *next)
{
	s->before = s->now;
	__atomic_store_n(&s->now, next, __ATOMIC_SEQ_CST);
	workers_note_turns(r->all, s->turns);
}

// True: the next one may come.
static bool is_settled(const struct routes *r, struct switched *s, void (*free_one)(void *))
{
	if (s->before && workers_have_turned(r->all, s->turns)) {
		free_one(s->before);
		s->before = NULL;
	}
	return !s->before;
}

static void free_fib(void *f)
{
	fib_free(f);
}

static void free_neighbours(void *t)
{
	neighbours_free(t);
}

// ---- following ----

static int read_event(const struct nlmsghdr *message, void *arg)
{
	struct routes *r = arg;

	if (message->nlmsg_type == RTM_NEWNEIGH || message->nlmsg_type == RTM_DELNEIGH)
		r->are_neighbours_stale = true;
	else
		r->is_fib_stale = true;
	if (message->nlmsg_type == RTM_NEWLINK)
		r->are_links_stale = true;
	return MNL_CB_OK;
}

static void read_events(struct routes *r)
{
	static char buf[32768] __attribute__((aligned(NLMSG_ALIGNTO)));

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(r->events, buf, sizeof(buf));

		if (len > 0)
			mnl_cb_run(buf, len, 0, 0, read_event, r);
		else if (len < 0 && (errno == ENOBUFS || errno == ENOSPC))
			r->is_fib_stale = r->are_neighbours_stale = r->are_links_stale = true;
		else
			return;
	}
}

static int renew_fib(struct routes *r, struct err *e)
{
	struct fib *fib;
	int status = routes_read_fib(r->requests, &fib, e);

	if (!status)
		set(r, &r->fib, fib);
	return status;
}

static int renew_neighbours(struct routes *r, struct err *e)
{
	struct neighbours *neighbours;
	int status = routes_read_neighbours(r->requests, &neighbours, e);

	if (!status)
		set(r, &r->neighbours, neighbours);
	return status;
}

static void renew(struct routes *r)
{
	bool can_fib, can_neighbours;
	struct err e = {};

	can_fib = is_settled(r, &r->fib, free_fib);
	can_neighbours = is_settled(r, &r->neighbours, free_neighbours);
	if ((!r->is_fib_stale && !r->are_neighbours_stale) || clock_now_ms() < r->due_ms)
		return;
	r->due_ms = clock_now_ms() + GAP_MS;
	// A dump that a change interrupts (-EINTR) is made again the next time.
	if (r->is_fib_stale && can_fib)
		r->is_fib_stale = renew_fib(r, &e);
	if (r->are_neighbours_stale && can_neighbours)
		r->are_neighbours_stale = renew_neighbours(r, &e);
	if (e.code == -ENOMEM && !r->has_said)
		say("%s", e.text);
	r->has_said = e.code == -ENOMEM;
}

bool routes_follow(struct routes *r, bool has_events)
{
	r->are_links_stale = false;
	if (has_events)
		read_events(r);
	renew(r);
	return r->are_links_stale;
}

int routes_get_fd(const struct routes *r)
{
	return mnl_socket_get_fd(r->events);
}

// ---- asked by workers ----

void routes_lookup(const void *routes, const struct lb_route_query *q, struct lb_route_answer *ret)
{
	const struct routes *r = routes;
	const struct fib *fib = __atomic_load_n(&r->fib.now, __ATOMIC_ACQUIRE);
	const struct neighbours *all = __atomic_load_n(&r->neighbours.now, __ATOMIC_ACQUIRE);
	const struct fib_hop *hop = fib_lookup(fib, q);
	const struct neighbour *neighbour;

	*ret = (struct lb_route_answer){.reason = hop ? hop->reason : LB_REASON_ROUTE_LOCAL};
	if (ret->reason != LB_REASON_REPLY)
		return;
	neighbour = neighbours_lookup(all, hop->ifindex,
				      hop->has_gateway ? &hop->gateway : &q->destination);
	if (!neighbour) {
		ret->reason = LB_REASON_ROUTE_NEIGHBOUR;
		return;
	}
	ret->link.ifindex = hop->ifindex;
	ret->link.mtu = hop->mtu;
	memcpy(ret->link.macs, neighbour->mac, sizeof(neighbour->mac));
	memcpy(ret->link.macs + sizeof(neighbour->mac), hop->source, sizeof(hop->source));
}

// ---- made and ended ----

static struct mnl_socket *open_socket(struct err *e)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (s && !mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID))
		return s;
	err_set(e, -errno, "cannot open a netlink socket: %s", strerror(errno));
	if (s)
		mnl_socket_close(s);
	return NULL;
}

static int open_events(struct routes *r, struct err *e)
{
	int bytes = RECEIVE_BYTES;

	r->events = open_socket(e);
	if (!r->events)
		return e->code;
	setsockopt(mnl_socket_get_fd(r->events), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(r->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)))
			return err_set(e, -errno, "cannot follow netlink's events: %s",
				       strerror(errno));
	}
	return 0;
}

int routes_open(const struct lb_dpdk *d, struct routes **ret, struct err *e)
{
	struct routes *r = calloc(1, sizeof(*r));
	int on = 1, status;

	if (!r)
		return err_set(e, -ENOMEM, "out of memory");
	r->all = d;
	r->requests = open_socket(e);
	status = r->requests ? open_events(r, e) : e->code;
	if (!status) {
		mnl_socket_setsockopt(r->requests, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
		do
			status = renew_fib(r, e);
		while (status == -EINTR);
	}
	while (!status && (status = renew_neighbours(r, e)) == -EINTR)
		;
	if (status) {
		routes_close(r);
		return status;
	}
	*ret = r;
	return 0;
}

// The workers have ended.
void routes_close(struct routes *r)
{
	if (!r)
		return;
	fib_free(r->fib.now);
	fib_free(r->fib.before);
	neighbours_free(r->neighbours.now);
	neighbours_free(r->neighbours.before);
	if (r->requests)
		mnl_socket_close(r->requests);
	if (r->events)
		mnl_socket_close(r->events);
	free(r);
}
