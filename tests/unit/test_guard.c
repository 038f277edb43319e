// SPDX-License-Identifier: BSD-2-Clause
//
// The guard against the real kernel, in a network namespace of its own: what the table
// holds after each change, after a restart, after somebody else's hands. Needs root and
// nft(8), by which the table is read.
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "control/guard.h"

#define AWAIT_S 20
#define MANY 20000
#define TURNS 500 // of the loop: enough for MANY

static struct event_base *base;
static struct guard *guard;
static int lost_n;
static struct prefix direct;
static struct settings_interface interfaces[] = {{.name = "wan"}, {.name = "lan.7"}};
static struct settings settings = {
	.interfaces = interfaces, .interfaces_n = 2, .direct = &direct, .direct_n = 1};

static void run(const char *command)
{
	if (system(command))
		fail_msg("failed: %s", command);
}

static struct guard_key key(const char *address, uint16_t port, uint8_t protocol)
{
	struct guard_key k = {.port = port, .protocol = protocol};

	assert_int_equal(address_parse(address, &k.address), 0);
	return k;
}

static void add(struct guard_keys *to, struct guard_key k)
{
	to->keys = realloc(to->keys, (to->n + 1) * sizeof(k));
	to->keys[to->n++] = k;
}

static void put(struct guard_wanted wanted)
{
	struct err e = {};

	if (guard_put(guard, &wanted, &e))
		fail_msg("%s", e.text);
}

