#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Debian's Linux 6.1 takes the program, as every compiler makes it.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
. "$VM_DIR/loads.sh"
loads
