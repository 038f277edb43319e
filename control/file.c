// SPDX-License-Identifier: BSD-2-Clause
//
// Reading and replacing small files, for the settings, the kept generations and the
// hash key. A file is replaced by rename(2), after its bytes are on the disk, and the
// directory is synced after it: then the new one is there for good. These calls block
// for as long as the disk takes; files are at most a few MiB.
#include "control/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct err *e, int code, const char *verb)
{
	return err_set(e, -code, "cannot be %s: %s", verb, strerror(code));
}

static int read_all(int fd, char *text, size_t size, size_t *ret_len)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = read(fd, text + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while ((n > 0 && len < size) || (n < 0 && errno == EINTR));
	*ret_len = len;
	return n < 0 ? -errno : 0;
}

int file_read(const char *path, size_t max_bytes, char **ret_text, size_t *ret_len, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not block
	char *text = NULL;
	struct stat st;
	size_t len;
	int r;

	if (fd < 0)
		return fail(e, errno, "read");
	if (fstat(fd, &st) < 0) {
		r = fail(e, errno, "read");
		goto close;
	}
	if (!S_ISREG(st.st_mode)) {
		r = err_set(e, -EINVAL, "is no regular file");
		goto close;
	}
	// One byte more than allowed, to see whether there is one.
	text = malloc(max_bytes + 2);
	if (!text) {
		r = err_set(e, -ENOMEM, "out of memory");
		goto close;
	}
	r = read_all(fd, text, max_bytes + 1, &len);
	if (r < 0) {
		r = fail(e, -r, "read");
	} else if (len > max_bytes) {
		r = err_set(e, -E2BIG, "is longer than %zu bytes", max_bytes);
	} else {
		text[len] = 0;
		*ret_text = text;
		*ret_len = len;
		text = NULL;
	}
close:
	free(text);
	close(fd);
	return r;
}

static int write_all(int fd, const char *text, size_t text_len)
{
	while (text_len) {
		ssize_t n = write(fd, text, text_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		text_len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int file_write(const char *dir, const char *name, const char *text, size_t text_len, mode_t mode,
	       struct err *e)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char aside[NAME_MAX + 1];
	int fd, r;

	if (dir_fd < 0)
		return fail(e, errno, "written");
	snprintf(aside, sizeof(aside), ".%s.tmp", name);
	fd = openat(dir_fd, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0) {
		r = fail(e, errno, "written");
		goto close_dir;
	}
	r = write_all(fd, text, text_len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && renameat(dir_fd, aside, dir_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir_fd, aside, 0);
		r = fail(e, -r, "written");
	} else if (fsync(dir_fd) < 0) {
		r = fail(e, errno, "written");
	}
close_dir:
	close(dir_fd);
	return r;
}

// ---- locks ----

static struct flock whole_lock(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
}

bool file_lock(int fd)
{
	struct flock lock = whole_lock();

	return !fcntl(fd, F_OFD_SETLK, &lock);
}

bool file_is_locked(int fd)
{
	struct flock lock = whole_lock();

	return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}
