// SPDX-License-Identifier: BSD-2-Clause
//
// What health.c asks of a check kind, and what a kind answers. A kind is a file
// (tcp.c, http.c) that knows how to ask one question of one backend, without
// blocking, and ends in one call that says up or down and why. When to ask, how
// long to wait and what follows from the answers is health.c's alone: a kind has
// no timers and keeps nothing between two probes.
#pragma once

#include <event2/event.h>

#include "control/address.h"

enum probe_verdict {
	PROBE_UP,
	PROBE_DOWN,
	PROBE_UNMADE, // this host could not ask (descriptors, ports, memory): says nothing of the
		      // backend
};

struct http;

// What probes share.
struct probe_env {
	struct event_base *base;
	struct http *http; // of http_open()
};

struct probe_ask {
	struct lb_address address;
	uint16_t port;	  // host order
	const char *path; // http
	const char *host; // http: the Host header; NULL: address and port
};

// @cause: a few words, such as "connection refused"; borrowed for the call.
typedef void (*probe_fn)(void *arg, enum probe_verdict verdict, const char *cause);

struct probe_kind {
	// Starts one probe; @ask is borrowed for the call. @fn is called once, from the loop, never
	// before start() has returned; with it the probe is gone. NULL: out of memory.
	void *(*start)(const struct probe_env *env, const struct probe_ask *ask, probe_fn fn,
		       void *arg);
	// Ends a probe before its answer; @fn is not called.
	void (*cancel)(void *probe);
};

extern const struct probe_kind probe_tcp, probe_http;

// The state that all HTTP probes share. 0 or -ENOMEM. Close it when no HTTP probe is left.
int http_open(struct event_base *base, struct http **ret);
void http_close(struct http *h);

// Opens a socket of the address's family: TCP, non-blocking, close-on-exec. Returns it or -errno.
int probe_socket(int family);
// What an errno of socket() or connect() says of the backend: PROBE_DOWN or PROBE_UNMADE.
enum probe_verdict probe_judge_errno(int error);
// In a person's words: "connection refused".
const char *probe_errno_text(int error);
