// SPDX-License-Identifier: BSD-2-Clause
//
// A capture in memory, as tcpdump -w writes it: classic pcap, of either byte order, with
// micro- or nanoseconds (draft-ietf-opsawg-pcap). Read by this little code and no library,
// because lbd reads it, as root, and captures come from strangers: a header, then records
// of lengths and bytes, each checked against the end of what was given. What else there is
// (pcapng, compression) lbctl turns into this, with libpcap.
//
// Frames come out as Ethernet, whatever the link was: Ethernet, Linux cooked (v1, v2: `tcpdump -i
// any`), raw IP. Pure; changes nothing that it is given.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/err.h"

#define CAPTURE_HEADER_LEN 24
#define CAPTURE_RECORD_LEN 16

struct capture {
	const uint8_t *bytes;
	size_t len;
	size_t at; // the next record
	bool is_swapped, is_ns;
	uint32_t link; // LINKTYPE_...
	uint32_t packets_n;
};

#define CAPTURE_FRAME_MAX 1024 // bytes of a frame that are handed out at most

struct capture_packet {
	uint64_t time_ns; // since the epoch
	uint32_t captured_len;
	uint32_t len; // of the frame, of which the first captured_len bytes are here
	_Alignas(8) uint8_t frame[CAPTURE_FRAME_MAX];
};

// Checks all of [@bytes, @bytes + @len), borrowed, and fills @ret, which stands before the first
// packet. 0, or -EINVAL: no capture, cut off, damaged, or of a link that is not known.
int capture_open(const uint8_t *bytes, size_t len, struct capture *ret, struct err *e);
// The next packet; false: there are no more.
bool capture_next(struct capture *c, struct capture_packet *ret);
// "Ethernet", "Linux cooked", "raw IP".
const char *capture_link_name(const struct capture *c);
