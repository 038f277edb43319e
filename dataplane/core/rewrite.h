// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The modes that change headers in place: nat (both ways) and l2. Called by apply.h
// with a sound TCP or UDP packet whose headers are in bounds (packet.h). Checksums
// are mended (checksum.h).
#pragma once

#include "checksum.h"
#include "decide.h"

static __always_inline void lb_rewrite_macs(__u8 *eth, const struct lb_link *link)
{
	lb_put64(eth, lb_get64(link->macs));
	lb_put32(eth + 8, lb_get32(link->macs + 8));
}

// One hop less. @sum: what else changed in an IPv4 header.
static __always_inline void lb_rewrite_ttl(const struct lb_packet *p, __u64 sum)
{
	if (p->family == 4) {
		struct lb_ipv4_header *ip = (void *)p->l3;

		// TTL is the first byte of its word: one less of it is one less of the word.
		ip->ttl--;
		ip->check = lb_checksum_mend(ip->check, lb_checksum_replace16(sum, 1, 0));
	} else {
		struct lb_ipv6_header *ip = (void *)p->l3;

		ip->hop_limit--;
	}
}

// Puts @to in the place of the address at @at. Returns what that adds to the sum.
static __always_inline __u64 lb_rewrite_address(__u8 *at, __u8 family, const struct lb_address *to)
{
	struct lb_address from;

	if (family == 4) {
		__be32 from4 = lb_get32(at);

		lb_put32(at, to->words[3]);
		return lb_checksum_replace32(0, from4, to->words[3]);
	}
	from.halves[0] = lb_get64(at);
	from.halves[1] = lb_get64(at + 8);
	lb_put64(at, to->halves[0]);
	lb_put64(at + 8, to->halves[1]);
	return lb_checksum_replace_address(0, &from, to);
}

// Puts @to in the place of the port at @at, then mends the checksum of the TCP or UDP header; @sum:
// what changed before it. A UDP packet without checksum (0) stays so; one whose checksum becomes 0
// says 0xffff (RFC 768).
static __always_inline void lb_rewrite_l4(const struct lb_packet *p, __be16 *at, __be16 to,
					  __u64 sum)
{
	__u16 *check_at = (void *)p->l4_check;
	__u16 check;

	sum = lb_checksum_replace16(sum, *at, to);
	*at = to;
	if (p->protocol == LB_IP_UDP && *check_at == 0)
		return;
	check = lb_checksum_mend(*check_at, sum);
	if (p->protocol == LB_IP_UDP && check == 0)
		check = 0xffff;
	*check_at = check;
}

// To a backend: destination address and port.
static __always_inline void lb_rewrite_nat_request(const struct lb_packet *p,
						   const struct lb_backend *backend)
{
	struct lb_udp_header *ports = (void *)p->l4;
	__u64 sum = lb_rewrite_address(p->l3 + (p->family == 4 ? 16 : 24), p->family,
				       &backend->address);

	lb_rewrite_ttl(p, sum);
	lb_rewrite_l4(p, &ports->destination, backend->port, sum);
}

// To a client: source address and port become the VIP's.
static __always_inline void lb_rewrite_nat_reply(const struct lb_packet *p,
						 const struct lb_backend *backend)
{
	struct lb_udp_header *ports = (void *)p->l4;
	__u64 sum = lb_rewrite_address(p->l3 + (p->family == 4 ? 12 : 8), p->family, &backend->vip);

	lb_rewrite_ttl(p, sum);
	lb_rewrite_l4(p, &ports->source, backend->vip_port, sum);
}
