// SPDX-License-Identifier: BSD-2-Clause
//
// Whatever the kernel might say by rtnetlink: libmnl's sockets are replaced by functions that
// hand out pieces of the input, one for each receive, as answers to the requests and as events.
// A piece is a length of two bytes (little endian) and its bytes; an empty one is an error (the
// next byte is its errno), and behind the last one the kernel has nothing to say (an ACK).
//
// The daemon's netlink part lives through its whole life on it: it is opened, watches addresses,
// hears of events, looks again, probes, publishes routes, and is closed. Beyond not crashing or
// leaking: hops and routes that are told make sense.
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "control/netlink_internal.h"
#include "fuzz.h"

#define TURNS 3
#define ERRNO_MAX 4095 // the kernel's
#define ENDLESS 64     // receives that one request may take

static const uint8_t *input;
static size_t input_len;
static uint32_t asked; // the sequence number of the last request
static bool is_dump;   // it wants one
static int receives;   // since that
static int sockets_n;

struct mnl_socket {
	bool is_events;
};

// ---- libmnl's sockets ----

struct mnl_socket *mnl_socket_open2(int bus, int flags)
{
	sockets_n++;
	return calloc(1, sizeof(struct mnl_socket));
}

int mnl_socket_bind(struct mnl_socket *s, unsigned int groups, pid_t pid)
{
	return 0;
}

int mnl_socket_close(struct mnl_socket *s)
{
	sockets_n--;
	free(s);
	return 0;
}

int mnl_socket_setsockopt(const struct mnl_socket *s, int type, void *buf, socklen_t len)
{
	if (type == NETLINK_ADD_MEMBERSHIP)
		((struct mnl_socket *)s)->is_events = true;
	return 0;
}

// Never read: the events of the loop are activated by hand.
int mnl_socket_get_fd(const struct mnl_socket *s)
{
	static int fd = -1;

	if (fd < 0)
		fd = eventfd(0, EFD_CLOEXEC);
	return fd;
}

unsigned int mnl_socket_get_portid(const struct mnl_socket *s)
{
	return 0;
}

