// SPDX-License-Identifier: BSD-2-Clause
//
// The tables of the XDP dataplane: one BPF array a table (BPF_F_MMAPABLE), pinned as
// bpffs_dir/maps/NAME and mapped into lbd, so that a change of the tables is a plain
// store. Called once, at start.
//
// Either no table is pinned, and all are made; or all are, and they are taken over if
// they are exactly what would be made. meta.state turns LB_META_LIVE when the last
// one is pinned; so a first start that crashed half-way is told from tables in use,
// and is cleaned away, as long as no program is pinned that could be reading them.
// Anything else is refused: tables hold connections, and are never silently made anew.
#include "control/tables.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/pins.h"
#include "control/tables_list.h"
#include "control/xdp_tables.h"

static int map_rows(struct tables *t, size_t i, const struct table_shape *shape, struct err *e)
{
	size_t len = shape->row_bytes * shape->rows_n;
	void *rows = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, t->fds[i], 0);

	if (rows == MAP_FAILED)
		return err_set(e, -errno, "table %s: cannot map %zu bytes: %s", shape->name, len,
			       strerror(errno));
	t->lens[i] = len;
	tables_set_rows(t, i, rows);
	return 0;
}

static int make_map(struct tables *t, size_t i, const struct table_shape *shape, struct err *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	struct xdp_map_shape map = xdp_tables_shape(shape->name, shape->row_bytes, shape->rows_n);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, shape->name, sizeof(__u32),
				(__u32)map.row_bytes, (__u32)map.rows_n, &options);

	if (fd < 0)
		return err_set(
			e, fd, "table %s: cannot make a BPF array of %llu rows of %zu bytes: %s",
			shape->name, (unsigned long long)map.rows_n, map.row_bytes, strerror(-fd));
	t->fds[i] = fd;
	return map_rows(t, i, shape, e);
}

static void unpin_all(const struct settings *s, const struct table_shape *shapes, size_t shapes_n)
{
	char path[PINS_PATH_MAX];

	for (size_t i = 0; i < shapes_n; i++)
		unlink(pins_path(s, path, "maps/%s", shapes[i].name));
}

static int pin_all(const struct settings *s, struct tables *t, const struct table_shape *shapes,
		   struct err *e)
{
	char path[PINS_PATH_MAX];

	for (size_t i = 0; i < t->n; i++) {
		int status = bpf_obj_pin(t->fds[i], pins_path(s, path, "maps/%s", shapes[i].name));

		if (!status)
			continue;
		unpin_all(s, shapes, i);
		return err_set(e, status, "cannot pin %s: %s", path, strerror(-status));
	}
	return 0;
}

static int make_all(const struct settings *s, const struct lb_meta *meta, struct tables *t,
		    struct err *e)
{
	struct table_shape shapes[TABLES_N];
	int status;

	tables_list(meta, shapes);
	for (size_t i = 0; i < t->n; i++) {
		status = make_map(t, i, &shapes[i], e);
		if (status)
			return status;
	}
	*t->rows.meta = *meta;
	status = pin_all(s, t, shapes, e);
	if (status)
		return status;
	__atomic_store_n(&t->rows.meta->state, LB_META_LIVE, __ATOMIC_RELEASE);
	return 0;
}

// Opens what is pinned. *ret_missing is the name of a table that is not, or NULL.
static int open_pins(const struct settings *s, const struct table_shape *shapes, struct tables *t,
		     const char **ret_missing, size_t *ret_found, struct err *e)
{
	char path[PINS_PATH_MAX];

	*ret_missing = NULL;
	*ret_found = 0;
	for (size_t i = 0; i < t->n; i++) {
		int fd = bpf_obj_get(pins_path(s, path, "maps/%s", shapes[i].name));

		if (fd == -ENOENT) {
			*ret_missing = shapes[i].name;
			continue;
		}
		if (fd < 0)
			return err_set(e, fd, "cannot open %s: %s", path, strerror(-fd));
		t->fds[i] = fd;
		++*ret_found;
	}
	return 0;
}

