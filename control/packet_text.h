// SPDX-License-Identifier: BSD-2-Clause
//
// A packet as one line for people, from its bytes: what it is, from whom, to whom. Parsed
// by the dataplane's own code (parse.h), so it says what the dataplane took the packet
// for. Shared by what shows packets (explain). Pure.
//
//   tcp 198.51.100.7:40000 > 203.0.113.10:80 SYN
//   vlan 100 udp [2001:db8:100::7]:5353 > [2001:db8:113::10]:53
//   icmp 192.0.2.9 > 203.0.113.10 fragmentation needed, MTU 1400, about tcp 203.0.113.10:80 > ...
//   udp 198.51.100.7 > 203.0.113.10, later fragment 4711
//   arp
#pragma once

#include <stdint.h>

#define PACKET_TEXT_MAX 384

// Renders the frame at @start (from the Ethernet header on, at an even address), @captured_len
// bytes of @frame_len, into @buf of PACKET_TEXT_MAX bytes. Returns @buf.
const char *packet_text_render(const uint8_t *start, uint32_t captured_len, uint32_t frame_len,
			       char *buf);
