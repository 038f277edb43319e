#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What `make install` installs, under Debian's systemd on Debian's kernel: the units with
# all that they forbid the daemons. lbd has connections held while it is killed, hung and
# stopped, and what systemd does about each; lb-decap takes tunnels on a link.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
# shellcheck disable=SC2034 # transitions.sh reads it
MODE=nat
. "$NET_DIR/transitions.sh"
. "$VM_DIR/balancer.sh"
. "$VM_DIR/systemd.sh"

# ---- lbd ----

# What it may not do must not be what it needs.
lbd_runs()
{
	write /etc/lbd/lbd.yaml "interfaces: [{name: wan, xdp: native}, {name: lan, xdp: native}]"
	expect "systemctl enable --now lbd: it says that it is ready" systemctl enable --now lbd
	expect "lbctl status warns of nothing" eval 'api /v1/status | jq -e ".warnings == []"'
	expect "both NICs have it in native mode" eval \
		'api /v1/status | jq -e "[.interfaces[].xdp] == [\"native\", \"native\"]"'
	for i in 1 2 3 4; do
		start_server $i
	done
	services_render >"$RUN/services.yaml"
	expect "services applied" lbctl apply "$RUN/services.yaml"
	await 20 "every service is up" all_up
	expect "the VIP is on loopback" eval 'ns_ip lb address show dev lo | grep -q 203.0.113.'
	expect "it still warns of nothing" eval 'api /v1/status | jq -e ".warnings == []"'
	hold_all
	unbroken "it runs"
	expect "lbctl trace shows packets" lbctl trace --verdict transmit --count 3 --seconds 60
	expect "lbctl events" lbctl events
	expect "its words are in the journal" lbd_says "tables made"
}

# systemd starts it again, and connections know nothing of it.
lbd_is_killed()
{
	local pid
	pid=$(property MainPID)
	in_ns lb kill -KILL "$pid"
	await 20 "killed, it is started again" is_another "$pid"
	await 20 "every service is up" all_up
	expect "it took its tables over" lbd_says "tables taken over"
	unbroken "killed and started again"
}

lbd_hangs()
{
	local pid
	write /etc/systemd/system/lbd.service.d/watchdog.conf $'[Service]\nWatchdogSec=4'
	systemctl daemon-reload
	systemctl restart lbd
	unbroken "restarted"
	pid=$(property MainPID)
	in_ns lb kill -STOP "$pid"
	await 30 "hung, it is ended and started again" is_another "$pid"
	expect "for the watchdog's sake" eval \
		'in_ns lb journalctl -q -u lbd | grep "Watchdog timeout"'
	await 20 "every service is up" all_up
	unbroken "hung and started again"
}

lbd_stops()
{
	expect "systemctl stop lbd" systemctl stop lbd
	expect "it is stopped, and did not fail" test "$(property ActiveState)" = inactive
	expect "what is in its run_dir stays" in_ns lb test -d /run/lbd
	unbroken "stopped"
	expect "systemctl start lbd" systemctl start lbd
	await 20 "every service is up" all_up
	expect "it took its tables over" lbd_says "tables taken over"
	unbroken "started"
}

# ---- lb-decap ----

decap_runs()
{
	ns_ip lb link add name tunnel type veth peer name far
	ns_ip lb link set tunnel up
	write /etc/lbd/decap-tunnel.conf FROM=10.0.0.2,2001:db8::2
	expect "systemctl start lb-decap@tunnel" systemctl start lb-decap@tunnel
	await 20 "it is attached" in_ns lb lb-decap --status --interface tunnel

	expect "systemctl stop lb-decap@tunnel" systemctl stop lb-decap@tunnel
	expect "it did not fail" test "$(property ActiveState lb-decap@tunnel)" = inactive
}

installed
topology_add nat 4
await 20 "systemd is up" systemd_is_up
lbd_runs
lbd_is_killed
lbd_hangs
lbd_stops
decap_runs
let_go "${!HOLDERS[@]}"
