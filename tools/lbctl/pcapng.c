// SPDX-License-Identifier: BSD-2-Clause
//
// pcapng, by its blocks: type, length, body, options, length again; all in this machine's
// byte order, which the section header tells, and in multiples of four bytes.
#include "tools/lbctl/pcapng.h"

#include <stdlib.h>
#include <string.h>

// Types of blocks, and codes of options (draft, 4.1, 4.2, 4.3, 3.5).
enum block_type { BLOCK_INTERFACE = 1, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a };
enum option_code {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_SECTION_APPLICATION = 4,
	OPTION_INTERFACE_NAME = 2,
	OPTION_INTERFACE_RESOLUTION = 9,
	OPTION_PACKET_FLAGS = 2,
};

#define BYTE_ORDER_MAGIC 0x1a2b3c4d
#define LINKTYPE_ETHERNET 1
#define RESOLUTION_NS 9 // ten to the minus ninth
#define FLAG_INBOUND 1
#define FLAG_OUTBOUND 2
#define PACKET_COMMENT_MAX 65535 // an option's length has 16 bits

// A block while it is put together.
struct block {
	FILE *to; // memory
	char *bytes;
	size_t len;
};

static bool block_open(struct block *b)
{
	b->bytes = NULL;
	b->len = 0;
	b->to = open_memstream(&b->bytes, &b->len);
	return b->to;
}

static void put32(struct block *b, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, b->to);
}

static void put16(struct block *b, uint16_t value)
{
	fwrite(&value, sizeof(value), 1, b->to);
}

// Filled up to a multiple of four. @bytes may be NULL where @len is 0, but fwrite()'s may not.
static void put_bytes(struct block *b, const void *bytes, size_t len)
{
	static const char zeros[4];

	if (len)
		fwrite(bytes, 1, len, b->to);
	fwrite(zeros, 1, -len & 3, b->to);
}

static void put_option(struct block *b, enum option_code code, const void *value, size_t len)
{
	put16(b, (uint16_t)code);
	put16(b, (uint16_t)len);
	put_bytes(b, value, len);
}

static void put_text(struct block *b, enum option_code code, const char *text)
{
	put_option(b, code, text, strnlen(text, PACKET_COMMENT_MAX));
}

// Writes it and lets it go.
static bool block_close(struct block *b, enum block_type type, FILE *to)
{
	bool is_whole = !ferror(b->to) && !fclose(b->to);
	const uint32_t head[] = {type, (uint32_t)b->len + 12};

	is_whole = is_whole && fwrite(head, sizeof(head), 1, to) == 1 &&
		   fwrite(b->bytes, b->len, 1, to) == 1 && fwrite(&head[1], 4, 1, to) == 1;
	free(b->bytes);
	return is_whole;
}

bool pcapng_begin(struct pcapng *p, FILE *to, const char *application)
{
	struct block b;

	*p = (struct pcapng){.to = to};
	if (!block_open(&b))
		return false;
	put32(&b, BYTE_ORDER_MAGIC);
	put16(&b, 1); // version 1.0
	put16(&b, 0);
	put32(&b, UINT32_MAX); // the section's length: not known
	put32(&b, UINT32_MAX);
	put_text(&b, OPTION_SECTION_APPLICATION, application);
	put_option(&b, OPTION_END, NULL, 0);
	return block_close(&b, BLOCK_SECTION, to);
}

static bool add_interface(struct pcapng *p, const char *name)
{
	static const uint8_t resolution = RESOLUTION_NS;
	char(*grown)[PCAPNG_NAME_MAX] =
		realloc(p->interfaces, (p->interfaces_n + 1) * sizeof(*grown));
	struct block b;

	if (!grown)
		return false;
	p->interfaces = grown;
	snprintf(grown[p->interfaces_n], sizeof(*grown), "%s", name);
	if (!block_open(&b))
		return false;
	p->interfaces_n++;
	put16(&b, LINKTYPE_ETHERNET);
	put16(&b, 0);
	put32(&b, 0); // no limit to what is captured of a packet
	put_text(&b, OPTION_INTERFACE_NAME, name);
	put_option(&b, OPTION_INTERFACE_RESOLUTION, &resolution, 1);
	put_option(&b, OPTION_END, NULL, 0);
	return block_close(&b, BLOCK_INTERFACE, p->to);
}

static bool find_interface(struct pcapng *p, const char *name, uint32_t *ret)
{
	for (uint32_t i = 0; i < p->interfaces_n; i++) {
		*ret = i;
		if (!strcmp(p->interfaces[i], name))
			return true;
	}
	*ret = p->interfaces_n;
	return add_interface(p, name);
}

bool pcapng_add(struct pcapng *p, const struct pcapng_packet *packet)
{
	const uint32_t flags = packet->is_outbound ? FLAG_OUTBOUND : FLAG_INBOUND;
	uint32_t interface;
	struct block b;

	if (!find_interface(p, packet->interface, &interface) || !block_open(&b))
		return false;
	put32(&b, interface);
	put32(&b, (uint32_t)(packet->time_ns >> 32));
	put32(&b, (uint32_t)packet->time_ns);
	put32(&b, packet->captured_len);
	put32(&b, packet->len);
	put_bytes(&b, packet->bytes, packet->captured_len);
	put_text(&b, OPTION_COMMENT, packet->comment);
	put_option(&b, OPTION_PACKET_FLAGS, &flags, sizeof(flags));
	put_option(&b, OPTION_END, NULL, 0);
	return block_close(&b, BLOCK_PACKET, p->to);
}

void pcapng_end(struct pcapng *p)
{
	free(p->interfaces);
	*p = (struct pcapng){};
}
