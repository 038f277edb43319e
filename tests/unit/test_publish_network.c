// SPDX-License-Identifier: BSD-2-Clause
//
// What the network says, in the publisher's tables: next hops and routes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "publish_bed.h"

static void without_a_hop_no_new_connections(void **state)
{
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	uint32_t row = bed_backend(b, "web", "10.0.0.1"), slots = bed_slots(b, row);

	publisher_set_hop(b->p, &a, NULL, b->now_s);
	bed_check(b->p);
	assert_int_equal(bed_slots(b, row), 0);
	assert_int_equal(b->p->backends[row].settled_n, slots);
	bed_resolve_hops(b->p, b->m, b->now_s);
	assert_int_equal(bed_slots(b, row), slots);
}

// Where nothing is checked, a backend whose neighbour is not known yet may be there: to refuse
// would reset the clients of a service that is new.
static void nobody_is_refused_before_the_next_hops_are_known(void **state)
{
	struct bed *b = *state;
	struct model_service s = bed_service("fresh", "192.0.2.9", 80, LB_MODE_NAT, 11);
	struct lb_address a = bed_address("10.0.0.9");
	const struct lb_service *row;

	bed_add_backend(&s, "10.0.0.9", 8080);
	bed_add_service(b, s);
	bed_apply(b);
	row = &b->t->rows.services[bed_row(b, "fresh", 4)];
	assert_int_equal(row->flags, 0);
	bed_resolve_hops(b->p, b->m, b->now_s);
	assert_int_equal(bed_slots(b, bed_backend(b, "fresh", "10.0.0.9")), 11);
	assert_int_equal(row->flags, LB_SERVICE_REJECT);
	publisher_set_hop(b->p, &a, NULL, b->now_s);
	assert_int_equal(row->flags, 0);
	b->m->services[b->m->services_n - 1].backends[0].state = MODEL_DISABLED;
	bed_apply(b);
	assert_int_equal(row->flags, LB_SERVICE_REJECT);
	bed_check(b->p);
}

// The gateway would route it back to the VIP: to us.
static void l2_takes_no_gateway(void **state)
{
	const struct publisher_hop hop = {.ifindex = 1, .mtu = 1500, .is_gateway = 1};
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	struct model_service s = bed_service("segment", "192.0.2.9", 8080, LB_MODE_L2, 11);

	bed_add_backend(&s, "10.0.0.1", 8080);
	bed_add_service(b, s);
	bed_apply(b);
	bed_resolve_hops(b->p, b->m, b->now_s);
	assert_int_equal(bed_slots(b, bed_backend(b, "segment", "10.0.0.1")), 11);
	publisher_set_hop(b->p, &a, &hop, b->now_s);
	assert_int_equal(bed_slots(b, bed_backend(b, "segment", "10.0.0.1")), 0);
	assert_in_range(bed_slots(b, bed_backend(b, "web", "10.0.0.1")), 10, 11);
	bed_check(b->p);
}

// Netlink tells a hop once; a new row of the address takes what was told, if its mode can.
static void a_new_row_takes_the_hop_of_its_address(void **state)
{
	struct publisher_hop hop = {.ifindex = 1, .mtu = 1500, .is_gateway = 1};
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	struct model_service segment = bed_service("segment", "192.0.2.9", 8080, LB_MODE_L2, 11);
	struct model_service far = bed_service("far", "192.0.2.8", 8080, LB_MODE_IPIP, 11);

	publisher_set_hop(b->p, &a, &hop, b->now_s);
	bed_add_backend(&segment, "10.0.0.1", 8080);
	bed_add_service(b, segment);
	bed_apply(b);
	assert_int_equal(bed_slots(b, bed_backend(b, "segment", "10.0.0.1")), 0);
	bed_restart(b);
	bed_add_backend(&far, "10.0.0.1", 8080);
	bed_add_service(b, far);
	bed_apply(b);
	assert_int_equal(bed_slots(b, bed_backend(b, "far", "10.0.0.1")), 11);
}

// A packet may be reading a row's copy of its hop's link; the hop's own row does not change.
static void a_copy_of_a_link_waits_until_nobody_reads_it(void **state)
{
	const struct publisher_hop first = {.ifindex = 7, .mtu = 1400};
	const struct publisher_hop second = {.ifindex = 8, .mtu = 1300};
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	const struct lb_backend *row = &b->t->rows.backends[bed_backend(b, "web", "10.0.0.1")];
	uint32_t before = row->hop;

	assert_int_equal(row->link_hop, before);
	assert_int_equal(row->link.ifindex, 1);
	publisher_set_hop(b->p, &a, &first, b->now_s);
	b->now_s += PUBLISH_GRACE_S;
	publisher_set_hop(b->p, &a, &second, b->now_s);
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(b->t->rows.hops[row->hop].link.ifindex, 8);
	assert_int_equal(row->link_hop, before);
	assert_int_equal(row->link.ifindex, 1);
	bed_check(b->p);
	// It was left for the first: the second takes nothing from its time.
	b->now_s++;
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(row->link_hop, row->hop);
	assert_int_equal(row->link.ifindex, 8);
	bed_check(b->p);
}