// The elements of @set, in order, a line each: "203.0.113.10 tcp 80".
static void assert_set(const char *set, const char *expected)
{
	char command[512], text[1024] = "";
	FILE *f;

	snprintf(command, sizeof(command),
		 "nft -j list set inet sluice %s | jq -r '.nftables[] | .set // empty | "
		 ".elem // [] | map(if type == \"object\" then .concat | map(tostring) | join(\" "
		 "\") "
		 "else . end) | sort | .[]'",
		 set);
	f = popen(command, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_string_equal(text, expected);
}

static void on_lost(void *arg)
{
	lost_n++;
}

static int open_guard(void **state)
{
	struct err e = {};

	assert_int_equal(prefix_parse("10.9.0.0/16", &direct), 0);
	lost_n = 0;
	return guard_open(base, &settings, on_lost, NULL, &guard, &e);
}

static int close_guard(void **state)
{
	guard_close(guard);
	return 0;
}

static struct guard_wanted one_of_each(void)
{
	struct guard_wanted w = {};

	add(&w.services, key("203.0.113.10", 80, IPPROTO_TCP));
	add(&w.services, key("203.0.113.10", 53, IPPROTO_UDP));
	add(&w.services, key("203.0.113.11", 0, IPPROTO_TCP));
	add(&w.services, key("2001:db8::10", 80, IPPROTO_TCP));
	add(&w.services, key("2001:db8::11", 0, IPPROTO_UDP));
	add(&w.backends, key("10.1.0.11", 8080, IPPROTO_TCP));
	add(&w.backends, key("10.1.0.11", 8080, IPPROTO_TCP));
	add(&w.backends, key("fd00:1::11", 8080, IPPROTO_TCP));
	return w;
}

static void assert_one_of_each(void)
{
	assert_set("interfaces", "lan.7\nwan\n");
	assert_set("services4", "203.0.113.10 tcp 80\n203.0.113.10 udp 53\n");
	assert_set("any_port4", "203.0.113.11 tcp\n");
	assert_set("services6", "2001:db8::10 tcp 80\n");
	assert_set("any_port6", "2001:db8::11 udp\n");
	assert_set("backends4", "10.1.0.11 tcp 8080\n");
	assert_set("backends6", "fd00:1::11 tcp 8080\n");
}

static void assert_rules(void)
{
	run("nft list chain inet sluice input | grep -c drop | grep -qx 4");
	run("nft list chain inet sluice forward | grep -q 'daddr 10.9.0.0/16 accept'");
	run("nft list chain inet sluice forward | grep -c 'flags set rst' | grep -qx 2");
}

static void test_changes(void **state)
{
	struct guard_wanted w = {};

	put(one_of_each());
	assert_one_of_each();
	assert_rules();
	add(&w.services, key("203.0.113.10", 443, IPPROTO_TCP));
	add(&w.services, key("203.0.113.11", 0, IPPROTO_TCP));
	add(&w.backends, key("10.1.0.12", 8080, IPPROTO_TCP));
	put(w);
	assert_set("services4", "203.0.113.10 tcp 443\n");
	assert_set("any_port4", "203.0.113.11 tcp\n");
	assert_set("services6", "");
	assert_set("any_port6", "");
	assert_set("backends4", "10.1.0.12 tcp 8080\n");
	assert_set("backends6", "");
	put((struct guard_wanted){});
	assert_set("services4", "");
	assert_rules();
}

static void test_equal_is_nothing(void **state)
{
	put(one_of_each());
	run("nft flush set inet sluice services4");
	put(one_of_each());
	assert_set("services4", "");
	run("nft add element inet sluice services4 '{ 203.0.113.10 . tcp . 80 }'");
}

// What it finds is not what it would have put: elements, rules, an interface of before.
static void test_restart(void **state)
{
	put(one_of_each());
	guard_close(guard);
	run("nft add element inet sluice services4 '{ 203.0.113.99 . tcp . 99 }'");
	run("nft add element inet sluice interfaces '{ \"old\" }'");
	run("nft add rule inet sluice input drop");
	assert_int_equal(open_guard(state), 0);
	put(one_of_each());
	assert_one_of_each();
	assert_rules();
}

static void test_other_layout(void **state)
{
	put(one_of_each());
	guard_close(guard);
	run("nft delete table inet sluice");
	run("nft add table inet sluice");
	run("nft add set inet sluice services4 '{ type ipv4_addr; }'");
	assert_int_equal(open_guard(state), 0);
	put(one_of_each());
	assert_one_of_each();
	assert_rules();
}

// An element that is to go is gone already: the whole is made again.
static void test_others_hands(void **state)
{
	struct guard_wanted w = {};

	put(one_of_each());
	run("nft flush set inet sluice services4");
	add(&w.services, key("203.0.113.10", 443, IPPROTO_TCP));
	put(w);
	assert_set("services4", "203.0.113.10 tcp 443\n");
	assert_set("backends4", "");
}

static void on_bound(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

static void test_flushed(void **state)
{
	const struct timeval bound = {.tv_sec = AWAIT_S};
	bool is_past = false;
	struct event *timer = evtimer_new(base, on_bound, &is_past);

	put(one_of_each());
	run("nft add table ip other && nft delete table ip other");
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(lost_n, 0);
	run("nft flush ruleset");
	event_add(timer, &bound);
	while (!lost_n && !is_past)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(timer);
	assert_int_equal(lost_n, 1);
	put(one_of_each());
	assert_one_of_each();
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(lost_n, 1);
}

static int count_backends(void)
{
	FILE *f = popen("nft -j list set inet sluice backends4 | "
			"jq '.nftables[1].set.elem // [] | length'",
			"r");
	int n = -1;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	assert_int_equal(pclose(f), 0);
	return n;
}

// What changes much does so in turns of the loop, that it may do other things between.
static void test_many(void **state)
{
	struct guard_wanted w = {};
	char text[32];
	int n;

	put(one_of_each());

	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.1", i / 256, i % 256);
		add(&w.backends, key(text, 8080, IPPROTO_TCP));
	}
	put(w);
	n = count_backends();
	assert_true(n > 0 && n < MANY);
	for (int i = 0; i < TURNS; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(count_backends(), MANY);
	put(one_of_each());
	for (int i = 0; i < TURNS; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_one_of_each();
	assert_int_equal(lost_n, 0);
}

// Whoever owns the table lets nobody else change it.
static void test_refused(void **state)
{
	struct guard_wanted w = one_of_each();
	struct err e = {}, unused;
	FILE *owner;

	assert_int_equal(guard_remove(&unused), 0);
	owner = popen("nft -i >/dev/null", "w");
	assert_non_null(owner);
	fputs("add table inet sluice { flags owner; }\n", owner);
	fflush(owner);
	run("timeout 20 sh -c 'until nft list tables | grep -q sluice; do :; done'");
	assert_int_equal(guard_put(guard, &w, &e), -EOPNOTSUPP);
	assert_non_null(strstr(e.text, "Operation not permitted"));
	assert_int_equal(pclose(owner), 0);
	put(one_of_each());
	assert_one_of_each();
}

static void test_remove(void **state)
{
	struct err e = {};

	put(one_of_each());
	assert_int_equal(guard_remove(&e), 0);
	run("! nft list tables | grep -q sluice");
	assert_int_equal(guard_remove(&e), 0);
}

static int make_namespace(void **state)
{
	base = event_base_new();
	return unshare(CLONE_NEWNET);
}

static int remove_namespace(void **state)
{
	event_base_free(base);
	return 0;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_guard, close_guard)
	const struct CMUnitTest tests[] = {
		TEST(test_changes),	 TEST(test_equal_is_nothing), TEST(test_restart),
		TEST(test_other_layout), TEST(test_others_hands),     TEST(test_flushed),
		TEST(test_many),	 TEST(test_refused),	      TEST(test_remove),
	};

	if (geteuid() != 0) {
		puts("needs root: it makes a network namespace");
		return 77;
	}
	return cmocka_run_group_tests(tests, make_namespace, remove_namespace);
}
