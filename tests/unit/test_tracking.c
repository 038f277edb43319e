// SPDX-License-Identifier: BSD-2-Clause
//
// Tracking on demand, the whole of it: long random histories of a small world
// (tracking/world.h), in which no live connection may ever be sent elsewhere.
//
// test_tracking [FIRST_SEED [SEEDS [STEPS]]]: a failure names its seed, and the same
// seed is the same history.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tracking/world.h"

static uint64_t first_seed = 1, seeds_n = 150, steps_n = 2000;

static void no_live_connection_is_ever_sent_elsewhere(void **state)
{
	uint64_t packets = 0, checks = 0, changes = 0, kills = 0, straddled = 0, born = 0;

	for (uint64_t seed = first_seed; seed < first_seed + seeds_n; seed++) {
		struct world *w;

		printf("seed %llu\r", (unsigned long long)seed);
		fflush(stdout);
		w = world_new(seed);
		for (uint64_t step = 0; step < steps_n; step++)
			world_step(w);
		packets += w->packets;
		checks += w->checks;
		changes += w->changes;
		kills += w->kills;
		straddled += w->straddled;
		born += w->born;
		world_free(w);
	}
	printf("%llu histories: %llu packets, %llu connections, %llu changes, %llu kills of lbd, "
	       "%llu glances, %llu handshakes that straddled a change\n",
	       (unsigned long long)seeds_n, (unsigned long long)packets, (unsigned long long)born,
	       (unsigned long long)changes, (unsigned long long)kills, (unsigned long long)checks,
	       (unsigned long long)straddled);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_live_connection_is_ever_sent_elsewhere),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 10);
	if (argc > 2)
		seeds_n = strtoull(argv[2], NULL, 10);
	if (argc > 3)
		steps_n = strtoull(argv[3], NULL, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
