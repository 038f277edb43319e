// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the decapsulating program and puts it on the interface, so that it outlives
// this process. BPFFS_DIR/IFNAME ('.' as %2e: bpffs refuses dots) holds two pins:
//   link      keeps the program on the interface; a restart swaps the program in it
//   counters  goes on counting over restarts
// The tables of balancers and local addresses are new at each start, and full before
// the swap: no packet ever meets a half-filled one. That directory is locked while an
// lb-decap is resident, so that two of them do not follow the same interface.
#include "tools/lb-decap/decap.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "xdp/decap.skel.h"

struct attach {
	struct pins pins;
	char interface[IF_NAMESIZE];
	unsigned int ifindex;
	int lock_fd, link_fd, watch_fd;
	struct decap_bpf *program;
};

int pins_set(const struct options *o, struct pins *ret, struct err *e)
{
	char name[3 * IF_NAMESIZE] = "";
	size_t n = 0;

	if (strlen(o->interface) >= IF_NAMESIZE || strchr(o->interface, '/'))
		return err_set(e, -EINVAL, "%s: no name of an interface", o->interface);
	for (const char *c = o->interface; *c; c++)
		n += snprintf(name + n, sizeof(name) - n, *c == '.' ? "%%2e" : "%c", *c);
	if (strlen(o->bpffs_dir) + n + 2 > sizeof(ret->dir))
		return err_set(e, -ENAMETOOLONG, "%s: too long a path", o->bpffs_dir);
	snprintf(ret->dir, sizeof(ret->dir), "%s/%s", o->bpffs_dir, name);
	snprintf(ret->link, sizeof(ret->link), "%s/link", ret->dir);
	snprintf(ret->counters, sizeof(ret->counters), "%s/counters", ret->dir);
	return 0;
}

static int open_dir(const struct options *o, struct attach *a, struct err *e)
{
	bool is_made = !mkdir(o->bpffs_dir, 0700);
	struct statfs fs;

	if (statfs(o->bpffs_dir, &fs) || fs.f_type != BPF_FS_MAGIC) {
		if (is_made)
			rmdir(o->bpffs_dir);
		return err_set(e, -EINVAL, "%s: not on a bpffs; mount -t bpf bpf /sys/fs/bpf",
			       o->bpffs_dir);
	}
	if (mkdir(a->pins.dir, 0700) && errno != EEXIST)
		return err_set(e, -errno, "%s: %s", a->pins.dir, strerror(errno));
	a->lock_fd = open(a->pins.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->lock_fd < 0)
		return err_set(e, -errno, "%s: %s", a->pins.dir, strerror(errno));
	if (flock(a->lock_fd, LOCK_EX | LOCK_NB))
		return err_set(e, -EBUSY, "%s: another lb-decap runs for it; end that one first",
			       o->interface);
	return 0;
}

// Counters of an earlier program serve on, where they have this program's shape.
static void reuse_counters(struct attach *a)
{
	struct bpf_map_info info = {0};
	__u32 info_len = sizeof(info);
	int fd = bpf_obj_get(a->pins.counters);

	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &info_len) &&
	    info.type == BPF_MAP_TYPE_PERCPU_ARRAY && info.value_size == sizeof(__u64) &&
	    info.max_entries == DECAP_REASON_MAX)
		bpf_map__reuse_fd(a->program->maps.counters, fd);
	close(fd);
}

static int load(struct attach *a, const struct options *o, struct err *e)
{
	int code;

	a->program = decap_bpf__open();
	if (!a->program)
		return err_set(e, -errno, "the program cannot be opened: %s", strerror(errno));
	a->program->rodata_gue->gue_port = o->gue_port;
	reuse_counters(a);
	code = decap_bpf__load(a->program);
	if (code == -EPERM)
		return err_set(e, code, "the program cannot be loaded: run lb-decap as root");
	if (code)
		return err_set(e, code, "the kernel refuses the program: %s", strerror(-code));
	return 0;
}

static int set_balancers(struct attach *a, const struct options *o, struct err *e)
{
	int fd = bpf_map__fd(a->program->maps.balancers);
	const __u32 one = 1;

	for (size_t i = 0; i < o->balancers_n; i++) {
		struct decap_key key = decap_key_of(&o->balancers[i].address, o->balancers[i].len);

		if (bpf_map_update_elem(fd, &key, &one, BPF_ANY))
			return err_set(e, -errno,
				       "--from: %zu balancers do not fit (at most %d): %s",
				       o->balancers_n, DECAP_BALANCER_MAX, strerror(errno));
	}
	return 0;
}

int attach_open(const struct options *o, struct attach **ret, struct err *e)
{
	struct attach *a = calloc(1, sizeof(*a));
	int code;

	if (!a)
		return err_set(e, -ENOMEM, "out of memory");
	a->lock_fd = a->link_fd = a->watch_fd = -1;
	code = pins_set(o, &a->pins, e);
	if (code)
		goto fail;
	snprintf(a->interface, sizeof(a->interface), "%s", o->interface);
	a->ifindex = if_nametoindex(o->interface);
	if (!a->ifindex) {
		code = err_set(e, -ENODEV, "%s: no such interface; `ip link` shows them",
			       o->interface);
		goto fail;
	}
	code = open_dir(o, a, e);
	if (!code)
		code = load(a, o, e);
	if (!code)
		code = set_balancers(a, o, e);
	if (code)
		goto fail;
	*ret = a;
	return 0;
fail:
	attach_close(a);
	return code;
}

