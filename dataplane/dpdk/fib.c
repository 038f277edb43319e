// SPDX-License-Identifier: BSD-2-Clause
//
// See fib.h. A FIB of few routes is a tree (RTE_FIB_DUMMY); one of many is DPDK's
// DIR-24-8 or its trie, whose tables take tens of megabytes each and answer in one or
// two accesses to memory. Built on the main lcore, read by workers.
#include "fib.h"

#include <errno.h>
#include <rte_byteorder.h>
#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW_ROUTES 256
#define FIB_NAME_MAX 32
#define TBL8_SPARE 256

// A next hop is the place of its fib_hop and 1; 0 is "no route".
struct fib {
	struct rte_fib *v4;
	struct rte_fib6 *v6;
	struct fib_hop *hops;
};

// ---- made ----

static int compare_routes(const void *pa, const void *pb)
{
	const struct fib_route *a = pa, *b = pb;
	int order = memcmp(&a->prefix.address, &b->prefix.address, sizeof(a->prefix.address));

	if (!order)
		order = (int)a->prefix.len - (int)b->prefix.len;
	if (!order)
		order = (int)a->rank - (int)b->rank;
	if (!order)
		order = a->metric < b->metric ? -1 : a->metric > b->metric;
	return order;
}

static bool same_prefix(const struct fib_route *a, const struct fib_route *b)
{
	return a->prefix.len == b->prefix.len &&
	       address_is_equal(&a->prefix.address, &b->prefix.address);
}

// Sorts, and keeps the first of each prefix. Returns how many are left.
static size_t keep_best(struct fib_route *routes, size_t n)
{
	size_t kept = 0;

	qsort(routes, n, sizeof(*routes), compare_routes);
	for (size_t i = 0; i < n; i++)
		if (!kept || !same_prefix(&routes[i], &routes[kept - 1]))
			routes[kept++] = routes[i];
	return kept;
}

// Names must differ between those that live at one time.
static const char *make_name(char buf[FIB_NAME_MAX], int family)
{
	static unsigned int serial;

	snprintf(buf, FIB_NAME_MAX, "v%d_%u", family, serial++);
	return buf;
}

static struct rte_fib *make4(size_t n, size_t long_n)
{
	struct rte_fib_conf conf = {.type = n > FEW_ROUTES ? RTE_FIB_DIR24_8 : RTE_FIB_DUMMY,
				    .max_routes = (int)n + 1};
	char name[FIB_NAME_MAX];

	if (conf.type == RTE_FIB_DIR24_8) {
		conf.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
		conf.dir24_8.num_tbl8 = (uint32_t)long_n + TBL8_SPARE;
	}
	return rte_fib_create(make_name(name, 4), SOCKET_ID_ANY, &conf);
}

static struct rte_fib6 *make6(size_t n)
{
	struct rte_fib6_conf conf = {.type = n > FEW_ROUTES ? RTE_FIB6_TRIE : RTE_FIB6_DUMMY,
				     .max_routes = (int)n + 1};
	char name[FIB_NAME_MAX];

	if (conf.type == RTE_FIB6_TRIE) {
		conf.trie.nh_sz = RTE_FIB6_TRIE_4B;
		// A route takes a table for each byte of it behind the third, at most.
		conf.trie.num_tbl8 = (uint32_t)RTE_MIN(n * 13 + TBL8_SPARE, (size_t)1 << 21);
	}
	return rte_fib6_create(make_name(name, 6), SOCKET_ID_ANY, &conf);
}

static int add(struct fib *f, const struct fib_route *r)
{
	const struct prefix *p = &r->prefix;

	if (address_is_ipv4(&p->address))
		return rte_fib_add(f->v4, rte_be_to_cpu_32(p->address.words[3]), p->len,
				   r->hop + 1);
	return rte_fib6_add(f->v6, p->address.bytes, p->len, r->hop + 1);
}

int fib_new(struct fib_route *routes, size_t routes_n, const struct fib_hop *hops, size_t hops_n,
	    struct fib **ret, struct err *e)
{
	struct fib *f = calloc(1, sizeof(*f));
	size_t n4 = 0, long4 = 0, n = keep_best(routes, routes_n);
	int status = 0;

