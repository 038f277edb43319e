// SPDX-License-Identifier: BSD-2-Clause
//
// lb-decap, on a backend: takes the outer headers off what listed balancers send in
// the modes `ipip` and `gue`. It loads its XDP program, then stays to follow the host's addresses
// by netlink; the program outlives it, as the addresses were. Ended by any signal.
//   lb-decap --interface IF --from ADDRESS[/LEN][,...] [--gue-port PORT]
//   lb-decap --status --interface IF [--json]
//   lb-decap --detach --interface IF
// Exit status: 0 done, 1 refused or failed (one sentence on stderr), 2 wrong usage.
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/version.h"
#include "tools/lb-decap/decap.h"

enum verb { VERB_RUN, VERB_STATUS, VERB_DETACH };

static const char usage[] =
	"usage: lb-decap --interface IF --from ADDRESS[/LEN][,...] [--gue-port PORT]\n"
	"                [--bpffs-dir DIR]\n"
	"       lb-decap --status --interface IF [--json] [--bpffs-dir DIR]\n"
	"       lb-decap --detach --interface IF [--bpffs-dir DIR]\n"
	"\n"
	"Takes the outer headers off IPv4 and IPv6 packets that come from the balancers in\n"
	"IPv4, IPv6 or GUE, for addresses that this host has (the VIPs, on loopback).\n"
	"\n"
	"  --interface IF   where the balancers' packets come in\n"
	"  --from LIST      the balancers' outer sources: addresses or prefixes\n"
	"  --gue-port PORT  where GUE comes in (6080); 0: it is not opened\n"
	"  --status         show the program, its balancers and what it counted\n"
	"  --json           as JSON\n"
	"  --detach         take the program away\n"
	"  --bpffs-dir DIR  where the program is pinned (/sys/fs/bpf/lb-decap)\n"
	"  --version, --help\n";

static int fail(const struct err *e)
{
	char buf[600];

	fprintf(stderr, "lb-decap: %s\n", err_render(e, NULL, buf, sizeof(buf)));
	return 1;
}

static int fail_usage(const char *text, const char *what)
{
	fprintf(stderr, "lb-decap: %s%s\n%s", text, what, usage);
	return 2;
}

// Adds "ADDRESS[,ADDRESS...]" to the balancers. @list is cut at its commas.
static int add_balancers(struct options *o, char *list, struct err *e)
{
	for (char *item = strtok(list, ","); item; item = strtok(NULL, ",")) {
		struct prefix prefix, *items;

		if (prefix_parse(item, &prefix))
			return err_set(e, -EINVAL, "--from: `%s` is no address or prefix", item);
		items = realloc(o->balancers, (o->balancers_n + 1) * sizeof(*items));
		if (!items)
			return err_set(e, -ENOMEM, "out of memory");
		items[o->balancers_n++] = prefix;
		o->balancers = items;
	}
	return 0;
}

static int set_gue_port(struct options *o, const char *text, struct err *e)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || port > UINT16_MAX)
		return err_set(e, -EINVAL, "--gue-port: must be 0 to 65535, is `%s`", text);
	o->gue_port = port;
	return 0;
}

static int run(const struct options *o)
{
	struct attach *attach = NULL;
	struct local *local = NULL;
	size_t prefixes_n = 0;
	bool is_native = false;
	struct err e = {0};
	int code = attach_open(o, &attach, &e);

	if (!code)
		code = local_open(attach_get_local_fd(attach), &local, &e);
	if (!code)
		code = local_sync(local, &prefixes_n, &e);
	if (!code)
		code = attach_start(attach, &is_native, &e);
	if (!code) {
		printf("%s: %s XDP, %zu balancers, %zu local addresses\n", o->interface,
		       is_native ? "native" : "generic", o->balancers_n, prefixes_n);
		fflush(stdout);
		if (!is_native)
			fprintf(stderr,
				"lb-decap: %s: its driver has no native XDP; the generic one is "
				"slower\n",
				o->interface);
	}
	while (!code && attach_is_attached(attach))
		code = local_follow(local, attach_get_ifindex(attach), attach_get_watch_fd(attach),
				    &e);
	if (!code)
		err_set(&e, -ENODEV, "%s: the program was taken away, or its interface is gone",
			o->interface);
	local_close(local);
	attach_close(attach);
	return fail(&e);
}

static int show_status(const struct options *o)
{
	struct err e = {0};

	return status_show(o, &e) ? fail(&e) : 0;
}

static int detach(const struct options *o)
{
	struct err e = {0};
	bool found;

	if (attach_detach(o, &found, &e))
		return fail(&e);
	printf("%s: %s\n", o->interface, found ? "detached" : "nothing was attached");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"interface", required_argument, NULL, 'i'},
		{"from", required_argument, NULL, 'f'},
		{"gue-port", required_argument, NULL, 'g'},
		{"json", no_argument, NULL, 'j'},
		{"status", no_argument, NULL, 's'},
		{"detach", no_argument, NULL, 'd'},
		{"bpffs-dir", required_argument, NULL, 'b'},
		{"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct options o = {.bpffs_dir = "/sys/fs/bpf/lb-decap", .gue_port = DECAP_GUE_PORT};
	enum verb verb = VERB_RUN;
	struct err e = {0};
	int option, code;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'i')
			o.interface = optarg;
		else if (option == 'b')
			o.bpffs_dir = optarg;
		else if ((option == 's' || option == 'd') && verb != VERB_RUN)
			return fail_usage("", "one of --status and --detach, once");
		else if (option == 's')
			verb = VERB_STATUS;
		else if (option == 'd')
			verb = VERB_DETACH;
		else if (option == 'v')
			return puts("lb-decap " LBD_VERSION) < 0;
		else if (option == 'f' && add_balancers(&o, optarg, &e))
			return fail(&e);
		else if (option == 'g' && set_gue_port(&o, optarg, &e))
			return fail(&e);
		else if (option == 'j')
			o.is_json = true;
		else if (option == 'h')
			return fputs(usage, stdout) < 0;
		else if (option == '?')
			return fail_usage("", "wrong option");
	}
	if (optind < argc)
		return fail_usage("unexpected argument: ", argv[optind]);
	if (!o.interface)
		return fail_usage("", "--interface is missing");
	if (verb == VERB_RUN && !o.balancers_n)
		return fail_usage("", "--from is missing: who may send here");
	libbpf_set_print(NULL);
	if (verb == VERB_STATUS)
		code = show_status(&o);
	else
		code = verb == VERB_DETACH ? detach(&o) : run(&o);
	free(o.balancers);
	return code;
}
