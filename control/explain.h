// SPDX-License-Identifier: BSD-2-Clause
//
// What happens to a packet, and why: the dataplane's own code walks it over the live
// tables, with private copies of the rows that packets write. So it stamps, tracks and
// counts nothing, and takes nothing from the rates. A packet is made of a query
// (explain_query.c), or comes from a capture (capture.h). The API tells the story
// (api/explain.c, api/capture.c).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/packet_text.h"
#include "dataplane/core/route.h"
#include "dataplane/native/native.h"

struct explain_query {
	uint8_t protocol;			// IPPROTO_TCP, IPPROTO_UDP; IPPROTO_ICMP: echo
	bool is_syn;				// tcp: a SYN; else an ACK
	struct lb_address source, destination;	// of one family
	uint16_t source_port, destination_port; // host order; icmp: 0
	uint32_t ip_len; // bytes of the IP packet; below explain_query_len(): that
};

// Over what packets are walked.
struct explain_world {
	struct lb_tables *tables; // the live ones; no byte of them is changed
	uint32_t now_s;		  // CLOCK_MONOTONIC, as the tables' times
	// Asks the routes beyond the mirrored ones, for a reply that comes in by @ifindex. 0, or a
	// negative errno: not known. NULL: nobody is asked.
	int (*ask_route)(void *arg, uint32_t ifindex, const struct lb_route_query *query,
			 struct lb_route_answer *ret);
	void *arg;
};

// A frame, from its Ethernet header on, at any address.
struct explain_frame {
	const uint8_t *bytes;
	uint32_t captured_len; // of them are here
	uint32_t len;	       // of the frame
};

// Of an IP packet.
struct explain_headers {
	struct lb_address source, destination;
	uint16_t source_port, destination_port; // host order; 0: none
	uint32_t len;				// bytes, this header included
	uint8_t ttl;				// or hop limit
};

// What the dataplane sends instead, with verdict LB_ANSWER.
enum explain_answer {
	EXPLAIN_NO_ANSWER,
	EXPLAIN_ECHO_REPLY,
	EXPLAIN_RST,
	EXPLAIN_PORT_UNREACHABLE,
	EXPLAIN_TOO_BIG, // IPv4: fragmentation needed
	EXPLAIN_TIME_EXCEEDED,
};

struct explanation {
	// The bytes that are here end inside the headers: only the text is told, as far as it goes.
	bool is_cut;
	char text[PACKET_TEXT_MAX]; // the packet as it came
	enum lb_verdict verdict;
	enum lb_reason reason;
	uint32_t service; // row; 0: none was found
	uint32_t slot;	  // position in the service's ring
	bool has_slot;
	bool is_lookup;		   // the slot is in transition
	bool is_looked_up;	   // the connection table was asked
	uint32_t current, settled; // backend rows of the slot; 0: none
	bool has_entry;
	uint32_t entry_backend; // row
	enum lb_entry_state entry_state;
	uint32_t entry_age_s;
	uint32_t backend;    // row; 0: none was chosen
	bool is_reply;	     // a backend's reply in nat
	bool is_route_asked; // the driver's own route look-up is asked
	bool is_route_known; // and what it says is what the rest is of
	uint32_t hop;	     // row; 0: none
	struct lb_link link; // the way on, where the walk came as far; all zero: it did not
	// As it leaves: verdicts LB_TRANSMIT and LB_ANSWER.
	struct explain_headers out;
	char out_text[PACKET_TEXT_MAX]; // in a tunnel: of the outer headers
	enum lb_mode tunnel;		// LB_MODE_IPIP, LB_MODE_GUE: behind these; 0: none
	struct explain_headers outer;
	enum explain_answer answer;
	uint32_t answer_mtu; // EXPLAIN_TOO_BIG: what it says fits
};

// Where the first fragments of a capture went: what a private walk forgets, and those that
// follow them need. Zeroed at first.
#define EXPLAIN_FRAGMENT_LINES 256
struct explain_fragments {
	struct lb_meta meta;
	struct lb_entry_line lines[EXPLAIN_FRAGMENT_LINES];
};

// Walks it. Every rate has room. @fragments may be NULL.
void explain_run_frame(const struct explain_world *world, const struct explain_frame *frame,
		       struct explain_fragments *fragments, struct explanation *ret);
// The same for a packet of these headers, and zeros behind.
void explain_run_query(const struct explain_world *world, const struct explain_query *query,
		       struct explanation *ret);
// Bytes of the headers of its IP packet.
uint32_t explain_query_len(const struct explain_query *query);

// The rate that bounds what happens for @reason (verdict ANSWER, and the ICMP errors that are
// handed on). Returns its number, or LB_RATE_N: none does.
enum lb_rate explain_rate_of(enum lb_reason reason);
// On how many of the meta.cpu_n CPUs it is used up in this second.
uint32_t explain_count_full(const struct lb_tables *tables, enum lb_rate rate, uint32_t now_s);
