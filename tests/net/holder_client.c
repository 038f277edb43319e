// SPDX-License-Identifier: BSD-2-Clause
//
// The client mode. A flow is a connection (or a UDP socket): held ones exchange a
// message every interval until they break or the program ends; new ones end after
// their first answer. A flow that broke is counted once, with the reason and the
// server that it had, and is not opened again. TERM or INT ends the program.

#include "holder.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEW_MAX 1024	 // new connections under way at once
#define OPEN_PER_TICK 16 // held ones are opened a few at a time
#define TICK_MS 4
#define REPORT_NS 200000000
#define LOST_MAX 3	  // UDP: so many messages in a row without answer are a break
#define TROUBLES_SHOWN 20 // on stderr

enum flow_state { FLOW_FREE, FLOW_CONNECTING, FLOW_WAITING, FLOW_RESTING };

struct flow {
	enum flow_state state;
	int fd;
	bool is_held, has_retransmitted_syn;
	const struct holder_target *target;
	size_t server; // place in the counts; 0: none has answered
	uint64_t serial;
	uint64_t message;     // the number last sent
	uint64_t due_ns;      // WAITING, CONNECTING: too late after this; RESTING: the next message
	uint64_t answered_ns; // 0: never
	unsigned lost_in_row;
	size_t len;
	char *data; // HOLDER_MESSAGE_MAX bytes, apart, so that a tick walks little memory
};

struct client {
	const struct holder_options *o;
	struct holder_counts counts;
	struct flow *flows; // held ones first, then NEW_MAX for new ones
	size_t opened;	    // held flows that were opened
	uint64_t new_opened;
	unsigned troubles;
	int epoll;
	uint64_t now_ns;
};

static volatile sig_atomic_t is_over;

static void on_signal(int signal)
{
	is_over = signal;
}

static void end(struct client *c, struct flow *f)
{
	close(f->fd);
	f->state = FLOW_FREE;
	if (f->is_held)
		c->counts.servers[f->server].held--;
}

static void fail(struct client *c, struct flow *f, enum holder_why why, const char *what)
{
	struct holder_count *s = &c->counts.servers[f->server];

	if (f->is_held)
		s->broken[why]++;
	else if (f->has_retransmitted_syn)
		c->counts.straddled++;
	else
		s->new_failed[why]++;
	if (!f->is_held)
		c->counts.last_failed_ns = c->now_ns;
	snprintf(c->counts.last_trouble, sizeof(c->counts.last_trouble), "%s %s port %u of %s: %s",
		 f->is_held ? "held" : "new", f->target->text, ntohs(f->target->address.sin6_port),
		 s->name, what);
	if (c->troubles++ < TROUBLES_SHOWN)
		fprintf(stderr, "holder: %s\n", c->counts.last_trouble);
	end(c, f);
}

static void fail_errno(struct client *c, struct flow *f, int error)
{
	if (f->state == FLOW_CONNECTING || error == ECONNREFUSED)
		fail(c, f, WHY_CONNECT, strerror(error));
	else
		fail(c, f, error == ETIMEDOUT ? WHY_SILENT : WHY_RESET, strerror(error));
}

