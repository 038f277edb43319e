// SPDX-License-Identifier: BSD-2-Clause
//
// Whatever a backend may answer to a check: the input is what a server on this host's loopback
// sends to the HTTP probe before it closes; the first byte says in how many pieces, and whether
// it closes by a reset. libcurl reads it; what is ours is to judge, and to read no more than
// the headers.
//
// Beyond not crashing or leaking: one verdict, never before start() has returned, with a cause; up
// only where there is a status of 2xx or 3xx.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/health/probe.h"
#include "fuzz.h"

#define PIECES_MAX 4
#define STATUS_AT 9 // "HTTP/1.1 200"

static struct event_base *base;
static struct probe_env env;
static int listener = -1;
static uint16_t port;

struct answer {
	const uint8_t *bytes;
	size_t len;
	unsigned int pieces_n;
	bool is_reset;
	bool is_done;
	enum probe_verdict verdict;
};

// Instead of probe_socket() itself (ld's --wrap): its end is a reset, so that no port waits for its
// time to be used again.
int __real_probe_socket(int family);
int __wrap_probe_socket(int family);
int __wrap_probe_socket(int family)
{
	const struct linger reset = {.l_onoff = 1};
	int fd = __real_probe_socket(family);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void open_world(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);

	if (base)
		return;
	base = event_base_new();
	env.base = base;
	fuzz_demand(http_open(base, &env.http) == 0, "no HTTP");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	fuzz_demand(!bind(listener, (struct sockaddr *)&at, sizeof(at)) && !listen(listener, 8) &&
			    !getsockname(listener, (struct sockaddr *)&at, &len),
		    "cannot listen on loopback");
	port = ntohs(at.sin_port);
}

// ---- the server ----

// Answers the connection @fd, and closes it.
static void serve(const struct answer *a, int fd)
{
	const struct linger reset = {.l_onoff = 1};
	size_t piece = a->len / a->pieces_n + 1;

	for (size_t at = 0; at < a->len; at += piece) {
		size_t n = a->len - at < piece ? a->len - at : piece;

		if (send(fd, a->bytes + at, n, MSG_NOSIGNAL) < 0)
			break; // the probe has what it wants
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	if (a->is_reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

// ---- the probe ----

static void on_verdict(void *arg, enum probe_verdict verdict, const char *cause)
{
	struct answer *a = arg;

	fuzz_demand(!a->is_done, "a second verdict");
	fuzz_demand(verdict == PROBE_UP || verdict == PROBE_DOWN, "it could be asked");
	fuzz_demand(cause && *cause, "no cause");
	a->is_done = true;
	a->verdict = verdict;
}

// Some line of the answer is a status line (RFC 9112, 4) of 2xx or 3xx.
static bool has_good_status(const struct answer *a)
{
	const char *at = (const char *)a->bytes;

	for (size_t i = 0; i + STATUS_AT + 3 <= a->len; i++, at++)
		if (!memcmp(at, "HTTP/", 5) && isdigit(at[5]) && at[6] == '.' && isdigit(at[7]) &&
		    at[8] == ' ' && (at[9] == '2' || at[9] == '3') && isdigit(at[10]) &&
		    isdigit(at[11]))
			return true;
	return false;
}

static void probe(struct answer *a)
{
	struct probe_ask ask = {.port = port, .path = "/healthz"};
	int fd = -1;

	fuzz_demand(!address_parse("127.0.0.1", &ask.address), "address");
	fuzz_demand(probe_http.start(&env, &ask, on_verdict, a) != NULL, "no memory");
	fuzz_demand(!a->is_done, "a verdict before start() returned");
	while (!a->is_done && fd < 0) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	}
	if (fd >= 0)
		serve(a, fd);
	while (!a->is_done) // without end: a verdict never comes
		event_base_loop(base, EVLOOP_ONCE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct answer a = {0};

	if (!len)
		return 0;
	open_world();
	a.pieces_n = 1 + data[0] % PIECES_MAX;
	a.is_reset = data[0] & 0x80;
	a.bytes = data + 1;
	a.len = len - 1;
	probe(&a);
	fuzz_demand(a.verdict != PROBE_UP || has_good_status(&a), "up without a status");
	return 0;
}
