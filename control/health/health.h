// SPDX-License-Identifier: BSD-2-Clause
//
// Health checks: which targets there are, when each is probed, and what follows
// from the answers (rise, fall). Runs in lbd's event loop; a check kind is a file
// that starts a probe and ends in one call that says up or down and why. Targets
// that several services name alike (same check, same address and port) are probed once.
//
// A backend is probed every interval (+-10 %). `rise` successes in a row make it up,
// `fall` failures in a row down, also from unknown. While it is unknown it is probed
// four times as often, the first time within a tenth of the interval (1 s at most).
// Four things judge nobody: a probe that this host could not make (descriptors, ports,
// memory), time that lbd did not run, a change of the checks, and a failure while this
// host's own way to the backends is cut off.
#pragma once

#include <event2/event.h>

#include "control/model.h"
#include "control/publish.h"

struct health;

// Called once per transition and per service that names the target. @cause: "connection refused",
// "HTTP 503", "no answer in 500 ms". It must not call health_set_targets() or health_free().
typedef void (*health_fn)(void *arg, const char *service, const struct lb_address *address,
			  uint16_t port, enum health_state state, const char *cause);

int health_new(struct event_base *base, health_fn changed, void *arg, struct health **ret,
	       struct err *e);
void health_free(struct health *h);

// What to check: (service, backend) pairs. A pair already known keeps its state and its phase; a
// changed check keeps the state. A new pair starts as @initial (from publisher_adopt on a restart;
// HEALTH_UNKNOWN otherwise). Backends of state `disabled` are not checked. Pairs that are gone are
// forgotten.
struct health_target {
	const char *service; // borrowed for the call, as is the rest
	struct lb_address address;
	uint16_t port;
	const struct model_check *check; // type not NONE
	enum health_state initial;
};
int health_set_targets(struct health *h, const struct health_target *targets, size_t targets_n,
		       struct err *e);

struct health_view {
	enum health_state state;
	uint32_t streak;   // equal answers in a row
	char cause[96];	   // of the last answer, or why there was none
	uint64_t since_ns; // CLOCK_MONOTONIC of the last transition; 0: none yet
};
// 0 or -ENOENT.
int health_get(const struct health *h, const char *service, const struct lb_address *address,
	       uint16_t port, struct health_view *ret);

// While @is_cut_off no failure is counted, nor that of a probe that was under way before: this host
// reaches nobody, and that is no backend's fault. What is answered counts.
void health_set_cut_off(struct health *h, bool is_cut_off);

// Why checks cannot be made at present (descriptors, memory), as a sentence for status; NULL: they
// can. Borrowed until the loop runs again.
const char *health_get_warning(const struct health *h);
