// SPDX-License-Identifier: BSD-2-Clause
//
// Loads a program of xdp/lb.bpf.c (its skeleton) with the tables in the place of the
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

#include "control/xdp_tables.h"
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

static int program_id(int fd, uint32_t *ret)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int status = bpf_obj_get_info_by_fd(fd, &info, &len);

	if (!status)
		*ret = info.id;
	return status;
}

// The plain program, or with a @filter the one that copies packets, and its maps.
static void choose(struct lb_bpf *skeleton, const struct lb_trace_filter *filter)
{
	bpf_program__set_autoload(skeleton->progs.lb_xdp, !filter);
	bpf_program__set_autoload(skeleton->progs.lb_xdp_traced, filter);
	bpf_map__set_autocreate(skeleton->maps.trace_aside, filter);
	bpf_map__set_autocreate(skeleton->maps.trace_counts, filter);
	bpf_map__set_autocreate(skeleton->maps.trace_window, filter);
	bpf_map__set_autocreate(skeleton->maps.trace_events, filter);
	if (filter)
		skeleton->rodata->lb_trace_filter = *filter;
}

// The skeleton with its program loaded; NULL, with @e filled.
static struct lb_bpf *load(const struct tables *t, const struct lb_trace_filter *filter,
			   struct err *e)
{
	libbpf_print_fn_t before = libbpf_set_print(keep_tail);
	struct lb_bpf *skeleton;
	int status;

	said[0] = '\0';
	status = xdp_tables_register();
	skeleton = status ? NULL : lb_bpf__open();
	if (!skeleton) {
		status = status ? status : -errno;
		err_set(e, status, "cannot read the XDP program: %s", strerror(-status));
		goto out;
	}
	choose(skeleton, filter);
	skeleton->rodata->lb_flat_sizes = xdp_tables_sizes(t->rows.meta);
	status = xdp_tables_give(skeleton->obj, t->fds, e);
	if (!status) {
		status = lb_bpf__load(skeleton);
		if (status)
			err_set(e, status, "the kernel refused the XDP program: %s (%s)",
				strerror(-status), last_word());
	}
	if (status) {
		lb_bpf__destroy(skeleton);
		skeleton = NULL;
	}
out:
	libbpf_set_print(before);
	return skeleton;
}

// Copies that outlive the skeleton. -1: errno.
static int keep(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int xdp_load_program(const struct tables *t, int *ret_fd, uint32_t *ret_id, struct err *e)
{
	struct lb_bpf *skeleton = load(t, NULL, e);
	int fd, status;

	if (!skeleton)
		return e->code;
	fd = keep(bpf_program__fd(skeleton->progs.lb_xdp));
	status = fd < 0 ? -errno : program_id(fd, ret_id);
	lb_bpf__destroy(skeleton);
	if (!status) {
		*ret_fd = fd;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return err_set(e, status, "the XDP program: %s", strerror(-status));
}

int xdp_load_traced(const struct tables *t, const struct lb_trace_filter *filter,
		    struct xdp_traced *ret, struct err *e)
{
	struct lb_bpf *skeleton = load(t, filter, e);
	struct xdp_traced traced;
	int status;

	if (!skeleton)
		return e->code;
	traced.program_fd = keep(bpf_program__fd(skeleton->progs.lb_xdp_traced));
	traced.events_fd = keep(bpf_map__fd(skeleton->maps.trace_events));
	traced.counts_fd = keep(bpf_map__fd(skeleton->maps.trace_counts));
	status = traced.program_fd < 0 || traced.events_fd < 0 || traced.counts_fd < 0
			 ? -EMFILE
			 : program_id(traced.program_fd, &traced.program_id);
	lb_bpf__destroy(skeleton);
	if (!status) {
		*ret = traced;
		return 0;
	}
	xdp_close_traced(&traced);
	return err_set(e, status, "the XDP program: %s", strerror(-status));
}

void xdp_close_traced(struct xdp_traced *traced)
{
	int *fds[] = {&traced->program_fd, &traced->events_fd, &traced->counts_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
