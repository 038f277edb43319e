// SPDX-License-Identifier: BSD-2-Clause
//
// The XDP program in the kernel: what is loaded, where it is attached, what is pinned.
// Called by the daemon at start and when links change; the packets themselves never
// pass here. The pinned links own the attachments: lbd holds none open, so that
// whether it runs or not makes no difference to them.
#include "control/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/pins.h"
#include "control/xdp_load.h"

struct xdp {
	const struct settings *settings;
	int program_fd;
	uint32_t program_id;
	// What links run: that, or what xdp_swap() was given for a while.
	int running_fd;
	uint32_t running_id;
	struct xdp_interface_view *views; // [settings->interfaces_n]
	bool *made_now;			  // likewise: its link was made by this xdp_attach()
};

// ---- pinned links ----

struct pinned_link {
	int fd; // -1: there is none
	uint32_t ifindex, program_id;
};

static int pinned_open(const struct settings *s, const char *name, struct pinned_link *ret,
		       struct err *e)
{
	struct pinned_link link = {.fd = -1};
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);
	char path[PINS_PATH_MAX];
	int status = 0;

	link.fd = bpf_obj_get(pins_link_path(s, path, name));
	if (link.fd < 0 && link.fd != -ENOENT)
		status = err_set(e, link.fd, "cannot open what is pinned for %s: %s", name,
				 strerror(-link.fd));
	else if (link.fd >= 0 && bpf_obj_get_info_by_fd(link.fd, &info, &len))
		status = err_set(e, -errno, "the kernel does not tell what is pinned for %s: %s",
				 name, strerror(errno));
	else if (link.fd >= 0 && info.type != BPF_LINK_TYPE_XDP)
		status = err_set(e, -EINVAL, "what is pinned for %s is not an XDP link; " PINS_MEND,
				 name);
	if (status && link.fd >= 0)
		close(link.fd);
	if (status)
		return status;
	link.fd = link.fd < 0 ? -1 : link.fd;
	link.ifindex = info.xdp.ifindex; // 0: the interface is gone
	link.program_id = info.prog_id;
	*ret = link;
	return 0;
}

static void pinned_close(struct pinned_link *link)
{
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
}

// Detaches at once (an unlink alone detaches when the kernel gets to it), and unpins.
static void unpin_link(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd >= 0) {
		bpf_link_detach(fd);
		close(fd);
	}
	unlink(path);
}

// ---- what is on an interface ----

static void program_name(uint32_t id, char *buf, size_t buf_len)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &len);
	snprintf(buf, buf_len, "%s", info.name[0] ? info.name : "without a name");
	if (fd >= 0)
		close(fd);
}

// The id of the program on @ifindex, 0 for none; several (offload beside native): any of them.
static uint32_t attached_program(uint32_t ifindex, bool *ret_native)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	*ret_native = false;
	if (bpf_xdp_query(ifindex, 0, &query) || query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	*ret_native = query.attach_mode != XDP_ATTACHED_SKB;
	if (query.prog_id)
		return query.prog_id;
	return query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
}

static int check_interface(const struct settings *s, size_t i, struct err *e)
{
	const char *name = s->interfaces[i].name;
	uint32_t ifindex = if_nametoindex(name);
	struct pinned_link link;
	char program[32], field[32];
	struct err cause;
	uint32_t id;
	bool native;
	int status;

	snprintf(field, sizeof(field), "interfaces[%zu].name", i);
	if (!ifindex && errno != ENODEV)
		return err_set_field(e, -errno, 0, field, "cannot look for %s: %s", name,
				     strerror(errno));
	if (!ifindex)
		return err_set_field(e, -ENODEV, 0, field,
				     "there is no interface %s; `ip link` shows what there is",
				     name);
	status = pinned_open(s, name, &link, &cause);
	if (status)
		return err_set_field(e, status, 0, field, "%s", cause.text);
	pinned_close(&link);
	id = attached_program(ifindex, &native);
	if (!id || (link.ifindex == ifindex && link.program_id == id))
		return 0;
	program_name(id, program, sizeof(program));
	return err_set_field(
		e, -EBUSY, 0, field,
		"%s has an XDP program that is not Sluice's (%s, id %u): detach it "
		"(`ip link set dev %s xdp off`, or what attached it), then start again",
		name, program, id, name);
}

int xdp_check(const struct settings *s, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < s->interfaces_n && !status; i++)
		status = check_interface(s, i, e);
	return status;
}

// ---- attaching ----

static int make_link(struct xdp *x, uint32_t ifindex, const char *path, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(x->running_fd, ifindex, BPF_XDP, &options);
	int status;

	if (fd < 0)
		return fd;
	status = bpf_obj_pin(fd, path);
	close(fd);
	return status;
}