static void send_message(struct client *c, struct flow *f)
{
	char text[HOLDER_MESSAGE_MAX];
	size_t len;

	f->message++;
	if (c->o->http)
		len = (size_t)snprintf(text, sizeof(text),
				       "GET /?n=%llu HTTP/1.1\r\nHost: holder\r\n\r\n",
				       (unsigned long long)f->message);
	else
		len = (size_t)snprintf(text, sizeof(text), "%llu\n",
				       (unsigned long long)f->message);
	if (!c->o->http && len < c->o->message_bytes) {
		text[len - 1] = ' ';
		memset(text + len, 'x', c->o->message_bytes - len);
		len = c->o->message_bytes;
		text[len - 1] = '\n';
	}
	f->state = FLOW_WAITING;
	f->due_ns = c->now_ns + c->o->timeout_ns;
	f->len = 0;
	if (send(f->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail_errno(c, f, errno);
}

static void note_retransmitted_syn(struct client *c, struct flow *f)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (c->o->protocol != IPPROTO_TCP || f->has_retransmitted_syn ||
	    getsockopt(f->fd, IPPROTO_TCP, TCP_INFO, &info, &len) || !info.tcpi_total_retrans)
		return;
	f->has_retransmitted_syn = true;
	c->counts.syn_retransmitted++;
}

static void open_flow(struct client *c, struct flow *f, bool is_held, uint64_t place)
{
	bool is_tcp = c->o->protocol == IPPROTO_TCP;
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = f};
	const int on = 1;

	memset(f, 0, offsetof(struct flow, data));
	f->is_held = is_held;
	f->target = &c->o->targets[place % c->o->targets_n];
	f->state = FLOW_CONNECTING;
	f->due_ns = c->now_ns + c->o->timeout_ns;
	if (is_held)
		c->counts.servers[0].held++;
	f->fd = socket(AF_INET6, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0);
	if (f->fd < 0) {
		fail(c, f, WHY_CONNECT, strerror(errno));
		return;
	}
	if (is_tcp)
		setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if ((connect(f->fd, (const struct sockaddr *)&f->target->address,
		     sizeof(f->target->address)) &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(c->epoll, EPOLL_CTL_ADD, f->fd, &event))
		fail_errno(c, f, errno);
}

static void finish_connect(struct client *c, struct flow *f)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = f};
	socklen_t len = sizeof(int);
	int error = 0;

	note_retransmitted_syn(c, f);
	getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		fail_errno(c, f, error);
		return;
	}
	epoll_ctl(c->epoll, EPOLL_CTL_MOD, f->fd, &event);
	send_message(c, f);
}

// The body of a whole answer in @f->data, NULL where more is to come.
static const char *find_body(const struct client *c, struct flow *f)
{
	const char *body = f->data;

	f->data[f->len] = 0;
	if (c->o->http) {
		body = strstr(f->data, "\r\n\r\n");
		if (!body)
			return NULL;
		body += 4;
	}
	return strchr(body, '\n') ? body : NULL;
}

static void take_answer(struct client *c, struct flow *f, const char *body)
{
	const char *name_end = strchr(body, ' ');
	unsigned long long serial, message;
	struct holder_counts *counts = &c->counts;
	size_t server;

	if ((c->o->http && strncmp(f->data, "HTTP/1.1 200 ", 13) != 0) || !name_end ||
	    sscanf(name_end, " %llu %llu", &serial, &message) != 2 || message > f->message) {
		fail(c, f, WHY_BAD, "an answer that is none");
		return;
	}
	if (message < f->message) { // UDP: late
		f->len = 0;
		return;
	}
	server = holder_count_lookup(counts, body, (size_t)(name_end - body));
	if (f->server && (f->server != server || f->serial != serial)) {
		char what[96];

		snprintf(what, sizeof(what), "answered by %s, connection %llu instead of %llu",
			 counts->servers[server].name, serial, (unsigned long long)f->serial);
		fail(c, f, WHY_MOVED, what);
		return;
	}
	if (!f->is_held) {
		counts->servers[server].new_ok++;
		counts->servers[server].last_new_ns = c->now_ns;
		end(c, f);
		return;
	}
	counts->servers[f->server].held--;
	counts->servers[server].held++;
	counts->messages++;
	f->server = server;
	f->serial = serial;
	f->lost_in_row = 0;
	f->answered_ns = c->now_ns;
	f->state = FLOW_RESTING;
	f->due_ns += c->o->interval_ns - c->o->timeout_ns; // from when the message was sent
}

