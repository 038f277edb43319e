#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# nat: what backends send to the balancer itself and to `direct` prefixes is left
# alone, though it looks like a reply; what they send to clients is rewritten.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
# A client inside, which asks the backends directly.
ns_add inside
link_add inside eth0 router inside
address_add inside eth0 10.2.0.10/24 fd00:2::10/64
address_add router inside 10.2.0.1/24 fd00:2::1/64
default_route inside 10.2.0.1 fd00:2::1
server_start b1 8080
server_start b2 8080

LBD_SETTINGS='direct: [10.2.0.0/24, "fd00:2::/64"]'
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
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: "fd00:1::12", port: 8080}
  - name: dns
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: udp
    port: 80
    mode: nat
    ring: 1021
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: "fd00:1::12", port: 8080}
END

# asks NS PROTOCOL ADDRESS:PORT...: new connections from NS are answered.
asks()
{
	local name=$1 protocol=$2 to=() target
	shift 2
	for target; do to+=(--to "$target"); done
	rm -f "$RUN/log/asks.json"
	spawn "$name" asks "$BUILD/tests/net/holder" client --protocol "$protocol" "${to[@]}" \
		--new 50 --timeout 1500 --report "$RUN/log/asks.json"
	HOLDERS[asks]=$SPAWNED
	poll 10 report asks '.new_ok + .new_failed + .straddled > 20' || true
	let_go asks
	report asks '.new_ok > 20 and .new_failed + .straddled == 0'
}
FROM_LB=(10.1.0.11:8080 '[fd00:1::12]:8080')
VIPS=(203.0.113.10:80 '[2001:db8:113::10]:80')

for protocol in tcp udp; do
	await 20 "$protocol: a client asks the VIP" asks client $protocol "${VIPS[@]}"
	expect "$protocol: the balancer asks a backend" asks lb $protocol "${FROM_LB[@]}"
	expect "$protocol: a client of a direct prefix asks a backend" \
		asks inside $protocol "${FROM_LB[@]}"
	expect "$protocol: a client elsewhere does not reach a backend past the VIP" \
		eval "! asks client $protocol ${FROM_LB[*]@Q}"
done
assert_conservation

say "without direct"
lbd_stop TERM
LBD_SETTINGS=
lbd_configure
lbd_start
await 20 "replies to the client inside are rewritten, so it does not understand them" \
	eval "! asks inside tcp ${FROM_LB[*]@Q}"
