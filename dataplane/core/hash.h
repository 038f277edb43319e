// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// The keyed flow hash: who knows a source but not the key can aim neither at a slot nor
// at a bucket. Pure.
//
// A packet's flow has two hashes, by keys of their own. Every packet needs the first: its
// high 32 bits give the slot (slot.h), what is below them varies a tunnel's source
// (encap.h). Only what is tracked needs the second, of 32 bits: its low bits give the
// line of connections, and the fingerprint is the high bits of the one and all of the
// other (lb_hash_whole(); track.h). They are the same on every balancer with the same key.
//
// Each is pair-multiply-shift (Thorup: High Speed Hashing for Integers and Strings, 2015,
// section 3.5): the sum's high 32 bits are strongly universal, so for any two flows that
// were chosen without knowledge of the keys, slots, lines and fingerprints are as
// independent as random ones. What the operator alone chooses, VIP and protocol, is added
// to it. A finalizer (a bijection: half of MurmurHash3's) spreads the structure that ports
// in a row would leave; with it slots and lines of connections are filled as by random
// numbers, and without it far worse. Measured: SipHash-1-3 in its place costs a packet a
// fifth to a third of an empty program more.
//
// The keys are expanded from the secret key by SipHash-2-4 (Aumasson, Bernstein: SipHash,
// 2012) when the tables are made. Rings (control/maglev.c) hash by SipHash too.
#pragma once

#include "index.h"
#include "packet.h"

#define LB_SIP_C 2 // rounds a word
#define LB_SIP_D 4 // rounds at the end

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

// Fills meta.flow_keys from the secret key: SipHash of 0, 1, 2, ... as words of eight bytes.
static inline void lb_hash_expand_key(const __u64 key[2], __u64 ret[LB_FLOW_KEYS])
{
	for (__u64 i = 0; i < LB_FLOW_KEYS; i++) {
		struct lb_sip s;

		lb_sip_init(&s, key);
		lb_sip_absorb(&s, i, LB_SIP_C);
		lb_sip_absorb(&s, 8ull << 56, LB_SIP_C); // no more bytes; the length
		ret[i] = lb_sip_finish(&s, LB_SIP_D);
	}
}

// A pair of the message's 32-bit words by its two keys.
static __always_inline __u64 lb_hash_pair(const __u64 *keys, __u64 even, __u64 odd)
{
	return (keys[0] + odd) * (keys[1] + even);
}

// The message's sum by the keys of one hash. @family: 4 or 6, of both addresses. @ports: source
// port in the low half.
static __always_inline __u64 lb_hash_sum(const __u64 keys[LB_FLOW_KEYS / 2], __u8 family,
					 const struct lb_address *source, __u64 ports)
{
	__u64 sum = keys[6] + lb_hash_pair(keys, source->halves[1] >> 32, ports);

	if (family == 6)
		sum += lb_hash_pair(keys + 2, (__u32)source->halves[0], source->halves[0] >> 32) +
		       lb_hash_pair(keys + 4, (__u32)source->halves[1], 0);
	return sum;
}

// What a VIP's flows of a protocol have in common: it is added to their sums.
static __always_inline __u64 lb_hash_to(const struct lb_address *vip, __u8 protocol)
{
	return lb_index_mix(vip->halves[0], vip->halves[1]) ^ protocol;
}

// @sum: lb_hash_sum() and lb_hash_to(), added.
static __always_inline __u64 lb_hash_finish(__u64 sum)
{
	sum ^= sum >> 32;
	sum *= 0xff51afd7ed558ccdull;
	LB_SETTLE(sum); // made once
	return sum;
}

// The first hash. @keys: meta.flow_keys.
static __always_inline __u64 lb_hash_tuple(const __u64 keys[LB_FLOW_KEYS], __u8 family,
					   const struct lb_address *source,
					   const struct lb_address *destination, __u8 protocol,
					   __u32 ports)
{
	return lb_hash_finish(lb_hash_sum(keys, family, source, ports) +
			      lb_hash_to(destination, protocol));
}

// Both hashes in one word. @hash: the first. @to: lb_hash_to().
static __always_inline __u64 lb_hash_whole(__u64 hash, const __u64 keys[LB_FLOW_KEYS], __u8 family,
					   const struct lb_address *source, __u32 ports, __u64 to)
{
	__u64 second =
		lb_hash_finish(lb_hash_sum(keys + LB_FLOW_KEYS / 2, family, source, ports) + to);

	return hash >> 32 << 32 | second >> 32;
}

// What is hashed of a packet's ports.
static __always_inline __u32 lb_hash_ports(const struct lb_packet *p)
{
	return p->ports;
}

// The first, of a packet with ports. (A driver that hashes several at once calls lb_hash_sum() and
// lb_hash_finish(), for lb_hash_to() of their destination.)
static __always_inline __u64 lb_hash_flow(const __u64 keys[LB_FLOW_KEYS], const struct lb_packet *p)
{
	return lb_hash_tuple(keys, p->family, &p->source, &p->destination, p->protocol,
			     lb_hash_ports(p));
}

// Both, of such a packet. @hash: lb_hash_flow().
static __always_inline __u64 lb_hash_whole_flow(__u64 hash, const __u64 keys[LB_FLOW_KEYS],
						const struct lb_packet *p)
{
	return lb_hash_whole(hash, keys, p->family, &p->source, lb_hash_ports(p),
			     lb_hash_to(&p->destination, p->protocol));
}
