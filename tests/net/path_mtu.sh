#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Tunnels on paths of 1,500 bytes: the outer header does not fit beside a full packet. The
# client is told so, and nothing is lost: an upload of 10 MB arrives, a datagram of 8 KB, in
# fragments, is answered. IPv4 and IPv6 in either, ipip and gue; the same through nat.

. "$(dirname "$0")/lib.sh"
isolate "$@"

BULK="$NET_DIR/bulk.py"
[[ -x $BUILD/lb-decap ]] || skip "$BUILD/lb-decap is not built"
topology_add l2 2
for i in 1 2; do
	vips_add b$i 203.0.113.{10..11} 2001:db8:113::{10..11}
	decap_start b$i 192.0.2.2,10.1.0.2 2001:db8:2::2,fd00:1::2
	spawn b$i bulk-b$i "$BULK" serve 80
done
LBD_SETTINGS='source: {ipv4: 10.1.0.2, ipv6: "fd00:1::2"}'
lbd_configure
lbd_start

# service NAME VIP4 VIP6 PROTOCOL MODE BACKEND...
service()
{
	local name=$1 vip4=$2 vip6=$3 protocol=$4 mode=$5 backend
	shift 5
	echo "  - name: $name"
	echo "    vips: [$vip4, \"$vip6\"]"
	echo "    {protocol: $protocol, port: 80, mode: $mode, ring: 1021}" | sed 's/[{}]//g; s/, /\n    /g'
	echo "    backends:"
	for backend; do echo "      - {address: \"$backend\"}"; done
}

services()
{
	local protocol
	echo "services:"
	for protocol in tcp udp; do
		service "four-$protocol" 203.0.113.10 2001:db8:113::10 $protocol "$1" 10.1.0.11 10.1.0.12
		service "six-$protocol" 203.0.113.11 2001:db8:113::11 $protocol "$1" fd00:1::11 fd00:1::12
	done
}

reason()
{
	api /v1/stats | jq ".reasons[] | select(.reason == \"$1\") | .packets"
}

forget_path()
{
	in_ns client ip route flush cache
	in_ns client ip -6 route flush cache
}

VIPS=(203.0.113.10 203.0.113.11 2001:db8:113::10 2001:db8:113::11)
for mode in ipip gue; do
	services $mode >"$RUN/services.yaml"
	[[ $mode == ipip ]] || lbctl apply --force - <<<"services: []" >/dev/null
	expect "$mode" lbctl apply --force "$RUN/services.yaml"
	for vip in "${VIPS[@]}"; do
		forget_path
		before=$(reason too_big)
		expect "$mode, $vip: 10 MB arrive" in_ns client "$BULK" upload "$vip" 80 10000000
		((before < $(reason too_big))) || fail "$mode, $vip: nobody was told that a packet is too big"
		fragments=$(reason fragment)
		expect "$mode, $vip: 8 KB of UDP are answered" in_ns client "$BULK" echo "$vip" 80 8192
		((fragments < $(reason fragment))) || fail "$mode, $vip: no fragment came"
		ok "too_big $before to $(reason too_big), fragment $fragments to $(reason fragment)"
	done
done
for vip in "${VIPS[@]}"; do
	pings=$(reason echo)
	expect "ping $vip" in_ns client ping -c 3 -i 0.2 -W 2 -s 1000 "$vip"
	(($(reason echo) >= pings + 3)) || fail "the dataplane did not answer"
done
assert_conservation
