// SPDX-License-Identifier: BSD-2-Clause
//
// The hashes that say where in the tables something is. All balancers of a fleet, and lbd, must
// agree on them, so they are as fixed as the tables' layout. Numbers wider than a byte are
// little endian here, also those of addresses and ports as they lie in a packet.
//
//   flow     Thorup: High Speed Hashing for Integers and Strings, 2015, 3.5, "pair
//            multiply-shift": of words x0, x1, ... and keys a0, a1, ..., the high half of
//            (a0 + x1)(a1 + x0) + (a2 + x3)(a3 + x2) + ... + a6, modulo 2^64. Once for the high
//            half of the result, once, with the next eight keys, for the low half. VIP and protocol
//            are added; each half is mixed into the other, with a product in between.
//   index    of address, protocol and port: the highest bits of products, mixed. No key.
//   filter   of an address: the highest bits of its two products.
#include "tests/packet/reference/reference.h"

static uint64_t get_little(const uint8_t *at, int n)
{
	uint64_t value = 0;

	for (int i = n - 1; i >= 0; i--)
		value = value << 8 | at[i];
	return value;
}

static uint64_t mix_address(const struct ref_address *a)
{
	return (get_little(a->bytes, 8) * 0x9e3779b97f4a7c15) ^
	       (get_little(a->bytes + 8, 8) * 0xc2b2ae3d27d4eb4f);
}

// @n: of words, even.
static uint64_t multiply(const __u64 *keys, const uint64_t *words, int n)
{
	uint64_t sum = keys[6];

	for (int i = 0; i < n; i += 2)
		sum += (keys[i] + words[i + 1]) * (keys[i + 1] + words[i]);
	return sum;
}

static uint64_t finalize(uint64_t k)
{
	k ^= k >> 32;
	k *= 0xff51afd7ed558ccd;
	return k;
}

// @ports: source and destination, as they lie in a packet; of a fragment its identification.
struct ref_hashes ref_hash_flow(const struct lb_meta *meta, int family,
				const struct ref_address *source,
				const struct ref_address *destination, uint8_t protocol,
				const uint8_t ports[4])
{
	// IPv4 ends with its last four bytes and the ports; of IPv6 the other twelve follow.
	const uint64_t words[6] = {
		get_little(source->bytes + 12, 4), get_little(ports, 4),
		get_little(source->bytes, 4),	   get_little(source->bytes + 4, 4),
		get_little(source->bytes + 8, 4),  0,
	};
	const int n = family == 4 ? 2 : 6;
	const uint64_t to = mix_address(destination) ^ protocol;
	uint64_t first = finalize(multiply(meta->flow_keys, words, n) + to);
	uint64_t second = finalize(multiply(meta->flow_keys + 8, words, n) + to);

	return (struct ref_hashes){first, (first >> 32 << 32) + (second >> 32)};
}

uint32_t ref_hash_key(const struct ref_address *address, uint8_t protocol, uint16_t port)
{
	// The port as it lies in a packet, then the protocol.
	const uint8_t bytes[3] = {(uint8_t)(port >> 8), (uint8_t)port, protocol};
	uint64_t h = mix_address(address) + get_little(bytes, 3) * 0x165667b19e3779f9;

	return (uint32_t)(h >> 32);
}

uint32_t ref_hash_filter(const struct ref_address *address)
{
	return (uint32_t)(mix_address(address) / (UINT64_MAX / LB_VIP_FILTER_BYTES + 1));
}
