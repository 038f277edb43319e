#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# 1,000 services of 10 backends each: applied at once, each carries connections,
# applied again without a change, and not removed by accident.

. "$(dirname "$0")/lib.sh"
isolate "$@"
ADDRESSES_N=10 # of backends: five on each of two hosts

topology_add l2 2
ports=(8001 8002 8003 8004)
for i in 1 2; do
	# All of the VIPs' prefixes are local there.
	ns_ip b$i route add local 203.0.113.0/24 dev lo
	ns_ip b$i -6 route add local 2001:db8:113::/64 dev lo
	server_start b$i "${ports[@]}"
done
for ((i = 0; i < ADDRESSES_N; i++)); do
	address_add b$((i % 2 + 1)) eth0 10.1.0.10$i/24
done
# A backend has a row for each family of VIPs.
LBD_LIMITS="{services: 2048, backends: 32767, slots: 4194304, connections: 262144}"
lbd_configure
lbd_start

# render N: the services of the first N VIPs.
render()
{
	local vip port i
	echo "services:"
	for ((vip = 1; vip <= $1; vip++)); do
		for port in "${ports[@]}"; do
			echo "  - name: s$vip-$port
    vips: [203.0.113.$vip, \"2001:db8:113::$vip\"]
    protocol: tcp
    port: $port
    mode: l2
    ring: 101
    backends:"
			for ((i = 0; i < ADDRESSES_N; i++)); do
				echo "      - {address: 10.1.0.10$i, weight: $((i + 1))}"
			done
		done
	done
}

all_up()
{
	api /v1/status | jq -e '.services.total == 1000 and .services.up == 1000'
}

render 250 >"$RUN/services.yaml"
started=$(now_ms)
expect "1,000 services applied" lbctl apply "$RUN/services.yaml"
ok "in $(($(now_ms) - started)) ms, with the command and its plan"
await 30 "all are up" all_up
to=()
for vip in 1 17 99 128 200 250; do
	to+=(--to "203.0.113.$vip:8001" --to "[2001:db8:113::$vip]:8004")
done
hold web "${to[@]}" --held 240 --new 60
unbroken "steady"
expect "both hosts have connections" report web '[.servers.b1, .servers.b2] | all(.held > 0)'

# Of two clients, the one that asks for everything is not answered before the one that comes
# behind it with a small question; where its client leaves, an answer is forgotten.
ask_both()
{
	/usr/bin/python3 - "$RUN/lbd/lbd.sock" "$1" <<-'END'
	import select
	import socket
	import sys

	def connect(poll):
	    client = socket.socket(socket.AF_UNIX)
	    client.connect(sys.argv[1])
	    poll.register(client, select.EPOLLIN)  # tells in the order in which they came to be so
	    return client

	def ask(client, path):
	    client.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())

	for turn in range(20):
	    poll = select.epoll()
	    everything, small = connect(poll), connect(poll)
	    ask(everything, sys.argv[2])
	    ask(small, "/v1/drops")
	    if poll.poll(30)[0][0] != small.fileno():
	        sys.exit(f"{sys.argv[2]} is answered first")
	    if turn % 2:
	        while everything.recv(1 << 20):
	            pass
	    everything.close()
	    small.close()
	END
}

for path in /v1/services /v1/stats /metrics; do
	expect "$path of them all lets others be answered" ask_both "$path"
done
expect "it has all of them, in order" test "$(api /v1/services |
	jq -c '[.services[] | [.name, (.backends | length)]]')" = "$(api /v1/config |
	jq -c '[.services[] | [.name, (.backends | length)]]')"

generation=$(api /v1/status | jq .generation)
before=$(table_hash slots backends services)
expect "applied again" lbctl apply "$RUN/services.yaml"
expect "it is the same generation" test "$(api /v1/status | jq .generation)" = "$generation"
expect "the tables are the same" test "$(table_hash slots backends services)" = "$before"
unbroken "applied again"

render 120 >"$RUN/few.yaml"
refuse "more than half of the services gone wants --force" 'force' lbctl apply "$RUN/few.yaml"
sed -i 's/weight: 10}/weight: 500}/' "$RUN/services.yaml"
started=$(now_ms)
expect "10 % of all backends changed" lbctl apply "$RUN/services.yaml"
ok "in $(($(now_ms) - started)) ms"
unbroken "changed"
lbd_stop KILL
started=$(now_ms)
lbd_start
ok "in $(($(now_ms) - started)) ms"
unbroken "lbd killed and started again"
let_go web
assert_conservation
