// SPDX-License-Identifier: BSD-2-Clause
//
// The exception interfaces of the DPDK dataplane: a persistent TAP with several queues
// stands in the kernel for each port that DPDK has taken. lbd makes them and lb-dpdk
// opens them; they outlive both, with their addresses and routes.
#pragma once

#include <stdint.h>

#include "control/err.h"

// Whether @name is free, or a TAP. 0 or -EEXIST with @e filled.
int tap_check(const char *name, struct err *e);
// Makes the TAP @name and sets it up, or finds it. *ret_fd is a queue of it that is switched off:
// while it is held open, the interface keeps its carrier whether lb-dpdk runs or not, so that its
// neighbours are not forgotten. 0; -EEXIST (@name is another kind of interface), -ENOENT (no
// /dev/net/tun), -EPERM, ... with @e filled.
int tap_make(const char *name, int *ret_fd, struct err *e);
// Attaches a queue to the TAP @name, for lb-dpdk: packets are read from and written to *ret_fd,
// Ethernet frames without a header before them; it does not block. 0 or a negative errno.
int tap_open(const char *name, int *ret_fd, struct err *e);
// Gives it the MAC address, where it has another. 0 or a negative errno.
int tap_set_mac(const char *name, const uint8_t mac[6]);
// Lowers its MTU to @mtu where it is above. 0 or a negative errno.
int tap_limit_mtu(const char *name, uint32_t mtu);
