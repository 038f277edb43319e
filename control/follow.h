// SPDX-License-Identifier: BSD-2-Clause
//
// Keeps the tables at what health checks and the network say, and sweeps them: the
// wires between netlink, health and the publisher. lbd_change() and the start say when
// there is another model to follow.
#pragma once

#include "control/lbd.h"

struct follow;

// The calls that netlink_open() and health_new() want, with the struct lbd as their argument.
extern const struct netlink_calls follow_netlink_calls;
void follow_health(void *arg, const char *service, const struct lb_address *address, uint16_t port,
		   enum health_state state, const char *cause);

// The call that guard_open() wants, likewise.
void follow_guard_lost(void *arg);

int follow_new(struct lbd *d, struct follow **ret, struct err *e);
void follow_free(struct follow *f);

// Whether the network has what @m needs: l2 backends on a connected network, a tunnel's source of
// each backend's family. 0, or -EINVAL with @e filled. Changes nothing.
int follow_check(const struct lbd *d, const struct model *m, struct err *e);
// Sets the tunnels' sources in meta, from the settings or the first interface's own addresses.
void follow_set_sources(struct lbd *d);
// Sets or clears the standing warning of what follow_check() says of the running model.
void follow_warn_network(struct lbd *d);
// d->model is another now, and was checked: what is watched, checked and on loopback follows it.
// What fails is a warning, as the tables show the model already.
void follow_model(struct lbd *d);
// What netlink and health told within the last milliseconds reaches the rings now. Before a change,
// so that its reply is sent when packets see it.
void follow_end_burst(struct lbd *d);
