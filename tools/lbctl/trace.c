// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl trace: packets from the running dataplane as they came and as they left, one line
// a packet, or as pcapng. lbd sends a JSON document a line (/v1/trace); here they are
// printed, or written. Ctrl-C ends it: the connection is cut, at which lbd puts the plain
// dataplane back, and what was shown is summed up.
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/packet_text.h"
#include "tools/lbctl/lbctl.h"
#include "tools/lbctl/pcapng.h"

#define FRAME_MAX 2048
#define LINE_MAX_LEN (4 * FRAME_MAX + 4096) // two frames in hex, and what is said of them

struct tracing {
	bool is_json;
	FILE *file; // NULL: lines are printed
	struct pcapng pcapng;
	char line[LINE_MAX_LEN];
	size_t len;
	json_t *counts; // the newest; NULL: none yet
	uint64_t shown;
	bool has_ended; // lbd has said so
	bool has_failed;
};

// A packet, before or after.
struct frame {
	_Alignas(8) uint8_t bytes[FRAME_MAX];
	uint32_t captured_len, len;
};

static volatile sig_atomic_t socket_fd = -1;
static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal_number)
{
	is_interrupted = 1;
	if (socket_fd < 0)
		_exit(128 + signal_number);
	shutdown(socket_fd, SHUT_RDWR);
}

// ---- a packet ----

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

