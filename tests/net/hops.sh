#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The network changes under connections: a backend's MAC address, the router's, with a
# word or without, all neighbours forgotten, the balancer's interface away and back.
# Packets go the right way again, and no connection breaks. Seconds are printed, not
# asserted.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 3
for i in 1 2 3; do
	server_start b$i 8080
done
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
      - {address: 10.1.0.13, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
      - {address: "fd00:1::13", port: 8080}
END
all_resolved()
{
	api /v1/services/web | jq -e '[.backends[] | .hop_resolved and .slots > 0] | all'
}
await 20 "all hops are known" all_resolved
# What is on its way while the network changes is lost, and sent again: patience.
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 200 --new 50 --timeout 20000
unbroken "steady"

# answers_all SENTENCE: each server answers new connections that were made after this.
answers_all()
{
	local n since started
	since=$(report web .now_ns) started=$(now_ms)
	for n in 1 2 3; do
		await 30 "$1: b$n answers new connections" \
			report web ".servers.b$n.last_new_ns > $since + 500000000"
	done
	say "$(($(now_ms) - started)) ms"
	unbroken "$1"
}

# hush NS LINK: on it, it asks nobody and says nothing, but answers.
hush()
{
	in_ns "$1" nft -f - <<-END
	table arp hush {
		chain output {
			type filter hook output priority 0;
			oifname "$2" arp operation request drop
		}
	}
	table ip6 hush {
		chain output {
			type filter hook output priority 0;
			oifname "$2" icmpv6 type nd-neighbor-solicit drop
			oifname "$2" ip6 daddr ff02::/16 icmpv6 type nd-neighbor-advert drop
		}
	}
	END
}

# changes_silently SENTENCE NS LINK MAC BALANCERS-LINK ADDRESS...: the balancer's own addresses
# there are written down, for NS may not ask.
changes_silently()
{
	local sentence=$1 name=$2 link=$3 mac=$4 to to_mac address
	to=$5 to_mac=$(ns_ip lb -j link show dev "$5" | jq -r '.[0].address')
	shift 5
	hush "$name" "$link"
	# The balancer's kernel would believe what it knows for an hour.
	in_ns lb sysctl -qw "net.ipv4.neigh.$to.base_reachable_time_ms=3600000" \
		"net.ipv6.neigh.$to.base_reachable_time_ms=3600000"
	{
		echo "link set $link address $mac"
		for address; do
			echo "neigh replace $address lladdr $to_mac dev $link"
		done
	} | ns_ip "$name" -batch -
	answers_all "$sentence"
}

# Who changes its MAC address says so (gratuitous ARP, unsolicited neighbour advertisement).
ns_ip b2 link set eth0 address 02:00:00:00:00:b2
answers_all "b2 has another MAC address"
ns_ip router link set lan address 02:00:00:00:00:01
ns_ip router link set wan address 02:00:00:00:00:02
answers_all "the router has other MAC addresses"
ns_ip lb neighbour flush all || true # lbd asks for them meanwhile: ip(8) may find no end
ns_ip lb -6 neighbour flush all || true
answers_all "all neighbours forgotten"
ns_ip lb link set lan down
sleep 1 # it stays down for so long; nothing is awaited
ns_ip lb link set lan up
address_add lb lan fd00:1::2/64 # the kernel took it away with the link
answers_all "lan was down"
changes_silently "b3 has another MAC address, and says nothing" b3 eth0 02:00:00:00:00:b3 \
	lan 10.1.0.2 fd00:1::2
changes_silently "the router has another one, and says nothing" router wan 02:00:00:00:00:03 \
	wan 192.0.2.2 2001:db8:2::2
