// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Whom a packet is for: look-ups in the two indexes, service_index and
// reverse_index, by the rule in index.h. A key's first line is read in line; the lines
// behind it, which few keys need, by a function that is called.
#pragma once

#include "index.h"
#include "packet.h"

enum lb_index { LB_INDEX_SERVICE, LB_INDEX_REVERSE };

static __always_inline const struct lb_index_line *
lb_index_line(struct lb_env *env, enum lb_index which, __u32 hash, __u32 i)
{
	return which == LB_INDEX_SERVICE ? lb_service_index_line(env, hash, i)
					 : lb_reverse_index_line(env, hash, i);
}

// The key's value in its lines, or 0.
LB_CALLED __u64 lb_index_probe(struct lb_env *env, enum lb_index which, __u64 half0, __u64 half1,
			       __u64 port_protocol)
{
	__u32 hash = lb_index_hash_words(half0, half1, port_protocol);

	for (__u32 i = 0; i < LB_INDEX_PROBE; i++) {
		const struct lb_index_line *line = lb_index_line(env, which, hash, i);
		__u64 value;

		if (!line)
			return 0;
		value = lb_index_line_find(line, half0, half1, port_protocol);
		if (value || !lb_index_line_has_more(line))
			return value;
	}
	return 0;
}

// @hash: lb_index_hash_words() of the rest.
static __always_inline __u64 lb_index_lookup_hashed(struct lb_env *env, enum lb_index which,
						    const struct lb_address *address,
						    __u64 port_protocol, __u32 hash)
{
	__u64 half0 = address->halves[0], half1 = address->halves[1];
	const struct lb_index_line *line = lb_index_line(env, which, hash, 0);
	__u64 value;

	if (!line)
		return 0;
	value = lb_index_line_find(line, half0, half1, port_protocol);
	if (value || !lb_index_line_has_more(line))
		return value;
	return lb_index_probe(env, which, half0, half1, port_protocol);
}

static __always_inline __u64 lb_index_lookup(struct lb_env *env, enum lb_index which,
					     const struct lb_address *address, __u8 protocol,
					     __be16 port)
{
	return lb_index_lookup_hashed(env, which, address, lb_index_port_protocol(port, protocol),
				      lb_index_hash(address, protocol, port));
}

// The service of (address, protocol, port), as LB_SERVICE_WORD() says it; for protocol 0 and port 0
// the bits of enum lb_vip; 0: there is none.
static __always_inline __u64 lb_service_lookup(struct lb_env *env, const struct lb_address *address,
					       __u8 protocol, __be16 port)
{
	return lb_index_lookup(env, LB_INDEX_SERVICE, address, protocol, port);
}

// The line that lb_service_lookup_reverse() reads first: for a driver that prefetches it. @hash:
// lb_index_hash() of its arguments.
static __always_inline const struct lb_index_line *lb_service_reverse_line(struct lb_env *env,
									   __u32 hash)
{
	return lb_index_line(env, LB_INDEX_REVERSE, hash, 0);
}

// The backend row whose replies in nat come from (address, protocol, port), or 0.
static __always_inline __u32 lb_service_lookup_reverse(struct lb_env *env,
						       const struct lb_address *address,
						       __u8 protocol, __be16 port)
{
	return (__u32)lb_index_lookup(env, LB_INDEX_REVERSE, address, protocol, port);
}

// The same of lb_index_port_protocol(), where @hash, lb_index_hash_words() of the rest, is known.
static __always_inline __u32 lb_service_lookup_reverse_hashed(struct lb_env *env,
							      const struct lb_address *address,
							      __u64 port_protocol, __u32 hash)
{
	return (__u32)lb_index_lookup_hashed(env, LB_INDEX_REVERSE, address, port_protocol, hash);
}

// Both again, where a packet seldom comes: a call instead of code in line.
static __always_inline __u64 lb_service_lookup_rarely(struct lb_env *env,
						      const struct lb_address *address,
						      __u8 protocol, __be16 port)
{
	return lb_index_probe(env, LB_INDEX_SERVICE, address->halves[0], address->halves[1],
			      lb_index_port_protocol(port, protocol));
}

static __always_inline __u32 lb_service_lookup_reverse_rarely(struct lb_env *env,
							      const struct lb_address *address,
							      __u8 protocol, __be16 port)
{
	return (__u32)lb_index_probe(env, LB_INDEX_REVERSE, address->halves[0], address->halves[1],
				     lb_index_port_protocol(port, protocol));
}
