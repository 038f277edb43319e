// SPDX-License-Identifier: BSD-2-Clause
//
// DPDK's environment abstraction layer (EAL), started so that a person learns what is
// missing: its log is kept while it starts, and where it fails the cause is told as a
// sentence with the mend, the EAL's own last words beside it.
#include <errno.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lb_dpdk.h"

// A line of the EAL's log says what is missing; these are looked for in it, in this order.
static const struct {
	const char *says, *mend;
} causes[] = {
	{"EAL: Cannot get a virtual area", "there is not enough address space: raise `ulimit -v`"},
	{"Permission denied", "permission is missing: run it as root, or with the capabilities and "
			      "device files that docs/dpdk.md lists"},
	{"Operation not permitted", "permission is missing: run it as root, or with the "
				    "capabilities and device files that docs/dpdk.md lists"},
	{"No free 2048 kB hugepages", "no huge pages are free: `sysctl vm.nr_hugepages=512` "
				      "reserves 1 GB"},
	{"No available", "no huge pages are reserved: `sysctl vm.nr_hugepages=512` reserves 1 GB"},
	{"no mounted hugetlbfs found", "no hugetlbfs is mounted: `mount -t hugetlbfs none "
				       "/dev/hugepages`"},
	{"Not enough memory available", "there are not enough huge pages: `sysctl "
					"vm.nr_hugepages` reserves more, -m asks for less"},
	{"Cannot create lock", "another DPDK process has the same --file-prefix: stop it, or give "
			       "this one another"},
	{"Cannot lock", "another DPDK process has the same --file-prefix: stop it, or give this "
			"one another"},
	{"lcore", "--lcores names what this host does not have; `nproc` says how many CPUs there "
		  "are"},
	{"failed to initialize", "a port named by --vdev cannot be made: its options are wrong, "
				 "its kernel interface is not there, or another program has it"},
	{"cannot be used", "a device named by -a cannot be used: is it bound to a driver for "
			   "DPDK? `dpdk-devbind.py --status` says"},
};

static char *log_text;
static size_t log_len;

// The last line of the log that is not empty.
static const char *last_line(void)
{
	char *end = log_text + strlen(log_text), *line;

	while (end > log_text && end[-1] == '\n')
		*--end = '\0';
	line = strrchr(log_text, '\n');
	return line ? line + 1 : log_text;
}

static int explain(int code, struct err *e)
{
	const char *mend = NULL;

	for (size_t i = 0; i < RTE_DIM(causes) && !mend; i++)
		if (strstr(log_text, causes[i].says))
			mend = causes[i].mend;
	if (mend)
		return err_set(e, -code, "DPDK cannot start: %s (%.160s)", mend, last_line());
	return err_set(e, -code, "DPDK cannot start: %s (%.200s)", rte_strerror(code), last_line());
}

int eal_start(int argc, char **argv, struct err *e)
{
	FILE *log = open_memstream(&log_text, &log_len);
	int status;

	if (!log)
		return err_set(e, -ENOMEM, "out of memory");
	rte_openlog_stream(log);
	status = rte_eal_init(argc, argv) < 0 ? -rte_errno : 0;
	fflush(log);
	if (status)
		explain(-status ? -status : EINVAL, e);
	// From here on its warnings go to stderr, beside what this program says.
	rte_openlog_stream(stderr);
	fclose(log);
	free(log_text);
	return status ? e->code : 0;
}
