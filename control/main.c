// SPDX-License-Identifier: BSD-2-Clause
//
// lbd: the control daemon. Arguments, signals, the loop; one thread, and nothing in it
// blocks. What it steers goes on without it: on TERM or INT it just ends.
//
// Exit statuses: 0 done, 1 failed (one line on stderr that starts with "lbd: "), 2 wrong
// usage. Under systemd it says when it is ready, and feeds the watchdog (sd_notify(3)).
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "control/dataplane.h"
#include "control/environment.h"
#include "control/pins.h"
#include "control/start.h"

#define CONFIG_DEFAULT "/etc/lbd/lbd.yaml"

enum exit_status { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };
enum action { ACTION_RUN, ACTION_CHECK, ACTION_DETACH };

static const char usage[] =
	"Usage: lbd [--config FILE] [--check | --detach]\n"
	"Balances the packets of this host's interfaces; services are set with lbctl.\n"
	"\n"
	"  --config FILE  the host's settings; " CONFIG_DEFAULT " by default\n"
	"  --check        validate the settings, and exit\n"
	"  --detach       take the XDP program, its tables, the VIPs and the guard (nftables)\n"
	"                 away, and exit; connections break. A stopped lbd leaves all running\n"
	"  --version      print the version, and exit\n"
	"  --help         print this, and exit\n"
	"\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static int fail(const struct err *e, const char *file)
{
	char text[sizeof(e->text) + sizeof(e->field) + 256];

	fprintf(stderr, "lbd: %s\n", err_render(e, file, text, sizeof(text)));
	return EXIT_FAILED;
}

// ---- --detach ----

// Our VIPs go from loopback too: nothing balances them any more.
static int remove_vips(const struct settings *s, struct err *e)
{
	const struct netlink_calls none = {};
	struct event_base *base = event_base_new();
	struct netlink *n;
	int status;

	if (!base)
		return err_set(e, -ENOMEM, "out of memory");
	status = netlink_open(base, s, &none, &n, e);
	if (!status) {
		status = netlink_set_vips(n, NULL, 0, e);
		netlink_close(n);
	}
	event_base_free(base);
	return status;
}

static int detach(const struct settings *s, struct err *e)
{
	int lock_fds[2] = {-1, -1};
	int status = environment_check_privileges(s, e);

	if (!status && s->dataplane == SETTINGS_XDP)
		status = pins_check(s, e);
	if (!status)
		status = environment_lock(s, lock_fds, e);
	if (!status)
		status = dataplane_detach(s, e);
	if (!status)
		status = remove_vips(s, e);
	if (!status)
		status = guard_remove(e);
	return status;
}

// ---- running ----

static void on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	event_base_loopexit(arg, NULL);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	sd_notify(0, "WATCHDOG=1");
}

// NULL: none is wanted.
static struct event *start_watchdog(struct event_base *base)
{
	struct event *timer;
	struct timeval half;
	uint64_t period_us;

	if (sd_watchdog_enabled(0, &period_us) <= 0)
		return NULL;
	half.tv_sec = period_us / 2 / 1000000;
	half.tv_usec = period_us / 2 % 1000000;
	timer = event_new(base, -1, EV_PERSIST, on_watchdog, NULL);
	if (timer)
		event_add(timer, &half);
	return timer;
}

static int loop(struct lbd *d, struct err *e)
{
	struct event *term = evsignal_new(d->base, SIGTERM, on_stop, d->base);
	struct event *interrupt = evsignal_new(d->base, SIGINT, on_stop, d->base);
	struct event *watchdog = start_watchdog(d->base);
	int status = 0;

	if (!term || !interrupt || event_add(term, NULL) || event_add(interrupt, NULL))
		status = err_set(e, -ENOMEM, "signals: out of memory");
	if (!status) {
		sd_notify(0, "READY=1");
		if (event_base_dispatch(d->base) < 0)
			status = err_set(e, -EIO, "the event loop failed");
		sd_notify(0, "STOPPING=1");
	}
	if (watchdog)
		event_free(watchdog);
	if (interrupt)
		event_free(interrupt);
	if (term)
		event_free(term);
	return status;
}

static int run(struct settings *s, struct err *e)
{
	struct lbd d = {.settings = s};
	int status = environment_raise_limits(e);

	if (status)
		return status;
	signal(SIGPIPE, SIG_IGN);
	d.base = event_base_new();
	d.events = events_new();
	status = d.base && d.events ? start_run(&d, e) : err_set(e, -ENOMEM, "out of memory");
	if (!status)
		status = loop(&d, e);
	start_stop(&d);
	events_free(d.events);
	if (d.base)
		event_base_free(d.base);
	return status;
}

struct arguments {
	const char *config;
	enum action action;
};

// Returns false where the program ends here, with *ret_status.
static bool parse(int argc, char **argv, struct arguments *ret, int *ret_status)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
		{"detach", no_argument, NULL, 'd'},	  {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},	  {},
	};
	struct arguments a = {.config = CONFIG_DEFAULT};
	int option;

	*ret_status = EXIT_DONE;
	for (int at = 1; (option = getopt_long(argc, argv, "+:", options, NULL)) != -1;
	     at = optind) {
		switch (option) {
		case 'c':
			a.config = optarg;
			break;
		case 'k':
		case 'd':
			// One of them breaks connections: the last does not just win.
			if (a.action != ACTION_RUN) {
				fputs("lbd: one of --check and --detach, once; `lbd --help` shows "
				      "the usage\n",
				      stderr);
				*ret_status = EXIT_USAGE;
				return false;
			}
			a.action = option == 'k' ? ACTION_CHECK : ACTION_DETACH;
			break;
		case 'v':
			puts("lbd " LBD_VERSION);
			return false;
		case 'h':
			fputs(usage, stdout);
			return false;
		default:
			fprintf(stderr, "lbd: %s %s; `lbd --help` shows the usage\n", argv[at],
				option == ':' ? "needs a value"
					      : "is no option, or takes no value");
			*ret_status = EXIT_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "lbd: unexpected argument %s; `lbd --help` shows the usage\n",
			argv[optind]);
		*ret_status = EXIT_USAGE;
		return false;
	}
	*ret = a;
	return true;
}

int main(int argc, char **argv)
{
	struct arguments arguments;
	struct settings *s;
	struct err e = {};
	int status;

	if (!parse(argc, argv, &arguments, &status))
		return status;
	if (settings_load(arguments.config, &s, &e))
		return fail(&e, arguments.config);
	if (arguments.action == ACTION_RUN)
		status = run(s, &e);
	else if (arguments.action == ACTION_DETACH)
		status = detach(s, &e);
	else
		printf("%s: the settings are valid\n", arguments.config);
	settings_free(s);
	return status ? fail(&e, NULL) : EXIT_DONE;
}
