// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The keyed flow hash: SipHash-1-3 (Aumasson, Bernstein: SipHash, 2012; the rounds
// that Linux and Rust use for hash tables), so that who knows a source but not the
// key can aim neither at a slot nor at a bucket. Pure.
//
// One hash of a packet gives all that depends on its flow: the high 32 bits its slot
// (slot.h), the low bits its line of connections, all 64 its fingerprint (track.h),
// and what varies a tunnel's source (encap.h). It is the same on every balancer with
// the same key.
//
// The message is what a client chooses: source address (4 or 16 bytes), source port,
// destination port (2 bytes each), as they stand in the packet: one word, or three
// (the last filled up with zeros). A family's messages are all of one length, so there
// is no word for the length. What only the operator chooses, the VIP and the protocol,
// is part of the key: a round less for IPv4, two less for IPv6.
#pragma once

#include "index.h"
#include "packet.h"

#define LB_SIP_C 1 // rounds a word
#define LB_SIP_D 3 // rounds at the end

struct lb_sip {
	__u64 v0, v1, v2, v3;
};

static __always_inline __u64 lb_rotl64(__u64 x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static __always_inline void lb_sip_round(struct lb_sip *s)
{
	s->v0 += s->v1;
	s->v1 = lb_rotl64(s->v1, 13) ^ s->v0;
	s->v0 = lb_rotl64(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = lb_rotl64(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = lb_rotl64(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = lb_rotl64(s->v1, 17) ^ s->v2;
	s->v2 = lb_rotl64(s->v2, 32);
}

static __always_inline void lb_sip_init(struct lb_sip *s, const __u64 key[2])
{
	s->v0 = key[0] ^ 0x736f6d6570736575ull;
	s->v1 = key[1] ^ 0x646f72616e646f6dull;
	s->v2 = key[0] ^ 0x6c7967656e657261ull;
	s->v3 = key[1] ^ 0x7465646279746573ull;
}

// Takes eight bytes of the message, the first in the lowest byte of @word. The last word has the
// message's length in its highest byte.
static __always_inline void lb_sip_absorb(struct lb_sip *s, __u64 word, int rounds)
{
	s->v3 ^= word;
	for (int i = 0; i < rounds; i++)
		lb_sip_round(s);
	s->v0 ^= word;
}

static __always_inline __u64 lb_sip_finish(struct lb_sip *s, int rounds)
{
	s->v2 ^= 0xff;
	for (int i = 0; i < rounds; i++)
		lb_sip_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

// @p: family 4 or 6, has_ports.
static __always_inline __u64 lb_hash_flow(const __u64 key[2], const struct lb_packet *p)
{
	__u64 vip = lb_index_mix(p->destination.halves[0], p->destination.halves[1]);
	__u64 ports = p->source_port | (__u64)p->destination_port << 16;
	const __u64 own_key[2] = {key[0] ^ vip ^ p->protocol, key[1]};
	struct lb_sip s;

	lb_sip_init(&s, own_key);
	if (p->family == 4) {
		ports = p->source.halves[1] >> 32 | ports << 32;
	} else {
		lb_sip_absorb(&s, p->source.halves[0], LB_SIP_C);
		lb_sip_absorb(&s, p->source.halves[1], LB_SIP_C);
	}
	lb_sip_absorb(&s, ports, LB_SIP_C);
	return lb_sip_finish(&s, LB_SIP_D);
}
