// SPDX-License-Identifier: BSD-2-Clause
//
// The publisher on small tables: what a change makes of rows, rings and indexes, what
// a restarted lbd finds, what is refused, and when rows come free. That no connection
// breaks meanwhile is test_tracking.c's.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "publish_bed.h"

static void set_health(struct bed *b, const char *address, enum health_state health)
{
	struct lb_address a = bed_address(address);

	publisher_set_health(b->p, "web", &a, 8080, health, b->now_s);
	bed_check(b->p);
}

// Rounds until nothing is in transition; times pass between them.
static void settle(struct bed *b)
{
	for (int i = 0; i < 100; i++, b->now_s += 10)
		if (!publisher_sweep_all(b->p, b->now_s))
			break;
	bed_check(b->p);
	assert_int_equal(b->p->lookups_n, 0);
	assert_int_equal(b->p->retired_backends_n + b->p->leaving_n, 0);
}

static void a_fresh_ring_is_steady_and_even(void **state)
{
	struct bed *b = *state;

	assert_int_equal(b->p->lookups_n, 0);
	assert_in_range(bed_slots(b, bed_backend(b, "web", "10.0.0.1")), 10, 11);
	assert_in_range(bed_slots(b, bed_backend(b, "web", "10.0.0.2")), 10, 11);
	assert_in_range(bed_slots(b, bed_backend(b, "web", "10.0.0.3")), 10, 11);
	assert_int_equal(b->t->rows.meta->generation, 1);
}

static void a_restart_changes_no_byte(void **state)
{
	struct bed *b = *state;
	uint8_t *bytes;

	set_health(b, "10.0.0.2", HEALTH_UP);
	b->m->services[0].check.type = MODEL_CHECK_TCP;
	b->m->services[0].backends[2].state = MODEL_DRAIN;
	bed_apply(b);
	set_health(b, "10.0.0.1", HEALTH_DOWN);
	bytes = bed_snapshot(b->t, NULL);
	b->now_s += 5;
	bed_restart(b);
	assert_true(bed_is_same(b->t, bytes));
	assert_int_equal(b->p->backends[bed_backend(b, "web", "10.0.0.1")].health, HEALTH_DOWN);
	assert_int_equal(b->p->backends[bed_backend(b, "web", "10.0.0.2")].health, HEALTH_UP);
	bed_resolve_hops(b->p, b->m, b->now_s);
	assert_true(bed_is_same(b->t, bytes));
	free(bytes);
}

static void a_dead_backend_has_no_slot_at_once(void **state)
{
	struct bed *b = *state;
	uint32_t dead = bed_backend(b, "web", "10.0.0.1");

	b->m->services[0].check.type = MODEL_CHECK_TCP;
	bed_apply(b);
	assert_int_not_equal(bed_slots(b, dead), 0); // a check that is new takes nobody away
	set_health(b, "10.0.0.1", HEALTH_DOWN);
	assert_int_equal(bed_slots(b, dead), 0);
	assert_int_equal(b->p->backends[dead].settled_n, 0);
	assert_int_equal(b->t->rows.backends[dead].flags, LB_BACKEND_DOWN | LB_BACKEND_RESET);
	set_health(b, "10.0.0.1", HEALTH_UP);
	assert_int_equal(b->t->rows.backends[dead].flags, 0);
	assert_in_range(bed_slots(b, dead), 10, 11);
}

static void on_down_keep_leaves_settled(void **state)
{
	struct bed *b = *state;
	uint32_t dead = bed_backend(b, "web", "10.0.0.1");
	uint32_t slots = bed_slots(b, dead);

	b->m->services[0].check.type = MODEL_CHECK_TCP;
	b->m->services[0].on_down = MODEL_KEEP;
	bed_apply(b);
	set_health(b, "10.0.0.1", HEALTH_DOWN);
	assert_int_equal(bed_slots(b, dead), 0);
	assert_int_equal(b->p->backends[dead].settled_n, slots);
	assert_int_equal(b->t->rows.backends[dead].flags, LB_BACKEND_DOWN);
}

static void a_disabled_backend_must_pass_its_checks_again(void **state)
{
	struct bed *b = *state;
	uint32_t row = bed_backend(b, "web", "10.0.0.1");

	b->m->services[0].check.type = MODEL_CHECK_TCP;
	b->m->services[0].backends[0].state = MODEL_DISABLED;
	bed_apply(b);
	assert_int_equal(bed_slots(b, row), 0);
	b->m->services[0].backends[0].state = MODEL_ENABLED;
	bed_apply(b);
	assert_int_equal(bed_slots(b, row), 0);
	assert_int_equal(b->t->rows.backends[row].flags, 0);
	set_health(b, "10.0.0.1", HEALTH_UP);
	assert_in_range(bed_slots(b, row), 10, 11);
}

