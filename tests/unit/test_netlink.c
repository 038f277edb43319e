// SPDX-License-Identifier: BSD-2-Clause
//
// Next hops, routes and VIPs against the real kernel. Needs root.
#include "netlink_bed.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

// ---- hops ----

static void test_on_link(void **state)
{
	struct seen *v4 = watch("10.1.0.2"), *v6 = watch("fd00:1::2");

	assert_true(await(is_far, v4));
	assert_true(await(is_far, v6));
	assert_memory_equal(v4->hop.source, near_mac, 6);
	assert_int_equal(v4->hop.mtu, 1400);
	assert_false(v4->hop.is_gateway || v6->hop.is_gateway);
	assert_int_equal(v6->hop.mtu, 1400);
}

static void test_by_gateway(void **state)
{
	struct seen *v4 = watch("10.9.0.1"), *v6 = watch("fd00:9::1");

	assert_true(await(is_unresolved, v4)); // no route
	assert_true(await(is_unresolved, v6));
	run("ip route add 10.9.0.0/16 via 10.1.0.2 mtu 1300");
	run("ip -6 route add fd00:9::/32 via fd00:1::2 mtu 1310");
	assert_true(await(is_far, v4));
	assert_true(await(is_far, v6));
	assert_int_equal(v4->hop.mtu, 1300);
	assert_true(v4->hop.is_gateway && v6->hop.is_gateway);
	assert_int_equal(v6->hop.mtu, 1310);
	run("ip route del 10.9.0.0/16; ip -6 route del fd00:9::/32");
	assert_true(await(is_unresolved, v4));
	assert_true(await(is_unresolved, v6));
}

static void test_nobody_answers(void **state)
{
	struct seen *v4 = watch("10.1.0.77"), *v6 = watch("fd00:1::77");

	assert_true(await(is_unresolved, v4));
	assert_true(await(is_unresolved, v6));
	// Whoever comes later is found without anybody sending to him.
	run("ip -n %s addr add 10.1.0.77/24 dev nl1", far_ns);
	run("ip -n %s addr add fd00:1::77/64 dev nl1 nodad", far_ns);
	assert_true(await(is_far, v4));
	assert_true(await(is_far, v6));
	run("ip -n %s addr del 10.1.0.77/24 dev nl1", far_ns);
	run("ip -n %s addr del fd00:1::77/64 dev nl1", far_ns);
}

static void test_own_address_is_no_hop(void **state)
{
	struct seen *s = watch("10.1.0.1");

	assert_true(await(is_unresolved, s));
}

static void test_other_mac_after_flush(void **state)
{
	struct seen *v4 = watch("10.1.0.2"), *v6 = watch("fd00:1::2");

	assert_true(await(is_far, v4));
	assert_true(await(is_far, v6));
	run("ip -n %s link set nl1 address 02:00:00:00:00:09", far_ns);
	run("ip neigh flush dev nl0");
	assert_true(await(is_other_mac, v4));
	assert_true(await(is_other_mac, v6));
	run("ip -n %s link set nl1 address 02:00:00:00:00:02", far_ns);
	run("ip neigh flush dev nl0");
	assert_true(await(is_far, v4));
}

// Neither side says a word, and the kernel would believe it for an hour; or the entry is stale
// already. What the operator gave is not doubted.
static void test_other_mac_in_silence(void **state)
{
	struct seen *v4 = watch("10.1.0.2"), *v6 = watch("fd00:1::2"), *given = watch("10.1.0.3");

	run("sysctl -qw net.ipv4.neigh.nl0.base_reachable_time_ms=3600000 "
	    "net.ipv6.neigh.nl0.base_reachable_time_ms=3600000");
	run("ip neigh replace 10.1.0.3 lladdr 02:00:00:00:00:02 nud permanent dev nl0");
	run("ip neigh flush dev nl0");
	assert_true(await(is_far, v4));
	assert_true(await(is_far, v6));
	assert_true(await(is_far, given));
	run("ip -n %s link set nl1 address 02:00:00:00:00:09", far_ns);
	assert_true(await(is_other_mac, v4));
	assert_true(await(is_other_mac, v6));
	assert_true(is_far(given));
	run("ip neigh show 10.1.0.3 dev nl0 | grep -q PERMANENT");
	run("ip -n %s link set nl1 address 02:00:00:00:00:02", far_ns);
	run("ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:09 nud stale dev nl0");
	assert_true(await(is_far, v4));
	run("ip neigh del 10.1.0.3 dev nl0");
}

