#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# l2 with lb-dpdk on net_tap: real connections through every change, and through
# restarts of lbd and of lb-dpdk.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=l2
PORTS=tap
. "$NET_DIR/transitions.sh"
. "$NET_DIR/dpdk_bed.sh"

dpdk_transitions
