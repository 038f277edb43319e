#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A backend dies: its processes killed (connections are refused), its host gone
# (silence), and only its check dead under `on_down: keep`. It is replaced; nobody
# else's connections break. Seconds are printed, not asserted.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 3
lbd_configure
lbd_start
# The kept service's check is another port, so that it can die alone.
for i in 1 2 3; do
	server_start b$i 8090
	CHECK_PID=$SPAWNED # b3's, in the end
	server_start b$i 8080
done

services()
{
	cat <<-END
	services:
	  - name: web
	    vips: [203.0.113.10, "2001:db8:113::10"]
	    protocol: tcp
	    port: 80
	    mode: nat
	    ring: 1021
	    on_down: $1
	    check: {type: tcp, port: $2, interval: 500ms, timeout: 500ms, rise: 2, fall: 3}
	    backends:
	      - {address: 10.1.0.11, port: 8080}
	      - {address: 10.1.0.12, port: 8080}
	      - {address: 10.1.0.13, port: 8080}
	      - {address: "fd00:1::11", port: 8080}
	      - {address: "fd00:1::12", port: 8080}
	      - {address: "fd00:1::13", port: 8080}
	END
}

is_up_n()
{
	api /v1/services/web | jq -e "[.backends[] | select(.health == \"up\")] | length == $1"
}

# last_sent N: seconds from DIED_MS until the last new connection was sent to bN.
last_sent()
{
	local count before=-1 last_ms=$DIED_MS
	while (($(now_ms) - last_ms < 4000)); do
		count=$(api /v1/services/web | jq "[.backends[] |
			select(.address | endswith(\"1$1\")).counters.new_connections] | add")
		((count == before)) || last_ms=$(now_ms)
		before=$count
	done
	awk -v ms=$((last_ms - DIED_MS)) 'BEGIN { printf "%.2f", ms / 1000 }'
}

# dies N SENTENCE: bN has just died, at DIED_MS.
dies()
{
	local seconds
	seconds=$(last_sent "$1")
	await 60 "b$1 ($2) is out" is_up_n 4
	ok "b$1 ($2): the last new connection was sent to it $seconds s after its death"
	await 30 "b$1 ($2): its held connections are reset by who replaces it" \
		report web ".servers.b$1.held == 0"
	forgive
	unbroken "b$1 ($2) replaced" "b$1"
}

expect "services applied" lbctl apply - < <(services reset 8080)
await 20 "all are up" is_up_n 6
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 300 --new 100
unbroken "steady"

DIED_MS=$(now_ms)
server_kill b1
dies 1 "processes killed"
server_start b1 8080
await 30 "b1 is up again" is_up_n 6
await 20 "b1 gets new connections" report web '.servers.b1.since_new_s | . >= 0 and . < 0.5'
unbroken "b1 recovered" b1
let_go web
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 300 --new 100
FORGIVEN=()

DIED_MS=$(now_ms)
ns_ip b2 link set eth0 down
dies 2 "host gone"
ns_ip b2 link set eth0 up
address_add b2 eth0 fd00:1::12/64 # the kernel took it away with the link
default_route b2 10.1.0.2 fd00:1::2
await 60 "b2 is up again" is_up_n 6
let_go web

say "on_down: keep"
expect "services applied" lbctl apply - < <(services keep 8090)
await 30 "all are up" is_up_n 6
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 300 --new 100
FORGIVEN=()
kill -KILL "$CHECK_PID"
wait "$CHECK_PID" 2>/dev/null || true
await 60 "b3's check is dead" is_up_n 4
await 20 "b3 gets no new connections" report web '.servers.b3.since_new_s > 1'
unbroken "b3 down, and kept"
expect "b3 keeps the connections that it has" report web '.servers.b3.held > 0'
