// SPDX-License-Identifier: BSD-2-Clause
//
// Paths below bpffs_dir, and whether that is a bpf filesystem. Called at start, and
// by `lbd --detach`; see pins.h.
#include "control/pins.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

// What is appended to bpffs_dir at most: "/link_" and an interface's name with every dot escaped.
#define PINS_SUFFIX_MAX 64

const char *pins_path(const struct settings *s, char *buf, const char *format, ...)
{
	int len = snprintf(buf, PINS_PATH_MAX, "%s/", s->bpffs_dir);
	va_list ap;

	va_start(ap, format);
	if (len > 0 && len < PINS_PATH_MAX)
		vsnprintf(buf + len, PINS_PATH_MAX - len, format, ap);
	va_end(ap);
	return buf;
}

const char *pins_link_path(const struct settings *s, char *buf, const char *interface)
{
	char name[PINS_SUFFIX_MAX];
	size_t len = 0;

	for (const char *c = interface; *c && len + 4 < sizeof(name); c++) {
		if (*c == '.') {
			memcpy(name + len, "%2e", 3);
			len += 3;
		} else {
			name[len++] = *c;
		}
	}
	name[len] = '\0';
	return pins_path(s, buf, "link_%s", name);
}

int pins_check(const struct settings *s, struct err *e)
{
	char path[PINS_PATH_MAX];
	struct statfs fs;

	if (s->bpffs_dir[0] != '/' || strlen(s->bpffs_dir) + PINS_SUFFIX_MAX > PINS_PATH_MAX)
		return err_set_field(e, -EINVAL, 0, "bpffs_dir",
				     "must be an absolute path of at most %d characters",
				     PINS_PATH_MAX - PINS_SUFFIX_MAX);
	// The directory itself is made on the first start: ask the nearest one that exists.
	strcpy(path, s->bpffs_dir);
	while (statfs(path, &fs)) {
		char *slash = strrchr(path, '/');

		if (errno != ENOENT)
			return err_set_field(e, -errno, 0, "bpffs_dir", "%s: %s", path,
					     strerror(errno));
		slash[slash == path] = '\0';
	}
	if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
		return err_set_field(
			e, -EINVAL, 0, "bpffs_dir",
			"%s is not on a bpf filesystem: `mount -t bpf bpf /sys/fs/bpf` "
			"mounts one at the default place",
			s->bpffs_dir);
	return 0;
}

static int make_parents(char *path, struct err *e)
{
	for (char *c = path + 1;; c++) {
		char was = *c;

		if (was != '/' && was != '\0')
			continue;
		*c = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return err_set_field(e, -errno, 0, "bpffs_dir", "cannot make %s: %s", path,
					     strerror(errno));
		*c = was;
		if (was == '\0')
			return 0;
	}
}

int pins_make_dirs(const struct settings *s, struct err *e)
{
	char path[PINS_PATH_MAX];

	pins_path(s, path, "maps");
	return make_parents(path, e);
}

void pins_remove_dirs(const struct settings *s)
{
	char path[PINS_PATH_MAX];

	rmdir(pins_path(s, path, "maps"));
	rmdir(s->bpffs_dir);
}

bool pins_have_program(const struct settings *s)
{
	char path[PINS_PATH_MAX];
	bool found = !access(pins_path(s, path, "lb_xdp"), F_OK);
	DIR *dir = opendir(s->bpffs_dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		found = found || !strncmp(entry->d_name, "link_", 5);
	if (dir)
		closedir(dir);
	return found;
}
