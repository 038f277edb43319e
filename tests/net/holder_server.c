// SPDX-License-Identifier: BSD-2-Clause
//
// The server mode: a TCP and a UDP socket per port and family. A line "42 xxx"
// is answered "NAME SERIAL 42 xxx"; the serial is the connection's place among all
// that this process accepted (UDP: 0). A datagram is answered from the address to
// which it was sent, which with direct return is the VIP on loopback.

#include "holder.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum server_kind { SERVER_LISTENER, SERVER_DATAGRAM, SERVER_CONNECTION };

struct server_socket {
	enum server_kind kind;
	int fd;
	uint64_t serial;
	size_t len;
	char data[HOLDER_MESSAGE_MAX];
};

struct server {
	const struct holder_options *o;
	int epoll;
	uint64_t accepted;
};

static bool watch(struct server *s, enum server_kind kind, int fd)
{
	struct server_socket *c = malloc(sizeof(*c));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	if (!c || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event)) {
		free(c);
		close(fd);
		return false;
	}
	c->kind = kind;
	c->fd = fd;
	c->len = 0;
	c->serial = kind == SERVER_CONNECTION ? ++s->accepted : 0;
	return true;
}

static bool open_socket(struct server *s, int family, int type, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const struct sockaddr *address = (struct sockaddr *)&v4;
	socklen_t address_len = sizeof(v4);
	const int on = 1;
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if (family == AF_INET6) {
		address = (struct sockaddr *)&v6;
		address_len = sizeof(v6);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	} else {
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	}
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, address_len) || (type == SOCK_STREAM && listen(fd, 4096))) {
		close(fd);
		return false;
	}
	return watch(s, type == SOCK_STREAM ? SERVER_LISTENER : SERVER_DATAGRAM, fd);
}

static void answer_datagrams(struct server *s, int fd)
{
	char text[HOLDER_MESSAGE_MAX], control[256];
	char head[HOLDER_NAME_MAX + 8];
	struct sockaddr_in6 peer; // large enough for both families
	struct iovec iov[2] = {{head, 0}, {text, 0}};
	struct msghdr m;

	for (;;) {
		iov[1].iov_len = sizeof(text);
		m = (struct msghdr){.msg_name = &peer,
				    .msg_namelen = sizeof(peer),
				    .msg_iov = &iov[1],
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof(control)};
		ssize_t len = recvmsg(fd, &m, 0);

		if (len < 0) {
			// An ICMP error of an earlier answer is no end; only "nothing there" is.
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return;
			continue;
		}
		// The packet information that came names the address to answer from; the
		// interface is left to the routes.
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
				struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

				info->ipi_ifindex = 0;
				info->ipi_spec_dst = info->ipi_addr;
			} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
				((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
			}
		}
		iov[0].iov_len = (size_t)snprintf(head, sizeof(head), "%s 0 ", s->o->name);
		iov[1].iov_len = (size_t)len;
		m.msg_iov = iov;
		m.msg_iovlen = 2;
		m.msg_flags = 0;
		sendmsg(fd, &m, 0);
	}
}

// Answers each whole line; false where the connection is over.
static bool answer_lines(struct server *s, struct server_socket *c)
{
	char answer[HOLDER_MESSAGE_MAX + HOLDER_NAME_MAX + 32];
	ssize_t len = recv(c->fd, c->data + c->len, sizeof(c->data) - c->len, 0);
	char *end;

	if (len <= 0)
		return len < 0 && errno == EAGAIN;
	c->len += (size_t)len;
	while ((end = memchr(c->data, '\n', c->len))) {
		size_t line_len = (size_t)(end - c->data) + 1;
		size_t answer_len =
			(size_t)snprintf(answer, sizeof(answer), "%s %llu %.*s", s->o->name,
					 (unsigned long long)c->serial, (int)line_len, c->data);

		if (send(c->fd, answer, answer_len, MSG_NOSIGNAL) != (ssize_t)answer_len)
			return false;
		c->len -= line_len;
		memmove(c->data, end + 1, c->len);
	}
	return c->len < sizeof(c->data);
}

int holder_serve(const struct holder_options *o)
{
	struct server s = {.o = o, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	struct epoll_event events[64];

	for (size_t i = 0; i < o->ports_n; i++) {
		if (!open_socket(&s, AF_INET, SOCK_STREAM, o->ports[i]) ||
		    !open_socket(&s, AF_INET6, SOCK_STREAM, o->ports[i]) ||
		    !open_socket(&s, AF_INET, SOCK_DGRAM, o->ports[i]) ||
		    !open_socket(&s, AF_INET6, SOCK_DGRAM, o->ports[i])) {
			fprintf(stderr, "holder: port %u: %s\n", o->ports[i], strerror(errno));
			return 1;
		}
	}
	for (;;) {
		int n = epoll_wait(s.epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct server_socket *c = events[i].data.ptr;
			int fd;

			if (c->kind == SERVER_DATAGRAM) {
				answer_datagrams(&s, c->fd);
			} else if (c->kind == SERVER_LISTENER) {
				while ((fd = accept4(c->fd, NULL, NULL,
						     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					watch(&s, SERVER_CONNECTION, fd);
			} else if (!answer_lines(&s, c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}
