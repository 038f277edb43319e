#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# nat with the balancer on Debian 12's kernel: native XDP on virtio NICs of several
# queues, real connections through every change.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
MODE=nat
. "$NET_DIR/transitions.sh"
. "$VM_DIR/balancer.sh"

balancer_start
transitions
