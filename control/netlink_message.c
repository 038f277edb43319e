// SPDX-License-Identifier: BSD-2-Clause
#include "control/netlink_message.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

const void *netlink_read_header(const struct nlmsghdr *message, size_t header_len)
{
	static const uint64_t zeros[8];

	return mnl_nlmsg_get_payload_len(message) < header_len ? zeros
							       : mnl_nlmsg_get_payload(message);
}

uint8_t netlink_read_u8(const struct nlattr *attribute)
{
	return mnl_attr_get_payload_len(attribute) < 1 ? 0 : mnl_attr_get_u8(attribute);
}

uint32_t netlink_read_u32(const struct nlattr *attribute)
{
	return mnl_attr_get_payload_len(attribute) < 4 ? 0 : mnl_attr_get_u32(attribute);
}

const char *netlink_read_text(const struct nlattr *attribute)
{
	const char *text = mnl_attr_get_payload(attribute);

	return memchr(text, 0, mnl_attr_get_payload_len(attribute)) ? text : "";
}

struct lb_address netlink_read_address(const struct nlattr *attribute)
{
	struct lb_address a = {};

	if (mnl_attr_get_payload_len(attribute) == sizeof(a.words[3])) {
		a.bytes[10] = a.bytes[11] = 0xff;
		memcpy(&a.words[3], mnl_attr_get_payload(attribute), sizeof(a.words[3]));
	} else if (mnl_attr_get_payload_len(attribute) == sizeof(a)) {
		memcpy(&a, mnl_attr_get_payload(attribute), sizeof(a));
	}
	return a;
}

void netlink_put_address(struct nlmsghdr *message, uint16_t type, const struct lb_address *a)
{
	if (address_is_ipv4(a))
		mnl_attr_put(message, type, sizeof(a->words[3]), &a->words[3]);
	else
		mnl_attr_put(message, type, sizeof(*a), a);
}

int netlink_family(const struct lb_address *a)
{
	return address_is_ipv4(a) ? AF_INET : AF_INET6;
}

bool netlink_is_prefix(int family, const struct prefix *p)
{
	return netlink_family(&p->address) == family && p->len <= (family == AF_INET ? 32 : 128);
}

void *netlink_rows_add(struct netlink_rows *r)
{
	if (r->n == r->max) {
		size_t max = r->max ? r->max * 2 : 16;
		void *rows = realloc(r->rows, max * r->row_bytes);

		if (!rows)
			return NULL;
		r->rows = rows;
		r->max = max;
	}
	return memset((char *)r->rows + r->n++ * r->row_bytes, 0, r->row_bytes);
}
