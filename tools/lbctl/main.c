// SPDX-License-Identifier: BSD-2-Clause
//
// lbctl: the command line of lbd. This file is the table of its commands with their
// help; each is in the file of its group. What the command line, the help, the
// completion and the suggestions know, they know from this table.
#include <ctype.h>
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/lbctl/lbctl.h"

#define SOCKET_DEFAULT "/run/lbd/lbd.sock"
#define OPTION_DRY_RUN                                                                             \
	{                                                                                          \
		"dry-run", NULL, "only show what would change"                                     \
	}
#define OPTION_FORCE                                                                               \
	{                                                                                          \
		"force", NULL, "even if more than half of the services or backends go"             \
	}
#define TARGET "SERVICE ADDRESS[:PORT]"
#define TARGETS "[SERVICE] ADDRESS[:PORT]"
#define TARGETS_TEXT                                                                               \
	TARGET_TEXT                                                                                \
	"Without SERVICE it is done in every service that has a backend at ADDRESS (and PORT):\n"  \
	"so a server is taken out as a whole, and put back.\n"
#define TARGET_TEXT                                                                                \
	"Without a port, the service's is meant. IPv6 with a port is [2001:db8::1]:80.\n"

const struct option global_options[] = {
	{"socket", "PATH", "where lbd listens; else LBCTL_SOCKET, else " SOCKET_DEFAULT},
	{"json", NULL, "print one JSON document"},
	{"help", NULL, "this help"},
	{"version", NULL, "the versions of lbctl and lbd; stands alone"},
	{0},
};