// Nor is it taken for another's, when a number of a hop's row comes round.
static void a_copy_of_a_link_keeps_its_hop(void **state)
{
	const struct publisher_hop other = {.ifindex = 7, .mtu = 1400};
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	const struct lb_backend *row = &b->t->rows.backends[bed_backend(b, "web", "10.0.0.1")];
	uint32_t before = row->hop;

	publisher_set_hop(b->p, &a, &other, b->now_s);
	assert_int_equal(b->t->rows.hops[before].state, LB_ROW_LIVE);
	bed_restart(b);
	b->now_s += PUBLISH_GRACE_S;
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(row->link_hop, before); // nobody knows when it was left
	assert_int_equal(b->t->rows.hops[before].state, LB_ROW_LIVE);
	b->now_s++;
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(row->link_hop, row->hop);
	assert_int_equal(b->t->rows.hops[before].state, LB_ROW_RETIRED);
	publisher_set_hop(b->p, &a, NULL, b->now_s);
	b->now_s += PUBLISH_GRACE_S + 1;
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(row->link_hop, 0);
	assert_int_equal(b->t->rows.hops[before].state, LB_ROW_FREE);
	publisher_set_hop(b->p, &a, &other, b->now_s);
	assert_int_equal(row->link_hop, row->hop); // no packet reads it: at once
	bed_check(b->p);
}

// What packets read now.
static uint32_t interface_of_default_route(const struct bed *b)
{
	const struct lb_route_set *set = &b->t->rows.routes->sets[b->t->rows.meta->route_set];

	assert_int_equal(set->route4_n, 1);
	return b->t->rows.hops[set->route4[0].hop].link.ifindex;
}

static void set_default_route(struct bed *b, uint32_t ifindex, uint32_t now_s)
{
	const struct publisher_route r = {.prefix = {.address = bed_address("0.0.0.0")},
					  .kind = LB_ROUTE_HOP,
					  .hop = {.ifindex = ifindex, .mtu = 1500}};

	publisher_set_routes(b->p, &r, 1, now_s);
}

// A gateway that comes and goes: packets go the last way at once, and no set is written while
// packets may still be reading it.
static void routes_are_switched_at_once_while_sets_are_free(void **state)
{
	struct bed *b = *state;

	for (uint32_t i = 1; i < LB_ROUTE_SETS; i++) {
		set_default_route(b, i + 1, b->now_s);
		assert_int_equal(interface_of_default_route(b), i + 1);
	}
	set_default_route(b, 100, b->now_s + 1);
	assert_int_equal(interface_of_default_route(b), LB_ROUTE_SETS);
	publisher_sweep_all(b->p, b->now_s + 2);
	assert_int_equal(interface_of_default_route(b), LB_ROUTE_SETS);
	publisher_sweep_all(b->p, b->now_s + 3);
	assert_int_equal(interface_of_default_route(b), 100);
	bed_check(b->p);
}

static void a_route_without_a_row_for_its_hop_is_the_drivers(void **state)
{
	struct bed *b = *state;
	struct lb_address a = bed_address("10.0.0.1");
	const struct lb_route_set *set;

	for (uint32_t i = 0; i < b->t->rows.meta->hop_n; i++) {
		struct publisher_hop hop = {.ifindex = 1, .mtu = 1500 + i};

		publisher_set_hop(b->p, &a, &hop, b->now_s);
	}
	set_default_route(b, 3, b->now_s);
	set = &b->t->rows.routes->sets[b->t->rows.meta->route_set];
	assert_int_equal(set->route4_n, 1);
	assert_int_equal(set->route4[0].kind, LB_ROUTE_LOOKUP);
}

// The daemon before may have left any of them a moment ago.
static void a_new_daemon_writes_no_set_before_the_grace_period(void **state)
{
	struct bed *b = *state;

	set_default_route(b, 3, b->now_s);
	bed_restart(b);
	set_default_route(b, 4, b->now_s + 1);
	assert_int_equal(interface_of_default_route(b), 3);
	publisher_sweep_all(b->p, b->now_s + 3);
	assert_int_equal(interface_of_default_route(b), 4);
	bed_check(b->p);
}

// A worker of lb-dpdk that stands still may be reading an old set, for longer than any grace
// period.
static void a_dataplane_that_stands_still_is_waited_for(void **state)
{
	struct bed *b = *state;

	publisher_set_quiet(b->p, b->now_s);
	for (uint32_t i = 1; i < LB_ROUTE_SETS; i++)
		set_default_route(b, i + 1, b->now_s);
	set_default_route(b, 100, b->now_s + 1);
	publisher_sweep_all(b->p, b->now_s + 100);
	assert_int_equal(interface_of_default_route(b), LB_ROUTE_SETS);
	publisher_set_quiet(b->p, b->now_s + 100);
	publisher_sweep_all(b->p, b->now_s + 100);
	assert_int_equal(interface_of_default_route(b), 100);
	bed_check(b->p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		TEST(without_a_hop_no_new_connections),
		TEST(nobody_is_refused_before_the_next_hops_are_known),
		TEST(l2_takes_no_gateway),
		TEST(a_new_row_takes_the_hop_of_its_address),
		TEST(a_copy_of_a_link_waits_until_nobody_reads_it),
		TEST(a_copy_of_a_link_keeps_its_hop),
		TEST(routes_are_switched_at_once_while_sets_are_free),
		TEST(a_route_without_a_row_for_its_hop_is_the_drivers),
		TEST(a_new_daemon_writes_no_set_before_the_grace_period),
		TEST(a_dataplane_that_stands_still_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
