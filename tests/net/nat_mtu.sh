#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Path MTU discovery through nat, both ways: a link of 1,400 bytes on the client's side or on the
# backend's, beside the balancer or behind a router of its own. Whoever sends too much is told so
# in its own addresses: 10 MB arrive in each direction, and 8 KB of UDP are answered.

. "$(dirname "$0")/lib.sh"
isolate "$@"

BULK="$NET_DIR/bulk.py"
VIPS=(203.0.113.10 2001:db8:113::10)
topology_add nat 1

# b2 is behind a router of the backends' side.
ns_add gate
ns_is_forwarding gate
link_add gate eth0 router lan-gate
ns_ip router link set lan-gate master lan
link_takes_xdp router lan-gate
address_add gate eth0 10.1.0.50/24 fd00:1::50/64
default_route gate 10.1.0.2 fd00:1::2
ns_add b2
link_add b2 eth0 gate b2
address_add b2 eth0 10.2.0.12/24 fd00:2::12/64
address_add gate b2 10.2.0.1/24 fd00:2::1/64
default_route b2 10.2.0.1 fd00:2::1
ns_ip lb route add 10.2.0.0/24 via 10.1.0.50
ns_ip lb route add fd00:2::/64 via fd00:1::50
for i in 1 2; do
	spawn b$i bulk-b$i "$BULK" serve 8007
done
lbd_configure
lbd_start

# service PROTOCOL BACKEND4 BACKEND6
service()
{
	echo "  - {name: $1, vips: [203.0.113.10, '2001:db8:113::10'], protocol: $1, port: 7, mode: nat,"
	echo "     ring: 1021, backends: [{address: $2, port: 8007}, {address: '$3', port: 8007}]}"
}

# serve BACKEND4 BACKEND6: they are the one backend.
serve()
{
	{
		echo "services:"
		service tcp "$@"
		service udp "$@"
	} >"$RUN/services.yaml"
	lbctl apply --force - <<<"services: []" >/dev/null
	expect "served by $1 and $2" lbctl apply "$RUN/services.yaml"
}

reason()
{
	api /v1/stats | jq ".reasons[] | select(.reason == \"$1\") | .packets"
}

forget_paths()
{
	local name
	for name in client b1 b2; do
		in_ns $name ip route flush cache
		in_ns $name ip -6 route flush cache
	done
}

# narrow NS LINK MTU: this end sends no more.
narrow()
{
	ns_ip "$1" link set "$2" mtu "$3"
}

# via NS GATEWAY4 GATEWAY6 MTU: it sends no more, and still tells others that it takes 1500.
via()
{
	ns_ip "$1" route replace default via "$2" mtu "$4" advmss 1460
	ns_ip "$1" -6 route replace default via "$3" mtu "$4" advmss 1440
}

# transfers SENTENCE REASON VERB: through each VIP, and that it was REASON that helped.
transfers()
{
	local sentence=$1 reason=$2 verb=$3 vip before
	for vip in "${VIPS[@]}"; do
		forget_paths
		before=$(reason "$reason")
		expect "$sentence, $vip: 10 MB, $verb" in_ns client "$BULK" "$verb" "$vip" 7 10000000
		((before < $(reason "$reason"))) || fail "$sentence, $vip: $reason is still $before"
		ok "$reason: $before to $(reason "$reason")"
		expect "$sentence, $vip: 8 KB of UDP are answered" in_ns client "$BULK" echo "$vip" 7 8192
	done
}

serve 10.1.0.11 fd00:1::11
say "1,400 bytes between the client and its router"
narrow router client 1400
via client 198.51.100.1 2001:db8:100::1 1400
transfers "a router on the client's side" icmp_error download
narrow router client 1500
via client 198.51.100.1 2001:db8:100::1 1500

say "1,400 bytes between the balancer and the client's router"
narrow router wan 1400
narrow lb wan 1400
transfers "the balancer, to the client's side" too_big download
narrow router wan 1500
narrow lb wan 1500

say "1,400 bytes between the balancer and its backends"
narrow lb lan 1400
via b1 10.1.0.2 fd00:1::2 1400
transfers "the balancer, to the backend's side" too_big upload
narrow lb lan 1500

serve 10.2.0.12 fd00:2::12
say "1,400 bytes between a backend and its router"
narrow gate b2 1400
via b2 10.2.0.1 fd00:2::1 1400
transfers "a router on the backend's side" icmp_reply upload
assert_conservation
