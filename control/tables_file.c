// SPDX-License-Identifier: BSD-2-Clause
//
// The tables of the DPDK dataplane: one file, mapped by lbd (which makes it) and by
// lb-dpdk. It lies on hugetlbfs where there is room, with a link in run_dir that leads
// to it, and in run_dir itself elsewhere. It gets its memory when it is made, so that
// no store into it can fail later.
//
// A file is made under another name and renamed when it is whole; so whoever finds
// run_dir/tables finds all of it. Where it is made anew (other limits, after
// `lbd --detach`) the old one says so in itself (LB_META_RETIRED), for it lives on
// as long as somebody has it mapped.
#include "control/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "control/file.h"
#include "control/map.h"
#include "control/tables_list.h"

#define FILE_TABLES_N (0 LB_FILE_TABLES(TABLES_COUNT_ONE))
#define HUGE_PREFIX "sluice-tables-"

// ---- layout ----

struct layout {
	size_t offsets[TABLES_N + FILE_TABLES_N];
	size_t bytes;
};

static size_t round_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

static struct layout make_layout(const struct lb_meta *m)
{
	struct layout l = {.bytes = 0};
	size_t i = 0;

#define PLACE(table, type, rows)                                                                   \
	l.offsets[i++] = l.bytes;                                                                  \
	l.bytes = round_up(l.bytes + sizeof(type) * (size_t)(rows), LB_FILE_ALIGN);
	LB_TABLES(PLACE)
	LB_FILE_TABLES(PLACE)
#undef PLACE
	return l;
}

static void set_pointers(struct tables *t, const struct layout *l)
{
	char *start = t->file_start;
	size_t i = TABLES_N;

	for (size_t at = 0; at < TABLES_N; at++)
		tables_set_rows(t, at, start + l->offsets[at]);
#define POINT(table, type, rows) t->file.table = (type *)(start + l->offsets[i++]);
	LB_FILE_TABLES(POINT)
#undef POINT
}

// Maps t->file_fd, whose length is that of @l at least.
static int map_whole(struct tables *t, const struct layout *l, size_t len, struct err *e)
{
	void *start = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, t->file_fd, 0);

	if (start == MAP_FAILED)
		return err_set(e, -errno, "cannot map the tables' file, %zu bytes: %s", len,
			       strerror(errno));
	t->file_start = start;
	t->file_len = len;
	set_pointers(t, l);
	return 0;
}

// ---- found ----

// Reads the row of meta (a mapping of a huge page cannot be undone in part). -ENOENT: none is in
// use.
static int read_meta(int fd, struct lb_meta *ret, struct err *e)
{
	ssize_t len = pread(fd, ret, sizeof(*ret), 0);

	if (len != sizeof(*ret))
		return err_set(e, -EINVAL, "is no file of tables: it is too short");
	if (ret->magic != LB_MAGIC)
		return err_set(e, -EINVAL, "is no file of Sluice's tables");
	if (ret->state != LB_META_LIVE)
		return -ENOENT;
	return 0;
}

static int check_len(int fd, const struct layout *l, size_t *ret_len, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, "%s", strerror(errno));
	if ((size_t)st.st_size < l->bytes)
		return err_set(e, -EINVAL,
			       "has %zu bytes, and its sizes want %zu: it was cut short; `lbd "
			       "--detach` removes it",
			       (size_t)st.st_size, l->bytes);
	*ret_len = st.st_size;
	return 0;
}

// Opens and maps; where @wanted is not NULL only what equals it. -ENOENT without words: none.
static int open_found(const char *path, const struct lb_meta *wanted, struct tables *t,
		      struct err *e)
{
	struct lb_meta meta;
	struct layout l;
	size_t len = 0;
	int status;

	t->file_fd = open(path, O_RDWR | O_CLOEXEC);
	if (t->file_fd < 0)
		return errno == ENOENT ? -ENOENT : err_set(e, -errno, "%s", strerror(errno));
	status = read_meta(t->file_fd, &meta, e);
	if (!status && wanted)
		status = tables_check_meta(&meta, wanted, e);
	else if (!status && meta.layout_version != LB_LAYOUT_VERSION)
		status = err_set(e, -EINVAL,
				 "has layout version %u, and this program %u: start the lb-dpdk "
				 "and the lbd of one version",
				 meta.layout_version, LB_LAYOUT_VERSION);
	if (status)
		return status;
	l = make_layout(&meta);
	status = check_len(t->file_fd, &l, &len, e);
	return status ? status : map_whole(t, &l, len, e);
}

int tables_map_file(const char *path, struct tables **ret, struct err *e)
{
	struct tables *t = tables_new();
	int status;

	if (!t)
		return err_set(e, -ENOMEM, "out of memory");
	status = open_found(path, NULL, t, e);
	if (status) {
		tables_close(t);
		return status;
	}
	*ret = t;
	return 0;
}

// ---- the lock ----

bool tables_lock_file(struct tables *t)
{
	return file_lock(t->file_fd);
}

bool tables_is_file_locked(const struct tables *t)
{
	return file_is_locked(t->file_fd);
}

// ---- made ----

