// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the program of xdp/lb.bpf.c (its skeleton) with the tables in the place of the
// maps that the object declares. libbpf says why a load failed in many lines; they are
// caught, and the verifier's last word goes into the error.
#include "control/xdp_load.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "xdp/lb.skel.h"

// The end of what libbpf printed: its callback has no argument to hang this on.
static char said[1024];

static int keep_tail(enum libbpf_print_level level, const char *format, va_list ap)
{
	char *text;
	size_t len, room = sizeof(said) - 1;

	if (level != LIBBPF_WARN || vasprintf(&text, format, ap) < 0)
		return 0;
	len = strlen(text);
	if (len >= room) {
		memcpy(said, text + len - room, room + 1);
	} else {
		size_t have = strlen(said), drop = have + len > room ? have + len - room : 0;

		memmove(said, said + drop, have - drop);
		memcpy(said + have - drop, text, len + 1);
	}
	free(text);
	return 0;
}

// The verifier's log ends in its verdict, then in figures ("processed N insns ..."), then libbpf
// adds lines of its own: the verdict is the line before the figures.
static const char *last_word(void)
{
	char *figures = strstr(said, "\nprocessed "), *line;

	if (!figures) {
		for (line = said + strlen(said); line > said && line[-1] == '\n';)
			*--line = '\0';
	} else {
		*figures = '\0';
	}
	line = strrchr(said, '\n');
	return line ? line + 1 : said;
}

// The two tables of one row are variables of the program (xdp/platform_impl.h): libbpf names their
// maps by the section.
static struct bpf_map *find_map(struct bpf_object *object, const char *table)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, table);
	char section[64];

	if (map)
		return map;
	snprintf(section, sizeof(section), ".data.%s", table);
	return bpf_object__find_map_by_name(object, section);
}

static int reuse_maps(struct bpf_object *object, const struct tables *t, struct err *e)
{
#define TABLE_NAME(table, type, rows) #table,
	static const char *const names[] = { LB_TABLES(TABLE_NAME) };
#undef TABLE_NAME

	for (size_t i = 0; i < t->n; i++) {
		struct bpf_map *map = find_map(object, names[i]);
		int status = map ? bpf_map__reuse_fd(map, t->fds[i]) : -ENOENT;

		if (status)
			return err_set(e, status, "table %s: the program cannot use it: %s",
				       names[i], strerror(-status));
	}
	return 0;
}

static int program_id(int fd, uint32_t *ret)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int status = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!status)
		*ret = info.id;
	return status;
}

int xdp_load_program(const struct tables *t, int *ret_fd, uint32_t *ret_id, struct err *e)
{
	libbpf_print_fn_t before = libbpf_set_print(keep_tail);
	struct lb_bpf *skeleton;
	int status, fd = -1;

	said[0] = '\0';
	skeleton = lb_bpf__open();
	if (!skeleton) {
		status = err_set(e, -errno, "cannot read the XDP program: %s", strerror(errno));
		goto out;
	}
	status = reuse_maps(skeleton->obj, t, e);
	if (status)
		goto out;
	status = lb_bpf__load(skeleton);
	if (status) {
		err_set(e, status, "the kernel refused the XDP program: %s (%s)", strerror(-status),
			last_word());
		goto out;
	}
	fd = fcntl(bpf_program__fd(bpf_object__next_program(skeleton->obj, NULL)), F_DUPFD_CLOEXEC,
		   0);
	status = fd < 0 ? -errno : program_id(fd, ret_id);
	if (status) {
		err_set(e, status, "the XDP program: %s", strerror(-status));
		goto out;
	}
	*ret_fd = fd;
	fd = -1;
out:
	if (fd >= 0)
		close(fd);
	lb_bpf__destroy(skeleton);
	libbpf_set_print(before);
	return status;
}
