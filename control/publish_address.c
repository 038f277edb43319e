// SPDX-License-Identifier: BSD-2-Clause
//
// The live backend rows of an address: what follows its hop, and who may wait for its
// replies. The first is in the map, the others are linked behind it. Where a host serves a
// thousand services it has as many rows; still one is added or taken out in a few steps.
#include "control/publish_rows.h"

static uint64_t address_hash(const struct lb_address *address)
{
	return map_hash(MAP_HASH_START, address, sizeof(*address));
}

static uint32_t first_of_address(const struct publisher *p, const struct lb_address *address)
{
	uint64_t hash = address_hash(address);
	uint32_t cursor = 0, row;

	while ((row = map_next(&p->address_map, hash, &cursor)))
		if (address_is_equal(&p->t->backends[row].address, address))
			return row;
	return 0;
}

uint32_t backend_next_of_address(const struct publisher *p, const struct lb_address *address,
				 uint32_t *cursor)
{
	uint32_t row = *cursor ? p->backends[*cursor].address_next : first_of_address(p, address);

	*cursor = row;
	return row;
}

void address_link(struct publisher *p, uint32_t row)
{
	const struct lb_address *address = &p->t->backends[row].address;
	uint32_t first = first_of_address(p, address);
	struct pub_backend *own = &p->backends[row];

	own->address_before = first;
	own->address_next = first ? p->backends[first].address_next : 0;
	if (own->address_next)
		p->backends[own->address_next].address_before = row;
	if (first)
		p->backends[first].address_next = row;
	else
		map_add(&p->address_map, address_hash(address), row);
}

void address_unlink(struct publisher *p, uint32_t row)
{
	uint64_t hash = address_hash(&p->t->backends[row].address);
	uint32_t before = p->backends[row].address_before, next = p->backends[row].address_next;

	if (next)
		p->backends[next].address_before = before;
	if (before) {
		p->backends[before].address_next = next;
		return;
	}
	map_del(&p->address_map, hash, row);
	if (next)
		map_add(&p->address_map, hash, next);
}
