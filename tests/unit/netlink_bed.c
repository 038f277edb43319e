// SPDX-License-Identifier: BSD-2-Clause
//
// See netlink_bed.h.
#include "netlink_bed.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>

#define AWAIT_S 20
#define SEEN_MAX 8

static struct event_base *base;
struct netlink *netlink;
static struct seen seen[SEEN_MAX];
static size_t seen_n;
struct publisher_route routes[2 * LB_ROUTE_MAX];
size_t routes_n;
char far_ns[32];
const uint8_t far_mac[6] = {2, 0, 0, 0, 0, 2}, near_mac[6] = {2, 0, 0, 0, 0, 1};
struct prefix direct[2];
int came_n;
static struct settings_interface interfaces[] = {{.name = "nl0"}, {.name = "nl9"}};
struct settings settings = {.interfaces = interfaces, .interfaces_n = 2, .direct = direct};

int failing_type, failures_n;

// In libmnl's place.
ssize_t mnl_socket_sendto(const struct mnl_socket *s, const void *message, size_t len)
{
	static const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	if (failures_n && ((const struct nlmsghdr *)message)->nlmsg_type == failing_type) {
		failures_n--;
		errno = ENOBUFS;
		return -1;
	}
	return sendto(mnl_socket_get_fd(s), message, len, 0, (const struct sockaddr *)&kernel,
		      sizeof(kernel));
}

void run(const char *format, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	if (system(command))
		fail_msg("failed: %s", command);
}

struct lb_address address(const char *text)
{
	struct lb_address a = {};

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

static void on_hop(void *arg, const struct lb_address *a, const struct publisher_hop *hop)
{
	for (size_t i = 0; i < seen_n; i++) {
		if (!address_is_equal(&seen[i].address, a))
			continue;
		seen[i].told = true;
		seen[i].resolved = hop;
		seen[i].hop = hop ? *hop : (struct publisher_hop){};
	}
}

static void on_routes(void *arg, const struct publisher_route *list, size_t n)
{
	assert_true(n <= 2 * LB_ROUTE_MAX);
	memcpy(routes, list, n * sizeof(*list));
	routes_n = n;
}

static void on_links(void *arg)
{
}

static void on_interface(void *arg)
{
	came_n++;
}

// ---- awaiting ----

static void on_bound(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

bool await(bool (*is_so)(const void *arg), const void *arg)
{
	const struct timeval bound = {.tv_sec = AWAIT_S};
	bool is_past = false;
	struct event *timer = evtimer_new(base, on_bound, &is_past);
	bool done;

	event_add(timer, &bound);
	while (!(done = is_so(arg)) && !is_past)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	return done;
}

bool is_far(const void *arg)
{
	const struct seen *s = arg;

	return s->resolved && !memcmp(s->hop.destination, far_mac, 6);
}

bool is_other_mac(const void *arg)
{
	const struct seen *s = arg;

	return s->resolved && s->hop.destination[5] == 9;
}

bool is_unresolved(const void *arg)
{
	const struct seen *s = arg;

	return s->told && !s->resolved;
}

const struct publisher_route *find_route(const char *prefix)
{
	struct prefix p;

	assert_int_equal(prefix_parse(prefix, &p), 0);
	for (size_t i = 0; i < routes_n; i++)
		if (routes[i].prefix.len == p.len &&
		    address_is_equal(&routes[i].prefix.address, &p.address))
			return &routes[i];
	return NULL;
}

static bool has_route(const void *arg)
{
	const struct wanted *w = arg;
	const struct publisher_route *r = find_route(w->prefix);

	return r ? (int)r->kind == w->kind : w->kind == -1;
}

void assert_route(const char *prefix, int kind)
{
	struct wanted w = {prefix, kind};

	if (await(has_route, &w))
		return;
	for (size_t i = 0; i < routes_n; i++) {
		char text[ADDRESS_TEXT_MAX];

		print_message("%s/%u kind %u\n", address_render(&routes[i].prefix.address, text),
			      routes[i].prefix.len, routes[i].kind);
	}
	fail_msg("%s has not become kind %d", prefix, kind);
}

// ---- the network ----

int make_network(void **state)
{
	snprintf(far_ns, sizeof(far_ns), "nltest%d", getpid());
	if (unshare(CLONE_NEWNET))
		return -1;
	base = event_base_new();
	run("ip netns add %s", far_ns);
	run("ip link set lo up");
	run("ip link add nl0 address 02:00:00:00:00:01 type veth peer name nl1 address "
	    "02:00:00:00:00:02 netns %s",
	    far_ns);
	run("sysctl -qw net.ipv6.conf.nl0.accept_dad=0");
	run("ip addr add 10.1.0.1/24 dev nl0 && ip addr add fd00:1::1/64 dev nl0 nodad && "
	    "ip link set nl0 mtu 1400 up");
	run("ip -n %s addr add 10.1.0.2/24 dev nl1 && ip -n %s addr add fd00:1::2/64 dev nl1 nodad "
	    "&& ip -n %s link set nl1 up && ip -n %s link set lo up",
	    far_ns, far_ns, far_ns, far_ns);
	return 0;
}

int remove_network(void **state)
{
	event_base_free(base);
	run("ip netns del %s", far_ns);
	return 0;
}

int open_netlink(void **state)
{
	const struct netlink_calls calls = {
		.hop_changed = on_hop,
		.routes_changed = on_routes,
		.links_changed = on_links,
		.interface_came = on_interface,
	};
	struct err e = {};

	memset(seen, 0, sizeof(seen));
	seen_n = routes_n = 0;
	settings.direct_n = 0;
	return netlink_open(base, &settings, &calls, &netlink, &e);
}

int close_netlink(void **state)
{
	netlink_close(netlink);
	return 0;
}

struct seen *watch(const char *text)
{
	struct lb_address all[SEEN_MAX];

	seen[seen_n++].address = address(text);
	for (size_t i = 0; i < seen_n; i++)
		all[i] = seen[i].address;
	assert_int_equal(netlink_set_watched(netlink, all, seen_n), 0);
	return &seen[seen_n - 1];
}
