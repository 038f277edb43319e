// SPDX-License-Identifier: BSD-2-Clause
//
// The file of the hash key. A new one is written aside, synced and renamed, so
// that a crash leaves a whole key or none. See hash_key.h.
#include "control/hash_key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES 16
#define KEY_DIGITS (KEY_BYTES * 2)

static int refuse_file(const char *path, struct err *e)
{
	return err_set_field(e, -EINVAL, 0, "hash_key_file",
			     "%s must hold %d hex digits and nothing else", path, KEY_DIGITS);
}

static int decode(const char *path, const char *text, ssize_t len, uint64_t ret_key[2],
		  struct err *e)
{
	uint64_t key[2] = {};
	uint8_t *bytes = (uint8_t *)key;

	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (len != KEY_DIGITS || strspn(text, "0123456789abcdefABCDEF") < KEY_DIGITS)
		return refuse_file(path, e);
	// Byte 0 is the key's lowest, as SipHash's test vectors have it; hosts are little endian.
	for (int i = 0; i < KEY_BYTES; i++)
		sscanf(text + i * 2, "%2hhx", &bytes[i]);
	memcpy(ret_key, key, sizeof(key));
	return 0;
}

static int write_key(int fd)
{
	uint8_t bytes[KEY_BYTES];
	char text[KEY_DIGITS + 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -errno;
	for (int i = 0; i < KEY_BYTES; i++)
		sprintf(text + i * 2, "%02x", bytes[i]);
	strcat(text, "\n");
	errno = ENOSPC; // of a short write
	return write(fd, text, KEY_DIGITS + 1) == KEY_DIGITS + 1 && !fsync(fd) ? 0 : -errno;
}

static int make_key(const char *path, struct err *e)
{
	char aside[PATH_MAX];
	int fd, status = 0;

	snprintf(aside, sizeof(aside), "%s.new", path);
	unlink(aside);
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_field(e, -errno, 0, "hash_key_file", "cannot make %s: %s", path,
				     strerror(errno));
	status = write_key(fd);
	close(fd);
	if (!status && rename(aside, path))
		status = -errno;
	if (!status)
		return 0;
	unlink(aside);
	return err_set_field(e, status, 0, "hash_key_file", "cannot make %s: %s", path,
			     strerror(-status));
}

int hash_key_open(const struct settings *s, uint64_t ret_key[2], struct err *e)
{
	const char *path = s->hash_key_file;
	char text[KEY_DIGITS * 2] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0 && errno == ENOENT) {
		int status = make_key(path, e);

		if (status)
			return status;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		return err_set_field(e, -errno, 0, "hash_key_file", "cannot read %s: %s", path,
				     strerror(errno));
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len < 0)
		return refuse_file(path, e);
	return decode(path, text, len, ret_key, e);
}
