// SPDX-License-Identifier: BSD-2-Clause
//
// lb-pktgen: sends packets of many flows, as fast as the kernel can or at a rate, and
// counts those that arrive at a sink. Not for use on a network that others use.
// Exit status: 0 done, 1 refused or failed (one sentence on stderr), 2 wrong usage.
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/version.h"
#include "tools/lb-pktgen/pktgen.h"

#define SECONDS_DEFAULT 10

static const char usage[] =
	"usage: lb-pktgen --interface IF --to VIP:PORT --via MAC [OPTION...]\n"
	"       lb-pktgen --interface IF --from BACKEND:PORT --via MAC [OPTION...]\n"
	"       lb-pktgen --vdev SPEC ... in place of --interface IF\n"
	"\n"
	"Sends packets from many clients to a VIP, or from a backend to many clients.\n"
	"\n"
	"  --interface IF     where they go out\n"
	"  --vdev SPEC        or by a device of DPDK, which counts what arrives too\n"
	"  --to, --from       the VIP or the backend; IPv6 as [2001:db8::1]:80\n"
	"  --via MAC          the balancer's MAC address\n"
	"  --protocol P       tcp or udp (tcp)\n"
	"  --flows N          how many flows take turns (1)\n"
	"  --clients PREFIX   the clients' addresses (198.18.0.0/15, 2001:db8::/32)\n"
	"  --size N           bytes of a frame (60; IPv6: 80)\n"
	"  --syn PERCENT      TCP: how many are SYNs, the others being ACKs (0)\n"
	"  --rate PPS         packets a second (as many as go)\n"
	"  --packets N        stop after so many\n"
	"  --seconds N        stop after so long (10, unless --packets says when)\n"
	"  --sink IF          count and drop there what arrives; the same interface will do\n"
	"  --json             the totals as JSON, and nothing else\n"
	"  --version, --help\n";

static int parse_number(const char *name, const char *text, uint64_t least, uint64_t most,
			uint64_t *ret, struct err *e)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < least || value > most)
		return err_set(e, -EINVAL, "--%s: must be %llu to %llu, is `%s`", name,
			       (unsigned long long)least, (unsigned long long)most, text);
	*ret = value;
	return 0;
}

static int parse_u32(const char *name, const char *text, uint64_t least, uint64_t most,
		     uint32_t *ret, struct err *e)
{
	uint64_t value;
	int code = parse_number(name, text, least, most, &value, e);

	if (!code)
		*ret = value;
	return code;
}

static int parse_mac(struct options *o, const char *text, struct err *e)
{
	uint8_t *m = o->via;
	int len = 0;

	o->has_via = sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &m[0], &m[1], &m[2],
			    &m[3], &m[4], &m[5], &len) == 6 &&
		     !text[len];
	return o->has_via ? 0 : err_set(e, -EINVAL, "--via: `%s` is no MAC address", text);
}

static int parse_server(struct options *o, const char *name, const char *text, struct err *e)
{
	if (o->port)
		return err_set(e, -EINVAL, "--%s: only one of --to and --from", name);
	if (address_parse_port(text, &o->server, &o->port) || !o->port)
		return err_set(e, -EINVAL, "--%s: `%s` is no ADDRESS:PORT", name, text);
	o->is_reply = !strcmp(name, "from");
	return 0;
}

static int parse_protocol(struct options *o, const char *text, struct err *e)
{
	o->is_tcp = !strcmp(text, "tcp");
	if (!o->is_tcp && strcmp(text, "udp"))
		return err_set(e, -EINVAL, "--protocol: must be tcp or udp, is `%s`", text);
	return 0;
}

static int parse_clients(struct options *o, const char *text, struct err *e)
{
	o->has_clients = true;
	if (prefix_parse(text, &o->clients))
		return err_set(e, -EINVAL, "--clients: `%s` is no prefix", text);
	return 0;
}

