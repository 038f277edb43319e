// SPDX-License-Identifier: BSD-2-Clause
//
// What fuzz_packet.c asks of packet_sound.c: checksums by the words of the RFCs, with none of
// the core's arithmetic.
#pragma once

#include "dataplane/core/decide_rest.h"
#include "fuzz.h"

// Makes right whatever checksum there is in @frame: IP's, TCP's, UDP's, ICMP's.
void packet_right(uint8_t *frame, size_t len);
// Aborts where what was made of @frame, which was parsed as @came, cannot be: lengths, addresses,
// and checksums that were right.
void packet_demand_sound(const uint8_t *frame, const struct lb_packet *came,
			 const struct lb_decision *d, const uint8_t *out, size_t out_len);