static void nobody_left_and_back(void **state)
{
	struct bed *b = *state;

	b->m->services[0].check.type = MODEL_CHECK_TCP;
	bed_apply(b);
	set_health(b, "10.0.0.1", HEALTH_DOWN);
	set_health(b, "10.0.0.2", HEALTH_DOWN);
	set_health(b, "10.0.0.3", HEALTH_DOWN);
	assert_int_equal(LB_SLOT_CURRENT(b->t->rows.slots[0].words[0]), 0);
	assert_int_equal(LB_SLOT_SETTLED(b->t->rows.slots[0].words[0]), 0);
	settle(b);
	set_health(b, "10.0.0.2", HEALTH_UP);
	assert_int_equal(bed_slots(b, bed_backend(b, "web", "10.0.0.2")), 31);
	assert_int_equal(b->p->lookups_n, 0);
}

static void a_removed_backend_leaves_and_its_row_is_used_again(void **state)
{
	struct bed *b = *state;
	struct lb_address gone = bed_address("10.0.0.3");
	struct publisher_service_view shown;
	uint32_t row = bed_backend(b, "web", "10.0.0.3"), slots = bed_slots(b, row);

	model_del_backend(&b->m->services[0], &gone, 8080);
	bed_apply(b);
	assert_int_equal(b->p->leaving_n, 1);
	assert_int_equal(bed_slots(b, row), 0);
	assert_int_equal(b->p->backends[row].settled_n, slots);
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(b->t->rows.backends[row].state, LB_ROW_LIVE);
	b->t->rows.backend_counters[row].pkts = 7;
	b->t->rows.service_counters[b->t->rows.backends[row].service].drops = 2;
	assert_int_equal(publisher_get_service(b->p, "web", &shown), 0);
	assert_int_equal(shown.counters.pkts, 7);
	settle(b);
	assert_int_equal(b->t->rows.backends[row].state, LB_ROW_FREE);
	// What it got stays the service's.
	assert_int_equal(b->t->rows.backend_counters[row].pkts, 0);
	assert_int_equal(publisher_get_service(b->p, "web", &shown), 0);
	assert_int_equal(shown.counters.pkts, 7);
	assert_int_equal(shown.counters.drops, 2);
}

static void a_leaving_backend_is_cut_at_its_deadline(void **state)
{
	struct bed *b = *state;
	struct lb_address gone = bed_address("10.0.0.3");
	uint32_t row = bed_backend(b, "web", "10.0.0.3");

	model_del_backend(&b->m->services[0], &gone, 8080);
	bed_apply(b);
	assert_int_equal(publisher_set_deadline(b->p, "web", &gone, 8080, b->now_s + 3, b->now_s),
			 0);
	bed_restart(b); // the deadline starts anew
	assert_int_equal(publisher_set_deadline(b->p, "web", &gone, 8080, b->now_s + 3, b->now_s),
			 0);
	b->now_s += 2;
	publisher_sweep(b->p, 1, b->now_s);
	assert_int_equal(b->t->rows.backends[row].state, LB_ROW_LIVE);
	b->now_s += 1;
	publisher_sweep(b->p, 1, b->now_s);
	assert_int_equal(b->t->rows.backends[row].state, LB_ROW_RETIRED);
	bed_check(b->p);
	assert_int_equal(publisher_set_deadline(b->p, "web", &gone, 8080, 0, b->now_s), -ENOENT);
	bed_restart(b);
	settle(b);
}

// Later fragments follow a first one by the row it went to.
static void a_retired_row_outlives_its_fragments(void **state)
{
	struct bed *b = *state;
	struct lb_address gone = bed_address("10.0.0.3");
	uint32_t row = bed_backend(b, "web", "10.0.0.3");
	const uint32_t *row_state = &b->t->rows.backends[row].state;

	model_del_backend(&b->m->services[0], &gone, 8080);
	bed_apply(b);
	assert_int_equal(publisher_set_deadline(b->p, "web", &gone, 8080, b->now_s, b->now_s), 0);
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(*row_state, LB_ROW_RETIRED);
	b->now_s += LB_FRAGMENT_S;
	publisher_sweep_all(b->p, b->now_s);
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(*row_state, LB_ROW_RETIRED);
	b->now_s += PUBLISH_GRACE_S + 1;
	publisher_sweep_all(b->p, b->now_s);
	publisher_sweep_all(b->p, b->now_s);
	assert_int_equal(*row_state, LB_ROW_FREE);
}

