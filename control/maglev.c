// SPDX-License-Identifier: BSD-2-Clause
//
// Weighted Maglev rings. Every backend has a permutation of the slots of its own
// (a start and a step, from the keyed hash of its address and port) and takes, turn
// by turn, the first slot of it that is still free. In a turn a backend earns
// weight / (greatest weight) of a slot, so equal weights come out equal to one slot.
// The order within a turn is by weight, then by hash: never by position in the
// input, so that every balancer of a fleet that has the key fills the same ring.
//
// A backend that goes leaves the others' permutations as they are; the few other
// slots that move are those where it came first. Called by the publisher for rings
// and by plan.c for the shares that move. Pure.
// Eisenbud et al., NSDI 2016, 3.4 and 5.3.
#include "control/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/hash.h"

#define WORD_BITS 64

// A backend's walk over its permutation.
struct walk {
	uint64_t hash;
	uint32_t weight;
	uint32_t value;
	uint32_t slot; // where it looks next
	uint32_t step;
	const struct maglev_backend *backend;
};

// Walks of one weight, [begin, end): they take slots in the same turns.
struct weight_class {
	size_t begin, end;
	uint64_t credit, weight;
};

bool maglev_is_prime(uint32_t n)
{
	if (n < 4)
		return n > 1;
	if (!(n & 1))
		return false;
	for (uint32_t d = 3; (uint64_t)d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}

// Of address and port (18 bytes), by the dataplane's own keyed hash.
static uint64_t hash_backend(const struct maglev_backend *b, const uint64_t key[2])
{
	const __u64 sip_key[2] = {key[0], key[1]};
	struct lb_sip s;

	lb_sip_init(&s, sip_key);
	lb_sip_absorb(&s, b->address.halves[0], LB_SIP_C);
	lb_sip_absorb(&s, b->address.halves[1], LB_SIP_C);
	lb_sip_absorb(&s, (uint64_t)18 << 56 | b->port, LB_SIP_C);
	return lb_sip_finish(&s, LB_SIP_D);
}

// Greatest weight first; then by hash; address and port only where hashes collide.
static int compare_walks(const void *x, const void *y)
{
	const struct walk *a = x, *b = y;
	int c;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	c = memcmp(a->backend->address.bytes, b->backend->address.bytes,
		   sizeof(a->backend->address.bytes));
	return c ? c : (int)a->backend->port - (int)b->backend->port;
}

// Fills @walks with the backends that have weight, in the order of their turns; returns their
// number.
static size_t walks_build(const struct maglev_backend *backends, size_t backends_n,
			  const uint64_t key[2], uint32_t slots_n, struct walk *walks)
{
	size_t n = 0;

	for (size_t i = 0; i < backends_n; i++) {
		const struct maglev_backend *b = &backends[i];
		uint64_t hash;

		if (!b->weight)
			continue;
		hash = hash_backend(b, key);
		walks[n++] = (struct walk){
			.hash = hash,
			.weight = b->weight,
			.value = b->value,
			.slot = (uint32_t)hash % slots_n,
			// A prime's every step but 0 visits all slots. Of 2 slots there is one
			// step.
			.step = (uint32_t)(hash >> 32) % (slots_n - 1) + 1,
			.backend = b,
		};
	}
	qsort(walks, n, sizeof(*walks), compare_walks);
	return n;
}

static size_t classes_build(const struct walk *walks, size_t walks_n, struct weight_class *classes)
{
	size_t n = 0;

	for (size_t i = 0; i < walks_n; i++) {
		if (!n || classes[n - 1].weight != walks[i].weight)
			classes[n++] = (struct weight_class){.begin = i, .weight = walks[i].weight};
		classes[n - 1].end = i + 1;
	}
	return n;
}

// Takes the first free slot of @w's permutation. There is one.
static void take(struct walk *w, uint64_t *taken, uint32_t *slots, uint32_t slots_n)
{
	uint32_t slot = w->slot;

	while (taken[slot / WORD_BITS] >> (slot % WORD_BITS) & 1) {
		// No division here: this runs slots_n * ln(slots_n) times.
		slot += w->step;
		if (slot >= slots_n)
			slot -= slots_n;
	}
	taken[slot / WORD_BITS] |= 1ull << (slot % WORD_BITS);
	slots[slot] = w->value;
	w->slot = slot;
}

static void fill(struct walk *walks, struct weight_class *classes, size_t classes_n,
		 uint64_t *taken, uint32_t *slots, uint32_t slots_n)
{
	const uint64_t weight_max = classes[0].weight;
	uint32_t left = slots_n;

	for (;;) {
		for (size_t c = 0; c < classes_n; c++) {
			struct weight_class *wc = &classes[c];

			wc->credit += wc->weight;
			if (wc->credit < weight_max)
				continue;
			wc->credit -= weight_max;
			for (size_t i = wc->begin; i < wc->end; i++) {
				take(&walks[i], taken, slots, slots_n);
				if (!--left)
					return;
			}
		}
	}
}

int maglev_build(const struct maglev_backend *backends, size_t backends_n, const uint64_t key[2],
		 uint32_t *slots, uint32_t slots_n)
{
	struct walk *walks;
	struct weight_class *classes;
	uint64_t *taken;
	size_t walks_n;
	int r = -ENOMEM;

	// slot + step must not wrap.
	if (slots_n > INT32_MAX || !maglev_is_prime(slots_n))
		return -EINVAL;
	walks = calloc(backends_n + 1, sizeof(*walks));
	classes = calloc(backends_n + 1, sizeof(*classes));
	taken = calloc(slots_n / WORD_BITS + 1, sizeof(*taken));
	if (walks && classes && taken) {
		walks_n = walks_build(backends, backends_n, key, slots_n, walks);
		if (walks_n)
			fill(walks, classes, classes_build(walks, walks_n, classes), taken, slots,
			     slots_n);
		else
			memset(slots, 0, slots_n * sizeof(*slots));
		r = 0;
	}
	free(walks);
	free(classes);
	free(taken);
	return r;
}
