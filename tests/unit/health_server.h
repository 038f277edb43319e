// SPDX-License-Identifier: BSD-2-Clause
//
// Servers on loopback for test_health.c, in the test's own event loop: real sockets,
// that answer each connection as a script says, one letter a connection:
//   '1' HTTP 200   '0' HTTP 503   '3' a redirect   '4' HTTP 404   'c' 100, then 200
//   's' silence    'x' closes     'g' no HTTP      'h' endless headers  'b' a bad status line
// The last letter holds for all further connections. A server counts connections,
// and keeps the last request.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdint.h>

#include "dataplane/core/tables.h"

#define SERVER_HELD_MAX 64

struct server {
	struct event_base *base;
	struct lb_address address;
	uint16_t port;
	int fd;
	struct event *event; // NULL: does not accept
	const char *script;
	unsigned int connections_n;
	unsigned int batch_max_n; // connections that waited to be accepted, at most
	unsigned int requests_n;  // answered or not
	char request[2048];	  // the last one
	struct bufferevent *held[SERVER_HELD_MAX]; // silent ones, until the end
	int waiting[4];				   // of server_start_full(): what fills the backlog
	unsigned int held_n;
	void (*accepted)(struct server *s, void *arg); // may be NULL
	void *arg;
};

// Each makes a server on a free port of @text ("127.0.0.1", "::1"); -1 where the family is missing.
int server_start(struct server *s, struct event_base *base, const char *text, const char *script);
// A port that refuses: bound, and not listening.
int server_start_refusing(struct server *s, const char *text);
// A port that drops SYNs: its backlog is full.
int server_start_full(struct server *s, const char *text);
void server_stop(struct server *s);
