#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Generic XDP, where a driver has no native one: the same connections, and a warning
# where nobody asked for it.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
server_start b1 8080 5353
server_start b2 8080 5353
lbd_configure
sed -i 's/^  - name: \(.*\)/  - {name: \1, xdp: generic}/' "$RUN/lbd.yaml"
lbd_start
expect "both interfaces are generic" eval \
	'api /v1/status | jq -e "[.interfaces[].xdp] == [\"generic\", \"generic\"]"'
expect "services applied" lbctl apply - <<'END'
services:
  - name: web
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: tcp
    port: 80
    mode: nat
    ring: 1021
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: "fd00:1::11", port: 8080}
  - name: dns
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: udp
    port: 53
    mode: nat
    ring: 1021
    backends:
      - {address: 10.1.0.11, port: 5353}
      - {address: "fd00:1::11", port: 5353}
END
hold tcp --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 100 --new 40 --bytes 3000
hold udp --to 203.0.113.10:53 --to '[2001:db8:113::10]:53' --held 100 --new 40 --protocol udp
unbroken "steady"
lbctl backend add web 10.1.0.12:8080 >/dev/null
lbctl backend add dns '[fd00:1::12]:5353' >/dev/null
await 20 "b2 gets new connections over TCP" report tcp '.servers.b2.new_ok > 5'
await 20 "b2 gets new flows over UDP" report udp '.servers.b2.new_ok > 5'
unbroken "added"
lbd_stop KILL
lbd_start
unbroken "lbd killed and started again"
