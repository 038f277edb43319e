#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The network moves under the balancer: a backend's MAC, flushed neighbours, a link
# down and up, an interface gone and back, also while lbd is stopped. Held connections
# live on, new ones are served again, and an interface that comes back has its program.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
server_start b1 8080
server_start b2 8080
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
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
END
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 60 --interval 300 --timeout 20000

all_have_slots()
{
	api /v1/services/web | jq -e '[.backends[].slots > 0] | all'
}

# rows TABLE BYTES: its first 64 rows of as many bytes, each an array of bytes in hexadecimal.
rows()
{
	bpftool map dump pinned "$RUN/bpf/lbd/maps/$1" | awk -v bytes="$2" '
		/^[0-9a-f][0-9a-f] / && at++ > 0 && n < 64 * bytes {
			for (i = 1; i <= NF && n < 64 * bytes; i++)
				printf "%s\"%s\"%s", n % bytes ? "," : "[", $i, ++n % bytes ? "" : "]\n"
		}' | jq -s .
}

# hop_mac ADDRESS: the MAC address of the hop that its row names.
hop_mac()
{
	local hop
	hop=$(in_ns lb ip -j neigh show dev lan | jq -r --arg a "$1" '.[] | select(.dst == $a) | .lladdr')
	rows hops 64 | jq -re --arg mac "$hop" '[.[] | .[8:14] | join(":")] | index($mac)'
}

# hop_by LINK: every backend's hop is on it, and so is the row's copy of the hop's link. A live row's
# hop is in bytes 40 and 41, its copy begins with the interface, in byte 16 (struct lb_backend); so
# does a hop's row.
hop_by()
{
	local index
	index=$(ns_ip lb -j link show dev "$1" | jq '.[0].ifindex')
	rows hops 64 >"$RUN/hops.json"
	rows backends 128 | jq -e --slurpfile hops "$RUN/hops.json" --argjson index "$index" '
		def byte: explode | map(if . > 96 then . - 87 else . - 48 end) | .[0] * 16 + .[1];
		[.[] | select(.[48] == "01") | (.[16] | byte),
			((.[40] | byte) + 256 * (.[41] | byte) | $hops[0][.][0] | byte)] |
			length == 8 and all(. == $index)'
}
unbroken "steady"

say "a backend's MAC address is another one, and the neighbours are flushed"
ns_ip b1 link set eth0 address 02:00:00:00:77:01
ns_ip lb neigh flush all || true # lbd asks for them meanwhile: ip(8) may find no end
await 20 "the new MAC address is in the tables" hop_mac 10.1.0.11
await 20 "all backends get connections" all_have_slots
unbroken "another MAC"

say "a link is down, and up"
ns_ip lb link set lan down
await 20 "the way by the router is taken" hop_by wan
ns_ip lb link set lan up
ns_ip lb address replace fd00:1::2/64 dev lan # it went with the link
await 20 "the lan is taken again" hop_by lan
await 20 "all backends get connections" all_have_slots
unbroken "link down and up"

# ---- interfaces gone and back ----

# Until lbd has attached its program again, the kernel gets what the program should: how long that
# is depends on the host, so connections are as busy as it takes to hit any gap.
busy()
{
	hold busy --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 100 --interval 20 \
		--timeout 30000
}

wan_back()
{
	link_add lb wan router wan
	link_takes_xdp router wan
	address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
	address_add router wan 192.0.2.1/24 2001:db8:2::1/64
	default_route lb 192.0.2.1 2001:db8:2::1
	ns_ip router route add 203.0.113.0/24 via 192.0.2.2
	ns_ip router route add 2001:db8:113::/48 via 2001:db8:2::2
}

lan_back()
{
	link_add lb lan router lan-lb
	link_takes_xdp router lan-lb
	ns_ip router link set lan-lb master lan
	address_add lb lan 10.1.0.2/24 fd00:1::2/64
}

has_program()
{
	ns_ip lb link show "$1" | grep -q "prog/xdp"
}

# guarded COUNTER: packets that the guard kept from the kernel, or from clients.
guarded()
{
	in_ns lb nft -j list counter inet sluice "$1" | jq '.nftables[] | .counter // empty | .packets'
}

# guards_more COUNTER THAN
guards_more()
{
	(($(guarded "$1") > $2))
}

say "an interface is gone, and back"
ns_ip lb link del wan
await 20 "status says so" eval 'lbctl status | grep -q "no interface wan"'
wan_back
await 20 "its program is back" has_program wan
unbroken "gone and back"
let_go web

say "again and again, under busy connections"
busy
for link in wan lan wan lan wan lan; do
	ns_ip lb link del $link
	${link}_back
	await 20 "$link has its program back" has_program $link
	await 20 "$link is the way to the backends and to clients" exercise
	unbroken "$link gone and back"
done

say "while lbd does nothing at all"
kill -STOP "$LBD"
before=$(guarded to_services)
ns_ip lb link del wan
wan_back
await 20 "packets for services come to the kernel" guards_more to_services $((before + 50))
kill -CONT "$LBD"
await 20 "wan has its program back" has_program wan
unbroken "wan back without lbd"

# Answers that no client gets are sent again, and then come in by an interface without program.
for prefix in 198.51.100.0/25 2001:db8:100::/65; do
	ns_ip router route add blackhole "$prefix"
done
sleep 0.5 # messages are under way; nothing is awaited
kill -STOP "$LBD"
before=$(guarded replies)
ns_ip lb link del lan
lan_back
for prefix in 198.51.100.0/25 2001:db8:100::/65; do
	ns_ip router route del blackhole "$prefix"
done
await 20 "backends' replies come to the kernel" guards_more replies $((before + 10))
kill -CONT "$LBD"
await 20 "lan has its program back" has_program lan
unbroken "lan back without lbd"

say "a client's neighbour entry is lost: the kernel resolves it anew"
address_add router wan 192.0.2.9/24 2001:db8:2::9/64
ns_ip router route replace 203.0.113.0/24 via 192.0.2.2 src 192.0.2.9
await 20 "the address is no longer tentative" \
	ns_ip router route replace 2001:db8:113::/48 via 2001:db8:2::2 src 2001:db8:2::9
spawn router near "$BUILD/tests/net/holder" client --report "$RUN/log/near.json" \
	--to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 20 --interval 20 --timeout 30000
HOLDERS[near]=$SPAWNED
await 20 "connections from wan's own network" report near '.open == 20 and .servers["?"].held == 0'
before=$(guarded replies)
for _ in {1..10}; do
	ns_ip lb neigh del 192.0.2.9 dev wan
	ns_ip lb neigh del 2001:db8:2::9 dev wan
	exercise
done
expect "replies came to the kernel" guards_more replies "$before"
unbroken "neighbours lost"
let_go busy near
hold again --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 60 --new 20
unbroken "new connections"
