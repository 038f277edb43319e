// SPDX-License-Identifier: BSD-2-Clause
//
// bench-ring BACKENDS SLOTS RUNS: builds a Maglev ring again and again, with other weights and
// another key each time, and prints how long each took, in nanoseconds, a line each. For
// tools/bench control.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/maglev.h"

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

int main(int argc, char **argv)
{
	uint32_t backends_n, slots_n, runs_n, *slots;
	struct maglev_backend *backends;

	if (argc != 4) {
		fprintf(stderr, "usage: bench-ring BACKENDS SLOTS RUNS\n");
		return 2;
	}
	backends_n = strtoul(argv[1], NULL, 10);
	slots_n = strtoul(argv[2], NULL, 10);
	runs_n = strtoul(argv[3], NULL, 10);
	backends = calloc(backends_n, sizeof(*backends));
	slots = calloc(slots_n, sizeof(*slots));
	if (!backends || !slots)
		return 1;
	for (uint32_t run = 0; run < runs_n; run++) {
		uint64_t key[2] = {run, ~(uint64_t)run}, start_ns;

		for (uint32_t i = 0; i < backends_n; i++) {
			backends[i] = (struct maglev_backend){
				.port = 80, .weight = 100 + (run + i) % 3, .value = i + 1};
			backends[i].address.words[2] = htonl(0xffff);
			backends[i].address.words[3] = htonl(0x0a000000 + i);
		}
		start_ns = now_ns();
		if (maglev_build(backends, backends_n, key, slots, slots_n)) {
			fprintf(stderr, "bench-ring: no ring of %u slots\n", slots_n);
			return 1;
		}
		printf("%llu\n", (unsigned long long)(now_ns() - start_ns));
	}
	free(backends);
	free(slots);
	return 0;
}
