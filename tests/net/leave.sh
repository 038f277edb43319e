#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# remove: a backend drains first, and goes when nothing has gone to it for the idle
# time; at the latest after --timeout; with --now at once.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 4
for i in 1 2 3 4; do
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
    idle_timeout: 4s
    check: {type: tcp, interval: 500ms, timeout: 500ms}
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: 10.1.0.13, port: 8080}
      - {address: 10.1.0.14, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
END

is_listed()
{
	api /v1/services/web | jq -e ".backends[] | select(.address == \"10.1.0.1$1\")"
}
is_gone()
{
	! is_listed "$1" >/dev/null
}
await 20 "all are up" web_is_whole
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 240 --new 60
unbroken "steady"

lbctl backend remove web 10.1.0.14:8080 >/dev/null
await 20 "b4, removed, gets no new connections" report web '.servers.b4.since_new_s > 1'
# More than the idle time, in which its connections are used.
for _ in 1 2 3 4 5; do
	exercise
	exercise
done
unbroken "b4 leaving"
expect "b4 is listed still" is_listed 4
expect "b4 keeps the connections that it has" report web '.servers.b4.held > 0'

lbctl backend add web 10.1.0.14:8080 >/dev/null
await 20 "b4, added again while it leaves, gets new connections" \
	report web '.servers.b4.since_new_s | . >= 0 and . < 0.5'
unbroken "b4 added again"
lbctl backend remove web 10.1.0.14:8080 >/dev/null

# It dies while it leaves: who replaces it resets its connections, long before they or it time out.
ns_ip b4 link set eth0 down
await 30 "b4, dead while it leaves: its connections are reset" \
	report web '.servers.b4.held == 0 and .servers.b4.broken.reset > 0'
forgive
unbroken "b4 dead" b4
let_go web
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 240 --new 60
FORGIVEN=()

lbctl backend remove web 10.1.0.13:8080 --timeout 6s >/dev/null
unbroken "b3 leaving"
await 30 "b3 goes after its timeout, though it has connections" is_gone 3
await 30 "b3's connections are cut" report web '.servers.b3.held == 0'
unbroken "b3 gone" b3
let_go web
await 60 "b4 is gone, for nothing has gone to it for the idle time" is_gone 4

hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 240 --new 60
lbctl backend remove web 10.1.0.12:8080 --now >/dev/null
await 10 "b2, removed with --now, is gone" is_gone 2
await 30 "b2's IPv4 connections are cut" report web '.broken > 0'
unbroken "b2 gone" b2
let_go web
assert_conservation
