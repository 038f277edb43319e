// SPDX-License-Identifier: BSD-2-Clause
//
// Pinned tables are taken over when they are what lbd would make, and refused in words
// otherwise. On a bpf filesystem of the test's own, with the real maps; needs root.
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/pins.h"
#include "control/tables.h"

static char mount_dir[] = "/tmp/test_tables.XXXXXX";
static char pin_dir[64];
static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct settings small_settings(void)
{
	struct settings s = {
		.limits = {.services = 4, .backends = 100, .slots = 65536, .connections = 4096},
		.bpffs_dir = pin_dir,
	};

	return s;
}

static int mount_bpffs(void **state)
{
	if (!mkdtemp(mount_dir) || mount("bpf", mount_dir, "bpf", 0, NULL))
		return -1;
	snprintf(pin_dir, sizeof(pin_dir), "%s/lbd", mount_dir);
	return 0;
}

static int unmount_bpffs(void **state)
{
	umount(mount_dir);
	return rmdir(mount_dir);
}

static void unpin(const char *name)
{
	struct settings s = small_settings();
	char path[PINS_PATH_MAX];

	assert_int_equal(unlink(pins_path(&s, path, "%s", name)), 0);
}

static int unpin_all(void **state)
{
#define UNPIN(table, type, rows) "maps/" #table,
	const char *names[] = { LB_TABLES(UNPIN) "link_x" };
	struct settings s = small_settings();
	char path[PINS_PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(pins_path(&s, path, "%s", names[i]));
	pins_remove_dirs(&s);
	return access(pin_dir, F_OK) ? 0 : -1;
}

static struct tables *open_ok(const struct settings *s)
{
	struct tables *t = NULL;
	struct err e = {};

	if (tables_open(s, key, &t, &e))
		fail_msg("%s", e.text);
	return t;
}

// Opening with @s and @k is refused with a sentence that has @part in it or in its field, and
// leaves the pinned slots as they were.
static void assert_refused(const struct settings *s, const uint64_t k[2], const char *part)
{
	struct tables *t = NULL;
	struct err e = {};
	char whole[600];

	assert_int_not_equal(tables_open(s, k, &t, &e), 0);
	assert_null(t);
	err_render(&e, NULL, whole, sizeof(whole));
	if (!strstr(whole, part) || !strstr(whole, "lbd --detach"))
		fail_msg("not about %s: %s", part, whole);
}

static void test_taken_over(void **state)
{
	struct settings s = small_settings();
	struct tables *t = open_ok(&s);

	assert_false(t->is_adopted);
	assert_int_equal(t->rows.meta->state, LB_META_LIVE);
	t->rows.slots[7].words[3] = LB_SLOT_WORD(5, 6, true);
	t->rows.connections[t->rows.meta->connection_mask].entries[3].word = 77;
	tables_close(t);

	t = open_ok(&s);
	assert_true(t->is_adopted);
	assert_int_equal(t->rows.slots[7].words[3], LB_SLOT_WORD(5, 6, true));
	assert_int_equal(t->rows.connections[t->rows.meta->connection_mask].entries[3].word, 77);
	tables_close(t);
}

static void test_other_limits_refused(void **state)
{
	struct settings s = small_settings();
	const struct settings good = s;

	tables_close(open_ok(&s));
	s.limits.services++;
	assert_refused(&s, key, "limits.services: is 5");
	s = good;
	s.limits.backends--;
	assert_refused(&s, key, "limits.backends: is 99");
	s = good;
	s.limits.slots *= 2;
	assert_refused(&s, key, "limits.slots: is 131072");
	s = good;
	s.limits.connections /= 2;
	assert_refused(&s, key, "limits.connections: is 2048");
}

static void test_other_key_refused(void **state)
{
	const uint64_t other[2] = {key[0], key[1] + 1};
	struct settings s = small_settings();

	tables_close(open_ok(&s));
	assert_refused(&s, other, "hash_key_file: holds another key");
}

static void test_other_layout_refused(void **state)
{
	char about[32];
	struct settings s = small_settings();
	struct tables *t = open_ok(&s);

	snprintf(about, sizeof(about), "layout version %d", LB_LAYOUT_VERSION + 1);
	t->rows.meta->layout_version++;
	assert_refused(&s, key, about);
	t->rows.meta->layout_version--;
	t->rows.meta->magic++;
	assert_refused(&s, key, "not Sluice's");
	t->rows.meta->magic--;
	t->rows.meta->cpu_n++;
	assert_refused(&s, key, "CPUs");
	tables_close(t);
}

static void test_foreign_map_refused(void **state)
{
	struct settings s = small_settings();
	char path[PINS_PATH_MAX];
	int fd;

	tables_close(open_ok(&s));
	unpin("maps/slots");
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "other", 4, 64, 10, NULL);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_pin(fd, pins_path(&s, path, "maps/slots")), 0);
	close(fd);
	assert_refused(&s, key, "table slots");
}

// A first start that crashed leaves a part of the pins, or an unfinished meta row.
static void test_unfinished_made_anew(void **state)
{
	struct settings s = small_settings();
	struct tables *t = open_ok(&s);

	t->rows.slots[0].words[0] = 1;
	tables_close(t);
	unpin("maps/reason_counters");
	t = open_ok(&s);
	assert_false(t->is_adopted);
	assert_int_equal(t->rows.slots[0].words[0], 0);
	t->rows.meta->state = LB_META_EMPTY;
	tables_close(t);
	t = open_ok(&s);
	assert_false(t->is_adopted);
	tables_close(t);
}

// But not while packets may be using the rest.
static void test_unfinished_in_use_refused(void **state)
{
	struct settings s = small_settings();
	struct tables *t = open_ok(&s);
	char path[PINS_PATH_MAX];

	assert_int_equal(bpf_obj_pin(t->fds[0], pins_path(&s, path, "link_x")), 0);
	tables_close(t);
	unpin("maps/reason_counters");
	assert_refused(&s, key, "reason_counters is missing");
}

static void test_sizes_follow_limits(void **state)
{
	struct settings s = small_settings();
	struct lb_meta m;

	tables_size(&s, key, 3, &m);
	assert_int_equal(m.service_n, 2 * 4 + 1);
	assert_int_equal(m.backend_n, 100 + 1);
	assert_int_equal(m.slot_n, 65536);
	assert_int_equal((m.connection_mask + 1) * LB_ENTRIES_PER_LINE, 4096);
	assert_int_equal(m.connection_mask & (m.connection_mask + 1), 0);
	assert_int_equal(LB_INDEX_LINES(m.service_shift), 64);
	assert_int_equal(LB_INDEX_LINES(m.reverse_shift), 256);
	assert_int_equal(m.state, LB_META_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_follow_limits),
		cmocka_unit_test_teardown(test_taken_over, unpin_all),
		cmocka_unit_test_teardown(test_other_limits_refused, unpin_all),
		cmocka_unit_test_teardown(test_other_key_refused, unpin_all),
		cmocka_unit_test_teardown(test_other_layout_refused, unpin_all),
		cmocka_unit_test_teardown(test_foreign_map_refused, unpin_all),
		cmocka_unit_test_teardown(test_unfinished_made_anew, unpin_all),
		cmocka_unit_test_teardown(test_unfinished_in_use_refused, unpin_all),
	};

	if (geteuid() != 0) {
		puts("needs root: it pins BPF maps");
		return 77;
	}
	return cmocka_run_group_tests(tests, mount_bpffs, unmount_bpffs);
}
