// SPDX-License-Identifier: BSD-2-Clause
//
// The tables' file of the DPDK dataplane: made, found by lbd and by lb-dpdk, refused in
// words, retired. In a directory of the test's own, and on a hugetlbfs where this host
// lets one have pages.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/tables.h"

static char run_dir[] = "/tmp/test_tables_file.XXXXXX";
static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct settings small_settings(void)
{
	return (struct settings){
		.dataplane = SETTINGS_DPDK,
		.limits = {.services = 4, .backends = 100, .slots = 65536, .connections = 4096},
		.run_dir = run_dir,
	};
}

static const char *path(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s/" TABLES_FILE_NAME, run_dir);
	return text;
}

static int make_dir(void **state)
{
	return mkdtemp(run_dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return rmdir(run_dir);
}

static int remove_file(void **state)
{
	struct settings s = small_settings();

	tables_remove_file(&s);
	return access(path(), F_OK) ? 0 : -1;
}

static struct tables *open_ok(void)
{
	struct settings s = small_settings();
	struct tables *t = NULL;
	struct err e = {};
	char note[256];

	if (tables_open_file(&s, key, &t, note, sizeof(note), &e))
		fail_msg("%s", e.text);
	return t;
}

static struct tables *map_ok(void)
{
	struct tables *t = NULL;
	struct err e = {};

	if (tables_map_file(path(), &t, &e))
		fail_msg("%s", e.text);
	return t;
}

// What one writes the other reads, in every table; nothing overlaps.
static void test_shared(void **state)
{
	struct tables *ours = open_ok(), *theirs = map_ok();
	uint8_t mark = 1;

	assert_false(ours->is_adopted);
	assert_int_equal(theirs->rows.meta->state, LB_META_LIVE);
#define MARK(rows, at, value) memset(&(rows).at[0], value, sizeof((rows).at[0]))
#define MARK_TABLE(name, type, n)                                                                  \
	if (strcmp(#name, "meta"))                                                                 \
		MARK(ours->rows, name, mark++);
#define MARK_FILE_TABLE(name, type, n) MARK(ours->file, name, mark++);
	LB_TABLES(MARK_TABLE)
	LB_FILE_TABLES(MARK_FILE_TABLE)
	mark = 1;
#define CHECK(rows, at)                                                                            \
	assert_int_equal(*(const uint8_t *)(rows).at, mark);                                       \
	assert_int_equal(((const uint8_t *)(rows).at)[sizeof((rows).at[0]) - 1], mark++);
#define CHECK_TABLE(name, type, n)                                                                 \
	if (strcmp(#name, "meta")) {                                                               \
		CHECK(theirs->rows, name)                                                          \
	}
#define CHECK_FILE_TABLE(name, type, n) CHECK(theirs->file, name)
	LB_TABLES(CHECK_TABLE)
	LB_FILE_TABLES(CHECK_FILE_TABLE)
	// The very last row lies in the file.
	theirs->file.ports[LB_PORT_MAX - 1].mtu = 7;
	assert_int_equal(ours->file.ports[LB_PORT_MAX - 1].mtu, 7);
	tables_close(ours);
	tables_close(theirs);
}

static void test_taken_over(void **state)
{
	struct tables *t = open_ok();

	t->rows.slots[7].words[3] = LB_SLOT_WORD(5, 6, true);
	tables_close(t);
	t = open_ok();
	assert_true(t->is_adopted);
	assert_int_equal(t->rows.slots[7].words[3], LB_SLOT_WORD(5, 6, true));
	tables_close(t);
}

// Refused by lbd, with a sentence that has @part and the mend; the file stays as it is.
static void assert_refused(const struct settings *s, const uint64_t k[2], const char *part)
{
	struct tables *t = NULL;
	struct err e = {};
	char note[256], whole[600];

	assert_int_not_equal(tables_open_file(s, k, &t, note, sizeof(note), &e), 0);
	assert_null(t);
	err_render(&e, NULL, whole, sizeof(whole));
	if (!strstr(whole, part) || !strstr(whole, "lbd --detach"))
		fail_msg("not about %s: %s", part, whole);
	tables_close(map_ok());
}

static void test_others_refused(void **state)
{
	const uint64_t other_key[2] = {1, 2};
	struct settings s = small_settings();

	tables_close(open_ok());
	s.limits.backends++;
	assert_refused(&s, key, "limits.backends: is 101");
	s = small_settings();
	assert_refused(&s, other_key, "hash_key_file");
}

static void assert_unmapped(int code, const char *part)
{
	struct tables *t = NULL;
	struct err e = {};

	assert_int_equal(tables_map_file(path(), &t, &e), code);
	assert_null(t);
	if (part && !strstr(e.text, part))
		fail_msg("not about %s: %s", part, e.text);
}

static void test_lb_dpdk_refuses(void **state)
{
	struct tables *t;

	assert_unmapped(-ENOENT, NULL);
	t = open_ok();
	t->rows.meta->layout_version++;
	assert_unmapped(-EINVAL, "layout version");
	t->rows.meta->layout_version--;
	t->rows.meta->magic++;
	assert_unmapped(-EINVAL, "no file of Sluice's");
	t->rows.meta->magic--;
	// More rows than the file has room for.
	t->rows.meta->slot_n += 1u << 24;
	assert_unmapped(-EINVAL, "cut short");
	t->rows.meta->slot_n -= 1u << 24;
	t->rows.meta->state = LB_META_RETIRED;
	assert_unmapped(-ENOENT, NULL);
	tables_close(t);
}

// Whoever has it mapped learns that it is retired, and the next one is another.
static void test_retired(void **state)
{
	struct settings s = small_settings();
	struct tables *theirs, *next;

	tables_close(open_ok());
	theirs = map_ok();
	tables_remove_file(&s);
	assert_int_equal(theirs->rows.meta->state, LB_META_RETIRED);
	assert_unmapped(-ENOENT, NULL);
	next = open_ok();
	assert_false(next->is_adopted);
	assert_int_equal(theirs->rows.meta->state, LB_META_RETIRED);
	tables_close(theirs);
	tables_close(next);
}

static void test_lock(void **state)
{
	struct tables *ours = open_ok(), *theirs = map_ok(), *third = map_ok();

	assert_false(tables_is_file_locked(ours));
	assert_true(tables_lock_file(theirs));
	assert_true(tables_is_file_locked(ours));
	assert_false(tables_lock_file(third));
	tables_close(theirs);
	assert_false(tables_is_file_locked(ours));
	tables_close(third);
	tables_close(ours);
}

// A link whose file went with a reboot, and a file half made, are no hindrance.
static void test_leftovers(void **state)
{
	char aside[160];
	int fd;

	assert_int_equal(symlink("/nonexistent/sluice-tables-1", path()), 0);
	snprintf(aside, sizeof(aside), "%s.new", path());
	fd = open(aside, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	tables_close(open_ok());
	assert_int_equal(access(aside, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_shared, remove_file),
		cmocka_unit_test_teardown(test_taken_over, remove_file),
		cmocka_unit_test_teardown(test_others_refused, remove_file),
		cmocka_unit_test_teardown(test_lb_dpdk_refuses, remove_file),
		cmocka_unit_test_teardown(test_retired, remove_file),
		cmocka_unit_test_teardown(test_lock, remove_file),
		cmocka_unit_test_teardown(test_leftovers, remove_file),
	};

	return cmocka_run_group_tests_name("tables_file", tests, make_dir, remove_dir);
}
