#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# nat: real connections through every change, and what nat refuses.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=nat
. "$NET_DIR/transitions.sh"

topology_add nat 4
lbd_configure
lbd_start

# refuse_services PATTERN SENTENCE SED: the services, edited, are refused.
refuse_services()
{
	services_render | sed -E "$3" >"$RUN/bad.yaml"
	refuse "$2" "$1" lbctl apply "$RUN/bad.yaml"
}

refuse_services 'services\[0\].*any' "port: any is refused" '0,/port: 80$/s//port: any/'
refuse_services 'services\[0\]' "two VIPs of a family are refused" \
	'0,/2001:db8:113::10/s//203.0.113.12/'
refuse_services 'services\[1\]' "a backend's port in two services is refused" \
	's/5353/8080/; s/protocol: udp/protocol: tcp/'

transitions