static const char *file_path(const struct settings *s, const char *suffix, char buf[PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/" TABLES_FILE_NAME "%s", s->run_dir, suffix);
	return buf;
}

// Of this run_dir, on the hugetlbfs at @mount.
static void huge_path(const struct settings *s, const char *mount, char buf[PATH_MAX])
{
	uint64_t hash = map_hash(MAP_HASH_START, s->run_dir, strlen(s->run_dir));

	snprintf(buf, PATH_MAX, "%s/" HUGE_PREFIX "%016llx", mount, (unsigned long long)hash);
}

// A new file at @path, with memory behind all of it. -1: errno.
static int make_at(const char *path, size_t bytes, size_t *ret_len)
{
	struct statfs fs;
	int fd, code;

	unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (!fstatfs(fd, &fs)) {
		size_t len = round_up(bytes, fs.f_bsize);

		// The length first: on hugetlbfs what is allocated beyond it is not counted.
		if (!ftruncate(fd, len) && !fallocate(fd, 0, 0, len)) {
			*ret_len = len;
			return fd;
		}
	}
	code = errno;
	close(fd);
	unlink(path);
	errno = code;
	return -1;
}

// Where there is a hugetlbfs with room: makes the file there, and a link to it at @link. -1: none.
static int make_huge(const struct settings *s, const char *link, size_t bytes, size_t *ret_len,
		     char *note, size_t note_len)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char path[PATH_MAX];
	struct mntent *m;
	int fd = -1;

	snprintf(note, note_len,
		 "the tables are not on huge pages: no hugetlbfs is mounted (`mount -t hugetlbfs "
		 "none /dev/hugepages`)");
	while (mounts && fd < 0 && (m = getmntent(mounts))) {
		if (strcmp(m->mnt_type, "hugetlbfs") != 0)
			continue;
		huge_path(s, m->mnt_dir, path);
		fd = make_at(path, bytes, ret_len);
		if (fd >= 0 && symlink(path, link)) {
			close(fd);
			unlink(path);
			fd = -1;
		}
		if (fd < 0)
			snprintf(note, note_len,
				 "the tables are not on huge pages: %zu bytes in %s: %s", bytes,
				 m->mnt_dir,
				 errno == ENOSPC || errno == ENOMEM
					 ? "too few are free (`sysctl vm.nr_hugepages` reserves)"
					 : strerror(errno));
		else
			note[0] = '\0';
	}
	if (mounts)
		endmntent(mounts);
	return fd;
}

// What a file was linked to is removed with the link.
static void remove_file(const char *path)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	char *name;

	if (len > 0) {
		target[len] = '\0';
		name = strrchr(target, '/');
		if (name && !strncmp(name + 1, HUGE_PREFIX, strlen(HUGE_PREFIX)))
			unlink(target);
	}
	unlink(path);
}

static int make_file(const struct settings *s, const struct lb_meta *meta, struct tables *t,
		     char *note, size_t note_len, struct err *e)
{
	char aside[PATH_MAX], path[PATH_MAX];
	struct layout l = make_layout(meta);
	size_t len = 0;
	int status;

	file_path(s, "", path);
	file_path(s, ".new", aside);
	remove_file(aside);
	t->file_fd = make_huge(s, aside, l.bytes, &len, note, note_len);
	if (t->file_fd < 0)
		t->file_fd = make_at(aside, l.bytes, &len);
	if (t->file_fd < 0)
		return err_set_field(e, -errno, 0, "run_dir",
				     "cannot make the tables, %s of %zu bytes: %s; smaller "
				     "`limits` make them smaller",
				     aside, l.bytes, strerror(errno));
	status = map_whole(t, &l, len, e);
	if (!status) {
		*t->rows.meta = *meta;
		__atomic_store_n(&t->rows.meta->state, LB_META_LIVE, __ATOMIC_RELEASE);
		if (rename(aside, path))
			status = err_set(e, -errno, "cannot rename %s to %s: %s", aside, path,
					 strerror(errno));
	}
	if (status)
		remove_file(aside);
	return status;
}

int tables_open_file(const struct settings *s, const uint64_t hash_key[2], struct tables **ret,
		     char *ret_note, size_t note_len, struct err *e)
{
	struct tables *t = tables_new();
	char path[PATH_MAX];
	struct lb_meta meta;
	int status;

	ret_note[0] = '\0';
	if (!t)
		return err_set(e, -ENOMEM, "tables: out of memory");
	// A worker counts in a row of its own: there is one for every CPU, as under XDP.
	tables_size(s, hash_key, sysconf(_SC_NPROCESSORS_CONF), &meta);
	status = open_found(file_path(s, "", path), &meta, t, e);
	if (status && status != -ENOENT && !e->field[0])
		snprintf(e->field, sizeof(e->field), "%.*s", (int)sizeof(e->field) - 1, path);
	t->is_adopted = !status;
	if (status == -ENOENT) {
		tables_close(t);
		t = tables_new();
		status = t ? make_file(s, &meta, t, ret_note, note_len, e)
			   : err_set(e, -ENOMEM, "tables: out of memory");
	}
	if (status) {
		tables_close(t);
		return status;
	}
	*ret = t;
	return 0;
}

void tables_remove_file(const struct settings *s)
{
	const uint32_t retired = LB_META_RETIRED;
	struct err unused = {};
	struct tables *t = NULL;
	char path[PATH_MAX];

	if (!tables_map_file(file_path(s, "", path), &t, &unused))
		__atomic_store_n(&t->rows.meta->state, retired, __ATOMIC_RELEASE);
	tables_close(t);
	remove_file(path);
	remove_file(file_path(s, ".new", path));
}