// clang-format off
const struct command commands[] = {
	{"status", "", 0, 0, "dataplane, interfaces, services, traffic, warnings: one screen",
	 NULL, command_status},
	{"apply", "FILE", 1, 1, "make the services what FILE says",
	 "FILE is YAML or JSON, - is stdin. Shows what is added, changed and removed, and the\n"
	 "share of each service's slots that moves; then the new generation.\n",
	 command_apply, {OPTION_DRY_RUN, OPTION_FORCE}},
	{"export", "", 0, 0, "the services, as YAML that `apply` takes", NULL, command_export},
	{"history", "", 0, 0, "the kept generations and what made them", NULL, command_history},
	{"rollback", "GENERATION", 1, 1, "make the services what they were in a generation",
	 NULL, command_rollback, {OPTION_DRY_RUN, OPTION_FORCE}},
	{"diff", "[GENERATION]", 0, 1, "what changed since a generation (the one before, if none is named)",
	 NULL, command_diff},

	{"service list", "", 0, 0, "every service and its state", NULL, command_service_list},
	{"service show", "NAME", 1, 1, "one service: its settings, counters and backends",
	 NULL, command_service_show},
	{"service add", "NAME", 1, 1, "add a service",
	 "Needs --vip and --port. Example:\n"
	 "  lbctl service add web --vip 203.0.113.10 --port 80 --mode nat --check http \\\n"
	 "        --backend 10.1.0.11:8080 --backend 10.1.0.12:8080\n",
	 command_service_add, {
		{"vip", "ADDRESS", "may be given more than once"},
		{"port", "PORT", "1 to 65535, or any"},
		{"protocol", "PROTOCOL", "tcp (default) or udp"},
		{"mode", "MODE", "nat, l2, ipip or gue"},
		{"backend", "ADDRESS[:PORT]", "may be given more than once"},
		{"check", "TYPE", "tcp or http; without it backends count as up"},
		{"check-path", "PATH", "http: what is asked for (default /)"},
		{"check-host", "NAME", "http: the Host header"},
		{"check-port", "PORT", "if it is not the backend's"},
		{"check-interval", "DURATION", "default 1s"},
		{"check-timeout", "DURATION", "default 500ms"},
		{"check-rise", "N", "passes until up (default 2)"},
		{"check-fall", "N", "failures until down (default 3)"},
		{"tracking", "HOW", "adaptive (tcp's default), always (udp's), none"},
		{"idle-timeout", "DURATION", "default 15m for tcp, 60s for udp"},
		{"ring", "SLOTS", "a prime (default 16381); fixed once the service exists"},
		{"on-empty", "WHAT", "reject (default) or drop: no live backend"},
		{"on-down", "WHAT", "reset (default) or keep: connections of a dead backend"},
		OPTION_DRY_RUN}},
	{"service set", "NAME KEY=VALUE...", 2, ARGS_MAX, "change keys of a service",
	 "KEY is as in the file of `apply`, a dot leads into an object:\n"
	 "  lbctl service set web idle_timeout=30m check.interval=2s\n",
	 command_service_set, {OPTION_DRY_RUN}},
	{"service remove", "NAME", 1, 1, "remove a service; its connections end", NULL,
	 command_service_remove, {OPTION_DRY_RUN}},

	{"backend list", "[SERVICE]", 0, 1, "backends: state, health, connections, last untracked packet",
	 "STATE is what the operator wants, HEALTH what the checks say. TRACKED are connections\n"
	 "that have an entry. UNTRACKED is how long ago a packet without entry last went there:\n"
	 "a draining backend is free of connections once TRACKED is 0 and UNTRACKED is older\n"
	 "than the service's idle time. \"only SYNs went to it\": no client has got an answer\n"
	 "from it; what to look at is in operate.md, \"A client gets no answer\".\n",
	 command_backend_list},
	{"backend add", TARGET, 2, 2, "add a backend to a service", TARGET_TEXT,
	 command_backend_add, {{"weight", "N", "0 to 1000 (default 100)"},
			       {"state", "STATE", "enabled (default), drain or disabled"},
			       OPTION_DRY_RUN}},
	{"backend set", TARGET, 2, 2, "change the weight or the state of a backend", TARGET_TEXT,
	 command_backend_set, {{"weight", "N", "0 to 1000"},
			       {"state", "STATE", "enabled, drain or disabled"},
			       OPTION_DRY_RUN}},
	{"backend drain", TARGETS, 1, 2, "no new connections; the old ones live on", TARGETS_TEXT,
	 command_backend_drain, {OPTION_DRY_RUN}},
	{"backend enable", TARGETS, 1, 2, "take new connections again", TARGETS_TEXT,
	 command_backend_enable, {OPTION_DRY_RUN}},
	{"backend disable", TARGETS, 1, 2, "down by hand: its connections are not kept", TARGETS_TEXT,
	 command_backend_disable, {OPTION_DRY_RUN}},
	{"backend remove", TARGET, 2, 2, "drain a backend, and remove it when nothing uses it",
	 "It goes when nothing has gone to it for the idle time, at the latest after --timeout.\n"
	 TARGET_TEXT,
	 command_backend_remove, {{"timeout", "DURATION", "default 1h"},
				  {"now", NULL, "cut its connections and remove it at once"},
				  OPTION_DRY_RUN}},

	{"stats", "[SERVICE]", 0, 1, "packets, bytes, new connections, per service and backend",
	 NULL, command_stats, {{"watch", NULL, "again every second, as rates"}}},
	{"drops", "", 0, 0, "why packets were dropped, how many, and what that means", NULL,
	 command_drops, {{"all", NULL, "also the reasons that have not occurred"},
			 {"watch", NULL, "again every second, with rates"}}},
	{"explain", "PROTOCOL SOURCE[:PORT] DESTINATION[:PORT] | --pcap FILE", 0, 3,
	 "what happens to such a packet, and why",
	 "Runs the dataplane's own code on the live tables, and changes nothing. PROTOCOL is tcp,\n"
	 "udp, or icmp: an echo request (ping), without ports. Examples:\n"
	 "  lbctl explain tcp 198.51.100.7:40000 203.0.113.10:80\n"
	 "  lbctl explain icmp 2001:db8:100::7 2001:db8:113::10\n"
	 "With --pcap each packet of a capture is explained, a line each: its number, time (UTC),\n"
	 "what it is, verdict, reason, service and backend (- where there is none). Each is taken\n"
	 "as if it came now. What XDP takes never reaches tcpdump on the balancer itself, so\n"
	 "capture on the host before it:\n"
	 "  ssh client tcpdump -i eth0 -c 100 -U -w - port 80 | lbctl explain --pcap -\n",
	 command_explain, {
		{"syn", NULL, "tcp: as a SYN, a new connection"},
		{"size", "BYTES", "of the IP packet (default: its headers alone)"},
		{"pcap", "FILE", "each packet of a capture; - is stdin"}}},
	{"trace", "", 0, 0, "packets as they came and as they left, from the running dataplane",
	 "Shows what all the given options match, until Ctrl-C; packets then run through a variant\n"
	 "of the dataplane that copies them, which costs it a little. Examples:\n"
	 "  lbctl trace --service web --source 198.51.100.7\n"
	 "  lbctl trace --verdict drop --count 10\n"
	 "  lbctl trace --write - | wireshark -k -i -\n",
	 command_trace, {
		{"service", "NAME", "of this service, either way"},
		{"protocol", "PROTOCOL", "tcp, udp, icmp, icmpv6 or a number"},
		{"source", "ADDRESS[/LEN][:PORT]", "from there, as the packet came; or :PORT"},
		{"destination", "ADDRESS[/LEN][:PORT]", "likewise"},
		{"reason", "LABEL", "as in `lbctl drops --all`; may be given more than once"},
		{"verdict", "VERDICT", "transmit, answer, drop or pass; likewise"},
		{"write", "FILE", "as pcapng into FILE, each packet twice; - is stdout"},
		{"count", "N", "end after so many packets"},
		{"seconds", "N", "end after this time"},
		{"rate", "N", "packets a second that are shown (default 1000)"},
		{"snap", "BYTES", "kept of each packet (default 256, at most 2048)"}}},
	{"events", "", 0, 0, "health transitions, changes and warnings", NULL,
	 command_events, {{"follow", NULL, "go on as they happen; with --json one document a line"}}},
	{"version", "", 0, 0, "versions of lbctl and lbd", NULL, command_version},
	{"help", "[COMMAND]", 0, 2, "this, or the help of a command", NULL, command_help},
	{"complete", "WORD...", 0, ARGS_MAX, NULL, NULL, command_complete},
	{0},
};
// clang-format on