static int attach_new(struct xdp *x, size_t i, struct err *e)
{
	const struct settings_interface *interface = &x->settings->interfaces[i];
	struct xdp_interface_view *view = &x->views[i];
	char path[PINS_PATH_MAX], field[32];
	int status = -EOPNOTSUPP, native_status = 0;

	snprintf(field, sizeof(field), "interfaces[%zu].xdp", i);
	pins_link_path(x->settings, path, interface->name);
	if (interface->xdp != SETTINGS_XDP_GENERIC) {
		status = make_link(x, view->ifindex, path, XDP_FLAGS_DRV_MODE);
		native_status = status;
	}
	if (status && interface->xdp == SETTINGS_XDP_NATIVE)
		return err_set_field(e, status, 0, field,
				     "cannot attach to %s in native mode: %s; `auto` falls back to "
				     "generic mode, which is slower",
				     interface->name, strerror(-status));
	if (status)
		status = make_link(x, view->ifindex, path, XDP_FLAGS_SKB_MODE);
	if (status)
		return err_set_field(e, status, 0, field, "cannot attach to %s: %s",
				     interface->name, strerror(-status));
	x->made_now[i] = true;
	if (native_status)
		snprintf(view->warning, sizeof(view->warning),
			 "%s: XDP runs in generic mode, which is slower: its driver refused native "
			 "mode (%s)",
			 interface->name, strerror(-native_status));
	return 0;
}

// Whether a link that is attached natively or not is what the settings ask for.
static bool mode_fits(enum settings_xdp_mode wanted, bool native)
{
	return wanted == SETTINGS_XDP_AUTO || (wanted == SETTINGS_XDP_NATIVE) == native;
}

// Makes @i's attachment what the settings say, with the program in it that is to run.
static int attach_interface(struct xdp *x, size_t i, struct err *e)
{
	const struct settings_interface *interface = &x->settings->interfaces[i];
	struct xdp_interface_view *view = &x->views[i];
	struct pinned_link link;
	char path[PINS_PATH_MAX];
	int status = check_interface(x->settings, i, e);

	view->attached = false;
	view->warning[0] = '\0';
	view->ifindex = if_nametoindex(interface->name);
	if (!status)
		status = pinned_open(x->settings, interface->name, &link, e);
	if (status)
		return status;
	attached_program(view->ifindex, &view->native);
	if (link.fd >= 0 &&
	    (link.ifindex != view->ifindex || !mode_fits(interface->xdp, view->native))) {
		unpin_link(pins_link_path(x->settings, path, interface->name));
		pinned_close(&link);
	}
	if (link.fd < 0)
		status = attach_new(x, i, e);
	else if (link.program_id != x->running_id)
		status = bpf_link_update(link.fd, x->running_fd, NULL);
	if (status && link.fd >= 0)
		err_set(e, status, "cannot swap the program on %s: %s", interface->name,
			strerror(-status));
	pinned_close(&link);
	if (status)
		return status;
	view->attached = true;
	attached_program(view->ifindex, &view->native);
	if (interface->xdp == SETTINGS_XDP_AUTO && !view->native && !view->warning[0])
		snprintf(
			view->warning, sizeof(view->warning),
			"%s: XDP runs in generic mode, which is slower; `lbd --detach`, then a new "
			"start, tries native mode again",
			interface->name);
	return 0;
}

static bool is_configured(const struct settings *s, const char *link_name)
{
	char path[PINS_PATH_MAX];

	for (size_t i = 0; i < s->interfaces_n; i++) {
		pins_link_path(s, path, s->interfaces[i].name);
		if (!strcmp(strrchr(path, '/') + 1, link_name))
			return true;
	}
	return false;
}

// Unpins links: all of them, or those of interfaces that @s does not name.
static void unpin_links(const struct settings *s, bool all)
{
	DIR *dir = opendir(s->bpffs_dir);
	char path[PINS_PATH_MAX];
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "link_", 5) || (!all && is_configured(s, entry->d_name)))
			continue;
		unpin_link(pins_path(s, path, "%s", entry->d_name));
	}
	if (dir)
		closedir(dir);
}

// In the place of the one before, at once: there is always a program pinned.
static int pin_program(struct xdp *x, struct err *e)
{
	char path[PINS_PATH_MAX], aside[PINS_PATH_MAX];
	int status;

	pins_path(x->settings, path, "lb_xdp");
	unlink(pins_path(x->settings, aside, "lb_xdp_new"));
	status = bpf_obj_pin(x->program_fd, aside);
	if (!status && rename(aside, path))
		status = -errno;
	if (status)
		return err_set(e, status, "cannot pin %s: %s", path, strerror(-status));
	return 0;
}

