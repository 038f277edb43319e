// SPDX-License-Identifier: BSD-2-Clause
//
// What must be so before lbd touches anything: privileges, descriptors, directories, and
// that no other lbd has them.
#pragma once

#include "control/err.h"
#include "control/settings.h"

// Whether this process may change the network, and load programs where the dataplane is one. 0 or
// -EPERM.
int environment_check_privileges(const struct settings *s, struct err *e);
// Lets this process have as many file descriptors as it may. -EMFILE: they would not do.
int environment_raise_limits(struct err *e);
// Makes run_dir, state_dir and, under XDP, bpffs_dir where they are missing, and locks run_dir and
// bpffs_dir for this process's life: -EBUSY where another lbd has one. *ret_fds are left to the end
// of the process; the locks go with it, whatever ends it.
int environment_lock(const struct settings *s, int ret_fds[2], struct err *e);
