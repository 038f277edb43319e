// SPDX-License-Identifier: BSD-2-Clause
//
// The check kind `tcp`: up when a connection is established (RFC 9293, 3.5), down
// when it is refused or the backend cannot be reached. One socket a probe, closed
// by RST at once, so that the backend is not kept waiting for a request and this
// host keeps no TIME-WAIT for each probe.
#include "control/health/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct tcp_probe {
	struct event *event;
	int fd;
	int error; // of socket() or connect(), known before the loop runs again
	probe_fn fn;
	void *arg;
};

static void tcp_free(struct tcp_probe *p)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (p->event)
		event_free(p->event);
	if (p->fd >= 0) {
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(p->fd);
	}
	free(p);
}

static void tcp_cancel(void *probe)
{
	tcp_free(probe);
}

static void tcp_answered(evutil_socket_t fd, short what, void *arg)
{
	struct tcp_probe *p = arg;
	probe_fn fn = p->fn;
	void *fn_arg = p->arg;
	int error = p->error;
	socklen_t len = sizeof(error);

	if (!error && getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	tcp_free(p);
	if (error)
		fn(fn_arg, probe_judge_errno(error), probe_errno_text(error));
	else
		fn(fn_arg, PROBE_UP, "connected");
}

static int tcp_connect(int fd, const struct probe_ask *ask)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(ask->port),
				  .sin_addr.s_addr = ask->address.words[3]};
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(ask->port)};
	int rc;

	memcpy(&sin6.sin6_addr, ask->address.bytes, sizeof(sin6.sin6_addr));
	if (address_is_ipv4(&ask->address))
		rc = connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	else
		rc = connect(fd, (struct sockaddr *)&sin6, sizeof(sin6));
	return rc < 0 && errno != EINPROGRESS ? errno : 0;
}

static void *tcp_start(const struct probe_env *env, const struct probe_ask *ask, probe_fn fn,
		       void *arg)
{
	struct tcp_probe *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->fn = fn;
	p->arg = arg;
	p->fd = probe_socket(address_is_ipv4(&ask->address) ? AF_INET : AF_INET6);
	p->error = p->fd < 0 ? -p->fd : tcp_connect(p->fd, ask);
	p->event = event_new(env->base, p->error ? -1 : p->fd, EV_WRITE, tcp_answered, p);
	if (!p->event || (!p->error && event_add(p->event, NULL) < 0)) {
		tcp_free(p);
		return NULL;
	}
	if (p->error)
		event_active(p->event, EV_WRITE, 0);
	return p;
}

const struct probe_kind probe_tcp = {.start = tcp_start, .cancel = tcp_cancel};