ssize_t mnl_socket_sendto(const struct mnl_socket *s, const void *message, size_t len)
{
	const struct nlmsghdr *m = message;

	fuzz_demand(m->nlmsg_len == len, "a request of another length than it says");
	asked = m->nlmsg_seq;
	is_dump = (m->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	receives = 0;
	return (ssize_t)len;
}

// What ends a request: "done", or an error of 0.
static ssize_t put_end(void *buf)
{
	struct nlmsghdr *m = mnl_nlmsg_put_header(buf);

	m->nlmsg_seq = asked;
	m->nlmsg_type = is_dump ? NLMSG_DONE : NLMSG_ERROR;
	mnl_nlmsg_put_extra_header(m, is_dump ? sizeof(int) : sizeof(struct nlmsgerr));
	return (ssize_t)m->nlmsg_len;
}

static int take_byte(void)
{
	if (!input_len)
		return 0;
	input_len--;
	return *input++;
}

ssize_t mnl_socket_recvfrom(const struct mnl_socket *s, void *buf, size_t size)
{
	size_t len;

	if (input_len < 2 || receives++ == ENDLESS) {
		errno = EAGAIN;
		return s->is_events ? -1 : put_end(buf);
	}
	len = (size_t)take_byte();
	len |= (size_t)take_byte() << 8;
	if (!len) {
		errno = 1 + take_byte() % EHWPOISON;
		return -1;
	}
	if (len > input_len)
		len = input_len;
	if (len > size)
		len = size;
	memcpy(buf, input, len);
	input += len;
	input_len -= len;
	return (ssize_t)len;
}

// Up to the first message whose length does not fit. (libmnl takes one beyond 2^31 for negative,
// and the kernel sends none.)
static size_t sound_len(const uint8_t *at, size_t len)
{
	size_t sound = 0;
	struct nlmsghdr m;

	while (len - sound >= sizeof(m)) {
		memcpy(&m, at + sound, sizeof(m));
		if (m.nlmsg_len < sizeof(m) || m.nlmsg_len > len - sound)
			break;
		sound += MNL_ALIGN(m.nlmsg_len);
		if (sound > len)
			return len;
	}
	return sound;
}

// The real one, on memory of just the message's size: ASan sees a byte too far.
int mnl_cb_run(const void *buf, size_t len, unsigned int seq, unsigned int portid, mnl_cb_t each,
	       void *arg)
{
	static __typeof__(mnl_cb_run) *real;
	void *copy;
	int status, code;

	if (!real)
		real = (__typeof__(real))dlsym(RTLD_NEXT, "mnl_cb_run");
	len = sound_len(buf, len);
	copy = malloc(len);
	memcpy(copy, buf, len);
	status = real(copy, len, seq, portid, each, arg);
	code = errno > 0 && errno <= ERRNO_MAX ? errno : EPROTO;
	free(copy);
	errno = code;
	return status;
}

// ---- what is told ----

static void on_hop(void *arg, const struct lb_address *address, const struct publisher_hop *hop)
{
	fuzz_demand(!hop || hop->ifindex, "a hop without interface");
}

static void on_routes(void *arg, const struct publisher_route *routes, size_t routes_n)
{
	fuzz_demand(routes_n <= 2 * LB_ROUTE_MAX, "more routes than there is room for");
	for (size_t i = 0; i < routes_n; i++) {
		int family = address_family(&routes[i].prefix.address);

		fuzz_demand(routes[i].prefix.len <= (family == 4 ? 32 : 128), "a prefix's length");
		fuzz_demand(!i || routes[i - 1].prefix.len >= routes[i].prefix.len, "order");
	}
}

static void on_change(void *arg)
{
}

// ---- a life ----

static struct lb_address address(const char *text)
{
	struct lb_address a = {0};

	fuzz_demand(!address_parse(text, &a), text);
	return a;
}

static void live(struct event_base *base, struct netlink *n)
{
	const struct lb_address watched[] = {address("10.1.0.11"), address("10.2.0.12"),
					     address("fd00:1::11")};
	const struct lb_address vips[] = {address("203.0.113.10"), address("2001:db8:113::10")};
	struct lb_address found;
	struct err e;

	netlink_set_vips(n, vips, 2, &e);
	for (size_t turn = 0; turn < TURNS; turn++) {
		struct event *const events[] = {n->readable, n->settle, n->lookups, n->retry,
						n->probes};

		netlink_set_watched(n, watched, 3 - turn);
		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
			receives = 0;
			n->stale |= turn ? 0 : NETLINK_ALL;
			event_active(events[i], EV_TIMEOUT, 1);
			event_base_loop(base, EVLOOP_NONBLOCK);
		}
	}
	netlink_is_connected(n, &watched[0]);
	netlink_is_host_address(n, &watched[0]);
	netlink_lookup_source(n, 2, 4, &found);
	netlink_count_unresolved(n, &found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct prefix direct[] = {{.len = 24}};
	static struct settings_interface interfaces[] = {{.name = "wan"}, {.name = "lan"}};
	static struct settings settings = {
		.interfaces = interfaces, .interfaces_n = 2, .direct = direct, .direct_n = 1};
	static const struct netlink_calls calls = {.hop_changed = on_hop,
						   .routes_changed = on_routes,
						   .links_changed = on_change,
						   .interface_came = on_change};
	static struct event_base *base;
	struct netlink *n;
	struct err e;

	if (!base)
		base = event_base_new();
	direct[0].address = address("10.1.0.0");
	input = data;
	input_len = len;
	fuzz_demand(netlink_open(base, &settings, &calls, &n, &e) == 0, "cannot be opened");
	live(base, n);
	netlink_close(n);
	fuzz_demand(sockets_n == 0, "a socket was left open");
	return 0;
}
