// SPDX-License-Identifier: BSD-2-Clause
//
// Addresses in the one form of the tables (16 bytes, IPv4 as ::ffff:a.b.c.d), to
// and from text. Pure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/core/tables.h"

#define ADDRESS_TEXT_MAX 64 // "[2001:db8::1]:65535", a prefix, and its NUL

struct prefix {
	struct lb_address address; // host bits clear, unless the user of it says else
	uint8_t len;		   // of the family's own length: 0 to 32, or 0 to 128
};

// Parses "10.0.0.1" or "2001:db8::1" (no zone, no port, no prefix). 0 or -EINVAL.
int address_parse(const char *text, struct lb_address *ret);
// Parses "10.0.0.1:80", "[2001:db8::1]:80", or a lone address (then *ret_port is 0; "[::1]" too).
int address_parse_port(const char *text, struct lb_address *ret, uint16_t *ret_port);
// Parses "10.0.0.0/8" or a lone address (full length). Host bits are kept as given.
int prefix_parse(const char *text, struct prefix *ret);
// Digits only: strtoul() would take blanks and signs. 0 to @max (a tenth of UINT_MAX at most), or
// -EINVAL.
int number_parse(const char *text, unsigned int max, unsigned int *ret);

bool address_is_ipv4(const struct lb_address *a);
bool address_is_equal(const struct lb_address *a, const struct lb_address *b);
// A one for each of its bits, in the 16-byte form.
struct lb_address prefix_mask(const struct prefix *p);
// 4 or 6.
int address_family(const struct lb_address *a);
// False for unspecified, loopback, multicast, broadcast, and IPv6 link-local.
bool address_is_usable(const struct lb_address *a);

// Render into @buf of ADDRESS_TEXT_MAX bytes; return @buf. @port in host order; 0 renders no port.
const char *address_render(const struct lb_address *a, char *buf);
const char *address_render_port(const struct lb_address *a, uint16_t port, char *buf);
const char *prefix_render(const struct prefix *p, char *buf);