void attach_close(struct attach *a)
{
	if (!a)
		return;
	decap_bpf__destroy(a->program);
	if (a->link_fd >= 0)
		close(a->link_fd);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	if (a->watch_fd >= 0)
		close(a->watch_fd);
	free(a);
}

int attach_get_local_fd(const struct attach *a)
{
	return bpf_map__fd(a->program->maps.local);
}

int attach_get_watch_fd(const struct attach *a)
{
	return a->watch_fd;
}

unsigned int attach_get_ifindex(const struct attach *a)
{
	return a->ifindex;
}

// The program that a link puts on an interface; 0: none (any more).
static __u32 get_link_program(int link_fd)
{
	struct bpf_link_info info = {0};
	__u32 info_len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link_fd, &info, &info_len) || info.type != BPF_LINK_TYPE_XDP ||
	    !info.xdp.ifindex)
		return 0;
	return info.prog_id;
}

bool attach_is_attached(const struct attach *a)
{
	return get_link_program(a->link_fd) != 0;
}

// Opens the pinned link where it is this interface's. A link whose interface is gone, or that is
// of another namespace's interface of this name, is forgotten.
static void open_link(struct attach *a, const struct bpf_xdp_query_opts *attached)
{
	__u32 program;

	a->link_fd = bpf_obj_get(a->pins.link);
	if (a->link_fd < 0)
		return;
	program = get_link_program(a->link_fd);
	if (program && (program == attached->prog_id || program == attached->drv_prog_id ||
			program == attached->skb_prog_id))
		return;
	close(a->link_fd);
	a->link_fd = -1;
	unlink(a->pins.link);
}

static int make_link(struct attach *a, struct err *e)
{
	int program_fd = bpf_program__fd(a->program->progs.lb_decap);
	LIBBPF_OPTS(bpf_link_create_opts, native, .flags = XDP_FLAGS_DRV_MODE);
	LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);

	a->link_fd = bpf_link_create(program_fd, a->ifindex, BPF_XDP, &native);
	if (a->link_fd < 0 && errno != EBUSY && errno != EEXIST)
		a->link_fd = bpf_link_create(program_fd, a->ifindex, BPF_XDP, &generic);
	if (a->link_fd < 0 && (errno == EBUSY || errno == EEXIST))
		return err_set(e, -EBUSY,
			       "%s: has another XDP program; `bpftool net` shows it, `ip link "
			       "set dev %s xdp off` may take it away",
			       a->interface, a->interface);
	if (a->link_fd < 0)
		return err_set(e, -errno, "%s: takes no XDP program: %s", a->interface,
			       strerror(errno));
	if (bpf_obj_pin(a->link_fd, a->pins.link))
		return err_set(e, -errno, "%s: cannot be pinned: %s", a->pins.link,
			       strerror(errno));
	return 0;
}

int attach_start(struct attach *a, bool *ret_native, struct err *e)
{
	int program_fd = bpf_program__fd(a->program->progs.lb_decap);
	LIBBPF_OPTS(bpf_xdp_query_opts, attached);
	int code = 0;

	bpf_xdp_query(a->ifindex, 0, &attached);
	open_link(a, &attached);
	if (a->link_fd < 0)
		code = make_link(a, e);
	else if (bpf_link_update(a->link_fd, program_fd, NULL))
		code = err_set(e, -errno,
			       "%s: the program cannot be swapped (%s); lb-decap --detach "
			       "first",
			       a->interface, strerror(errno));
	if (code)
		return code;
	unlink(a->pins.counters);
	if (bpf_obj_pin(bpf_map__fd(a->program->maps.counters), a->pins.counters))
		return err_set(e, -errno, "%s: cannot be pinned: %s", a->pins.counters,
			       strerror(errno));
	a->watch_fd = inotify_init1(IN_CLOEXEC);
	if (a->watch_fd < 0 || inotify_add_watch(a->watch_fd, a->pins.dir, IN_DELETE) < 0)
		return err_set(e, -errno, "%s: cannot be watched: %s", a->pins.dir,
			       strerror(errno));
	if (bpf_xdp_query(a->ifindex, 0, &attached))
		return err_set(e, -errno, "%s: %s", a->interface, strerror(errno));
	*ret_native = attached.attach_mode == XDP_ATTACHED_DRV;
	return 0;
}

int attach_detach(const struct options *o, bool *ret_found, struct err *e)
{
	struct pins pins;
	int code = pins_set(o, &pins, e), fd;

	if (code)
		return code;
	fd = bpf_obj_get(pins.link);
	if (fd < 0 && errno != ENOENT)
		return err_set(e, -errno, "%s: %s", pins.link, strerror(errno));
	if (fd >= 0) {
		// Not only unpinned: a resident lb-decap holds the link too.
		code = bpf_link_detach(fd);
		close(fd);
	}
	if (code)
		return err_set(e, code, "%s: cannot be detached: %s", o->interface,
			       strerror(-code));
	*ret_found = fd >= 0;
	unlink(pins.link);
	unlink(pins.counters);
	rmdir(pins.dir);
	return 0;
}
