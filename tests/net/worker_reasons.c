// SPDX-License-Identifier: BSD-2-Clause
//
// worker_reasons FILE: "WORKER REASON PACKETS" a line, of the tables of the DPDK
// dataplane: what lbd sums up is here as each worker of lb-dpdk counted it. For tests
// of how packets spread over the workers, and so over the queues.
#include <stdio.h>

#include "control/reasons.h"
#include "control/tables.h"

int main(int argc, char **argv)
{
	struct tables *t;
	struct err e = {};

	if (argc != 2 || tables_map_file(argv[1], &t, &e)) {
		fprintf(stderr, "worker_reasons: %s: %s\n", argc == 2 ? argv[1] : "FILE is missing",
			e.text);
		return 1;
	}
	for (size_t worker = 0; worker < t->rows.meta->cpu_n; worker++) {
		const struct lb_reason_line *lines =
			&t->rows.reason_counters[worker * LB_REASON_LINES];

		for (enum lb_reason i = 0; i < LB_REASON_N; i++) {
			const struct lb_reason_line *line = &lines[i / LB_REASONS_PER_LINE];

			printf("%zu %s %llu\n", worker, reason_label(i),
			       (unsigned long long)line->pkts[i % LB_REASONS_PER_LINE]);
		}
	}
	tables_close(t);
	return 0;
}
