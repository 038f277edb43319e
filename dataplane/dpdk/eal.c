// SPDX-License-Identifier: BSD-2-Clause
//
// DPDK's environment abstraction layer (EAL), started so that a person learns what is
// missing. It, its drivers and their libraries write many lines to stdout and stderr:
// these are kept until the ports run. Where something fails, the line that says why is
// looked for in them, and told with the mend in a sentence; else they are thrown away.
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lb_dpdk.h"

#define KEPT_MAX 65536
#define PERMISSION                                                                                 \
	"permission is missing: run it as root, or with the capabilities and device files that "   \
	"docs/dpdk.md lists"
#define HUGE_PAGES                                                                                 \
	"no huge pages are free: `sysctl vm.nr_hugepages=512` reserves 1 GB, and `mount -t "       \
	"hugetlbfs none /dev/hugepages` makes them usable"
#define OTHER_PROCESS                                                                              \
	"another DPDK process runs with the same --file-prefix: stop it, or give this one another"

// The first of these that is found is the cause.
static const struct {
	const char *line, *mend;
} causes[] = {
	{"unrecognized option", "the EAL does not know an argument; lb-dpdk's own come first"},
	{"invalid parameter for --lcores",
	 "--lcores names a CPU that this host does not have (`nproc` counts them), or is not "
	 "written as in 0@0,1@1"},
	{"Unable to parse device",
	 "no driver is known for a device: is its name right, as in --vdev net_af_xdp0,iface=eth1 "
	 "or -a 0000:03:00.0?"},
	{"Cannot create lock on", OTHER_PROCESS},
	{"hugepages reported on node", HUGE_PAGES},
	{"Cannot get hugepage information", HUGE_PAGES},
	{"Not enough memory available",
	 "there are not enough huge pages: `sysctl vm.nr_hugepages` reserves more"},
	{"Permission denied", PERMISSION},
	{"Operation not permitted", PERMISSION},
	{"Error creating '",
	 "DPDK's runtime directory cannot be made: it is below /var/run, or below "
	 "RUNTIME_DIRECTORY where that is set; make the directory above it"},
	{"failed to initialize",
	 "a port cannot be made: are its options right, is its interface there, and has no other "
	 "program got it?"},
	{"cannot be used", "a device named by -a cannot be used: is it bound to a driver for DPDK? "
			   "`dpdk-devbind.py --status` says"},
};

static int kept_fd = -1, own_fds[2] = {-1, -1};

int eal_get_stderr(void)
{
	return own_fds[1] < 0 ? STDERR_FILENO : own_fds[1];
}

static void keep_output(void)
{
	fflush(NULL);
	kept_fd = memfd_create("eal", MFD_CLOEXEC);
	if (kept_fd < 0)
		return;
	for (int i = 0; i < 2; i++) {
		own_fds[i] = dup(STDOUT_FILENO + i);
		dup2(kept_fd, STDOUT_FILENO + i);
	}
}

static void release_output(void)
{
	fflush(NULL);
	for (int i = 0; i < 2 && kept_fd >= 0; i++) {
		dup2(own_fds[i], STDOUT_FILENO + i);
		close(own_fds[i]);
		own_fds[i] = -1;
	}
}

// Puts the cause that @text has a line of into @e. False: none is known.
static bool find_cause(const char *text, struct err *e)
{
	for (size_t i = 0; i < RTE_DIM(causes); i++) {
		const char *at = strstr(text, causes[i].line);
		// That there is no port says nothing beside why.
		bool is_all = !e->text[0] || e->code == -ENODEV;
		char before[sizeof(e->text)];

		if (!at)
			continue;
		while (at > text && at[-1] != '\n')
			at--;
		snprintf(before, sizeof(before), "%s", e->text);
		err_set(e, e->code, "%.100s%s%s (%.*s)", is_all ? "" : before, is_all ? "" : "; ",
			causes[i].mend, (int)RTE_MIN(strcspn(at, "\n"), 120u), at);
		return true;
	}
	return false;
}

void eal_explain(struct err *e)
{
	static char text[KEPT_MAX];
	char before[sizeof(e->text)];
	ssize_t len = kept_fd < 0 ? 0 : pread(kept_fd, text, sizeof(text) - 1, 0);

	release_output();
	text[RTE_MAX(len, 0)] = '\0';
	if (find_cause(text, e))
		return;
	snprintf(before, sizeof(before), "%s", e->text);
	if (geteuid() && e->code != -ENODEV)
		err_set(e, e->code, "%.150s; " PERMISSION, before[0] ? before : "DPDK failed");
	else if (!e->text[0])
		err_set(e, e->code, "DPDK's EAL cannot start: %s", rte_strerror(-e->code));
}

void eal_settle(void)
{
	release_output();
	if (kept_fd >= 0)
		close(kept_fd);
	kept_fd = -1;
}

int eal_start(int argc, char **argv, struct err *e)
{
	keep_output();
	if (rte_eal_init(argc, argv) >= 0)
		return 0;
	e->code = rte_errno ? -rte_errno : -EINVAL;
	e->text[0] = '\0';
	return e->code;
}