#define LEFT_MAX 26 // what is longer has its help on the next line

static void print_option(const struct option *o)
{
	char left[64];
	int left_n = snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
			      o->value ? o->value : "");

	if (left_n > LEFT_MAX)
		printf("  %s\n  %-*s %s\n", left, LEFT_MAX, "", o->help);
	else
		printf("  %-*s %s\n", LEFT_MAX, left, o->help);
}

static void print_options(const struct option *options)
{
	for (const struct option *o = options; o->name; o++)
		print_option(o);
}

static void print_overview(void)
{
	printf("Usage: lbctl [--socket PATH] [--json] COMMAND\n\n"
	       "Shows and changes what lbd, the load balancer's daemon, does.\n\n");
	for (const struct command *c = commands; c->name; c++) {
		if (c->summary)
			printf("  %-16s %s\n", c->name, c->summary);
	}
	printf("\nOptions:\n");
	print_options(global_options);
	printf("\nExit status: 0 done, 1 refused or failed, 2 wrong usage, 3 lbd not reachable.\n"
	       "`lbctl help COMMAND` says more of one; lbctl(8) of all.\n");
}

static int print_help(const struct command *c)
{
	const char *summary = c->summary ? c->summary : "";

	printf("Usage: lbctl %s%s%s%s\n\n%c%s.\n", c->name, *c->words ? " " : "", c->words,
	       c->options[0].name ? " [OPTIONS]" : "", toupper(*summary), summary + !!*summary);
	if (c->text)
		printf("\n%s", c->text);
	printf("\nOptions:\n");
	print_options(c->options);
	for (const struct option *o = global_options; o->name; o++) {
		if (strcmp(o->name, "version") != 0) // stands alone
			print_option(o);
	}
	return EXIT_DONE;
}