static void read_answer(struct client *c, struct flow *f)
{
	ssize_t len = recv(f->fd, f->data + f->len, HOLDER_MESSAGE_MAX - 1 - f->len, 0);
	const char *body;

	if (len < 0) {
		if (errno != EAGAIN)
			fail_errno(c, f, errno);
		return;
	}
	if (len == 0) {
		fail(c, f, WHY_CLOSED, "closed");
		return;
	}
	f->len += (size_t)len;
	if (f->state != FLOW_WAITING) {
		f->len = 0; // UDP: an answer that was given up
		return;
	}
	body = find_body(c, f);
	if (body)
		take_answer(c, f, body);
	else if (f->len == HOLDER_MESSAGE_MAX - 1)
		fail(c, f, WHY_BAD, "an answer without end");
}

static void tick_flow(struct client *c, struct flow *f)
{
	if (f->state == FLOW_FREE || c->now_ns < f->due_ns)
		return;
	if (f->state == FLOW_RESTING) {
		send_message(c, f);
		return;
	}
	note_retransmitted_syn(c, f);
	if (f->state == FLOW_CONNECTING) {
		fail(c, f, WHY_CONNECT, "no answer to the handshake");
		return;
	}
	if (c->o->protocol == IPPROTO_UDP && (f->is_held || c->o->retries)) {
		c->counts.lost++;
		if (++f->lost_in_row < LOST_MAX) {
			send_message(c, f);
			return;
		}
	}
	fail(c, f, WHY_SILENT, "no answer");
}

// Opens what is due: held flows a few at a time, new ones at their rate.
static void tick(struct client *c, uint64_t started_ns)
{
	size_t held_n = c->o->held_n, place = held_n;
	uint64_t due = (c->now_ns - started_ns) * c->o->new_per_s / 1000000000;

	for (size_t i = 0; i < held_n + NEW_MAX; i++)
		tick_flow(c, &c->flows[i]);
	for (int i = 0; i < OPEN_PER_TICK && c->opened < held_n; i++, c->opened++)
		open_flow(c, &c->flows[c->opened], true, c->opened);
	while (c->new_opened < due) {
		while (place < held_n + NEW_MAX && c->flows[place].state != FLOW_FREE)
			place++;
		if (place == held_n + NEW_MAX)
			break; // all under way: the rate is not reached
		open_flow(c, &c->flows[place], false, c->new_opened++);
	}
}

static void report(struct client *c)
{
	c->counts.oldest_answer_ns = c->now_ns;
	for (size_t i = 0; i < c->opened; i++)
		if (c->flows[i].state != FLOW_FREE &&
		    c->flows[i].answered_ns < c->counts.oldest_answer_ns)
			c->counts.oldest_answer_ns = c->flows[i].answered_ns;
	holder_report_write(c->o, &c->counts);
}

int holder_hold(const struct holder_options *o)
{
	static struct client c;
	struct epoll_event events[256];
	uint64_t started_ns = holder_now_ns(), reported_ns = 0;
	char *data;

	c = (struct client){.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	c.counts.servers_n = 1;
	strcpy(c.counts.servers[0].name, "?");
	c.flows = calloc(o->held_n + NEW_MAX, sizeof(*c.flows));
	data = calloc(o->held_n + NEW_MAX, HOLDER_MESSAGE_MAX);
	if (!c.flows || !data || c.epoll < 0) {
		fprintf(stderr, "holder: %s\n", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < o->held_n + NEW_MAX; i++)
		c.flows[i].data = data + i * HOLDER_MESSAGE_MAX;
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	while (!is_over) {
		int n = epoll_wait(c.epoll, events, 256, TICK_MS);

		c.now_ns = holder_now_ns();
		for (int i = 0; i < n; i++) {
			struct flow *f = events[i].data.ptr;

			if (f->state == FLOW_CONNECTING)
				finish_connect(&c, f);
			else if (f->state != FLOW_FREE)
				read_answer(&c, f);
		}
		tick(&c, started_ns);
		if (c.now_ns - reported_ns >= REPORT_NS) {
			report(&c);
			reported_ns = c.now_ns;
		}
	}
	report(&c);
	return 0;
}
