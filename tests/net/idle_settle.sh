#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# After a change, connections are tracked; when those of before are gone, slots
# settle, look-ups end, and the connection table is empty.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 3
for i in 1 2 3; do
	server_start b$i 8080
done
LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
lbd_configure
lbd_start
expect "services applied" lbctl apply - <<'END'
services:
  - name: web
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: tcp
    port: 80
    mode: nat
    ring: 1021
    idle_timeout: 3s
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
END

in_transition()
{
	api /v1/services/web | jq -e ".slots_in_transition $1"
}
# An entry whose word is 0 is free, whatever its fingerprint was (tables.h).
tracks_none()
{
	bpftool -j map dump pinned "$RUN/bpf/lbd/maps/connections" |
		jq -e '[.[].value | .[8:16], .[24:32], .[40:48], .[56:64] | .[] | select(. != "0x00")]
			| length == 0'
}

await 20 "the first backends are no change: every slot is settled" in_transition '== 0'
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 120 --new 60
unbroken "steady"
expect "in the steady state nothing is stored" tracks_none

lbctl backend add web 10.1.0.13:8080 >/dev/null
lbctl backend add web '[fd00:1::13]:8080' >/dev/null
expect "slots are in transition" in_transition '> 0'
await 20 "b3 gets new connections" report web '.servers.b3.new_ok > 10'
unbroken "added"
expect "connections are tracked" eval '! tracks_none'
lbctl backend remove web 10.1.0.13:8080 >/dev/null
unbroken "removed"
let_go web
hold again --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 120
unbroken "held over the settling"
await 60 "no slot is in transition, while connections live" in_transition '== 0'
unbroken "settled"
let_go again
await 60 "the connection table is empty" tracks_none
assert_conservation
