// SPDX-License-Identifier: BSD-2-Clause
//
// A frame through lb-decap's program, compiled for this process (bpf/bpf_helpers.h). The context
// of an XDP program has addresses of 32 bits, so the frame lies in low memory, between pages that
// nobody may touch: once at the end, once at the start of its page. The first byte says which
// parts of the host's lists hold.
//
// Beyond not crashing: one reason; what is left to the kernel unread is unchanged; what is taken
// out is what was inside, to the byte but for a congestion mark.
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

int lb_decap(struct xdp_md *ctx);
#include "xdp/decap.bpf.c"

#define PAGE 4096
#define FRAME_MAX 2048
#define ETH_LEN 14

static uint8_t *page; // in the middle of three; the others cannot be read
static uint32_t removed;
static uint8_t lists;

// 10.9.0.0/16 and fd09::/32 are balancers and the host itself, 203.0.113.0/24 and 2001:db8:9::/48
// its VIPs (as in decap_cases.txt), all others by bits of the input's first byte.
static bool is_listed(const void *map, const struct decap_key *key)
{
	bool is_ipv4 =
		key->words[0] == 0 && key->words[1] == 0 && key->words[2] == bpf_htonl(0xffff);
	uint32_t first = bpf_ntohl(is_ipv4 ? key->words[3] : key->words[0]);
	uint32_t second = bpf_ntohl(key->words[1]);

	if (is_ipv4 ? first >> 16 == 0x0a09 : first == 0xfd090000)
		return true;
	if (map == &balancers)
		return lists & 1;
	return lists & 2 ||
	       (is_ipv4 ? first >> 8 == 0xcb0071 : first == 0x20010db8 && second >> 16 == 9);
}

static void *bpf_map_lookup_elem(void *map, const void *key)
{
	static __u64 pkts[DECAP_REASON_MAX];
	static __u32 found;

	if (map == &counters) {
		fuzz_demand(*(const __u32 *)key < DECAP_REASON_N, "no such reason");
		return &pkts[*(const __u32 *)key];
	}
	return is_listed(map, key) ? &found : NULL;
}

static long bpf_xdp_adjust_head(struct xdp_md *ctx, int delta)
{
	// As the kernel: what remains has an Ethernet header.
	if (delta < 0 || ctx->data + (uint32_t)delta + ETH_LEN > ctx->data_end)
		return -1;
	ctx->data += (uint32_t)delta;
	removed += (uint32_t)delta;
	return 0;
}

static __u64 bpf_xdp_get_buff_len(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}

static void make_page(void)
{
	uint8_t *pages;

	if (page)
		return;
	pages = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	fuzz_demand(pages != MAP_FAILED, "no low memory");
	fuzz_demand(!mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE), "no low memory");
	page = pages + PAGE;
}

// The inner packet, but for its congestion mark and the checksum that follows from it.
static void demand_inner(const uint8_t *frame, const uint8_t *out, size_t len)
{
	bool is_ipv4 = (frame[0] & 0xf0) == 0x40;
	size_t same_from = is_ipv4 ? 12 : 2;

	fuzz_demand(len >= same_from, "an inner packet without header");
	fuzz_demand(out[0] == frame[0], "the inner packet's first byte");
	fuzz_demand(memcmp(out + same_from, frame + same_from, len - same_from) == 0,
		    "the inner packet was changed");
	if (is_ipv4)
		fuzz_demand(memcmp(out + 2, frame + 2, 8) == 0, "the inner packet was changed");
}

static void try_at(uint8_t *at, const uint8_t *frame, size_t len)
{
	struct xdp_md ctx = {.data = (uint32_t)(uintptr_t)at,
			     .data_end = (uint32_t)(uintptr_t)(at + len)};
	int action;

	memcpy(at, frame, len);
	removed = 0;
	action = lb_decap(&ctx);
	fuzz_demand(action == XDP_PASS || action == XDP_DROP, "another action");
	if (!removed) {
		fuzz_demand(action == XDP_DROP || memcmp(at, frame, len) == 0,
			    "the kernel gets another packet");
		return;
	}
	fuzz_demand(action == XDP_PASS, "opened and dropped");
	fuzz_demand(memcmp(at + removed, frame, 12) == 0, "MAC addresses");
	demand_inner(frame + ETH_LEN + removed, at + removed + ETH_LEN, len - ETH_LEN - removed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (!len || len - 1 > FRAME_MAX)
		return 0;
	make_page();
	lists = *data++;
	len--;
	try_at(page, data, len);
	try_at(page + PAGE - len, data, len);
	return 0;
}
