// SPDX-License-Identifier: BSD-2-Clause
//
// Classic pcap, record by record, and its links as Ethernet.
#include "control/capture.h"

#include <errno.h>
#include <string.h>

#define MAGIC_US 0xa1b2c3d4u
#define MAGIC_NS 0xa1b23c4du
#define MAGIC_PCAPNG 0x0a0d0d0au // the same in both byte orders
#define RECORD_MAX (256u << 10)	 // bytes of a packet; what libpcap takes at most

// tcpdump.org/linktypes.html
enum {
	LINK_ETHERNET = 1,
	LINK_RAW = 101,
	LINK_COOKED = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_COOKED2 = 276
};
#define LINK_RAW_OLD 12 // as some systems number it

#define ETH_LEN 14

static uint32_t read32(const struct capture *c, size_t at)
{
	uint32_t value;

	memcpy(&value, c->bytes + at, sizeof(value));
	return c->is_swapped ? __builtin_bswap32(value) : value;
}

// ---- links ----

struct link {
	uint32_t type;
	const char *name;
	uint32_t header_len;
};

static const struct link links[] = {
	{LINK_ETHERNET, "Ethernet", ETH_LEN},
	{LINK_RAW, "raw IP", 0},
	{LINK_RAW_OLD, "raw IP", 0},
	{LINK_IPV4, "raw IP", 0},
	{LINK_IPV6, "raw IP", 0},
	{LINK_COOKED, "Linux cooked", 16},
	{LINK_COOKED2, "Linux cooked", 20},
};

static const struct link *lookup_link(uint32_t type)
{
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++) {
		if (links[i].type == type)
			return &links[i];
	}
	return NULL;
}

const char *capture_link_name(const struct capture *c)
{
	const struct link *link = lookup_link(c->link);

	return link ? link->name : "";
}

// Writes the Ethernet header that the frame of @record might have had: as far as it says something,
// the Ethernet type, and whether it was sent to many.
static void make_ethernet(const struct capture *c, const uint8_t *record, uint32_t record_len,
			  uint8_t *to)
{
	// A host's own.
	static const uint8_t header[ETH_LEN] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	const bool is_cooked2 = c->link == LINK_COOKED2;

	memcpy(to, header, sizeof(header));
	if (c->link == LINK_COOKED || is_cooked2) {
		const uint8_t kind = is_cooked2 ? record[10] : record[1];

		memcpy(to + 12, record + (is_cooked2 ? 0 : 14), 2);
		to[0] |= kind == 1 || kind == 2; // LINUX_SLL_BROADCAST, LINUX_SLL_MULTICAST
	} else if (record_len) {
		const bool is_ipv6 = record[0] >> 4 == 6;

		to[12] = is_ipv6 ? 0x86 : 0x08;
		to[13] = is_ipv6 ? 0xdd : 0x00;
	}
}

static void take_frame(const struct capture *c, const uint8_t *record, uint32_t record_len,
		       uint32_t len, struct capture_packet *ret)
{
	const uint32_t header_len = lookup_link(c->link)->header_len;
	uint32_t take;

	if (c->link == LINK_ETHERNET || record_len < header_len) {
		ret->captured_len = record_len < CAPTURE_FRAME_MAX ? record_len : CAPTURE_FRAME_MAX;
		// Of another link too little was captured to make anything of it.
		if (c->link != LINK_ETHERNET)
			ret->captured_len = 0;
		ret->len = len;
		memcpy(ret->frame, record, ret->captured_len);
		return;
	}
	make_ethernet(c, record, record_len, ret->frame);
	take = record_len - header_len;
	if (take > CAPTURE_FRAME_MAX - ETH_LEN)
		take = CAPTURE_FRAME_MAX - ETH_LEN;
	memcpy(ret->frame + ETH_LEN, record + header_len, take);
	ret->captured_len = ETH_LEN + take;
	ret->len = len - header_len + ETH_LEN;
}

// ---- records ----

// Bytes of the record at c->at, without its header.
static uint32_t record_len(const struct capture *c)
{
	return read32(c, c->at + 8);
}

static int check_records(struct capture *c, struct err *e)
{
	for (c->at = CAPTURE_HEADER_LEN; c->at < c->len; c->packets_n++) {
		const size_t left = c->len - c->at;

		if (left < CAPTURE_RECORD_LEN ||
		    (record_len(c) <= RECORD_MAX && left - CAPTURE_RECORD_LEN < record_len(c)))
			return err_set(e, -EINVAL,
				       "the capture ends inside packet %u: it was cut off; capture "
				       "again, or keep the whole packets with `tcpdump -r FILE -w "
				       "NEW`",
				       c->packets_n + 1);
		if (record_len(c) > RECORD_MAX)
			return err_set(
				e, -EINVAL,
				"packet %u of the capture has %u bytes, which cannot be: the "
				"capture is damaged",
				c->packets_n + 1, record_len(c));
		c->at += CAPTURE_RECORD_LEN + record_len(c);
	}
	c->at = CAPTURE_HEADER_LEN;
	return 0;
}

static int check_magic(struct capture *c, struct err *e)
{
	const uint32_t magic = c->len >= 4 ? read32(c, 0) : 0;
	const uint32_t swapped = __builtin_bswap32(magic);

	if (c->len == 0)
		return err_set(e, -EINVAL, "the body is empty; a capture (pcap) is expected");
	if (magic == MAGIC_PCAPNG)
		return err_set(e, -EINVAL,
			       "the body is pcapng; pcap is expected: `lbctl explain --pcap FILE` "
			       "reads either, and `tcpdump -r FILE -w NEW` makes pcap of it");
	c->is_swapped = swapped == MAGIC_US || swapped == MAGIC_NS;
	c->is_ns = magic == MAGIC_NS || swapped == MAGIC_NS;
	if (!c->is_swapped && !c->is_ns && magic != MAGIC_US)
		return err_set(
			e, -EINVAL,
			"the body is no capture: pcap is expected, as `tcpdump -w` writes it");
	if (c->len < CAPTURE_HEADER_LEN)
		return err_set(e, -EINVAL, "the capture ends inside its header: it was cut off");
	return 0;
}

int capture_open(const uint8_t *bytes, size_t len, struct capture *ret, struct err *e)
{
	struct capture c = {.bytes = bytes, .len = len};
	int code = check_magic(&c, e);

	if (code)
		return code;
	c.link = read32(&c, 20) & 0xffff; // above it: whether, and how long, a checksum follows
	if (!lookup_link(c.link))
		return err_set(
			e, -EINVAL,
			"the capture is of link type %u; Ethernet, Linux cooked (`tcpdump -i "
			"any`) and raw IP can be explained",
			c.link);
	code = check_records(&c, e);
	if (!code)
		*ret = c;
	return code;
}

bool capture_next(struct capture *c, struct capture_packet *ret)
{
	const uint8_t *record = c->bytes + c->at + CAPTURE_RECORD_LEN;
	uint32_t len, here;

	if (c->at >= c->len)
		return false;
	here = record_len(c);
	len = read32(c, c->at + 12);
	ret->time_ns = (uint64_t)read32(c, c->at) * 1000000000u +
		       (uint64_t)read32(c, c->at + 4) * (c->is_ns ? 1 : 1000);
	// No packet is longer than an IP packet and what stands before it; less than what is here
	// it cannot be.
	if (len > RECORD_MAX)
		len = RECORD_MAX;
	take_frame(c, record, here, len < here ? here : len, ret);
	c->at += CAPTURE_RECORD_LEN + here;
	return true;
}
