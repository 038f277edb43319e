// SPDX-License-Identifier: BSD-2-Clause
//
// Writes captured packets as pcapng (draft-ietf-opsawg-pcapng), for Wireshark, tshark and
// tcpdump: one section, an interface block when an interface is first seen, an enhanced
// packet block a packet, with a comment. Times are in nanoseconds. Knows nothing of lbd.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PCAPNG_NAME_MAX 64

struct pcapng {
	FILE *to;
	char (*interfaces)[PCAPNG_NAME_MAX]; // [interfaces_n]
	uint32_t interfaces_n;
};

struct pcapng_packet {
	const char *interface; // its name
	uint64_t time_ns;      // since 1970
	const uint8_t *bytes;  // from the Ethernet header on, [captured_len]
	uint32_t captured_len;
	uint32_t len; // of the frame
	bool is_outbound;
	const char *comment;
};

// Each returns false where @to cannot be written (errno), or memory is short.
bool pcapng_begin(struct pcapng *p, FILE *to, const char *application);
bool pcapng_add(struct pcapng *p, const struct pcapng_packet *packet);
void pcapng_end(struct pcapng *p); // leaves @to open
