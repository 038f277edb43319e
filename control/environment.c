// SPDX-License-Identifier: BSD-2-Clause
//
// Privileges, limits, directories and locks; called by main.c before anything else. Two lbd on
// one set of tables would be two writers: a lock on the directory of the pins as well as
// on run_dir keeps a copied configuration from doing that.
#include "control/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/pins.h"

#define DESCRIPTORS_MIN 256 // tables, program, netlink; the rest is for checks and the API

static bool has_capability(const struct __user_cap_data_struct data[2], unsigned int capability)
{
	return data[capability / 32].effective & 1u << capability % 32;
}

int environment_check_privileges(const struct settings *s, struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {};
	bool is_admin;

	if (syscall(SYS_capget, &header, data))
		return err_set(e, -errno, "cannot read this process's capabilities: %s",
			       strerror(errno));
	if (s->dataplane == SETTINGS_DPDK)
		return has_capability(data, CAP_NET_ADMIN)
			       ? 0
			       : err_set(e, -EPERM,
					 "needs root, or the capability CAP_NET_ADMIN, to make "
					 "interfaces");
	is_admin = has_capability(data, CAP_SYS_ADMIN);
	if (has_capability(data, CAP_NET_ADMIN) &&
	    (is_admin || (has_capability(data, CAP_BPF) && has_capability(data, CAP_PERFMON))))
		return 0;
	return err_set(e, -EPERM,
		       "needs root, or the capabilities CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON, to "
		       "load its XDP program");
}

int environment_raise_limits(struct err *e)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return err_set(e, -errno, "cannot read the limit of file descriptors: %s",
			       strerror(errno));
	if (limit.rlim_max < DESCRIPTORS_MIN)
		return err_set(e, -EMFILE,
			       "needs %d file descriptors, but its limit is %llu; raise it "
			       "(LimitNOFILE= in the unit, `ulimit -Hn` in a shell)",
			       DESCRIPTORS_MIN, (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return err_set(e, -errno, "cannot raise the limit of file descriptors: %s",
			       strerror(errno));
	return 0;
}

// As mkdir -p.
static int make_dir(const char *field, const char *dir, mode_t mode, struct err *e)
{
	char path[PATH_MAX];

	if (strlen(dir) >= sizeof(path) || dir[0] != '/')
		return err_set_field(e, -EINVAL, 0, field, "must be an absolute path");
	strcpy(path, dir);
	for (char *c = path + 1;; c++) {
		char was = *c;

		if (was != '/' && was != '\0')
			continue;
		*c = '\0';
		if (mkdir(path, mode) && errno != EEXIST)
			return err_set_field(e, -errno, 0, field, "cannot make %s: %s", path,
					     strerror(errno));
		*c = was;
		if (was == '\0')
			return 0;
	}
}

static int lock_dir(const char *field, const char *dir, int *ret_fd, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code;

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB)) {
		*ret_fd = fd;
		return 0;
	}
	code = errno;
	if (fd >= 0)
		close(fd);
	if (code == EWOULDBLOCK)
		return err_set_field(e, -EBUSY, 0, field,
				     "another lbd runs with %s: stop it first, or give this one a "
				     "directory of its own",
				     dir);
	return err_set_field(e, -code, 0, field, "cannot lock %s: %s", dir, strerror(code));
}

int environment_lock(const struct settings *s, int ret_fds[2], struct err *e)
{
	int status = make_dir("run_dir", s->run_dir, 0755, e);

	if (!status)
		status = make_dir("state_dir", s->state_dir, 0755, e);
	if (!status)
		status = lock_dir("run_dir", s->run_dir, &ret_fds[0], e);
	if (s->dataplane != SETTINGS_XDP)
		return status;
	if (!status)
		status = pins_make_dirs(s, e);
	if (!status)
		status = lock_dir("bpffs_dir", s->bpffs_dir, &ret_fds[1], e);
	return status;
}