// lbd goes on checking what is leaving.
static void what_is_leaving_is_judged_and_keeps_its_health(void **state)
{
	struct bed *b = *state;
	struct model_backend gone = b->m->services[0].backends[2];
	uint32_t row = bed_backend(b, "web", "10.0.0.3"), slots = bed_slots(b, row);

	b->m->services[0].check.type = MODEL_CHECK_TCP;
	bed_apply(b);
	model_del_backend(&b->m->services[0], &gone.address, gone.port);
	bed_apply(b);
	assert_int_equal(model_add_backend(&b->m->services[0], &gone), 0);
	bed_apply(b);
	assert_int_equal(bed_slots(b, row), slots);
	model_del_backend(&b->m->services[0], &gone.address, gone.port);
	bed_apply(b);
	set_health(b, "10.0.0.3", HEALTH_DOWN);
	assert_int_equal(b->p->backends[row].settled_n, 0);
	assert_int_equal(b->t->rows.backends[row].flags, LB_BACKEND_DOWN | LB_BACKEND_RESET);
	assert_int_equal(model_add_backend(&b->m->services[0], &gone), 0);
	bed_apply(b);
	assert_int_equal(bed_slots(b, row), 0);
	set_health(b, "10.0.0.3", HEALTH_UP);
	assert_int_equal(bed_slots(b, row), slots);
}

static void a_replaced_service_gets_rows_of_its_own(void **state)
{
	struct bed *b = *state;
	uint32_t old = bed_row(b, "web", 4), old_backend = bed_backend(b, "web", "10.0.0.1");

	b->m->services[0].vips[0] = bed_address("192.0.2.9");
	bed_apply(b);
	assert_int_not_equal(bed_row(b, "web", 4), old);
	assert_int_equal(b->t->rows.services[old].state, LB_ROW_RETIRED);
	assert_int_equal(b->t->rows.backends[old_backend].state, LB_ROW_RETIRED);
	assert_int_not_equal(bed_slots(b, bed_backend(b, "web", "10.0.0.1")), 0);
	settle(b);
	assert_int_equal(b->t->rows.services[old].state, LB_ROW_FREE);
}

static void a_vip_moves_between_services(void **state)
{
	struct bed *b = *state;
	struct model_service s = bed_service("two", "192.0.2.2", 80, LB_MODE_L2, 11);
	struct lb_address a1 = bed_address("192.0.2.1"), a2 = bed_address("192.0.2.2");

	b->m->services[0].mode = LB_MODE_L2;
	bed_add_backend(&s, "10.0.0.4", 80);
	bed_add_service(b, s);
	bed_apply(b);
	b->m->services[0].vips[0] = a2;
	b->m->services[1].vips[0] = a1;
	bed_apply(b);
	assert_int_equal(
		LB_SERVICE_ROW(index_value(&b->p->service_index, &a1, IPPROTO_TCP, htons(80))),
		bed_row(b, "two", 4));
	assert_int_equal(
		LB_SERVICE_ROW(index_value(&b->p->service_index, &a2, IPPROTO_TCP, htons(80))),
		bed_row(b, "web", 4));
	assert_int_equal(index_value(&b->p->service_index, &a2, 0, 0), LB_VIP_KNOWN);
	publisher_set_vip_of_host(b->p, &a2, true);
	bed_restart(b);
	assert_int_equal(index_value(&b->p->service_index, &a2, 0, 0),
			 LB_VIP_KNOWN | LB_VIP_OF_HOST);
}

static void replies_wait_for_the_service_that_is_left(void **state)
{
	struct bed *b = *state;
	struct model_service s = bed_service("two", "192.0.2.2", 80, LB_MODE_NAT, 11);
	struct lb_address moved = bed_address("10.0.0.3");
	uint32_t left = bed_backend(b, "web", "10.0.0.3"), row;

	model_del_backend(&b->m->services[0], &moved, 8080);
	bed_add_backend(&s, "10.0.0.3", 8080);
	bed_add_service(b, s);
	bed_apply(b);
	row = bed_backend(b, "two", "10.0.0.3");
	assert_int_equal(index_value(&b->p->reverse_index, &moved, IPPROTO_TCP, htons(8080)), left);
	assert_int_equal(bed_slots(b, row), 0);
	publisher_set_deadline(b->p, "web", &moved, 8080, b->now_s, b->now_s);
	bed_check(b->p);
	assert_int_equal(index_value(&b->p->reverse_index, &moved, IPPROTO_TCP, htons(8080)), row);
	assert_int_equal(bed_slots(b, row), 11);
}

