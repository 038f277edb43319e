#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What is the kernel's, through lb-dpdk and its TAPs: ARP, neighbour discovery, ping
# and connections to the host itself, through restarts. And what lb-dpdk must know of
# the kernel: routes and neighbours, for replies that the tables' few routes leave open.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=nat
. "$NET_DIR/transitions.sh"
. "$NET_DIR/dpdk_bed.sh"

dpdk_topology nat 3
for i in 1 2 3; do
	start_server $i
done
lbd_configure
# DPDK has wan's port first; one that is named is not taken in order.
sed -i 's/- name: wan/- {name: lan, port: net_af_xdp_lan}/; s/- name: lan$/- {name: wan}/' \
	"$RUN/lbd.yaml"
lbd_start
dpdk_addresses
dpdk_start

addresses()
{
	ns_ip lb -j address | jq -c '[.[] | [.ifname, ([.addr_info[]? | .local] | sort)]]'
	ns_ip lb -j route | jq -c '[.[] | [.dst, .dev, .gateway]]'
}

# pings NS ADDRESS...
pings()
{
	local name=$1 address
	shift
	for address; do
		in_ns "$name" ping -q -c 3 -i 0.2 -w 10 "$address" || return 1
	done
}

# knows NS ADDRESS MAC: its neighbour is resolved anew.
knows()
{
	[[ $(ns_ip "$1" -j neigh show "$2" | jq -r '.[0].lladdr') == "$3" ]]
}

say "ARP, neighbour discovery, ping"
for address in 192.0.2.2 2001:db8:2::2; do
	ns_ip router neigh flush all
	expect "ping to the host, $address" pings router "$address"
	expect "the host's MAC address is the port's" knows router "$address" "$(nic_mac wan)"
done
expect "ping to the host from behind a router" pings client 192.0.2.2 2001:db8:2::2
expect "ping from the host, over both ports" pings lb 198.51.100.10 2001:db8:100::10 \
	10.1.0.11 fd00:1::11
expect "the interface has the port's MAC address" \
	test "$(ns_ip lb -j link show wan | jq -r '.[0].address')" = "$(nic_mac wan)"

say "connections to the host itself"
server_start lb 22
await 10 "it listens" in_ns lb bash -c 'exec 3<>/dev/tcp/127.0.0.1/22'
hold host --to 192.0.2.2:22 --to '[2001:db8:2::2]:22' --held 20 --new 10 --bytes 3000
unbroken "to the host"
before=$(addresses)
index=$(ns_ip lb -j link show wan | jq '.[0].ifindex')
for signal in TERM KILL; do
	dpdk_stop $signal
	lbd_stop $signal
	[[ $(addresses) == "$before" ]] ||
		fail "without lbd and lb-dpdk the addresses are others: $(addresses)"
	expect "$signal: the interface is the same one" \
		test "$(ns_ip lb -j link show wan | jq '.[0].ifindex')" = "$index"
	# lb-dpdk alone: the tables say which interface is whose.
	dpdk_start_alone
	await 10 "lb-dpdk, without lbd: ping" pings router 192.0.2.2
	lbd_start
	await 20 "lbd found lb-dpdk" dpdk_is_ready
	forgive
	unbroken "lbd and lb-dpdk ended by $signal, and started"
done
let_go host

say "the interfaces' MTU is the ports'"
has_mtu()
{
	(($(ns_ip lb -j link show "$1" | jq '.[0].mtu') == $2))
}
ns_ip lb link set lan mtu 1400
await 10 "the port follows" has_mtu lan-nic 1400
ns_ip lb link set lan mtu 9000
await 10 "what does not fit into a packet buffer is lowered" has_mtu lan 2026
dpdk_stop
ns_ip lb link set lan mtu 1400
dpdk_start
await 10 "so it does where lb-dpdk was not there" has_mtu lan-nic 1400
ns_ip lb link set lan mtu 1500
await 10 "the port follows" has_mtu lan-nic 1500

say "an interface is deleted, and made again"
ns_ip lb link delete wan
await 10 "it is there again" ns_ip lb link show wan
address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
default_route lb 192.0.2.1 2001:db8:2::1
await 20 "ping" pings router 192.0.2.2 2001:db8:2::2

say "replies that the tables' routes leave open"
services_render >"$RUN/services.yaml"
expect "services applied" lbctl apply "$RUN/services.yaml"
await 20 "every service is up" all_up

# fetches NS: from each VIP, over TCP.
fetches()
{
	local vip
	for vip in 203.0.113.10 '[2001:db8:113::10]'; do
		[[ $(in_ns "$1" timeout 5 bash -c "exec 3<>/dev/tcp/$(tr -d '[]' <<<"$vip")/80
			echo 1 >&3; read -r line <&3; echo \"\$line\"") == b[123]\ * ]] || return 1
	done
}
await 10 "a client on the balancer's own network" fetches router
for ((i = 1; i <= 40; i++)); do
	ns_ip lb route add "198.18.$i.0/24" via 192.0.2.$((100 + i % 2))
	ns_ip lb -6 route add "2001:db8:18:$i::/64" via 2001:db8:2::$((100 + i % 2))
done
await 10 "a client behind a router, with more routes than the tables have" fetches client
for ((i = 41; i <= 400; i++)); do
	echo "route add 198.18.$((i / 4)).$((i % 4 * 64))/26 via 192.0.2.100"
	echo "route add 2001:db8:19:$(printf %x $i)::/64 via 2001:db8:2::100"
done | sed 's/^/&/' | in_ns lb ip -batch -
await 10 "the same with hundreds of routes" fetches client
ns_ip lb -6 route add unreachable ::ffff:0:0/96 # some hosts have it; it must spoil no other
ns_ip lb route add blackhole 198.51.100.0/25
await 10 "a route that refuses" eval '! fetches client'
expect "counted" eval 'lbctl drops | grep -q route_refused'
ns_ip lb route delete blackhole 198.51.100.0/25
await 10 "and is gone again" fetches client
ns_ip lb route replace default nexthop via 192.0.2.1 nexthop via 192.0.2.1 onlink dev wan
await 10 "a route of several ways" fetches client
expect "ping to the host" pings client 192.0.2.2
