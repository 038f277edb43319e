#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Packets of up to 9,000 bytes through lb-dpdk, on virtio ports: each is a chain of packet buffers
# of 2 KB. Transfers in nat and ipip, both ways, and ping of the host.

. "$(dirname "$0")/lib.sh"
isolate "$@"
command -v dpdk-testpmd >/dev/null || skip "dpdk-testpmd is not installed (package dpdk-dev)"
PORTS=virtio
. "$NET_DIR/dpdk_bed.sh"

BULK="$NET_DIR/bulk.py"
LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
dpdk_topology ipip 2
cables_start

# mtu NS LINK MTU: more than the topology gave it. All ends send what they are told to, unmerged.
mtu()
{
	ns_ip "$1" link set "$2" mtu "$3"
	in_ns "$1" ethtool -K "$2" gro off >/dev/null 2>&1 || true
}

# route NS IPV4 IPV6: by default, with the link's MTU.
route()
{
	ns_ip "$1" route replace default via "$2"
	ns_ip "$1" -6 route replace default via "$3"
}

# big_count NS: from here on counts packets of more than 8,000 bytes that come in; big NS: how many.
big_count()
{
	in_ns "$1" nft -f - <<-END
	table inet big {
		counter ones { }
		chain in {
			type filter hook prerouting priority -400;
			meta length > 8000 counter name ones
		}
	}
	END
}

big()
{
	in_ns "$1" nft -j list counter inet big ones | jq '.nftables[] | .counter? // empty | .packets'
}

reason()
{
	api /v1/stats | jq ".reasons[] | select(.reason == \"$1\") | .packets"
}

# On lan there is room for the outer header.
for link in lan lan-lb lan-b1 lan-b2; do
	mtu router $link 9100
done
for name in b1 b2; do
	mtu $name eth0 9100
	spawn $name bulk-$name "$BULK" serve 8007
	big_count $name
done
mtu lb lan-nic 9100
mtu lb wan-nic 9000
mtu router wan 9000
mtu router client 9000
mtu client eth0 9000
big_count client
route client 198.51.100.1 2001:db8:100::1
route b1 10.1.0.2 fd00:1::2   # nat
route b2 10.1.0.1 fd00:1::1   # ipip
vips_add b2 203.0.113.11 2001:db8:113::11
decap_start b2 10.9.0.0/24 fd00:9::/64

lbd_configure
lbd_start
dpdk_addresses
dpdk_start
route lb 192.0.2.1 2001:db8:2::1

ns_ip lb link set wan mtu 9000

# service PROTOCOL N MODE PORT BACKEND
service()
{
	echo "  - {name: $1-$2, vips: [203.0.113.1$2, '2001:db8:113::1$2'], protocol: $1, mode: $3,"
	echo "     port: $4, ring: 1021, backends: [{address: 10.1.0.1$5, port: 8007},"
	echo "       {address: 'fd00:1::1$5', port: 8007}]}"
}
{
	echo "services:"
	service tcp 0 nat 7 1
	service udp 0 nat 7 1
	service tcp 1 ipip 8007 2
	service udp 1 ipip 8007 2
} >"$RUN/services.yaml"
expect "services applied" lbctl apply "$RUN/services.yaml"

# is_sent PROTOCOL SOURCE DESTINATION: a packet of 9,000 bytes would be, by a mirrored route: one that
# is yet to come may have the MTU of before.
is_sent()
{
	lbctl explain "$@" --size 9000 --json | jq -e '.verdict == "transmit" and .hop.mirrored'
}
# What b1 learns of a smaller MTU it keeps, and routes may lag some seconds behind their interface.
for ends in "10.1.0.11:8007 198.51.100.10:40000" "[fd00:1::11]:8007 [2001:db8:100::10]:40000"; do
	# shellcheck disable=SC2086 # two of them
	await 20 "a reply of 9,000 bytes would be sent from ${ends% *}" is_sent udp $ends
done

# pings NS ADDRESS: with 8,000 bytes, unfragmented, and the same ones come back.
pings()
{
	local said
	said=$(in_ns "$1" ping -M "do" -c 3 -i 0.2 -w 10 -s 8000 "$2") &&
		[[ $said == *" 0% packet loss"* && $said != *"wrong data"* ]]
}

say "ping of 8,000 bytes"
for address in 192.0.2.2 2001:db8:2::2; do
	await 20 "from the host's network to $address" pings router $address
	expect "from behind a router to $address" pings client $address
done
for address in 203.0.113.10 2001:db8:113::10; do
	expect "to the VIP $address" pings client $address
done
expect "the VIP's are answered by lb-dpdk" test "$(reason echo)" = 6

# transfers VERB PORT NS VIP...: 10 MB, in packets that NS gets a thousand of, of 8,000 bytes and more.
transfers()
{
	local verb=$1 port=$2 name=$3 vip before n
	shift 3
	for vip; do
		before=$(big "$name")
		expect "$vip: 10 MB, $verb" in_ns client "$BULK" "$verb" "$vip" "$port" 10000000
		n=$(($(big "$name") - before))
		((n > 1000)) || fail "$vip: $name got $n packets of more than 8,000 bytes"
		ok "$vip: $name got $n packets of more than 8,000 bytes"
		expect "$vip: 8 KB of UDP are answered" in_ns client "$BULK" echo "$vip" "$port" 8192
	done
}
say nat
transfers upload 7 b1 203.0.113.10 2001:db8:113::10
transfers download 7 client 203.0.113.10 2001:db8:113::10
say ipip
transfers upload 8007 b2 203.0.113.11 2001:db8:113::11

say "what does not fit is answered: 4,000 bytes between the balancer and its backends"
ns_ip lb link set lan mtu 4000
before=$(reason too_big)
for vip in 203.0.113.10 2001:db8:113::10; do
	expect "$vip: 10 MB, upload" in_ns client "$BULK" upload "$vip" 7 10000000
	((before < $(reason too_big))) || fail "$vip: too_big is still $before"
	ok "$vip: too_big: $before to $(reason too_big)"
	before=$(reason too_big)
done

assert_cable_conservation
