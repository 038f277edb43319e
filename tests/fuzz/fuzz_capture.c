// SPDX-License-Identifier: BSD-2-Clause
//
// control/capture.c: whatever is called a capture is refused with a sentence, or read to
// its end in bounds; and its frames, whatever is in them, are told as text.
#include <stdlib.h>
#include <string.h>

#include "control/capture.h"
#include "control/packet_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct capture_packet packet;
	char text[PACKET_TEXT_MAX];
	struct capture c;
	struct err e = {0};
	uint32_t n = 0;

	if (capture_open(data, len, &c, &e)) {
		fuzz_demand(e.text[0] != '\0', "refused without a sentence");
		return 0;
	}
	for (; capture_next(&c, &packet); n++) {
		// On the heap, and just as long: ASan sees a read beyond the end.
		uint8_t *room = malloc(packet.captured_len + 2u);

		fuzz_demand(room && packet.captured_len <= CAPTURE_FRAME_MAX, "a frame too long");
		fuzz_demand(packet.captured_len <= packet.len, "more captured than there was");
		memcpy(room + 2, packet.frame, packet.captured_len);
		packet_text_render(room + 2, packet.captured_len, packet.len, text);
		fuzz_demand(*text && strlen(text) < PACKET_TEXT_MAX, "no text");
		free(room);
	}
	fuzz_demand(n == c.packets_n, "another number of packets");
	return 0;
}
