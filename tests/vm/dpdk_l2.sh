#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# l2 with lb-dpdk on virtio NICs of two queues, in a machine with Debian 12's kernel: real
# connections through drain and enable, and restarts of lbd and of lb-dpdk.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
MODE=l2
. "$VM_DIR/dpdk.sh"

dpdk_machine
