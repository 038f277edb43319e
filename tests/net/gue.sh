#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# gue: real connections through every change, IPv4 and IPv6 in IPv4 and in IPv6,
# with lb-decap on the backends; replies go straight to the client. Any port of a VIP.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=gue
. "$NET_DIR/transitions.sh"

[[ -x $BUILD/lb-decap ]] || skip "$BUILD/lb-decap is not built"
topology_add gue 4
for i in 1 2 3 4; do
	vips_add b$i 203.0.113.{10..12} 2001:db8:113::{10..12}
	decap_start b$i 10.9.0.0/24 fd00:9::/64
done
LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
lbd_configure
lbd_start

. "$NET_DIR/any_port.sh"
transitions