// More events than the socket holds while lbd is busy elsewhere: what is lost is read anew.
static void test_overrun(void **state)
{
	struct seen *s = watch("10.1.0.2");

	assert_true(await(is_far, s));
	run("for i in $(seq 8000); do echo route replace 10.80.$((i / 250)).$((i %% 250))/32 dev "
	    "nl0; done | ip -batch -");
	run("ip -n %s link set nl1 address 02:00:00:00:00:09", far_ns);
	run("ip neigh flush dev nl0");
	run("awk '$9 > 0 && NR > 1 { lost = 1 } END { exit !lost }' /proc/net/netlink");
	assert_true(await(is_other_mac, s));
	run("ip -n %s link set nl1 address 02:00:00:00:00:02", far_ns);
	run("ip route flush root 10.80.0.0/16; ip neigh flush dev nl0");
	assert_true(await(is_far, s));
}

static void test_link_down_and_up(void **state)
{
	struct seen *s = watch("10.1.0.2");

	assert_true(await(is_far, s));
	run("ip link set nl0 down");
	assert_true(await(is_unresolved, s));
	run("ip link set nl0 up");
	run("ip addr replace fd00:1::1/64 dev nl0 nodad");
	assert_true(await(is_far, s));
}

// ---- routes ----

static bool has_come(const void *arg)
{
	return came_n > *(const int *)arg;
}

static void test_interface_comes(void **state)
{
	int before = came_n;

	run("ip link add nl8 type veth peer name nl7"); // not of lbd.yaml
	run("ip link add nl9 type veth peer name nl6 && ip link set nl9 up && ip link set nl6 up");
	assert_true(await(has_come, &before));
	// All events that wait are one call.
	assert_int_equal(came_n, before + 1);
	before = came_n;
	run("ip link set nl8 down && ip link del nl9 && ip link set nl8 name nl9"); // renamed
	assert_true(await(has_come, &before));
	run("ip link del nl9");
}

static void test_routes(void **state)
{
	assert_true(await(is_far, watch("10.1.0.2")));
	run("ip route add default via 10.1.0.2 && ip -6 route add default via fd00:1::2");
	run("ip route add blackhole 10.66.0.0/16; ip -6 route add ::ffff:0:0/96 mtu 1300 via "
	    "fd00:1::2");
	run("ip route add 10.67.0.0/16 nexthop via 10.1.0.2 nexthop via 10.1.0.3");
	run("ip route add 10.68.0.0/16 via 10.1.0.2"); // as the default: not needed
	assert_route("0.0.0.0/0", LB_ROUTE_HOP);
	assert_route("::/0", LB_ROUTE_HOP);
	assert_memory_equal(find_route("0.0.0.0/0")->hop.destination, far_mac, 6);
	assert_memory_equal(find_route("::/0")->hop.destination, far_mac, 6);
	assert_route("10.1.0.1/32", LB_ROUTE_DIRECT);
	assert_route("fd00:1::1/128", LB_ROUTE_DIRECT);
	assert_route("10.1.0.0/24", LB_ROUTE_LOOKUP);
	assert_route("fd00:1::/64", LB_ROUTE_LOOKUP);
	assert_route("fe80::/10", LB_ROUTE_LOOKUP);
	assert_route("10.66.0.0/16", LB_ROUTE_LOOKUP);
	assert_route("10.67.0.0/16", LB_ROUTE_LOOKUP);
	assert_route("10.68.0.0/16", -1);
	for (size_t i = 1; i < routes_n; i++)
		assert_true(routes[i - 1].prefix.len >= routes[i].prefix.len &&
			    routes[i].prefix.len != 96); // IPv4's in IPv6
	run("ip -6 route del ::ffff:0:0/96; for i in 6 7 8; do ip route del 10.6$i.0.0/16; done");
	assert_route("10.66.0.0/16", -1);
}

static void test_direct_prefix_wins(void **state)
{
	prefix_parse("10.70.0.0/16", &direct[0]);
	settings.direct_n = 1;
	run("ip route replace 10.70.1.0/24 via 10.1.0.2");
	assert_route("10.70.0.0/16", LB_ROUTE_DIRECT);
	assert_route("10.70.1.0/24", -1);
	run("ip route del 10.70.1.0/24");
}

