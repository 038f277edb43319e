// SPDX-License-Identifier: BSD-2-Clause
//
// The file of the hash key: read by lbd at start, made where there is none. What is
// read is bounded, and no error shows any of it. See hash_key.h.
#include "control/hash_key.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/file.h"

#define KEY_BYTES 16
#define KEY_DIGITS (KEY_BYTES * 2)
#define FILE_MAX 256 // the digits, and white space around them

static int make_key(const char *path, struct err *e)
{
	char dir[PATH_MAX], name[PATH_MAX], text[KEY_DIGITS + 2];
	uint8_t bytes[KEY_BYTES];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return err_set(e, -errno, "no random bytes: %s", strerror(errno));
	for (int i = 0; i < KEY_BYTES; i++)
		sprintf(text + i * 2, "%02x", bytes[i]);
	strcat(text, "\n");
	snprintf(dir, sizeof(dir), "%s", path);
	snprintf(name, sizeof(name), "%s", path);
	return file_write(dirname(dir), basename(name), text, strlen(text), 0600, e);
}

static int decode(const char *text, uint64_t ret_key[2], struct err *e)
{
	uint64_t key[2] = {};
	uint8_t *bytes = (uint8_t *)key;
	size_t digits_n = strspn(text, "0123456789abcdefABCDEF");

	if (digits_n != KEY_DIGITS || text[digits_n + strspn(text + digits_n, " \t\r\n")])
		return err_set(e, -EINVAL, "must hold %d hex digits and nothing else", KEY_DIGITS);
	// Byte 0 is the key's lowest, as SipHash's test vectors have it; hosts are little endian.
	for (int i = 0; i < KEY_BYTES; i++)
		sscanf(text + i * 2, "%2hhx", &bytes[i]);
	memcpy(ret_key, key, sizeof(key));
	return 0;
}

int hash_key_open(const struct settings *s, uint64_t ret_key[2], struct err *e)
{
	char *text = NULL;
	size_t text_len;
	struct err cause = {};
	int status = file_read(s->hash_key_file, FILE_MAX, &text, &text_len, &cause);

	if (status == -ENOENT) {
		status = make_key(s->hash_key_file, &cause);
		if (!status)
			status = file_read(s->hash_key_file, FILE_MAX, &text, &text_len, &cause);
	}
	if (!status)
		status = decode(text, ret_key, &cause);
	free(text);
	if (!status)
		return 0;
	return err_set_field(e, status, 0, "hash_key_file", "%s: %s%s", s->hash_key_file,
			     cause.text,
			     status == -ENOENT ? "; its directory must be there: make it, or name "
						 "another file"
					       : "");
}
