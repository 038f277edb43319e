#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# l2 with the balancer on Debian 12's kernel: native XDP on virtio NICs of several
# queues, real connections through every change.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
MODE=l2
. "$NET_DIR/transitions.sh"
. "$VM_DIR/balancer.sh"

balancer_start
for i in 1 2 3 4; do
	vips_add b$i 203.0.113.{10,11} 2001:db8:113::{10,11}
done
transitions