static void test_too_many_routes(void **state)
{
	prefix_parse("10.70.0.0/16", &direct[0]);
	settings.direct_n = 1;
	assert_route("0.0.0.0/0", LB_ROUTE_HOP);
	run("for i in $(seq 40); do ip route add 10.71.$i.0/24 via 10.1.0.3; done");
	assert_route("0.0.0.0/0", -1);
	assert_route("10.70.0.0/16", LB_ROUTE_DIRECT);
	assert_route("::/0", LB_ROUTE_HOP); // the other family's fit
	run("for i in $(seq 40); do ip route del 10.71.$i.0/24; done");
	assert_route("0.0.0.0/0", LB_ROUTE_HOP);
	run("ip rule add from 10.99.0.1 lookup 100");
	assert_route("0.0.0.0/0", -1);
	run("ip rule del from 10.99.0.1 lookup 100");
	assert_route("0.0.0.0/0", LB_ROUTE_HOP);
}

// ---- addresses ----

static void test_connected(void **state)
{
	struct lb_address near = address("10.1.0.200"), far = address("10.9.9.9"),
			  near6 = address("fd00:1::99"), far6 = address("fd00:9::1"), own;

	run("ip route replace 10.9.9.0/24 via 10.1.0.2");
	assert_true(netlink_is_connected(netlink, &near));
	assert_true(netlink_is_connected(netlink, &near6));
	assert_false(netlink_is_connected(netlink, &far));
	assert_false(netlink_is_connected(netlink, &far6));
	run("ip route del 10.9.9.0/24");
	own = address("10.1.0.1");
	assert_false(netlink_is_connected(netlink, &own));
	assert_true(netlink_is_host_address(netlink, &own));
	assert_false(netlink_is_host_address(netlink, &near));
}

static void test_vips(void **state)
{
	struct lb_address vips[2] = {address("203.0.113.10"), address("2001:db8::10")};
	struct err e = {};

	run("ip addr add 203.0.113.99/32 dev lo"); // the operator's
	assert_int_equal(netlink_set_vips(netlink, vips, 2, &e), 0);
	run("ip addr show dev lo | grep -q 203.0.113.10/32");
	run("ip addr show dev lo | grep -q 2001:db8::10/128");
	assert_false(netlink_is_host_address(netlink, &vips[0]));
	netlink_close(netlink);

	// A restarted lbd knows which are its own.
	assert_int_equal(open_netlink(state), 0);
	assert_int_equal(netlink_set_vips(netlink, vips + 1, 1, &e), 0);
	run("! ip addr show dev lo | grep -q 203.0.113.10/32");
	run("ip addr show dev lo | grep -q 203.0.113.99/32");
	run("ip addr show dev lo | grep -q 2001:db8::10/128");
	assert_int_equal(netlink_set_vips(netlink, NULL, 0, &e), 0);
	run("! ip addr show dev lo | grep -q 2001:db8::10/128");
	run("ip addr del 203.0.113.99/32 dev lo");
}

// ---- short of something ----

static bool has_failed(const void *arg)
{
	return !failures_n;
}

static bool has_vip(const void *arg)
{
	return !system("ip addr show dev lo | grep -q 203.0.113.10/32");
}

static void test_what_was_known_holds(void **state)
{
	struct seen *s = watch("10.1.0.2"), *late;
	struct lb_address vip = address("203.0.113.10");
	struct err e;

	assert_true(await(is_far, s));
	failing_type = RTM_GETROUTE;
	failures_n = 20;
	s->told = false;
	late = watch("fd00:1::2");
	run("ip route add 10.82.0.0/16 via 10.1.0.2 mtu 1200");
	assert_true(await(has_failed, NULL));
	assert_true(await(is_far, late));
	assert_route("10.82.0.0/16", LB_ROUTE_HOP);
	assert_true(is_far(s));
	assert_false(s->told);
	run("ip route del 10.82.0.0/16");

	failing_type = RTM_NEWADDR;
	failures_n = 1;
	assert_int_equal(netlink_set_vips(netlink, &vip, 1, &e), -ENOBUFS);
	assert_true(await(has_vip, NULL));
	assert_int_equal(netlink_set_vips(netlink, NULL, 0, &e), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_netlink, close_netlink)
	const struct CMUnitTest tests[] = {
		TEST(test_on_link),
		TEST(test_by_gateway),
		TEST(test_nobody_answers),
		TEST(test_own_address_is_no_hop),
		TEST(test_other_mac_after_flush),
		TEST(test_other_mac_in_silence),
		TEST(test_overrun),
		TEST(test_link_down_and_up),
		TEST(test_interface_comes),
		TEST(test_routes),
		TEST(test_direct_prefix_wins),
		TEST(test_too_many_routes),
		TEST(test_connected),
		TEST(test_vips),
		TEST(test_what_was_known_holds),
	};

	if (geteuid() != 0) {
		puts("needs root: it makes network namespaces");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_network, remove_network);
}
