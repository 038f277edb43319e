// SPDX-License-Identifier: BSD-2-Clause
//
// What rtnetlink's messages (RFC 3549) have in common: addresses in their attributes, and
// the rows that a dump fills. For lbd's netlink_*.c and for the main lcore of lb-dpdk.
#pragma once

#include <libmnl/libmnl.h>
#include <stddef.h>

#include "control/address.h"

// An address attribute of 4 or 16 bytes, in the one form.
struct lb_address netlink_read_address(const struct nlattr *attribute);
void netlink_put_address(struct nlmsghdr *message, uint16_t type, const struct lb_address *a);
int netlink_family(const struct lb_address *a); // AF_INET or AF_INET6

// A growing array, filled by a dump. The rows are the caller's to free.
struct netlink_rows {
	void *rows;
	size_t n, max, row_bytes;
};

// A row more, zeroed. NULL: no memory; what there is stays.
void *netlink_rows_add(struct netlink_rows *r);