// The commands of a group: "service", "backend".
static bool print_group(const char *name)
{
	size_t len = strlen(name);
	bool is_group = false;

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, name, len) || c->name[len] != ' ')
			continue;
		if (!is_group)
			printf("Usage: lbctl %s COMMAND\n\n", name);
		is_group = true;
		printf("  %-16s %s\n", c->name, c->summary);
	}
	return is_group;
}

static int fail_unknown(int argc, char *const *argv)
{
	const struct command *near = args_suggest(argc, argv);
	size_t len = strlen(argv[0]);

	for (const struct command *c = commands; c->name; c++) {
		if (strncmp(c->name, argv[0], len) || c->name[len] != ' ')
			continue;
		if (argc == 1)
			return fail(EXIT_USAGE, "%s what? `lbctl help %s` shows what there is",
				    argv[0], argv[0]);
		if (!near)
			return fail(EXIT_USAGE,
				    "no command `%s %s`; `lbctl help %s` shows what there is",
				    argv[0], argv[1], argv[0]);
		return fail(EXIT_USAGE, "no command `%s %s`; did you mean `%s`?", argv[0], argv[1],
			    near->name);
	}
	if (near)
		return fail(EXIT_USAGE, "no command `%s`; did you mean `%s`?", argv[0], near->name);
	return fail(EXIT_USAGE, "no command `%s`; `lbctl help` shows what there is", argv[0]);
}

int command_help(const struct lbctl *l, const struct args *a)
{
	const struct command *c;
	int name_n = 0;

	if (!a->words_n) {
		print_overview();
		return EXIT_DONE;
	}
	c = args_lookup(a->words_n, (char *const *)a->words, &name_n);
	if (c)
		return print_help(c);
	if (a->words_n == 1 && print_group(a->words[0]))
		return EXIT_DONE;
	return fail_unknown(a->words_n, (char *const *)a->words);
}

int main(int argc, char **argv)
{
	const char *socket = getenv("LBCTL_SOCKET");
	struct lbctl l = {.socket = socket && *socket ? socket : SOCKET_DEFAULT};
	static char *version[] = {"version"};
	const struct command *c;
	struct args a = {0};
	int at = 0, name_n = 0, status;

	setlocale(LC_CTYPE, "");
	argc--;
	argv++;
	status = args_parse(NULL, argc, argv, &l, &a, &at);
	if (status)
		return status;
	argc -= at;
	argv += at;
	if (!argc && l.wants_version) {
		l.wants_version = false;
		argv = version;
		argc = 1;
	}
	if (!argc) {
		if (!l.wants_help)
			return fail(EXIT_USAGE, "needs a command; `lbctl help` shows them");
		print_overview();
		return EXIT_DONE;
	}
	c = args_lookup(argc, argv, &name_n);
	if (!c) {
		if (argc == 2 && !strcmp(argv[1], "--help") && print_group(argv[0]))
			return EXIT_DONE;
		return fail_unknown(argc, argv);
	}
	status = args_parse(c, argc - name_n, argv + name_n, &l, &a, NULL);
	if (status)
		return status;
	if (l.wants_help)
		return print_help(c);
	if (l.wants_version)
		return fail(EXIT_USAGE, "--version stands alone; `lbctl version` says the same");
	curl_global_init(CURL_GLOBAL_NOTHING);
	status = c->run(&l, &a);
	curl_global_cleanup();
	if (fflush(stdout) || ferror(stdout))
		return fail(EXIT_REFUSED, "stdout cannot be written");
	return status;
}
