// SPDX-License-Identifier: BSD-2-Clause
//
// lb-dpdk: the DPDK dataplane. Arguments, start and end; then the main lcore's loop.
// What it balances lbd says, through the tables alone; it outlives lbd, and lbd it.
//
// Exit statuses: 0 done (SIGTERM, SIGINT), 1 failed (one line on stderr that starts
// with "lb-dpdk: "), 2 wrong usage.
#include <errno.h>
#include <poll.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "control/version.h"
#include "lb_dpdk.h"

// Main sleeps so long where nothing waits: it may share a worker's CPU, to which each time that it
// wakes costs a few microseconds.
#define PAUSE_US 200 // for QUIET_MS after it carried something
#define IDLE_US 1000 // then
#define QUIET_MS 100
#define FOLLOW_MS 100	    // and it looks at tables and ports so often
#define SLEEP_US_MAX 100000 // or it would seem to stand still

enum exit_status { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

static const char usage[] =
	"Usage: lb-dpdk --tables FILE [--idle-sleep MICROSECONDS] [--] EAL ARGUMENTS\n"
	"Balances the packets of the ports that DPDK has, as lbd says in FILE\n"
	"(RUN_DIR/tables, with `dataplane: dpdk` in lbd.yaml).\n"
	"\n"
	"  --tables FILE      the tables; waited for where there are none yet\n"
	"  --idle-sleep N     a worker without packets sleeps for N microseconds;\n"
	"                     by default it asks again at once, and its CPU is never idle\n"
	"  --version          print the version, and exit\n"
	"  --help             print this, and exit\n"
	"\n"
	"EAL arguments: --lcores (the first one named is the main lcore, which forwards\n"
	"nothing; each other is a worker), -a for NICs, --vdev for the rest.\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static struct lb_dpdk dataplane;

void say(const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	dprintf(eal_get_stderr(), "lb-dpdk: %s\n", text);
}

static void on_stop(int signal_number)
{
	__atomic_store_n(&dataplane.is_stopping, true, __ATOMIC_RELAXED);
}

static bool is_stopping(const struct lb_dpdk *d)
{
	return __atomic_load_n(&d->is_stopping, __ATOMIC_RELAXED);
}

// ---- the main lcore ----

// Until a TAP or netlink has something, or @max_us are over: workers cannot wake this. True:
// netlink has.
static bool rest(struct lb_dpdk *d, unsigned int max_us)
{
	const struct timespec moment = {.tv_nsec = max_us * 1000};
	struct pollfd fds[LB_PORT_MAX + 1];
	nfds_t n = 0;

	for (unsigned int i = 0; i < d->ports_n; i++)
		fds[n++] = (struct pollfd){.fd = d->ports[i].tap_fd, .events = POLLIN};
	fds[n++] = (struct pollfd){.fd = routes_get_fd(d->routes), .events = POLLIN};
	if (ppoll(fds, n, &moment, NULL) <= 0)
		return false;
	for (unsigned int i = 0; i < d->ports_n; i++)
		if (fds[i].revents)
			d->ports[i].has_frames = true;
	return fds[n - 1].revents;
}

static int run(struct lb_dpdk *d, struct err *e)
{
	uint64_t due_ms = 0, quiet_ms = 0;
	bool has_events = true;

	while (!is_stopping(d)) {
		uint64_t now_ms = clock_now_ms();
		bool is_busy = exception_carry(d);

		if (is_busy)
			quiet_ms = now_ms + QUIET_MS;
		tables_beat(d);
		if (now_ms >= due_ms) {
			int status = tables_follow(d, e);

			if (status)
				return status;
			trace_follow(d);
			exception_follow(d);
			ports_follow(d);
			due_ms = now_ms + FOLLOW_MS;
		}
		d->are_links_stale |= routes_follow(d->routes, has_events);
		ports_follow_mtus(d);
		has_events = rest(d, is_busy ? 0 : now_ms < quiet_ms ? PAUSE_US : IDLE_US);
	}
	return 0;
}

// ---- start and end ----

static int make_workers(struct lb_dpdk *d, struct err *e)
{
	unsigned int lcore, n = rte_lcore_count() - 1;

	if (!n)
		return err_set(
			e, -EINVAL,
			"there is one lcore only, and the main lcore forwards nothing: name "
			"two or more, such as --lcores 0,1, or --lcores '0@0,1@0' where both "
			"must share a CPU");
	d->workers = rte_zmalloc("workers", n * sizeof(*d->workers), 0);
	if (!d->workers)
		return err_set(e, -ENOMEM, "no memory for %u workers", n);
	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		struct worker *w = &d->workers[d->workers_n];

		*w = (struct worker){.index = d->workers_n++, .lcore = lcore, .all = d};
	}
	return 0;
}

