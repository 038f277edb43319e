// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The modes that change headers in place: nat (both ways) and l2. Called by apply.h
// with a packet without defect whose headers are in bounds. Checksums are mended
// (checksum.h). A fragment that is not the first has no ports, and no checksum of theirs.
#pragma once

#include "checksum.h"
#include "decide.h"

static __always_inline void lb_rewrite_macs(__u8 *eth, const struct lb_link *link)
{
	lb_put64(eth, lb_get64(link->macs));
	lb_put32(eth + 8, lb_get32(link->macs + 8));
}

// One hop less. @sum: what an IPv4 header's checksum changes by, for that and whatever else.
static __always_inline void lb_rewrite_ttl(const struct lb_packet *p, __u16 sum)
{
	if (p->family == 4) {
		struct lb_ipv4_header *ip = (void *)p->l3;

		ip->check = lb_checksum_mend16(ip->check, sum);
		ip->ttl--;
	} else {
		struct lb_ipv6_header *ip = (void *)p->l3;

		ip->hop_limit--;
	}
}

// The same where nothing else changed: one less of a header's word is one more of its checksum, but
// for the last two of these.
static __always_inline void lb_rewrite_ttl_alone(const struct lb_packet *p)
{
	__u8 *at = p->l3 + 8;
	__u32 word;

	if (p->family == 4 && (word = lb_get32(at)) < 0xfffe0000)
		lb_put32(at, word - 1 + (1u << 16));
	else
		lb_rewrite_ttl(p, LB_CHECKSUM_TTL);
}

static __always_inline void lb_rewrite_put_address(__u8 *at, __u8 family,
						   const struct lb_address *address)
{
	if (family == 4) {
		lb_put32(at, address->words[3]);
	} else {
		lb_copy16(at, address);
	}
}

// Mends the checksum of the TCP or UDP header by @sum. A UDP packet without checksum (0) stays so;
// one whose checksum becomes 0 says 0xffff (RFC 768).
static __always_inline void lb_rewrite_l4_check(const struct lb_packet *p, __u16 sum)
{
	__u16 *check_at = (void *)p->l4_check;
	__u16 check;

	if (p->protocol == LB_IP_UDP && *check_at == 0)
		return;
	check = lb_checksum_mend16(*check_at, sum);
	if (p->protocol == LB_IP_UDP && check == 0)
		check = 0xffff;
	*check_at = check;
}

// To a backend: destination address and port. Its row knows what checksums change by. @has_ports:
// p->l4 and p->l4_check are set.
static __always_inline void lb_rewrite_nat_request(const struct lb_packet *p,
						   const struct lb_backend *backend, int has_ports)
{
	struct lb_udp_header *ports = (void *)p->l4;

	lb_rewrite_put_address(p->l3 + (p->family == 4 ? 16 : 24), p->family, &backend->address);
	lb_rewrite_ttl(p, backend->header_sum);
	if (!has_ports)
		return;
	ports->destination = backend->port;
	lb_rewrite_l4_check(p, backend->flow_sum);
}

// To a client: source address and port become the VIP's.
static __always_inline void lb_rewrite_nat_reply(const struct lb_packet *p,
						 const struct lb_backend *backend, int has_ports)
{
	struct lb_udp_header *ports = (void *)p->l4;

	lb_rewrite_put_address(p->l3 + (p->family == 4 ? 12 : 8), p->family, &backend->vip);
	lb_rewrite_ttl(p, backend->reply_header_sum);
	if (!has_ports)
		return;
	ports->source = backend->vip_port;
	lb_rewrite_l4_check(p, backend->reply_flow_sum);
}
