// SPDX-License-Identifier: BSD-2-Clause
//
// control/store.c and file.c on a real directory: generations come back, grow, are
// pruned; what a crash, a full disk or a hand left behind is dealt with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/schema.h"
#include "control/store.h"

struct fixture {
	char state_dir[64];
	struct store *store;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char root[] = "/tmp/test-store-XXXXXX";

	if (!mkdtemp(root))
		return -1;
	// Missing directories are made.
	snprintf(f->state_dir, sizeof(f->state_dir), "%s/a/b", root);
	*state = f;
	return store_open(f->state_dir, &f->store, &f->e);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	int r;

	store_close(f->store);
	snprintf(command, sizeof(command), "rm -rf %.22s", f->state_dir); // the root
	r = system(command);
	free(f);
	return r;
}

static void file_path(const struct fixture *f, const char *name, char *buf, size_t buf_len)
{
	snprintf(buf, buf_len, "%s/generations/%s", f->state_dir, name);
}

static void put_file(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	file_path(f, name, path, sizeof(path));
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool is_file(const struct fixture *f, const char *name)
{
	char path[128];

	file_path(f, name, path, sizeof(path));
	return access(path, F_OK) == 0;
}

static struct model *make_model(unsigned int port)
{
	struct model *m;
	char text[128];
	struct err e;

	snprintf(text, sizeof(text), "services: [{name: web, port: %u, vips: [203.0.113.10]}]",
		 port);
	assert_int_equal(schema_decode_model(text, strlen(text), &m, &e), 0);
	return m;
}

static void save(struct fixture *f, unsigned int port, const char *cause)
{
	struct model *m = make_model(port);

	assert_int_equal(store_save(f->store, m, cause, &f->e), 0);
	model_free(m);
}

// The newest generation's number; its service's port.
static uint64_t load(struct fixture *f, unsigned int *ret_port)
{
	struct model *m;
	uint64_t generation;

	assert_int_equal(store_load(f->store, &m, &f->e), 0);
	generation = m->generation;
	*ret_port = m->services_n ? m->services[0].port : 0;
	model_free(m);
	return generation;
}

static void an_empty_store_is_generation_0(void **state)
{
	struct store_generation *list;
	struct fixture *f = *state;
	unsigned int port;
	size_t n;

	assert_int_equal(load(f, &port), 0);
	assert_int_equal(port, 0);
	assert_int_equal(store_list(f->store, &list, &n, &f->e), 0);
	assert_int_equal(n, 0);
	free(list);
}

static void generations_come_back(void **state)
{
	struct store_generation *list;
	struct fixture *f = *state;
	time_t start = time(NULL);
	struct model *m;
	unsigned int port;
	size_t n;

	save(f, 80, "apply");
	save(f, 81, "backend drain web\n10.1.0.12:8080");
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(f->state_dir, &f->store, &f->e), 0);
	assert_int_equal(load(f, &port), 2);
	assert_int_equal(port, 81);
	assert_int_equal(store_load_generation(f->store, 1, &m, &f->e), 0);
	assert_int_equal(m->generation, 1);
	assert_int_equal(m->services[0].port, 80);
	model_free(m);
	assert_int_equal(store_load_generation(f->store, 3, &m, &f->e), -ENOENT);
	assert_string_equal(f->e.text,
			    "generation 3 is not kept; `lbctl history` shows those that are");
	assert_int_equal(store_list(f->store, &list, &n, &f->e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(list[0].number, 2);
	assert_string_equal(list[0].cause, "backend drain web 10.1.0.12:8080");
	assert_int_equal(list[1].number, 1);
	assert_string_equal(list[1].cause, "apply");
	for (size_t i = 0; i < n; i++)
		assert_in_range(list[i].written_s, start, time(NULL));
	free(list);
}

static void the_last_hundred_are_kept(void **state)
{
	struct store_generation *list;
	struct fixture *f = *state;
	unsigned int port;
	size_t n;

	for (unsigned int i = 1; i <= STORE_KEEP + 5; i++)
		save(f, i, "apply");
	assert_int_equal(load(f, &port), STORE_KEEP + 5);
	assert_int_equal(store_list(f->store, &list, &n, &f->e), 0);
	assert_int_equal(n, STORE_KEEP);
	assert_int_equal(list[0].number, STORE_KEEP + 5);
	assert_int_equal(list[n - 1].number, 6);
	free(list);
}

static void what_a_crash_left_aside_is_removed(void **state)
{
	struct fixture *f = *state;
	unsigned int port;

	save(f, 80, "apply");
	put_file(f, ".2.yaml.tmp", "services: [{na");
	store_close(f->store);
	f->store = NULL;
	assert_int_equal(store_open(f->state_dir, &f->store, &f->e), 0);
	assert_false(is_file(f, ".2.yaml.tmp"));
	assert_int_equal(load(f, &port), 1);
	save(f, 81, "apply");
	assert_int_equal(load(f, &port), 2);
}

static void a_broken_file_is_named_with_its_mend(void **state)
{
	char from[128], to[128], expected[512];
	struct fixture *f = *state;
	struct model *m = NULL;
	unsigned int port;

	save(f, 80, "apply");
	put_file(f, "2.yaml", "# cause: x\nservices:\n  - name: web\n    prot: 80\n");
	assert_int_equal(store_load(f->store, &m, &f->e), -EINVAL);
	assert_null(m);
	snprintf(expected, sizeof(expected),
		 "generation 2 is broken: services[0].prot: is no known key; did you mean `port`? "
		 "(%s/generations/2.yaml:4); mend the file, or move it away and the generation "
		 "before "
		 "it holds",
		 f->state_dir);
	assert_string_equal(f->e.text, expected);
	put_file(f, "2.yaml", ""); // what a lost write leaves
	assert_int_equal(store_load(f->store, &m, &f->e), -EINVAL);
	// Moved away: the one before holds, and its number is not used again.
	file_path(f, "2.yaml", from, sizeof(from));
	file_path(f, "2.yaml.broken", to, sizeof(to));
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(load(f, &port), 1);
	save(f, 81, "apply");
	assert_int_equal(load(f, &port), 3);
	assert_true(is_file(f, "2.yaml.broken"));
}

static void other_files_do_not_disturb(void **state)
{
	struct fixture *f = *state;
	unsigned int port;

	put_file(f, "README", "mine");
	put_file(f, "007.yaml", "mine");
	put_file(f, "99999999999999999999999.yaml", "mine");
	save(f, 80, "apply");
	assert_int_equal(load(f, &port), 1);
}

// Bytes that cannot be written: the file size limit stands for any failing write.
static void a_failed_write_leaves_the_old_state(void **state)
{
	const struct rlimit little = {16, RLIM_INFINITY};
	struct fixture *f = *state;
	struct rlimit before;
	struct model *m;
	unsigned int port;

	save(f, 80, "apply");
	m = make_model(81);
	m->generation = 1;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(store_save(f->store, m, "apply", &f->e), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(f->e.text, "/generations/2.yaml) cannot be written: File too large; "
					  "nothing is changed"));
	assert_int_equal(m->generation, 1);
	model_free(m);
	assert_false(is_file(f, "2.yaml"));
	assert_false(is_file(f, ".2.yaml.tmp"));
	assert_int_equal(load(f, &port), 1);
	assert_int_equal(port, 80);
}

// In a mount namespace of its own: a file system of 16 KiB, filled.
static int fill_a_disk(struct fixture *f)
{
	struct model *m;
	char path[128];
	unsigned int port;
	FILE *file;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	snprintf(path, sizeof(path), "%s/generations", f->state_dir);
	if (mount("tmpfs", path, "tmpfs", 0, "size=16k") < 0)
		return 77;
	m = make_model(80);
	if (store_save(f->store, m, "apply", &f->e) < 0)
		return 1;
	file_path(f, "filler", path, sizeof(path));
	file = fopen(path, "w");
	for (int i = 0; file && i < 16384; i++)
		fputc('x', file);
	if (file)
		fclose(file);
	if (store_save(f->store, m, "apply", &f->e) != -ENOSPC || m->generation != 1)
		return 2;
	model_free(m);
	return load(f, &port) == 1 && port == 80 ? 0 : 3;
}

static void a_full_disk_leaves_the_old_state(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fill_a_disk(*state));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

// Killed at any moment: what is there afterwards is a whole generation, and the numbers have no
// gap.
static void killed_while_saving(void **state)
{
	struct fixture *f = *state;
	unsigned int port;

	save(f, 1, "apply");
	for (int round = 0; round < 50; round++) {
		uint64_t before = load(f, &port);
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct model *m = make_model(1);

			for (;;) {
				// Each generation's port is its number.
				m->services[0].port = (uint16_t)(m->generation + 1);
				if (!m->generation)
					m->services[0].port = (uint16_t)(before + 1);
				if (store_save(f->store, m, "apply", &f->e) < 0)
					_exit(1);
			}
		}
		nanosleep(&(struct timespec){.tv_nsec = 100000L * (1 + round % 20)}, NULL);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		store_close(f->store);
		f->store = NULL;
		assert_int_equal(store_open(f->state_dir, &f->store, &f->e), 0);
		assert_in_range(load(f, &port), before, UINT64_MAX);
		assert_int_equal(load(f, &port), port);
	}
}

static void a_directory_that_cannot_be_made(void **state)
{
	struct store *s = NULL;
	struct err e;

	assert_int_equal(store_open("/proc/nothing", &s, &e), -ENOENT);
	assert_string_equal(e.text, "/proc/nothing cannot be made: No such file or directory");
	assert_null(s);
}

int main(void)
{
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		STORE_TEST(an_empty_store_is_generation_0),
		STORE_TEST(generations_come_back),
		STORE_TEST(the_last_hundred_are_kept),
		STORE_TEST(what_a_crash_left_aside_is_removed),
		STORE_TEST(a_broken_file_is_named_with_its_mend),
		STORE_TEST(other_files_do_not_disturb),
		STORE_TEST(a_failed_write_leaves_the_old_state),
		STORE_TEST(a_full_disk_leaves_the_old_state),
		STORE_TEST(killed_while_saving),
		cmocka_unit_test(a_directory_that_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
