// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// ICMP errors through nat: what they quote must look to each side as that side sent it
// (RFC 5508, 4.2 and 5; RFC 5382 and 4787 ask for the same).
//
//  - for the VIP: the quote is a packet that VIP:port sent; it becomes one of the
//    backend's, and the error goes to the backend;
//  - from the backends' side: the quote is a packet that went to the backend; it becomes
//    one to VIP:port, and the error comes from the VIP.
// Checksums are mended inside and out (RFC 1624), the inner transport's as far as it is
// quoted.
#pragma once

#include "rewrite.h"

// What one address or port of the quote becomes, and by how much the quoted checksums change.
struct lb_icmp_change {
	const struct lb_address *from, *to;
	__be16 port;
	__u32 address_at, port_at; // bytes from the quoted IP header, from the transport header
	__u64 flow_sum;
};

// Puts a quoted 16-bit checksum at @at. Returns what that changes the error's own sum by.
static __always_inline __u64 lb_icmp_put(__u16 *at, __u16 check)
{
	__u16 before = *at;

	*at = check;
	return lb_checksum_replace16(0, before, check);
}

// The quoted transport's checksum, where it is quoted: UDP's is, TCP's if the quote has 18 bytes of
// it. A UDP packet without checksum (0) is quoted without; one whose checksum becomes 0 was sent
// with 0xffff (RFC 768).
static __always_inline __u64 lb_icmp_quoted_check(const struct lb_packet *p, __u8 *l4, __u64 sum)
{
	const __u32 at = p->quote.protocol == LB_IP_TCP ? 16 : 6;
	__u16 *check_at = (void *)(l4 + at);
	__u16 check;

	if ((__u8 *)check_at + 2 > p->end || p->quote.l4_at + at + 2 > (__u32)p->l3_at + p->ip_len)
		return 0;
	if (p->quote.protocol == LB_IP_UDP && *check_at == 0)
		return 0;
	check = lb_checksum_mend(*check_at, sum);
	if (p->quote.protocol == LB_IP_UDP && check == 0)
		check = 0xffff;
	return lb_icmp_put(check_at, check);
}

// Changes the quote. Returns what that changes the error's own checksum by; ~0: it does not lie in
// the frame, which cannot be.
static __always_inline __u64 lb_icmp_quote(const struct lb_packet *p,
					   const struct lb_icmp_change *c)
{
	__u8 *l3 = p->start + (p->quote.at & 0x3ff);
	__u8 *l4 = p->start + (p->quote.l4_at & 0x3ff);
	__u64 address_sum = lb_checksum_replace_address(0, c->from, c->to), sum = address_sum;
	__be16 *port;

	if (l3 + (p->family == 4 ? LB_IPV4_LEN : LB_IPV6_LEN) > p->end || l4 + 8 > p->end)
		return ~0ull;
	lb_rewrite_put_address(l3 + c->address_at, p->family, c->to);
	if (p->family == 4) {
		__u16 *check = &((struct lb_ipv4_header *)l3)->check;

		sum += lb_icmp_put(check, lb_checksum_mend(*check, address_sum));
	}
	port = (void *)(l4 + c->port_at);
	sum = lb_checksum_replace16(sum, *port, c->port);
	*port = c->port;
	return sum + lb_icmp_quoted_check(p, l4, c->flow_sum);
}

// The error's own header: its outer address at @at becomes @to, and its checksum is mended by @sum,
// and in IPv6, whose pseudo header has the addresses, by that change too.
static __always_inline void lb_icmp_outer(const struct lb_packet *p, __u32 at,
					  const struct lb_address *from,
					  const struct lb_address *to, __u64 sum)
{
	__u16 *check = (void *)p->l4_check;
	__u64 address_sum = lb_checksum_replace_address(0, from, to);

	lb_rewrite_put_address(p->l3 + at, p->family, to);
	lb_rewrite_ttl(p, lb_checksum_fold(address_sum + LB_CHECKSUM_TTL));
	*check = lb_checksum_mend(*check, p->family == 4 ? sum : sum + address_sum);
}

// For the VIP, to @backend. Returns 0 where it could not be.
static __always_inline int lb_icmp_rewrite_request(const struct lb_packet *p,
						   const struct lb_backend *backend)
{
	const struct lb_icmp_change change = {
		.from = &backend->vip,
		.to = &backend->address,
		.port = backend->port,
		.address_at = p->family == 4 ? 12 : 8,
		.port_at = 0,
		.flow_sum = backend->flow_sum,
	};
	__u64 sum = lb_icmp_quote(p, &change);

	if (sum == ~0ull || !p->l4_check)
		return 0;
	lb_icmp_outer(p, p->family == 4 ? 16 : 24, &p->destination, &backend->address, sum);
	return 1;
}

// From the side of @backend, to a client.
static __always_inline int lb_icmp_rewrite_reply(const struct lb_packet *p,
						 const struct lb_backend *backend)
{
	const struct lb_icmp_change change = {
		.from = &backend->address,
		.to = &backend->vip,
		.port = backend->vip_port,
		.address_at = p->family == 4 ? 16 : 24,
		.port_at = 2,
		.flow_sum = backend->reply_flow_sum,
	};
	__u64 sum = lb_icmp_quote(p, &change);

	if (sum == ~0ull || !p->l4_check)
		return 0;
	lb_icmp_outer(p, p->family == 4 ? 12 : 8, &p->source, &backend->vip, sum);
	return 1;
}
