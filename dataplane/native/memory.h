// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
//
// Memory as core/platform.h wants it, for every driver that a C compiler builds: what
// others write too, by the compiler's atomics; a packet's bytes, which are not aligned,
// by memcpy(), which it makes a plain load or store of.
#pragma once

#include <stdbool.h>
#include <string.h>

#include "dataplane/core/tables.h"

#define LB_CALLED static __noinline
#define LB_ROOM(type) (&(type){})
#define LB_SETTLE(x) ((void)(x))
#define LB_IS_BEYOND(at, n, end) ((end) - (at) < (long)(n))

static __always_inline __u64 lb_load64(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static __always_inline void lb_store64(__u64 *p, __u64 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static __always_inline __u64 lb_cas64(__u64 *p, __u64 old, __u64 new)
{
	__atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return old;
}

static __always_inline __u32 lb_get32(const void *p)
{
	__u32 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static __always_inline __u64 lb_get64(const void *p)
{
	__u64 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static __always_inline void lb_put32(void *p, __u32 value)
{
	memcpy(p, &value, sizeof(value));
}

static __always_inline void lb_put64(void *p, __u64 value)
{
	memcpy(p, &value, sizeof(value));
}

static __always_inline void lb_copy16(void *to, const void *from)
{
	memcpy(to, from, 16);
}

static __always_inline void lb_mix16(void *to, const void *from, __u64 x, const void *mask)
{
	typedef __u64 halves __attribute__((vector_size(16)));
	halves value, bits;

	memcpy(&value, from, 16);
	memcpy(&bits, mask, 16);
	value |= bits & x;
	memcpy(to, &value, 16);
}