	if (!f)
		return err_set(e, -ENOMEM, "routes: out of memory");
	for (size_t i = 0; i < n; i++) {
		n4 += address_is_ipv4(&routes[i].prefix.address);
		long4 += address_is_ipv4(&routes[i].prefix.address) && routes[i].prefix.len > 24;
	}
	f->hops = calloc(hops_n + 1, sizeof(*hops));
	f->v4 = make4(n4, long4);
	f->v6 = make6(n - n4);
	if (!f->hops || !f->v4 || !f->v6)
		status = -ENOMEM;
	if (!status && hops_n)
		memcpy(f->hops, hops, hops_n * sizeof(*hops));
	for (size_t i = 0; i < n && !status; i++)
		status = add(f, &routes[i]);
	if (status) {
		fib_free(f);
		return err_set(e, -ENOMEM,
			       "routes: no memory for %zu of them: the old ones are used; reserve "
			       "more huge pages",
			       n);
	}
	*ret = f;
	return 0;
}

void fib_free(struct fib *f)
{
	if (!f)
		return;
	rte_fib_free(f->v4);
	rte_fib6_free(f->v6);
	free(f->hops);
	free(f);
}

// ---- asked ----

static uint64_t find(const struct fib *f, const struct lb_route_query *q)
{
	uint8_t address6[1][RTE_FIB6_IPV6_ADDR_SIZE];
	uint32_t address4;
	uint64_t place = 0;

	if (q->family == 4) {
		address4 = rte_be_to_cpu_32(q->destination.words[3]);
		rte_fib_lookup_bulk(f->v4, &address4, &place, 1);
	} else {
		memcpy(address6[0], q->destination.bytes, sizeof(address6[0]));
		rte_fib6_lookup_bulk(f->v6, address6, &place, 1);
	}
	return place;
}

const struct fib_hop *fib_lookup(const struct fib *f, const struct lb_route_query *q)
{
	uint64_t place = find(f, q);
	const struct fib_hop *hop;
	uint32_t spread;

	if (!place)
		return NULL;
	hop = &f->hops[place - 1];
	if (hop->ways_n <= 1)
		return hop;
	spread = q->destination.words[2] ^ q->destination.words[3] ^ q->source_port ^
		 (uint32_t)q->destination_port << 16;
	return hop + (uint64_t)(spread * 0x9e3779b1u) * hop->ways_n / ((uint64_t)1 << 32);
}

// ---- neighbours ----

struct neighbours {
	uint32_t mask;
	struct neighbour places[];
};

static uint32_t hash_of(uint32_t ifindex, const struct lb_address *a)
{
	uint64_t h = (a->halves[0] ^ ifindex) * 0x9e3779b97f4a7c15ull;

	h = (h ^ h >> 32 ^ a->halves[1]) * 0xff51afd7ed558ccdull;
	return (uint32_t)(h >> 32);
}

int neighbours_new(const struct neighbour *list, size_t n, struct neighbours **ret)
{
	struct neighbours *t;
	uint32_t places = 16;

	while (places < n * 2 + 1)
		places <<= 1;
	t = calloc(1, sizeof(*t) + places * sizeof(t->places[0]));
	if (!t)
		return -ENOMEM;
	t->mask = places - 1;
	for (size_t i = 0; i < n; i++) {
		uint32_t at = hash_of(list[i].ifindex, &list[i].address);

		while (t->places[at & t->mask].ifindex)
			at++;
		t->places[at & t->mask] = list[i];
	}
	*ret = t;
	return 0;
}

void neighbours_free(struct neighbours *t)
{
	free(t);
}

const struct neighbour *neighbours_lookup(const struct neighbours *t, uint32_t ifindex,
					  const struct lb_address *address)
{
	uint32_t at = hash_of(ifindex, address);

	for (;; at++) {
		const struct neighbour *place = &t->places[at & t->mask];

		if (!place->ifindex)
			return NULL;
		if (place->ifindex == ifindex && address_is_equal(&place->address, address))
			return place;
	}
}
