// SPDX-License-Identifier: BSD-2-Clause
//
// Generations on disk. A file is a whole model as YAML, behind three lines of
// comment that say its number, when it was written, and why; store_list() reads
// them back. Files are replaced as file.h says, so a crash leaves the generation
// before or the one after. What a crash left aside is removed on opening. Numbers
// only grow: a file that was moved away as "12.yaml.broken" still counts.
// Used by lbd only, from its one thread.
#include "control/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/file.h"
#include "control/schema.h"

#define FILE_MAX_BYTES (TREE_TEXT_MAX_BYTES)
#define NAME_BYTES 32
#define HEAD_BYTES 512 // what store_list() reads of a file
#define TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"

struct store {
	char *dir; // state_dir/generations
};

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory");
}

// ---- the directory ----

// Makes @path and what is missing above it.
static int make_dirs(const char *path, struct err *e)
{
	char *copy = strdup(path);
	int r = 0;

	if (!copy)
		return out_of_memory(e);
	for (char *slash = copy; slash && r == 0;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		if (mkdir(copy, 0750) < 0 && errno != EEXIST)
			r = err_set(e, -errno, "%s cannot be made: %s", copy, strerror(errno));
		if (slash)
			*slash = '/';
	}
	free(copy);
	return r;
}

static void name_of(uint64_t number, char *buf)
{
	snprintf(buf, NAME_BYTES, "%llu.yaml", (unsigned long long)number);
}

// "12.yaml" is 12, as is "12.yaml.broken", but not exactly.
static bool parse_name(const char *name, uint64_t *ret_number, bool *ret_is_exact)
{
	char exact[NAME_BYTES];

	if (name[0] < '1' || name[0] > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(name, NULL, 10);
	if (errno)
		return false;
	name_of(*ret_number, exact);
	*ret_is_exact = !strcmp(name, exact);
	return true;
}

static int compare_descending(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return *a < *b ? 1 : *a > *b ? -1 : 0;
}

// The numbers of all generations, newest first; *ret is malloc'ed. *ret_last: the greatest number
// that any file ever had here.
static int list_numbers(const struct store *s, uint64_t **ret, size_t *ret_n, uint64_t *ret_last,
			struct err *e)
{
	DIR *dir = opendir(s->dir);
	uint64_t *numbers = NULL, *grown, number, last = 0;
	size_t n = 0;
	struct dirent *entry;
	bool is_exact;
	int r = 0;

	if (!dir)
		return err_set(e, -errno, "%s cannot be read: %s", s->dir, strerror(errno));
	while ((entry = readdir(dir)) && r == 0) {
		if (!parse_name(entry->d_name, &number, &is_exact))
			continue;
		last = number > last ? number : last;
		if (!is_exact)
			continue;
		grown = reallocarray(numbers, n + 1, sizeof(*numbers));
		if (!grown) {
			r = out_of_memory(e);
			continue;
		}
		numbers = grown;
		numbers[n++] = number;
	}
	closedir(dir);
	if (r < 0) {
		free(numbers);
		return r;
	}
	if (n)
		qsort(numbers, n, sizeof(*numbers), compare_descending);
	*ret = numbers;
	*ret_n = n;
	*ret_last = last;
	return 0;
}

static void remove_left_aside(const struct store *s)
{
	DIR *dir = opendir(s->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const char *name = entry->d_name;
		size_t len = strlen(name);

		if (name[0] == '.' && len > 4 && !strcmp(name + len - 4, ".tmp"))
			unlinkat(dirfd(dir), name, 0);
	}
	if (dir)
		closedir(dir);
}

int store_open(const char *state_dir, struct store **ret, struct err *e)
{
	struct store *s = calloc(1, sizeof(*s));
	uint64_t *numbers = NULL, last;
	size_t n;
	int r;

	if (!s)
		return out_of_memory(e);
	if (asprintf(&s->dir, "%s/generations", state_dir) < 0) {
		s->dir = NULL;
		r = out_of_memory(e);
	} else {
		r = make_dirs(s->dir, e);
	}
	r = r ? r : list_numbers(s, &numbers, &n, &last, e);
	free(numbers);
	if (r < 0) {
		store_close(s);
		return r;
	}
	remove_left_aside(s);
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	free(s->dir);
	free(s);
}

// ---- loading ----

static int load(const struct store *s, uint64_t number, struct model **ret, struct err *e)
{
	char path[4096], name[NAME_BYTES], why[512];
	struct model *m = NULL;
	char *text = NULL;
	size_t text_len;
	bool is_read;
	int r;

	name_of(number, name);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	r = file_read(path, FILE_MAX_BYTES, &text, &text_len, e);
	is_read = !r;
	r = r ? r : schema_decode_model(text, text_len, &m, e);
	free(text);
	if (r == 0) {
		m->generation = number;
		*ret = m;
		return 0;
	}
	err_render(e, path, why, sizeof(why));
	if (!is_read)
		return err_set(e, r, "generation %llu: %.250s", (unsigned long long)number, why);
	return err_set(e, r,
		       "generation %llu is broken: %.250s; mend the file, or move it away and the "
		       "generation before it holds",
		       (unsigned long long)number, why);
}

int store_load(struct store *s, struct model **ret, struct err *e)
{
	uint64_t *numbers, last;
	size_t n;
	int r = list_numbers(s, &numbers, &n, &last, e);

	if (r < 0)
		return r;
	if (n)
		r = load(s, numbers[0], ret, e);
	else if (!(*ret = model_new()))
		r = out_of_memory(e);
	free(numbers);
	return r;
}

int store_load_generation(struct store *s, uint64_t number, struct model **ret, struct err *e)
{
	char path[4096], name[NAME_BYTES];

	name_of(number, name);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return err_set(e, -ENOENT,
			       "generation %llu is not kept; `lbctl history` shows those that are",
			       (unsigned long long)number);
	return load(s, number, ret, e);
}

// ---- saving ----

// The three lines and the model. NULL: out of memory. The caller frees it.
static char *render(const struct model *m, uint64_t number, const char *cause)
{
	char *yaml = schema_render_yaml(m), *text = NULL, when[32], why[128];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), TIME_FORMAT, gmtime_r(&now, &tm));
	snprintf(why, sizeof(why), "%s", cause);
	for (char *c = why; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f) // one line, and YAML
			*c = ' ';
	if (yaml &&
	    asprintf(&text,
		     "# Sluice: the services, generation %llu\n# written: %s\n# cause: %s\n%s",
		     (unsigned long long)number, when, why, yaml) < 0)
		text = NULL;
	free(yaml);
	return text;
}

