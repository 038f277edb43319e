// SPDX-License-Identifier: BSD-2-Clause
//
// A fuzz target as a test: each file of the directory that is named goes in as it is,
// cut off at some lengths, and mutated at random: bytes changed, taken out and put in,
// pieces of one file put into another. The same sequence on every run.
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define ROUNDS 10000
#define FILES_MAX 1024
#define INPUT_MAX_BYTES 16384
#define CUTS_MAX 64 // of a file

struct input {
	uint8_t bytes[INPUT_MAX_BYTES];
	size_t len;
};

static struct input *files;
static size_t files_n;

static size_t pick(size_t n)
{
	return n ? (size_t)rand() % n : 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool read_file(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (!f || files_n == FILES_MAX) {
		fprintf(stderr, "%s: cannot be read, or one too many\n", path);
		return false;
	}
	files[files_n].len = fread(files[files_n].bytes, 1, INPUT_MAX_BYTES, f);
	files_n++;
	fclose(f);
	return true;
}

// In the order of their names.
static bool read_files(const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, NULL, compare_names);
	bool is_read = n > 2;

	files = calloc(FILES_MAX, sizeof(*files));
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			is_read = is_read && files && read_file(dir, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return is_read;
}

// Its first @len bytes, in memory of this size.
static void run(const struct input *in, size_t len)
{
	uint8_t *copy = malloc(len + !len);

	memcpy(copy, in->bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void run_cut(const struct input *in)
{
	size_t step = in->len / CUTS_MAX + 1;

	for (size_t len = 0; len < in->len; len += step)
		run(in, len);
	run(in, in->len);
}

// Replaces @cut bytes at @at by @with.
static void splice(struct input *in, size_t at, size_t cut, const uint8_t *with, size_t with_len)
{
	if (cut > in->len - at)
		cut = in->len - at;
	if (in->len - cut + with_len > INPUT_MAX_BYTES)
		return;
	memmove(in->bytes + at + with_len, in->bytes + at + cut, in->len - at - cut);
	memcpy(in->bytes + at, with, with_len);
	in->len += with_len - cut;
}

static void mutate(struct input *in)
{
	static const char marks[] = "{}[]:,\"'#&*!|>%@`-?0129\n\t\\ \xc3\xff";
	const struct input *other = &files[pick(files_n)];
	size_t at = pick(in->len + 1), from = pick(other->len);
	uint8_t byte = pick(3) ? (uint8_t)marks[pick(sizeof(marks))] : (uint8_t)rand();

	switch (pick(4)) {
	case 0:
		splice(in, at, 1, &byte, 1);
		break;
	case 1:
		splice(in, at, 0, &byte, 1);
		break;
	case 2:
		splice(in, at, pick(16), &byte, 0);
		break;
	default:
		splice(in, at, pick(16), other->bytes + from, pick(other->len - from));
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc != 2 || !read_files(argv[1]))
		return 1;
	for (size_t i = 0; i < files_n; i++)
		run_cut(&files[i]);
	srand(1);
	for (int round = 0; round < ROUNDS; round++) {
		struct input in = files[pick(files_n)];

		for (size_t n = 1 + pick(4); n > 0; n--)
			mutate(&in);
		run(&in, in.len);
	}
	free(files);
	printf("%zu files, cut and %d times mutated\n", files_n, ROUNDS);
	return 0;
}
