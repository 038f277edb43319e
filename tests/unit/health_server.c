// SPDX-License-Identifier: BSD-2-Clause
//
// See health_server.h.
#include "tests/unit/health_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/address.h"

// ---- a connection ----

static void connection_closed(struct bufferevent *b, short what, void *arg)
{
	bufferevent_free(b);
}

// All was written.
static void connection_drained(struct bufferevent *b, void *arg)
{
	shutdown(bufferevent_getfd(b), SHUT_WR);
}

static void answer(struct bufferevent *b, char letter)
{
	struct evbuffer *out = bufferevent_get_output(b);

	bufferevent_setcb(b, NULL, connection_drained, connection_closed, NULL);
	switch (letter) {
	case '1': // kept alive: a client that may reuse the connection would
		bufferevent_setcb(b, NULL, NULL, connection_closed, NULL);
		evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
		break;
	case '3':
		evbuffer_add_printf(out, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n"
					 "Content-Length: 0\r\n\r\n");
		break;
	case 'c':
		evbuffer_add_printf(out, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
		break;
	case 'g':
		evbuffer_add_printf(out, "220 mail.example ESMTP\r\n\r\n");
		break;
	case 'b': // libcurl makes 200 of it
		evbuffer_add_printf(out, "hTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
		break;
	case 'h':
		evbuffer_add_printf(out, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; i < 4000; i++)
			evbuffer_add_printf(out, "X-Filler-%d: filler filler filler\r\n", i);
		break;
	default:
		evbuffer_add_printf(out, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n",
				    letter == '4' ? "404 Not Found" : "503 Busy");
	}
}

static void connection_read(struct bufferevent *b, void *arg)
{
	struct server *s = arg;
	struct evbuffer *in = bufferevent_get_input(b);
	size_t n = evbuffer_get_length(in);
	char letter;

	if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0)
		return;
	n = n < sizeof(s->request) - 1 ? n : sizeof(s->request) - 1;
	evbuffer_remove(in, s->request, n);
	s->request[n] = 0;
	letter = *s->script;
	if (s->script[1])
		s->script++;
	s->requests_n++;
	if (letter == 's' && s->held_n < SERVER_HELD_MAX) {
		bufferevent_setcb(b, NULL, NULL, NULL, NULL);
		s->held[s->held_n++] = b;
	} else if (letter == 'x') {
		bufferevent_free(b);
	} else {
		answer(b, letter);
	}
}

static void server_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	unsigned int batch_n = 0;
	struct bufferevent *b;
	int conn;

	while ((conn = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		s->connections_n++;
		if (++batch_n > s->batch_max_n)
			s->batch_max_n = batch_n;
		b = bufferevent_socket_new(s->base, conn, BEV_OPT_CLOSE_ON_FREE);
		bufferevent_setcb(b, connection_read, NULL, connection_closed, s);
		bufferevent_enable(b, EV_READ | EV_WRITE);
		if (s->accepted)
			s->accepted(s, s->arg);
	}
}

// ---- a listener ----

static int server_bind(struct server *s, const char *text)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in *sin = (void *)&ss;
	struct sockaddr_in6 *sin6 = (void *)&ss;
	socklen_t len = sizeof(ss);

	memset(s, 0, sizeof(*s));
	if (address_parse(text, &s->address) < 0)
		return -1;
	ss.ss_family = address_is_ipv4(&s->address) ? AF_INET : AF_INET6;
	if (ss.ss_family == AF_INET)
		sin->sin_addr.s_addr = s->address.words[3];
	else
		memcpy(&sin6->sin6_addr, s->address.bytes, 16);
	s->fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -1;
	if (bind(s->fd, (void *)&ss, len) < 0 || getsockname(s->fd, (void *)&ss, &len) < 0) {
		close(s->fd);
		return -1;
	}
	s->port = ntohs(ss.ss_family == AF_INET ? sin->sin_port : sin6->sin6_port);
	return 0;
}

int server_start(struct server *s, struct event_base *base, const char *text, const char *script)
{
	if (server_bind(s, text) < 0 || listen(s->fd, SOMAXCONN) < 0)
		return -1;
	s->base = base;
	s->script = script;
	s->event = event_new(base, s->fd, EV_READ | EV_PERSIST, server_accept, s);
	return event_add(s->event, NULL);
}

int server_start_refusing(struct server *s, const char *text)
{
	return server_bind(s, text);
}

int server_start_full(struct server *s, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};

	if (server_bind(s, text) < 0 || listen(s->fd, 0) < 0)
		return -1;
	sin.sin_port = htons(s->port);
	sin.sin_addr.s_addr = s->address.words[3];
	for (; s->held_n < 4; s->held_n++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (connect(fd, (void *)&sin, sizeof(sin)) < 0 && errno != EINPROGRESS)
			return -1;
		s->waiting[s->held_n] = fd;
	}
	return 0;
}

void server_stop(struct server *s)
{
	for (unsigned int i = 0; i < s->held_n; i++) {
		if (s->base)
			bufferevent_free(s->held[i]);
		else
			close(s->waiting[i]);
	}
	if (s->event)
		event_free(s->event);
	close(s->fd);
}