static void too_much_is_refused_before_anything_changes(void **state)
{
	struct bed *b = *state;
	struct model_service *web = &b->m->services[0];
	struct model_service wide = bed_service("wide", "192.0.2.3", 80, LB_MODE_L2, 251);
	uint8_t *bytes = bed_snapshot(b->t, NULL);
	struct err e;

	for (int i = 10; i < 24; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.0.%d", i);
		bed_add_backend(web, text, 8080);
	}
	assert_int_equal(publisher_check(b->p, b->m, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "limits.backends"));
	web->backends_n = 3;
	bed_add_service(b, wide);
	assert_int_equal(publisher_check(b->p, b->m, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "limits.slots"));
	model_del_service(b->m, "wide");
	for (int i = 0; i < 8; i++) {
		char name[8];

		snprintf(name, sizeof(name), "s%d", i);
		bed_add_service(b,
				bed_service(name, "192.0.2.4", (uint16_t)(100 + i), LB_MODE_L2, 7));
	}
	assert_int_equal(publisher_check(b->p, b->m, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "limits.services"));
	assert_true(bed_is_same(b->t, bytes));
	free(bytes);
}

// What the tables hold already takes no room again.
static void tables_more_than_half_full_are_taken_over(void **state)
{
	struct bed *b = *state;
	uint8_t *bytes;

	for (int i = 10; i < 18; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.0.0.%d", i);
		bed_add_backend(&b->m->services[0], text, 8080);
	}
	bed_add_service(b, bed_service("wide", "192.0.2.3", 80, LB_MODE_L2, 151));
	bed_apply(b);
	bytes = bed_snapshot(b->t, NULL);
	bed_restart(b);
	assert_true(bed_is_same(b->t, bytes));
	free(bytes);
}

static void both_families_have_rows(void **state)
{
	struct bed *b = *state;
	struct model_service s = bed_service("both", "192.0.2.7", 443, LB_MODE_IPIP, 13);
	struct publisher_service_view view;

	s.vips[s.vips_n++] = bed_address("2001:db8::7");
	bed_add_backend(&s, "10.0.0.5", 443);
	bed_add_backend(&s, "2001:db8::5", 443);
	bed_add_service(b, s);
	bed_apply(b);
	bed_resolve_hops(b->p, b->m, b->now_s);
	assert_int_equal(publisher_get_service(b->p, "both", &view), 0);
	assert_int_not_equal(view.row4, 0);
	assert_int_not_equal(view.row6, 0);
	assert_int_equal(
		LB_SLOT_CURRENT(*slot_word(b->p, b->t->rows.services[view.row6].ring_offset)) != 0,
		1);
}

static bool count_views(const struct publisher_backend_view *view, void *arg)
{
	++*(int *)arg;
	return true;
}

static void each_backend_is_shown_once(void **state)
{
	struct bed *b = *state;
	int n = 0;

	both_families_have_rows(state);
	publisher_each_backend(b->p, NULL, count_views, &n);
	assert_int_equal(n, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_fresh_ring_is_steady_and_even),
		TEST(a_restart_changes_no_byte),
		TEST(a_dead_backend_has_no_slot_at_once),
		TEST(on_down_keep_leaves_settled),
		TEST(a_disabled_backend_must_pass_its_checks_again),
		TEST(nobody_left_and_back),
		TEST(a_removed_backend_leaves_and_its_row_is_used_again),
		TEST(a_leaving_backend_is_cut_at_its_deadline),
		TEST(a_retired_row_outlives_its_fragments),
		TEST(what_is_leaving_is_judged_and_keeps_its_health),
		TEST(a_replaced_service_gets_rows_of_its_own),
		TEST(a_vip_moves_between_services),
		TEST(replies_wait_for_the_service_that_is_left),
		TEST(too_much_is_refused_before_anything_changes),
		TEST(tables_more_than_half_full_are_taken_over),
		TEST(both_families_have_rows),
		TEST(each_backend_is_shown_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
