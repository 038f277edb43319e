#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# l2: real connections through every change; replies go straight to the client. Any
# port of a VIP. A backend behind a router is refused.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=l2
. "$NET_DIR/transitions.sh"

topology_add l2 4
for i in 1 2 3 4; do
	vips_add b$i 203.0.113.{10..12} 2001:db8:113::{10..12}
done
lbd_configure
lbd_start

services_render | sed 's/10\.1\.0\.11/198.51.100.10/' >"$RUN/bad.yaml"
refuse "a backend that is not on a connected network is refused" 'connected' \
	lbctl apply "$RUN/bad.yaml"

. "$NET_DIR/any_port.sh"
transitions