enum option_id {
	OPTION_INTERFACE = 1,
	OPTION_VDEV,
	OPTION_TO,
	OPTION_FROM,
	OPTION_VIA,
	OPTION_PROTOCOL,
	OPTION_FLOWS,
	OPTION_CLIENTS,
	OPTION_SIZE,
	OPTION_SYN,
	OPTION_RATE,
	OPTION_PACKETS,
	OPTION_SECONDS,
	OPTION_SINK,
	OPTION_JSON,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{"interface", required_argument, NULL, OPTION_INTERFACE},
	{"vdev", required_argument, NULL, OPTION_VDEV},
	{"to", required_argument, NULL, OPTION_TO},
	{"from", required_argument, NULL, OPTION_FROM},
	{"via", required_argument, NULL, OPTION_VIA},
	{"protocol", required_argument, NULL, OPTION_PROTOCOL},
	{"flows", required_argument, NULL, OPTION_FLOWS},
	{"clients", required_argument, NULL, OPTION_CLIENTS},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"syn", required_argument, NULL, OPTION_SYN},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"packets", required_argument, NULL, OPTION_PACKETS},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"sink", required_argument, NULL, OPTION_SINK},
	{"json", no_argument, NULL, OPTION_JSON},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static int parse_option(struct options *o, enum option_id id, const char *name, const char *text,
			struct err *e)
{
	switch (id) {
	case OPTION_INTERFACE:
		o->interface = text;
		return 0;
	case OPTION_VDEV:
		o->vdev = text;
		return 0;
	case OPTION_SINK:
		o->sink = text;
		return 0;
	case OPTION_JSON:
		o->is_json = true;
		return 0;
	case OPTION_TO:
	case OPTION_FROM:
		return parse_server(o, name, text, e);
	case OPTION_VIA:
		return parse_mac(o, text, e);
	case OPTION_PROTOCOL:
		return parse_protocol(o, text, e);
	case OPTION_CLIENTS:
		return parse_clients(o, text, e);
	case OPTION_FLOWS:
		return parse_u32(name, text, 1, UINT32_MAX, &o->flows, e);
	case OPTION_SIZE:
		return parse_u32(name, text, 1, SHAPE_SIZE_MAX, &o->size, e);
	case OPTION_SYN:
		return parse_u32(name, text, 0, 100, &o->syn_percent, e);
	case OPTION_RATE:
		return parse_number(name, text, 1, 1000000000, &o->rate, e);
	case OPTION_PACKETS:
		return parse_number(name, text, 1, UINT64_MAX, &o->packets, e);
	case OPTION_SECONDS:
		return parse_number(name, text, 1, 1000000000, &o->seconds, e);
	case OPTION_VERSION:
	case OPTION_HELP:
		break;
	}
	return 0;
}

static int fail(const struct err *e)
{
	char buf[600];

	fprintf(stderr, "lb-pktgen: %s\n", err_render(e, NULL, buf, sizeof(buf)));
	return 1;
}

static int fail_usage(const char *text, const char *what)
{
	fprintf(stderr, "lb-pktgen: %s%s\n%s", text, what, usage);
	return 2;
}

int main(int argc, char **argv)
{
	struct options o = {.is_tcp = true, .flows = 1};
	const struct engine_kind *kind;
	struct engine *engine = NULL;
	struct err e = {0};
	int option, index, code;

	while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (option == '?')
			return fail_usage("", "wrong option");
		if (option == OPTION_VERSION)
			return puts("lb-pktgen " LBD_VERSION) < 0;
		if (option == OPTION_HELP)
			return fputs(usage, stdout) < 0;
		if (parse_option(&o, option, long_options[index].name, optarg, &e))
			return fail(&e);
	}
	if (optind < argc)
		return fail_usage("unexpected argument: ", argv[optind]);
	if (!o.interface == !o.vdev || !o.port || !o.has_via)
		return fail_usage("",
				  "--interface or --vdev, --via, and --to or --from are needed");
	if (o.vdev && o.sink)
		return fail_usage("", "--sink: a --vdev counts what arrives itself");
	if (!o.seconds && !o.packets)
		o.seconds = SECONDS_DEFAULT;
	libbpf_set_print(NULL);
	kind = o.vdev ? &engine_dpdk : &engine_xdp;
	code = kind->open(&o, &engine, &e);
	if (!code)
		code = report_run(&o, engine, &e);
	kind->close(engine);
	return code ? fail(&e) : 0;
}
