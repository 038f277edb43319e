// SPDX-License-Identifier: BSD-2-Clause
//
// Addresses in the one form of the tables (16 bytes, IPv4 as ::ffff:a.b.c.d,
// RFC 4291 2.5.5.2), to and from text. Text of IPv6 is what inet_ntop() writes
// (RFC 5952); the mapped form itself is refused as text, since it would come back
// as IPv4. Used by everything that reads or shows an address. Pure.
#include "control/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped_head[12] = {[10] = 0xff, [11] = 0xff};

int address_parse(const char *text, struct lb_address *ret)
{
	struct lb_address a = {0};

	if (inet_pton(AF_INET, text, &a.words[3]) == 1) {
		memcpy(a.bytes, mapped_head, sizeof(mapped_head));
	} else if (inet_pton(AF_INET6, text, a.bytes) != 1 || address_is_ipv4(&a)) {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

int number_parse(const char *text, unsigned int max, unsigned int *ret)
{
	unsigned int n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (unsigned int)(*text - '0');
		if (n > max)
			return -EINVAL;
	}
	*ret = n;
	return 0;
}

int address_parse_port(const char *text, struct lb_address *ret, uint16_t *ret_port)
{
	char host[ADDRESS_TEXT_MAX];
	const char *port_text = NULL;
	const char *end;
	unsigned int port = 0;
	size_t host_len;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		host_len = (size_t)(end - text);
		if (!memchr(text, ':', host_len))
			return -EINVAL;
		if (end[1])
			port_text = end + 2;
	} else {
		end = strchr(text, ':');
		// Two colons and no brackets: IPv6 without a port.
		if (!end || strchr(end + 1, ':'))
			end = text + strlen(text);
		host_len = (size_t)(end - text);
		if (*end)
			port_text = end + 1;
	}
	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = 0;
	if (port_text && (number_parse(port_text, 65535, &port) < 0 || !port))
		return -EINVAL;
	if (address_parse(host, ret) < 0)
		return -EINVAL;
	*ret_port = (uint16_t)port;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char host[ADDRESS_TEXT_MAX];
	const char *slash = strchr(text, '/');
	size_t host_len = slash ? (size_t)(slash - text) : strlen(text);
	unsigned int len, max;
	struct lb_address a;

	if (host_len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_len);
	host[host_len] = 0;
	if (address_parse(host, &a) < 0)
		return -EINVAL;
	max = address_is_ipv4(&a) ? 32 : 128;
	len = max;
	if (slash && number_parse(slash + 1, max, &len) < 0)
		return -EINVAL;
	ret->address = a;
	ret->len = (uint8_t)len;
	return 0;
}

bool address_is_ipv4(const struct lb_address *a)
{
	return !memcmp(a->bytes, mapped_head, sizeof(mapped_head));
}

bool address_is_equal(const struct lb_address *a, const struct lb_address *b)
{
	return a->halves[0] == b->halves[0] && a->halves[1] == b->halves[1];
}

struct lb_address prefix_mask(const struct prefix *p)
{
	const unsigned int ones = p->len + (address_is_ipv4(&p->address) ? 96u : 0u);
	struct lb_address mask = {};

	for (unsigned int bit = 0; bit < ones; bit++)
		mask.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return mask;
}

int address_family(const struct lb_address *a)
{
	return address_is_ipv4(a) ? 4 : 6;
}

bool address_is_usable(const struct lb_address *a)
{
	static const struct lb_address loopback6 = {.bytes = {[15] = 1}};
	const uint8_t *v4 = a->bytes + 12;

	if (address_is_ipv4(a)) {
		if (v4[0] == 0 || v4[0] == 127)
			return false;
		if (v4[0] >= 224 && v4[0] < 240)
			return false;
		return a->words[3] != 0xffffffff;
	}
	if (!a->halves[0] && !a->halves[1])
		return false;
	if (address_is_equal(a, &loopback6) || a->bytes[0] == 0xff)
		return false;
	return !(a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

const char *address_render(const struct lb_address *a, char *buf)
{
	if (address_is_ipv4(a))
		inet_ntop(AF_INET, a->bytes + 12, buf, ADDRESS_TEXT_MAX);
	else
		inet_ntop(AF_INET6, a->bytes, buf, ADDRESS_TEXT_MAX);
	return buf;
}

const char *address_render_port(const struct lb_address *a, uint16_t port, char *buf)
{
	char host[ADDRESS_TEXT_MAX];

	address_render(a, host);
	if (!port)
		snprintf(buf, ADDRESS_TEXT_MAX, "%s", host);
	else if (address_is_ipv4(a))
		snprintf(buf, ADDRESS_TEXT_MAX, "%.48s:%u", host, port);
	else
		snprintf(buf, ADDRESS_TEXT_MAX, "[%.48s]:%u", host, port);
	return buf;
}

const char *prefix_render(const struct prefix *p, char *buf)
{
	char host[ADDRESS_TEXT_MAX];

	address_render(&p->address, host);
	snprintf(buf, ADDRESS_TEXT_MAX, "%.48s/%u", host, p->len);
	return buf;
}