// Removes all but the newest STORE_KEEP. What cannot be removed is tried again next time.
static void prune(const struct store *s)
{
	uint64_t *numbers, last;
	char path[4096], name[NAME_BYTES];
	struct err e;
	size_t n;

	if (list_numbers(s, &numbers, &n, &last, &e) < 0)
		return;
	for (size_t i = STORE_KEEP; i < n; i++) {
		name_of(numbers[i], name);
		snprintf(path, sizeof(path), "%s/%s", s->dir, name);
		unlink(path);
	}
	free(numbers);
}

int store_save(struct store *s, struct model *m, const char *cause, struct err *e)
{
	char path[4096], name[NAME_BYTES];
	uint64_t *numbers, last;
	char *text;
	size_t n;
	int r = list_numbers(s, &numbers, &n, &last, e);

	if (r < 0)
		return r;
	free(numbers);
	last = last > m->generation ? last : m->generation;
	text = render(m, last + 1, cause);
	if (!text)
		return out_of_memory(e);
	name_of(last + 1, name);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	if (strlen(text) > FILE_MAX_BYTES)
		r = err_set(e, -E2BIG, "is longer than what is read back");
	else
		r = file_write(s->dir, name, text, strlen(text), 0640, e);
	free(text);
	if (r < 0) {
		char why[sizeof(e->text)];

		unlink(path); // it may have got its name before the directory's sync failed
		snprintf(why, sizeof(why), "%s", e->text);
		return err_set(e, r, "generation %llu (%.180s) %.120s; nothing is changed",
			       (unsigned long long)last + 1, path, why);
	}
	m->generation = last + 1;
	prune(s);
	return 0;
}

// ---- listing ----

// The rest of the line of @head that starts with @label, into @buf; "" where there is none.
static void find_comment(const char *head, const char *label, char *buf, size_t buf_len)
{
	const char *p = strstr(head, label);
	size_t len;

	buf[0] = 0;
	if (!p || (p != head && p[-1] != '\n'))
		return;
	p += strlen(label);
	len = strcspn(p, "\n");
	snprintf(buf, buf_len, "%.*s", (int)(len < buf_len ? len : buf_len - 1), p);
}

static void read_head(const struct store *s, struct store_generation *g)
{
	char path[4096], name[NAME_BYTES], head[HEAD_BYTES + 1] = "", when[64];
	struct tm tm = {0};
	struct stat st;
	FILE *f;

	name_of(g->number, name);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	f = fopen(path, "re");
	if (!f)
		return;
	head[fread(head, 1, HEAD_BYTES, f)] = 0;
	find_comment(head, "# cause: ", g->cause, sizeof(g->cause));
	find_comment(head, "# written: ", when, sizeof(when));
	if (strptime(when, TIME_FORMAT, &tm))
		g->written_s = timegm(&tm);
	else if (fstat(fileno(f), &st) == 0)
		g->written_s = st.st_mtime;
	fclose(f);
}

int store_list(struct store *s, struct store_generation **ret, size_t *ret_n, struct err *e)
{
	struct store_generation *list;
	uint64_t *numbers, last;
	size_t n;
	int r = list_numbers(s, &numbers, &n, &last, e);

	if (r < 0)
		return r;
	list = calloc(n + 1, sizeof(*list));
	for (size_t i = 0; i < n && list; i++) {
		list[i].number = numbers[i];
		read_head(s, &list[i]);
	}
	free(numbers);
	if (!list)
		return out_of_memory(e);
	*ret = list;
	*ret_n = n;
	return 0;
}
