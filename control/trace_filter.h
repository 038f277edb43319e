// SPDX-License-Identifier: BSD-2-Clause
//
// Which packets `trace` shows, from the parameters of a request (api/trace.c). Pure.
#pragma once

#include "control/err.h"
#include "dataplane/core/trace.h"

#define TRACE_RATE_DEFAULT 1000 // packets a second
#define TRACE_RATE_MAX 100000
#define TRACE_SNAP_DEFAULT 256 // bytes of a packet
#define TRACE_SNAP_MIN 64

// @get returns the parameter of a name, or NULL. All but the service, whose rows the caller knows:
//   protocol             tcp, udp, icmp, icmpv6, or a number
//   source, destination  ADDRESS[/LEN][:PORT], [ADDRESS/LEN]:PORT for IPv6, or :PORT
//   reason               labels of reason.h, separated by commas
//   verdict              pass, drop, transmit, answer, separated by commas
//   rate, snap           numbers
// 0, or -EPROTO with @e naming the parameter.
int trace_filter_parse(const char *(*get)(void *arg, const char *name), void *arg,
		       struct lb_trace_filter *ret, struct err *e);
