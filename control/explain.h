// SPDX-License-Identifier: BSD-2-Clause
//
// What happens to a packet, and why: a packet is made of a five-tuple, and the
// dataplane's own code walks it over the live tables, with private copies of the rows
// that packets write. So it stamps, tracks and counts nothing. The API tells the story
// (api/explain.c).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/native/native.h"

struct explain_query {
	uint8_t protocol;			// IPPROTO_TCP, IPPROTO_UDP
	bool is_syn;				// tcp: a SYN; else an ACK
	struct lb_address source, destination;	// of one family
	uint16_t source_port, destination_port; // host order
};

struct explain_answer {
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
	bool is_route_asked; // the driver's own route look-up would be asked
	uint32_t hop;	     // row; 0: none
	// With verdict LB_TRANSMIT, unless is_route_asked:
	uint32_t ifindex, mtu;
	uint8_t macs[12]; // destination, source
	// The packet as it leaves; the outer addresses in a tunnel.
	bool has_outer;
	struct lb_address outer_source, outer_destination;
	struct lb_address out_source, out_destination;
	uint16_t out_source_port, out_destination_port; // host order
};

// Walks it. @now_s: CLOCK_MONOTONIC, as the tables' times. Changes no byte of @tables.
void explain_run(struct lb_tables *tables, const struct explain_query *query, uint32_t now_s,
		 struct explain_answer *ret);
