// SPDX-License-Identifier: BSD-2-Clause
//
// The routes of run_xdp.c as rules: 100.64.N.0/24 and 2001:db8:64:N::/64, N being 1 (a
// known neighbour), 2 to 4 (blackhole, unreachable, prohibit), 5 (an unknown one). There
// is no other route by which anything is forwarded.
#include "tests/packet/answers.h"

#include <string.h>

#define LINK_IFINDEX 10
#define LINK_MTU 1400

// N of the destination; 0: it is in none of the prefixes.
static unsigned int find_prefix(const struct lb_route_query *q)
{
	static const uint8_t ipv6[] = {0x20, 0x01, 0x0d, 0xb8, 0x00, 0x64, 0x00};
	const uint8_t *d = q->destination.bytes;

	if (q->family == 4)
		return d[12] == 100 && d[13] == 64 ? d[14] : 0;
	return memcmp(d, ipv6, sizeof(ipv6)) == 0 ? d[7] : 0;
}

void answers_lookup(const struct lb_route_query *q, bool forwarding, struct lb_route_answer *ret)
{
	// Destination, source.
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0x51};

	*ret = (struct lb_route_answer){.reason = LB_REASON_FORWARDING_OFF};
	if (!forwarding)
		return;
	switch (find_prefix(q)) {
	case 1:
	case 5:
		if (q->ip_len > LINK_MTU) {
			// As the kernel says it, before it looks for a neighbour: the MTU alone.
			ret->reason = LB_REASON_REPLY;
			ret->link.mtu = LINK_MTU;
		} else if (find_prefix(q) == 5) {
			ret->reason = LB_REASON_ROUTE_NEIGHBOUR;
		} else {
			ret->reason = LB_REASON_REPLY;
			ret->link.ifindex = LINK_IFINDEX;
			ret->link.mtu = LINK_MTU;
			memcpy(ret->link.macs, macs, sizeof(macs));
		}
		return;
	case 2:
	case 3:
	case 4:
		ret->reason = LB_REASON_ROUTE_REFUSED;
		return;
	default:
		ret->reason = LB_REASON_ROUTE_LOCAL;
	}
}
