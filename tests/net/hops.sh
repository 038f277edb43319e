#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The network changes under connections: a backend's MAC address, the router's, all
# neighbours forgotten, the balancer's interface away and back. Packets go the right
# way again, and no connection breaks.

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
	local n since
	since=$(report web .now_ns)
	for n in 1 2 3; do
		await 30 "$1: b$n answers new connections" \
			report web ".servers.b$n.last_new_ns > $since + 500000000"
	done
	unbroken "$1"
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
