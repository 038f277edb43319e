#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first mistake on a host with two NICs: only the clients' one is in lbd.yaml. Replies of nat
# come in by the other one, which has no program: `status` says so until it is named too. Modes
# whose replies do not come by the balancer need nothing there.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 1
server_start b1 8080
lbd_configure

services()
{
	cat <<-END_OF_SERVICES
	services:
	  - name: web
	    vips: [203.0.113.10]
	    port: 8080
	    mode: $1
	    backends: [{address: 10.1.0.11}]
	END_OF_SERVICES
}

is_resolved()
{
	api /v1/services/web | jq -e '.backends | all(.hop_resolved)'
}

warns()
{
	lbctl status | grep -q '^warning  *backend 10.1.0.11 of mode nat is reached by lan, .*name lan too'
}

is_silent()
{
	! lbctl status | grep -q "^warning"
}

sed -i '/name: lan/d' "$RUN/lbd.yaml"
lbd_start
expect "services applied" lbctl apply - < <(services nat)
await 20 "the hop is known" is_resolved
await 20 "status names the interface that is missing" warns
expect "another mode" lbctl service set web mode=ipip
await 20 "status has nothing to warn of in mode ipip" is_silent
expect "mode nat again" lbctl service set web mode=nat
await 20 "and warns again" warns
lbd_stop TERM
lbd_configure
lbd_start
await 20 "the hop is known" is_resolved
expect "with both interfaces there is no warning" is_silent
hold web --to 203.0.113.10:8080 --held 5
unbroken "with both interfaces"
