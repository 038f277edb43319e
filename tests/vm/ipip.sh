#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# ipip with the balancer on Debian 12's kernel: native XDP on virtio NICs of several
# queues, IPv4 and IPv6 in IPv4 and in IPv6, real connections through every change.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
MODE=ipip
. "$NET_DIR/transitions.sh"
. "$VM_DIR/balancer.sh"

LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
balancer_start
for i in 1 2 3 4; do
	vips_add b$i 203.0.113.{10,11} 2001:db8:113::{10,11}
	decap_start b$i 10.9.0.0/24 fd00:9::/64
done
transitions