int xdp_load(const struct settings *s, const struct tables *t, struct xdp **ret, struct err *e)
{
	struct xdp *x = calloc(1, sizeof(*x));
	int status;

	if (!x)
		return err_set(e, -ENOMEM, "xdp: out of memory");
	x->settings = s;
	x->program_fd = -1;
	x->views = calloc(s->interfaces_n, sizeof(*x->views));
	x->made_now = calloc(s->interfaces_n, sizeof(*x->made_now));
	if (!x->views || !x->made_now) {
		xdp_free(x);
		return err_set(e, -ENOMEM, "xdp: out of memory");
	}
	for (size_t i = 0; i < s->interfaces_n; i++)
		memcpy(x->views[i].name, s->interfaces[i].name, sizeof(x->views[i].name));
	status = xdp_load_program(t, &x->program_fd, &x->program_id, e);
	if (status) {
		xdp_free(x);
		return status;
	}
	x->running_fd = x->program_fd;
	x->running_id = x->program_id;
	*ret = x;
	return 0;
}

int xdp_attach(struct xdp *x, struct err *e)
{
	char path[PINS_PATH_MAX];
	int status = 0;

	for (size_t i = 0; i < x->settings->interfaces_n && !status; i++)
		status = attach_interface(x, i, e);
	if (!status)
		status = pin_program(x, e);
	for (size_t i = 0; i < x->settings->interfaces_n; i++) {
		if (status && x->made_now[i])
			unpin_link(pins_link_path(x->settings, path, x->views[i].name));
		x->made_now[i] = false;
	}
	if (!status)
		unpin_links(x->settings, false);
	return status;
}

void xdp_refresh(struct xdp *x)
{
	for (size_t i = 0; i < x->settings->interfaces_n; i++) {
		struct xdp_interface_view *view = &x->views[i];
		uint32_t ifindex = if_nametoindex(view->name);
		struct err e = {};
		bool native;

		// An interface that is made anew may get the number that it had.
		if (ifindex && ifindex == view->ifindex && view->attached &&
		    attached_program(ifindex, &native) == x->running_id)
			continue;
		if (attach_interface(x, i, &e))
			snprintf(view->warning, sizeof(view->warning), "%.*s",
				 (int)sizeof(view->warning) - 1, e.text);
	}
}

// Whatever is in @i's pinned link. An interface that is gone has none.
static int swap_interface(struct xdp *x, size_t i, struct err *e)
{
	struct pinned_link link = {.fd = -1};
	int status = pinned_open(x->settings, x->views[i].name, &link, e);

	if (status)
		return status;
	if (link.fd >= 0 && link.ifindex && link.program_id != x->running_id)
		status = bpf_link_update(link.fd, x->running_fd, NULL);
	if (status)
		err_set(e, status, "cannot swap the program on %s: %s", x->views[i].name,
			strerror(-status));
	pinned_close(&link);
	return status;
}

int xdp_swap(struct xdp *x, int fd, uint32_t id, struct err *e)
{
	int status = 0, first = 0;
	struct err one = {};

	x->running_fd = fd < 0 ? x->program_fd : fd;
	x->running_id = fd < 0 ? x->program_id : id;
	for (size_t i = 0; i < x->settings->interfaces_n; i++) {
		status = swap_interface(x, i, first ? &one : e);
		first = first ? first : status;
	}
	return first;
}

void xdp_free(struct xdp *x)
{
	if (!x)
		return;
	if (x->program_fd >= 0)
		close(x->program_fd);
	free(x->views);
	free(x->made_now);
	free(x);
}

int xdp_detach(const struct settings *s, struct err *e)
{
	char path[PINS_PATH_MAX];

	unpin_links(s, true);
	unlink(pins_path(s, path, "lb_xdp_new"));
	unlink(pins_path(s, path, "lb_xdp"));
#define UNPIN_TABLE(table, type, rows) unlink(pins_path(s, path, "maps/%s", #table));
	LB_TABLES(UNPIN_TABLE)
#undef UNPIN_TABLE
	pins_remove_dirs(s);
	if (!access(s->bpffs_dir, F_OK))
		return err_set(e, -ENOTEMPTY,
			       "%s holds something that is not Sluice's; the rest is taken away",
			       s->bpffs_dir);
	return 0;
}

size_t xdp_each_interface(const struct xdp *x, struct xdp_interface_view *ret, size_t ret_max)
{
	size_t n = x->settings->interfaces_n;

	memcpy(ret, x->views, (n < ret_max ? n : ret_max) * sizeof(*ret));
	return n;
}
