// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the XDP program onto the tables and attaches it: pins bpffs_dir/lb_xdp (the
// program) and bpffs_dir/link_IFNAME ('.' as %2e), so that packets flow whatever lbd
// does. An upgrade swaps the program in each pinned link (bpf_link_update).
#pragma once

#include "control/tables.h"

struct xdp;

struct xdp_interface_view {
	char name[16];
	uint32_t ifindex;
	bool attached, native;
	char warning[160]; // "": none
};

// Loads, then attaches to every interface of @s or swaps the program in its pinned link. Refuses:
// an interface that does not exist, a foreign program on it, native where the driver cannot.
// `auto` falls back to generic with a warning. A pinned link whose interface is gone is replaced.
int xdp_start(const struct settings *s, const struct tables *t, struct xdp **ret, struct err *e);
// Again for interfaces that came (back): call when links change. Never blocks for long.
void xdp_refresh(struct xdp *x);
void xdp_free(struct xdp *x); // leaves the dataplane running
// Takes the program, the links and the pins away (lbd --detach).
int xdp_detach(const struct settings *s, struct err *e);

size_t xdp_each_interface(const struct xdp *x, struct xdp_interface_view *ret, size_t ret_max);
