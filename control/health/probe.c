// SPDX-License-Identifier: BSD-2-Clause
//
// What the check kinds have in common: a socket, and what an errno means.
#include "control/health/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int probe_socket(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

enum probe_verdict probe_judge_errno(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EADDRNOTAVAIL: // no local port is left, or this host has no address of the family
	case EAGAIN:
	case EAFNOSUPPORT:
		return PROBE_UNMADE;
	default:
		return PROBE_DOWN;
	}
}

const char *probe_errno_text(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "connection refused";
	case ECONNRESET:
		return "connection reset";
	case ETIMEDOUT:
		return "connection timed out";
	case EHOSTUNREACH:
		return "host unreachable";
	case ENETUNREACH:
		return "network unreachable";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	case EADDRNOTAVAIL:
		return "no local address or port to ask from";
	default:
		return strerror(error);
	}
}
