// SPDX-License-Identifier: BSD-2-Clause
//
// Names below bpffs_dir, for the two that pin: tables (maps/NAME) and xdp (lb_xdp,
// link_IFNAME). What is pinned there outlives lbd; that is the point of it.
#pragma once

#include "control/err.h"
#include "control/settings.h"

#define PINS_PATH_MAX 512
#define PINS_MEND "`lbd --detach` takes them away, then start again (connections may break)"

// Renders a path below bpffs_dir into @buf (PINS_PATH_MAX); settings are short enough:
// pins_check(). Returns @buf.
const char *pins_path(const struct settings *s, char *buf, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
// The name of an interface's link: "link_eth0", "link_eth0%2e100" (bpffs refuses dots). Into @buf
// (PINS_PATH_MAX); returns @buf.
const char *pins_link_path(const struct settings *s, char *buf, const char *interface);

// Whether bpffs_dir is, or can be made, on a bpf filesystem. 0, or -ENOENT or -EINVAL with @e
// filled.
int pins_check(const struct settings *s, struct err *e);
// Makes bpffs_dir and bpffs_dir/maps where they are missing.
int pins_make_dirs(const struct settings *s, struct err *e);
// Removes bpffs_dir/maps and bpffs_dir where they are empty.
void pins_remove_dirs(const struct settings *s);
// Whether a program or a link is pinned: packets may be using the tables.
bool pins_have_program(const struct settings *s);