static int start(struct lb_dpdk *d, struct err *e)
{
	int status = make_workers(d, e);

	if (!status && (status = ports_open(d, e)))
		eal_explain(e);
	eal_settle();
	if (!status)
		status = routes_open(d, &d->routes, e);
	if (!status)
		status = tables_follow(d, e);
	for (unsigned int i = 0; i < d->workers_n && !status; i++)
		rte_eal_remote_launch(worker_run, &d->workers[i], d->workers[i].lcore);
	if (status)
		return status;
	say("%u port%s, %u worker%s%s", d->ports_n, d->ports_n == 1 ? "" : "s", d->workers_n,
	    d->workers_n == 1 ? "" : "s",
	    d->tables ? "" : "; waits for the tables: is lbd running, with `dataplane: dpdk`?");
	sd_notify(0, "READY=1");
	return 0;
}

static void stop(struct lb_dpdk *d)
{
	__atomic_store_n(&d->is_stopping, true, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	trace_leave(d);
	tables_leave(d);
	exception_close(d);
	ports_close(d);
	routes_close(d->routes);
}

struct arguments {
	const char *tables;
	unsigned int idle_sleep_us;
	int eal_at; // the first of the EAL
};

static bool parse_number(const char *text, unsigned long max, unsigned int *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || n > max)
		return false;
	*ret = (unsigned int)n;
	return true;
}

static int refuse(const char *format, const char *what)
{
	say(format, what);
	return EXIT_USAGE;
}

// Ours come first; what is not ours, or is behind "--", is the EAL's. -1, or the exit status.
static int parse(int argc, char **argv, struct arguments *ret)
{
	struct arguments a = {.eal_at = 1};

	for (; a.eal_at < argc; a.eal_at++) {
		const char *name = argv[a.eal_at];
		const char *value = a.eal_at + 1 < argc ? argv[a.eal_at + 1] : NULL;

		if (!strcmp(name, "--version")) {
			puts("lb-dpdk " LBD_VERSION);
			return EXIT_DONE;
		}
		if (!strcmp(name, "--help")) {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
		if (strcmp(name, "--tables") != 0 && strcmp(name, "--idle-sleep") != 0)
			break;
		if (!value)
			return refuse("%s needs a value; `lb-dpdk --help` shows the usage", name);
		if (!strcmp(name, "--tables"))
			a.tables = value;
		else if (!parse_number(value, SLEEP_US_MAX, &a.idle_sleep_us))
			return refuse("--idle-sleep must be 0 to 100000, is %s", value);
		a.eal_at++;
	}
	if (a.eal_at < argc && !strcmp(argv[a.eal_at], "--"))
		a.eal_at++;
	if (!a.tables)
		return refuse("%s is missing: RUN_DIR/tables, as /run/lbd/tables", "--tables");
	*ret = a;
	return -1;
}

int main(int argc, char **argv)
{
	struct lb_dpdk *d = &dataplane;
	struct arguments arguments;
	struct err e = {};
	int status = parse(argc, argv, &arguments);
	char text[sizeof(e.text) + sizeof(e.field) + 16];

	if (status >= 0)
		return status;
	d->tables_path = arguments.tables;
	d->idle_sleep_us = arguments.idle_sleep_us;
	argv[arguments.eal_at - 1] = argv[0];
	status = eal_start(argc - arguments.eal_at + 1, argv + arguments.eal_at - 1, &e);
	if (!status) {
		signal(SIGTERM, on_stop);
		signal(SIGINT, on_stop);
		status = start(d, &e);
		if (!status)
			status = run(d, &e);
		stop(d);
		rte_eal_cleanup();
	} else {
		eal_explain(&e);
	}
	if (status)
		say("%s", err_render(&e, NULL, text, sizeof(text)));
	return status ? EXIT_FAILED : EXIT_DONE;
}
