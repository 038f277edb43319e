// SPDX-License-Identifier: BSD-2-Clause
//
// control/capture.c: whatever is called a capture is refused with a sentence, or read to
// its end in bounds; and its frames, whatever is in them, are told as text.
#include <stdlib.h>
#include <string.h>

#include "control/capture.h"
#include "control/packet_text.h"
#include "tests/fuzz/fuzz.h"

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct capture_packet packet;
	char text[PACKET_TEXT_MAX];
	struct capture c;
	struct err e = {0};
	uint32_t n = 0;

	if (capture_open(data, len, &c, &e)) {
		check(e.text[0] != '\0');
		return 0;
	}
	for (; capture_next(&c, &packet); n++) {
		// On the heap, and just as long: ASan sees a read beyond the end.
		uint8_t *room = malloc(packet.captured_len + 2u);

		check(room && packet.captured_len <= CAPTURE_FRAME_MAX);
		check(packet.captured_len <= packet.len);
		memcpy(room + 2, packet.frame, packet.captured_len);
		packet_text_render(room + 2, packet.captured_len, packet.len, text);
		check(*text && strlen(text) < PACKET_TEXT_MAX);
		free(room);
	}
	check(n == c.packets_n);
	return 0;
}
