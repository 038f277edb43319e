// SPDX-License-Identifier: BSD-2-Clause
//
// Whatever may be found on disk: the input is the content of one of the files that lbd or lb-dpdk
// read back, its first byte says which: a kept generation, the hash key, the tables of the DPDK
// dataplane, lbd.yaml. (In memory: on /dev/shm, or in TMPDIR.)
//
// Beyond not crashing or leaking: what is refused is so in a sentence; a generation that is taken
// can be saved, and read again alike; a generation that is broken leaves the one before.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/hash_key.h"
#include "control/schema.h"
#include "control/settings.h"
#include "control/store.h"
#include "control/tables.h"
#include "fuzz.h"

enum { GENERATION, HASH_KEY, TABLES, SETTINGS, KINDS_N };

static char dir[128];
static bool is_made;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_dir(void)
{
	const char *parent = getenv("TMPDIR");
	char path[256];

	if (is_made)
		return;
	snprintf(dir, sizeof(dir), "%s/sluice-fuzz-XXXXXX", parent ? parent : "/dev/shm");
	fuzz_demand(mkdtemp(dir) != NULL, "no directory in TMPDIR, or on /dev/shm");
	snprintf(path, sizeof(path), "%s/generations", dir);
	fuzz_demand(!mkdir(path, 0700), "no directory in TMPDIR, or on /dev/shm");
	atexit(remove_dir);
	is_made = true;
}

static const char *path_of(const char *name, char *buf, size_t buf_len)
{
	snprintf(buf, buf_len, "%s/%s", dir, name);
	return buf;
}

static void write_file(const char *name, const void *bytes, size_t len)
{
	char path[256];
	int fd = open(path_of(name, path, sizeof(path)), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	fuzz_demand(fd >= 0 && write(fd, bytes, len) == (ssize_t)len, "cannot write");
	close(fd);
}

static void remove_file(const char *name)
{
	char path[256];

	unlink(path_of(name, path, sizeof(path)));
}

static void demand_refusal(int r, const struct err *e)
{
	fuzz_demand(r == e->code && e->text[0], "refused without a sentence");
}

// ---- a generation ----

// Newer than what was found; reads alike.
static void save_again(struct store *s, struct model *m)
{
	char *before = schema_render_yaml(m), *after;
	struct model *back;
	struct err e = {0};

	fuzz_demand(store_save(s, m, "fuzz", &e) == 0, e.text);
	fuzz_demand(m->generation == 8, "the generation's number");
	fuzz_demand(store_load(s, &back, &e) == 0, e.text);
	after = schema_render_yaml(back);
	fuzz_demand(!strcmp(before, after), "a generation that reads otherwise");
	free(before);
	free(after);
	model_free(back);
	remove_file("generations/8.yaml");
}

static void try_generation(const uint8_t *data, size_t len)
{
	static const char good[] = "services: []\n";
	struct store_generation *list;
	struct store *s;
	struct model *m;
	size_t list_n;
	struct err e = {0};
	int r;

	write_file("generations/6.yaml", good, strlen(good));
	write_file("generations/7.yaml", data, len);
	fuzz_demand(store_open(dir, &s, &e) == 0, e.text);
	fuzz_demand(store_list(s, &list, &list_n, &e) == 0, e.text);
	fuzz_demand(list_n == 2 && list[0].number == 7, "two generations, newest first");
	fuzz_demand(memchr(list[0].cause, 0, sizeof(list[0].cause)) != NULL, "an endless cause");
	free(list);
	r = store_load(s, &m, &e);
	if (r == 0) {
		save_again(s, m);
		model_free(m);
	} else {
		demand_refusal(r, &e);
		fuzz_demand(store_load_generation(s, 6, &m, &e) == 0, "the one before");
		model_free(m);
	}
	store_close(s);
}

// ---- the others ----

static void try_hash_key(const uint8_t *data, size_t len)
{
	struct settings settings = {0};
	uint64_t key[2] = {1, 2};
	char path[256];
	struct err e = {0};
	int r;

	write_file("hash.key", data, len);
	settings.hash_key_file = (char *)path_of("hash.key", path, sizeof(path));
	r = hash_key_open(&settings, key, &e);
	if (r == 0)
		return;
	demand_refusal(r, &e);
	fuzz_demand(key[0] == 1 && key[1] == 2, "a refused key was taken");
}

static void try_tables(const uint8_t *data, size_t len)
{
	struct tables *t;
	char path[256];
	struct err e = {0};
	int r;

	write_file(TABLES_FILE_NAME, data, len);
	r = tables_map_file(path_of(TABLES_FILE_NAME, path, sizeof(path)), &t, &e);
	if (r == 0) {
		fuzz_demand(t->file_len <= len, "more is mapped than there is");
		tables_close(t);
	} else if (r != -ENOENT) {
		demand_refusal(r, &e);
	}
}

static void try_settings(const uint8_t *data, size_t len)
{
	struct settings *settings;
	struct err e = {0};
	char path[256];
	int r;

	write_file("lbd.yaml", data, len);
	r = settings_load(path_of("lbd.yaml", path, sizeof(path)), &settings, &e);
	if (r == 0)
		settings_free(settings);
	else
		demand_refusal(r, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const kinds[KINDS_N])(const uint8_t *data, size_t len) = {
		[GENERATION] = try_generation,
		[HASH_KEY] = try_hash_key,
		[TABLES] = try_tables,
		[SETTINGS] = try_settings,
	};

	if (!len)
		return 0;
	make_dir();
	kinds[*data % KINDS_N](data + 1, len - 1);
	return 0;
}
