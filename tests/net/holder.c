// SPDX-License-Identifier: BSD-2-Clause
//
// holder's arguments. See holder.h.

#include "holder.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
	"usage: holder server --name NAME --port PORT [--port PORT ...]\n"
	"       holder client --to ADDRESS:PORT [--to ...] [--protocol tcp|udp] [--http]\n"
	"                     [--held N] [--interval MS] [--timeout MS] [--new PER_SECOND]\n"
	"                     [--retry] [--bytes N] --report FILE\n";

static const struct option long_options[] = {
	{"name", required_argument, NULL, 'n'},
	{"port", required_argument, NULL, 'p'},
	{"to", required_argument, NULL, 't'},
	{"protocol", required_argument, NULL, 'P'},
	{"http", no_argument, NULL, 'H'},
	{"held", required_argument, NULL, 'h'},
	{"interval", required_argument, NULL, 'i'},
	{"timeout", required_argument, NULL, 'w'},
	{"new", required_argument, NULL, 'r'},
	{"bytes", required_argument, NULL, 'b'},
	{"report", required_argument, NULL, 'R'},
	{"retry", no_argument, NULL, 'T'},
	{NULL, 0, NULL, 0},
};

uint64_t holder_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

// "192.0.2.1:80" or "[2001:db8::1]:80".
static bool parse_target(const char *text, struct holder_target *ret)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	struct in_addr v4;
	size_t len;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || strlen(text) >= sizeof(ret->text))
		return false;
	len = (size_t)(colon - text);
	if (text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	memcpy(host, text, len);
	host[len] = 0;
	*ret = (struct holder_target){.address.sin6_family = AF_INET6,
				      .address.sin6_port = htons((uint16_t)atoi(colon + 1))};
	snprintf(ret->text, sizeof(ret->text), "%s", host);
	if (inet_pton(AF_INET, host, &v4) == 1) {
		ret->address.sin6_addr.s6_addr[10] = 0xff;
		ret->address.sin6_addr.s6_addr[11] = 0xff;
		memcpy(&ret->address.sin6_addr.s6_addr[12], &v4, 4);
		return true;
	}
	return inet_pton(AF_INET6, host, &ret->address.sin6_addr) == 1;
}

static bool parse_option(struct holder_options *o, int option, const char *value)
{
	switch (option) {
	case 'n':
		o->name = value;
		return strlen(value) < HOLDER_NAME_MAX && !strpbrk(value, " \"\\\n");
	case 'p':
		if (o->ports_n == HOLDER_TARGETS_MAX)
			return false;
		o->ports[o->ports_n++] = (uint16_t)atoi(value);
		return true;
	case 't':
		return o->targets_n < HOLDER_TARGETS_MAX &&
		       parse_target(value, &o->targets[o->targets_n++]);
	case 'P':
		o->protocol = strcmp(value, "udp") == 0 ? IPPROTO_UDP : IPPROTO_TCP;
		return o->protocol == IPPROTO_UDP || strcmp(value, "tcp") == 0;
	case 'H':
		o->http = true;
		return true;
	case 'h':
		o->held_n = (size_t)atol(value);
		return true;
	case 'i':
		o->interval_ns = (uint64_t)atol(value) * 1000000;
		return o->interval_ns > 0;
	case 'w':
		o->timeout_ns = (uint64_t)atol(value) * 1000000;
		return o->timeout_ns > 0;
	case 'r':
		o->new_per_s = (uint64_t)atol(value);
		return true;
	case 'b':
		o->message_bytes = (size_t)atol(value);
		return o->message_bytes <= HOLDER_MESSAGE_MAX / 2;
	case 'T':
		o->retries = true;
		return true;
	case 'R':
		o->report = value;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct holder_options o = {
		.protocol = IPPROTO_TCP, .interval_ns = 200000000, .timeout_ns = 5000000000};
	bool ok = argc > 1;
	int option;

	o.is_server = ok && strcmp(argv[1], "server") == 0;
	ok = ok && (o.is_server || strcmp(argv[1], "client") == 0);
	while (ok && (option = getopt_long(argc - 1, argv + 1, "", long_options, NULL)) != -1)
		ok = parse_option(&o, option, optarg);
	ok = ok && (o.is_server ? o.name && o.ports_n : o.targets_n && o.report);
	if (!ok) {
		fputs(usage, stderr);
		return 2;
	}
	return o.is_server ? holder_serve(&o) : holder_hold(&o);
}
