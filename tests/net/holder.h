// SPDX-License-Identifier: BSD-2-Clause
//
// holder: what the tests' traffic is made of. `holder server` answers each line
// (TCP) and datagram (UDP) with its own name, the connection's serial and the line
// itself. `holder client` holds long-lived connections to one or several targets,
// exchanges a numbered message on each every interval, and opens new short ones at
// a rate. It knows which server and which connection answered first, so it sees
// when a packet went elsewhere.
//
// One thread, one epoll loop. holder.c reads the arguments, holder_server.c and
// holder_client.c are the two modes, holder_report.c counts and writes the report.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HOLDER_TARGETS_MAX 64
#define HOLDER_SERVERS_MAX 64 // names that a client tells apart
#define HOLDER_NAME_MAX 32
#define HOLDER_MESSAGE_MAX 16384

struct holder_target {
	struct sockaddr_in6 address; // IPv4 as ::ffff:a.b.c.d
	char text[64];
};

struct holder_options {
	bool is_server;
	// server
	const char *name;
	uint16_t ports[HOLDER_TARGETS_MAX];
	size_t ports_n;
	// client
	struct holder_target targets[HOLDER_TARGETS_MAX];
	size_t targets_n;
	int protocol;	      // IPPROTO_TCP, IPPROTO_UDP
	bool http;	      // messages are HTTP/1.1 requests; the body is a server's answer
	size_t held_n;	      // long-lived connections, spread evenly over the targets
	size_t message_bytes; // of a message, padded; 0: as short as it is
	uint64_t interval_ns; // between messages of a connection
	uint64_t timeout_ns;  // a message (TCP), or a new connection, without answer for this long
	bool retries;	      // UDP: new flows send again too, as held ones do: the network loses
	uint64_t new_per_s;   // new short connections a second, over all targets
	const char *report;   // a file, rewritten several times a second and at the end
};

// Why a connection broke, or could not be made.
enum holder_why {
	WHY_CONNECT, // refused, or unreachable, or not answered
	WHY_RESET,
	WHY_CLOSED,
	WHY_SILENT, // no answer
	WHY_MOVED,  // another server or another connection answered
	WHY_BAD,    // an answer that is none
	WHY_N,
};

struct holder_count {
	char name[HOLDER_NAME_MAX]; // a server; "?" where none had answered yet
	uint64_t held;		    // long-lived connections that live there
	uint64_t new_ok;
	uint64_t last_new_ns; // when it last answered a new connection; 0: never
	uint64_t broken[WHY_N];
	uint64_t new_failed[WHY_N];
};

struct holder_counts {
	struct holder_count servers[HOLDER_SERVERS_MAX]; // [0] is "?"
	size_t servers_n;
	uint64_t messages;	    // answered, on long-lived connections
	uint64_t lost;		    // UDP: not answered
	uint64_t syn_retransmitted; // handshakes, whatever became of them
	// New TCP connections that failed after a retransmitted SYN: they straddled a change, and
	// are not in new_failed.
	uint64_t straddled;
	// When the open long-lived connection that is worst off was last answered; 0: never.
	uint64_t oldest_answer_ns;
	uint64_t last_failed_ns; // of new connections, these too; 0: none failed
	char last_trouble[160];	 // for people
};

uint64_t holder_now_ns(void); // CLOCK_BOOTTIME, which scripts read in /proc/uptime

// The server's place in @c->servers; it is added where it is new. 0 where there is no room.
size_t holder_count_lookup(struct holder_counts *c, const char *name, size_t name_len);
// Writes the report aside and renames it.
void holder_report_write(const struct holder_options *o, const struct holder_counts *c);

// Both return the exit status.
int holder_serve(const struct holder_options *o);
int holder_hold(const struct holder_options *o);
