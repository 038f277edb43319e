// SPDX-License-Identifier: BSD-2-Clause
//
// Loads the XDP program onto the tables and attaches it: pins bpffs_dir/lb_xdp (the
// program) and bpffs_dir/link_IFNAME ('.' as %2e), so that packets flow whatever lbd
// does. An upgrade swaps the program in each pinned link (bpf_link_update).
//
// In this order, so that what fails leaves no trace: xdp_check() before the tables are
// opened, xdp_load() onto them, xdp_attach() when they show the model.
#pragma once

#include "control/tables.h"

struct xdp;

struct xdp_interface_view {
	char name[16];
	uint32_t ifindex; // 0: there is none of this name now
	bool attached, native;
	char warning[160]; // "": none
};

// Whether every interface of @s exists, and has no XDP program but ours. 0, -ENODEV, -EBUSY.
int xdp_check(const struct settings *s, struct err *e);
// Loads the program onto @t. @s is borrowed until xdp_free().
int xdp_load(const struct settings *s, const struct tables *t, struct xdp **ret, struct err *e);
// Attaches to every interface of @s, or swaps the program in its pinned link; then pins the
// program, and detaches from interfaces that @s does not name any more. Refuses native where the
// driver cannot; `auto` falls back to generic with a warning. A pinned link whose interface is gone
// is replaced. On failure the links that it made are taken away again.
int xdp_attach(struct xdp *x, struct err *e);
// Again for interfaces that came (back): call when links change. What fails is a warning.
void xdp_refresh(struct xdp *x);
// Runs another program (of id @id) behind every link, without a packet lost; @fd -1: the plain one
// again. @fd is borrowed until then. The pinned program stays the plain one; so does what a
// restarted lbd swaps in. Goes through all links whatever fails; the first failure is said.
int xdp_swap(struct xdp *x, int fd, uint32_t id, struct err *e);
void xdp_free(struct xdp *x); // leaves the dataplane running
// Takes the program, the links and the pins away (lbd --detach); the tables too.
int xdp_detach(const struct settings *s, struct err *e);

// Fills at most @ret_max views; returns how many interfaces there are.
size_t xdp_each_interface(const struct xdp *x, struct xdp_interface_view *ret, size_t ret_max);