static int check_shape(int fd, const struct table_shape *shape, struct err *e)
{
	struct xdp_map_shape map = xdp_tables_shape(shape->name, shape->row_bytes, shape->rows_n);
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	// Of another object than a map it tells too: then the type is not the one that follows.
	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return err_set(e, -errno, "table %s: the kernel does not tell what is pinned: %s",
			       shape->name, strerror(errno));
	if (info.type != BPF_MAP_TYPE_ARRAY || !(info.map_flags & BPF_F_MMAPABLE))
		return err_set(e, -EINVAL,
			       "table %s: the pinned map is not a mappable array; " PINS_MEND,
			       shape->name);
	if (info.value_size != map.row_bytes || info.max_entries != map.rows_n)
		return err_set(e, -EINVAL,
			       "table %s: the pinned map has %u rows of %u bytes, not %llu of "
			       "%zu; " PINS_MEND,
			       shape->name, info.max_entries, info.value_size,
			       (unsigned long long)map.rows_n, map.row_bytes);
	return 0;
}

// Takes over the pinned maps in t->fds. All checks come before the caller may write.
static int adopt_all(const struct lb_meta *wanted, const struct table_shape *shapes,
		     struct tables *t, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < t->n && !status; i++)
		status = check_shape(t->fds[i], &shapes[i], e);
	for (size_t i = 0; i < t->n && !status; i++)
		if (!t->lens[i])
			status = map_rows(t, i, &shapes[i], e);
	if (!status)
		t->is_adopted = true;
	return status;
}

// Whether the pins are what a first start left that crashed half-way. -EINVAL: they are not, and
// something is wrong with them.
static int check_leftover(const struct settings *s, const struct tables *t, const char *missing,
			  bool *ret_leftover, struct err *e)
{
	const struct lb_meta *meta = t->rows.meta;
	bool unfinished = missing || (meta && meta->state == LB_META_EMPTY);

	if (unfinished && pins_have_program(s))
		return err_set(e, -EINVAL,
			       "table %s is missing below %s, but a program is pinned there that "
			       "may be using the others; " PINS_MEND,
			       missing ? missing : "meta (its contents)", s->bpffs_dir);
	*ret_leftover = unfinished;
	return 0;
}

// Opens the pins into @t. *ret_make: there is nothing (any more), all are to be made.
static int take_over(const struct settings *s, const struct lb_meta *meta, struct tables *t,
		     bool *ret_make, struct err *e)
{
	struct table_shape shapes[TABLES_N];
	const char *missing;
	size_t found;
	bool leftover;
	int status;

	tables_list(meta, shapes);
	status = open_pins(s, shapes, t, &missing, &found, e);
	*ret_make = found == 0;
	if (status || *ret_make)
		return status;
	// The first table is meta: it says what the others are, so it is looked at first.
	if (t->fds[0] >= 0) {
		status = check_shape(t->fds[0], &shapes[0], e);
		if (!status)
			status = map_rows(t, 0, &shapes[0], e);
		if (status)
			return status;
	}
	if (t->rows.meta && t->rows.meta->state != LB_META_EMPTY) {
		status = tables_check_meta(t->rows.meta, meta, e);
		if (status)
			return status;
	}
	status = check_leftover(s, t, missing, &leftover, e);
	if (status)
		return status;
	if (leftover) {
		unpin_all(s, shapes, TABLES_N);
		*ret_make = true;
		return 0;
	}
	return adopt_all(meta, shapes, t, e);
}

int tables_open(const struct settings *s, const uint64_t hash_key[2], struct tables **ret,
		struct err *e)
{
	int cpus_n = libbpf_num_possible_cpus();
	struct tables *t = NULL;
	struct lb_meta meta;
	bool make = false;
	int status;

	if (cpus_n < 0)
		return err_set(e, cpus_n, "cannot count the CPUs: %s", strerror(-cpus_n));
	if (cpus_n > LB_CPU_MAX)
		return err_set(
			e, -E2BIG,
			"this machine may have %d CPUs, and XDP's tables have room for %d: start "
			"the kernel with possible_cpus=%d",
			cpus_n, LB_CPU_MAX, LB_CPU_MAX);
	tables_size(s, hash_key, cpus_n, &meta);
	status = pins_make_dirs(s, e);
	if (status)
		return status;
	t = tables_new();
	if (!t)
		return err_set(e, -ENOMEM, "tables: out of memory");
	status = take_over(s, &meta, t, &make, e);
	if (!status && make) {
		tables_close(t);
		t = tables_new();
		status = t ? make_all(s, &meta, t, e) : err_set(e, -ENOMEM, "out of memory");
	}
	if (status) {
		tables_close(t);
		pins_remove_dirs(s);
		return status;
	}
	*ret = t;
	return 0;
}
