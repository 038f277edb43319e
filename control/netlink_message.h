// SPDX-License-Identifier: BSD-2-Clause
//
// What rtnetlink's messages (RFC 3549) have in common: addresses in their attributes, and
// the rows that a dump fills. For lbd's netlink_*.c and for the main lcore of lb-dpdk.
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>

#include "control/address.h"

// What a message begins with, of @header_len bytes (64 at most); zeros where it is shorter.
const void *netlink_read_header(const struct nlmsghdr *message, size_t header_len);
// What an attribute holds; 0 or "" where it is too short, or no text.
uint8_t netlink_read_u8(const struct nlattr *attribute);
uint32_t netlink_read_u32(const struct nlattr *attribute);
const char *netlink_read_text(const struct nlattr *attribute);
// An address attribute of 4 or 16 bytes, in the one form.
struct lb_address netlink_read_address(const struct nlattr *attribute);
void netlink_put_address(struct nlmsghdr *message, uint16_t type, const struct lb_address *a);
int netlink_family(const struct lb_address *a); // AF_INET or AF_INET6

// Whether packets of @family (AF_INET, AF_INET6) may be for this prefix. ::ffff:0:0/96, IPv4's in
// IPv6, is on hosts, and on no wire (RFC 6890).
bool netlink_is_prefix(int family, const struct prefix *p);

// A growing array, filled by a dump. The rows are the caller's to free.
struct netlink_rows {
	void *rows;
	size_t n, max, row_bytes;
};

// A row more, zeroed. NULL: no memory; what there is stays.
void *netlink_rows_add(struct netlink_rows *r);