// False: there is none.
static bool read_frame(const json_t *packet, const char *key, struct frame *ret)
{
	const json_t *frame = json_object_get(packet, key);
	const char *hex = json_text(frame, "bytes");

	if (!json_is_object(frame))
		return false;
	ret->len = (uint32_t)json_whole(frame, "length");
	ret->captured_len = 0;
	for (; hex[0] && hex[1] && ret->captured_len < FRAME_MAX; hex += 2)
		ret->bytes[ret->captured_len++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
	return true;
}

static uint64_t read_time_ns(const char *text)
{
	struct tm tm = {0};
	const char *fraction = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	return (uint64_t)timegm(&tm) * 1000000000 +
	       (fraction && *fraction == '.' ? strtoull(fraction + 1, NULL, 10) : 0);
}

// What became of it: "transmit (current), service web, backend 10.1.0.11:8080".
static const char *render_outcome(const json_t *packet, char *buf, size_t buf_len)
{
	const char *service = json_text(packet, "service"), *backend = json_text(packet, "backend");

	snprintf(buf, buf_len, "%s (%s)%s%s%s%s", json_text(packet, "verdict"),
		 json_text(packet, "reason"), *service ? ", service " : "", service,
		 *backend ? ", backend " : "", backend);
	return buf;
}

static void print_packet(const json_t *packet)
{
	const char *time = json_text(packet, "time"), *out = json_text(packet, "out");
	char text[PACKET_TEXT_MAX], outcome[256];
	struct frame frame;

	if (!read_frame(packet, "before", &frame))
		return;
	printf("%.26sZ %s %s, %u bytes -> %s", time, json_text(packet, "in"),
	       packet_text_render(frame.bytes, frame.captured_len, frame.len, text), frame.len,
	       render_outcome(packet, outcome, sizeof(outcome)));
	if (read_frame(packet, "after", &frame))
		printf(", by %s: %s, %u bytes", out,
		       packet_text_render(frame.bytes, frame.captured_len, frame.len, text),
		       frame.len);
	putchar('\n');
}

static bool write_packet(struct pcapng *to, const json_t *packet)
{
	char in[PCAPNG_NAME_MAX], out[PCAPNG_NAME_MAX], outcome[256];
	struct frame frame;
	struct pcapng_packet p = {.interface = in,
				  .time_ns = read_time_ns(json_text(packet, "time")),
				  .bytes = frame.bytes,
				  .comment = render_outcome(packet, outcome, sizeof(outcome))};

	snprintf(in, sizeof(in), "%s in", json_text(packet, "in"));
	snprintf(out, sizeof(out), "%s out", json_text(packet, "out"));
	if (read_frame(packet, "before", &frame)) {
		p.captured_len = frame.captured_len;
		p.len = frame.len;
		if (!pcapng_add(to, &p))
			return false;
	}
	if (!read_frame(packet, "after", &frame))
		return true;
	p.captured_len = frame.captured_len;
	p.len = frame.len;
	p.interface = out;
	p.is_outbound = true;
	return pcapng_add(to, &p);
}

// ---- what lbd sends ----

static void take_packet(struct tracing *t, const json_t *packet)
{
	t->shown++;
	if (t->file)
		t->has_failed = !write_packet(&t->pcapng, packet) || fflush(t->file);
	else if (!t->is_json)
		print_packet(packet);
	if (t->has_failed)
		interrupt(SIGINT);
}

static void take_line(struct tracing *t)
{
	json_t *o = json_loadb(t->line, t->len, 0, NULL);

	if (t->is_json && !t->file)
		printf("%.*s\n", (int)t->len, t->line);
	if (json_object_get(o, "before"))
		take_packet(t, o);
	if (json_object_get(o, "matched")) {
		json_decref(t->counts);
		t->counts = json_incref(o);
	}
	if (json_object_get(o, "end"))
		t->has_ended = true;
	json_decref(o);
	if (!t->file && fflush(stdout)) // the reader of the pipe has gone
		exit(EXIT_DONE);
}

static void take_bytes(void *arg, const char *bytes, size_t n)
{
	struct tracing *t = arg;

	for (size_t i = 0; i < n && !t->has_failed; i++) {
		if (bytes[i] == '\n') {
			take_line(t);
			t->len = 0;
		} else if (t->len < sizeof(t->line)) {
			t->line[t->len++] = bytes[i];
		}
	}
}

// ---- the whole ----

// "name=value" behind @separator; of an option that is given more than once all values, with commas
// between. Returns the next one's separator.
static const char *add_parameter(FILE *to, const char *separator, const struct args *a,
				 const char *name)
{
	bool is_first = true;

	for (int i = 0; i < a->given_n; i++) {
		char *encoded;

		if (strcmp(a->given[i].name, name) != 0)
			continue;
		encoded = curl_easy_escape(NULL, a->given[i].value, 0);
		if (is_first)
			fprintf(to, "%s%s=%s", separator, name, encoded ? encoded : "");
		else
			fprintf(to, "%%2C%s", encoded ? encoded : "");
		is_first = false;
		curl_free(encoded);
	}
	return is_first ? separator : "&";
}

// malloc'ed.
static char *make_path(const struct args *a)
{
	static const char *const names[] = {"service", "protocol", "source", "destination",
					    "reason",  "verdict",  "rate",   "snap",
					    "count",   "seconds"};
	const char *separator = "?";
	char *path = NULL;
	size_t path_len = 0;
	FILE *to = open_memstream(&path, &path_len);

	if (!to)
		return NULL;
	fputs("/v1/trace", to);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		separator = add_parameter(to, separator, a, names[i]);
	fclose(to);
	return path;
}

// To @name ("-": stdout). Packets are private: nobody else may read the file.
static int open_file(struct tracing *t, const char *name)
{
	int fd = -1;

	if (!strcmp(name, "-")) {
		if (isatty(STDOUT_FILENO))
			return fail(EXIT_USAGE, "stdout is a terminal, and pcapng is not for "
						"reading: redirect it");
		t->file = stdout;
	} else {
		fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		t->file = fd < 0 ? NULL : fdopen(fd, "w");
	}
	if (!t->file || !pcapng_begin(&t->pcapng, t->file, "lbctl trace") || fflush(t->file))
		return fail(EXIT_REFUSED, "%s: cannot be written: %s", name, strerror(errno));
	return EXIT_DONE;
}

// It was ended here, so lbd had no last word: what it said before, and what came, are it.
static json_t *sum_up(const struct tracing *t)
{
	int64_t left_out = json_whole(t->counts, "left_out"), lost = json_whole(t->counts, "lost");

	return json_pack("{s:I, s:I, s:I, s:I, s:s}", "matched",
			 (json_int_t)t->shown + left_out + lost, "shown", (json_int_t)t->shown,
			 "left_out", (json_int_t)left_out, "lost", (json_int_t)lost, "end",
			 "interrupted");
}

static int show_end(struct tracing *t)
{
	json_t *end = t->has_ended ? json_incref(t->counts) : sum_up(t);
	int64_t lost = json_whole(end, "lost");

	fprintf(stderr,
		"%" PRId64 " packets matched, %" PRId64 " shown, %" PRId64
		" left out by the rate (--rate)",
		json_whole(end, "matched"), json_whole(end, "shown"), json_whole(end, "left_out"));
	if (lost)
		fprintf(stderr, ", %" PRId64 " lost: read too slowly", lost);
	if (t->has_ended)
		fprintf(stderr, "; %s", json_string_value(json_object_get(end, "end")));
	fputc('\n', stderr);
	if (t->is_json && t->file != stdout && (t->file || !t->has_ended))
		return show_json(end);
	json_decref(end);
	return EXIT_DONE;
}

static int run(const struct lbctl *l, struct tracing *t, const struct http_request *q)
{
	const struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART};
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = http_call(l, q, NULL);
	if (t->has_failed)
		return fail(EXIT_REFUSED, "the file cannot be written: %s", strerror(errno));
	if (status && !is_interrupted)
		return status;
	if (!t->has_ended && !is_interrupted)
		return fail(EXIT_UNREACHABLE, "lbd has ended");
	return show_end(t);
}

int command_trace(const struct lbctl *l, const struct args *a)
{
	struct tracing *t = calloc(1, sizeof(*t));
	const char *file = args_get(a, "write");
	struct http_request q = {.path = make_path(a),
				 .on_bytes = take_bytes,
				 .on_bytes_arg = t,
				 .socket_fd = &socket_fd};
	int status = EXIT_DONE;

	if (!t || !q.path)
		return fail(EXIT_REFUSED, "no memory");
	t->is_json = l->is_json;
	if (file)
		status = open_file(t, file);
	if (!status)
		status = run(l, t, &q);
	if (t->file && t->file != stdout && fclose(t->file) && !status)
		status = fail(EXIT_REFUSED, "%s: cannot be written: %s", file, strerror(errno));
	pcapng_end(&t->pcapng);
	json_decref(t->counts);
	free((char *)q.path);
	free(t);
	return status;
}
