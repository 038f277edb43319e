// SPDX-License-Identifier: BSD-2-Clause
//
// What the files of lbctl share. main.c has the table of commands and picks one;
// args.c reads the command line by that table; a command (one file a group) asks
// lbd over its unix socket (http.c) and shows the answer (show.c). With --json a
// command prints lbd's own answer.
#pragma once

#include <jansson.h>
#include <libsmartcols.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_MAX 64    // words after a command, and options given
#define OPTIONS_MAX 20 // that a command knows

enum exit_status { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

struct option {
	const char *name;  // without the dashes; NULL ends the list
	const char *value; // what its value is called in help; NULL: it takes none
	const char *help;
};

struct args {
	const char *words[ARGS_MAX];
	int words_n;
	struct {
		const char *name, *value; // value "" where the option takes none
	} given[ARGS_MAX];
	int given_n;
};

struct lbctl {
	const char *socket;
	bool is_json;
	bool wants_help;
	bool wants_version;
};

// ---- commands ----

// Each prints what it has to say and returns an exit status.
typedef int (*command_fn)(const struct lbctl *l, const struct args *a);

struct command {
	const char *name;  // "backend drain"
	const char *words; // "SERVICE ADDRESS[:PORT]"; "": none
	int words_min, words_max;
	const char *summary; // one line; NULL: not shown (completion's own)
	const char *text;    // more help; NULL: none
	command_fn run;
	struct option options[OPTIONS_MAX];
};

extern const struct command commands[]; // ends with a name of NULL
extern const struct option global_options[];

int command_status(const struct lbctl *l, const struct args *a);
int command_apply(const struct lbctl *l, const struct args *a);
int command_export(const struct lbctl *l, const struct args *a);
int command_history(const struct lbctl *l, const struct args *a);
int command_rollback(const struct lbctl *l, const struct args *a);
int command_diff(const struct lbctl *l, const struct args *a);
int command_service_list(const struct lbctl *l, const struct args *a);
int command_service_show(const struct lbctl *l, const struct args *a);
int command_service_add(const struct lbctl *l, const struct args *a);
int command_service_set(const struct lbctl *l, const struct args *a);
int command_service_remove(const struct lbctl *l, const struct args *a);
int command_backend_list(const struct lbctl *l, const struct args *a);
int command_backend_add(const struct lbctl *l, const struct args *a);
int command_backend_set(const struct lbctl *l, const struct args *a);
int command_backend_drain(const struct lbctl *l, const struct args *a);
int command_backend_enable(const struct lbctl *l, const struct args *a);
int command_backend_disable(const struct lbctl *l, const struct args *a);
int command_backend_remove(const struct lbctl *l, const struct args *a);
int command_stats(const struct lbctl *l, const struct args *a);
int command_drops(const struct lbctl *l, const struct args *a);
int command_explain(const struct lbctl *l, const struct args *a);
int explain_capture(const struct lbctl *l, const char *file); // explain --pcap
int command_trace(const struct lbctl *l, const struct args *a);
int command_events(const struct lbctl *l, const struct args *a);
int command_version(const struct lbctl *l, const struct args *a);
int command_help(const struct lbctl *l, const struct args *a);
int command_complete(const struct lbctl *l, const struct args *a);

// ---- the command line (pure but for messages on stderr) ----

// Finds the command that @argv begins with; *ret_n is how many words its name has. NULL: none.
const struct command *args_lookup(int argc, char *const *argv, int *ret_n);
// Reads @argv by @c's table. Global options may stand anywhere. With @c NULL only they are read, up
// to the first word, whose place is *ret_next (may be NULL with @c). 0, or EXIT_USAGE, explained.
int args_parse(const struct command *c, int argc, char *const *argv, struct lbctl *l,
	       struct args *ret, int *ret_next);
// The value of the last --name given ("" where it takes none), or NULL.
const char *args_get(const struct args *a, const char *name);
// The command whose name is nearest to what @argv begins with; NULL: none is near.
const struct command *args_suggest(int argc, char *const *argv);

// Prints one line on stderr, "lbctl: ...", and returns @status.
int fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- lbd ----

struct http_request {
	const char *method; // NULL: GET
	const char *path;   // with query, encoded
	const char *header; // one more, or NULL
	const char *body;   // [body_len]; NULL: none
	size_t body_len;
	const char *body_type; // NULL: YAML (or JSON)
	const char *file;      // names the body's source in errors; NULL: none
	bool is_silent;	       // prints nothing
	// Called with what comes of a good answer, as it comes, without end; NULL: it is gathered.
	void (*on_bytes)(void *arg, const char *bytes, size_t n);
	void *on_bytes_arg;
	// Where the number of its socket is kept while it is open, so that a signal's handler can
	// cut it; NULL: nowhere. An answer by on_bytes that breaks off is no failure.
	volatile sig_atomic_t *socket_fd;
	// Called before a refusal is explained; NULL: nothing is.
	void (*on_refusal)(const struct lbctl *l, const struct http_request *q, long status);
};

// Asks lbd. On success *ret (NULL: not wanted) is the answer's JSON; where it is not JSON, its text
// as a JSON string. Else prints the reason and, under --json, lbd's problem document.
int http_call(const struct lbctl *l, const struct http_request *q, json_t **ret);
int http_get(const struct lbctl *l, const char *path, json_t **ret);
// "/v1/services/%/backends/%": each % becomes the next argument, percent-encoded. malloc'ed.
char *http_path(const char *pattern, ...);

// ---- files ----

// Reads @file, "-" is stdin, of at most 8 MiB. malloc'ed; NULL: explained.
char *read_file(const char *file, size_t *ret_len);
// Hands the packets of the capture @file ("-" is stdin) to @fn as pcap, in parts that lbd takes
// each, until one returns another status than EXIT_DONE. Returns that, or EXIT_REFUSED, explained.
int capture_each_part(const char *file, int (*fn)(const char *bytes, size_t len, void *arg),
		      void *arg);

// ---- showing ----

int show_json(json_t *o);				 // prints it and takes it over: EXIT_DONE
const char *json_text(const json_t *o, const char *key); // "" where there is none
int64_t json_whole(const json_t *o, const char *key);
double json_number(const json_t *o, const char *key);
bool json_flag(const json_t *o, const char *key);

struct column {
	const char *name;
	bool is_right;
};
struct libscols_table *show_table_new(const struct column *columns, size_t columns_n);
// @cells: one a column; NULL cells are empty.
void show_table_add(struct libscols_table *t, const char *const *cells);
// And frees it: EXIT_DONE. @none: the line that stands for a table without rows.
int show_table_print(struct libscols_table *t, const char *none);

// Into @buf of SHOW_MAX bytes; each returns @buf.
#define SHOW_MAX 48
const char *show_whole(int64_t n, char *buf);	     // 1234567
const char *show_rate(double per_second, char *buf); // 1.23M
const char *show_age(double seconds, char *buf);     // 3d 4h, 12m 30s, 1.5s
const char *show_share(double share, char *buf);     // 33.3%

// What a change did: a line each, then "generation N". Takes @answer over: EXIT_DONE.
int show_change(const struct lbctl *l, json_t *answer);
void show_plan(const json_t *plan);

// ---- shared by the service and backend groups ----

// The backends of @services, as they are in an answer, as a table: EXIT_DONE.
int show_backends(const json_t *services, bool with_service);
// {"address", "port"?} of "10.1.0.11:8080".
json_t *backend_body(const char *text);
// Sends @body (NULL: none) and shows what changed. Takes @path (NULL: no memory) and @body over.
int send_change(const struct lbctl *l, const char *method, char *path, const char *header,
		json_t *body);
