#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lbd and lb-dpdk by their units under Debian's systemd, on virtio NICs: all that an operator
# says is `dataplane: dpdk`, and the lcores and ports of this host. Connections are held
# while either is killed, stopped and started.

. "$(dirname "$0")/lib.sh"
vm_isolate 6.1 "$@"
# shellcheck disable=SC2034 # transitions.sh reads it
MODE=nat
. "$VM_DIR/dpdk.sh"
. "$VM_DIR/systemd.sh"

dpdk_is_ready()
{
	[[ $(property ActiveState lb-dpdk) == active ]] && workers_run
}

lbd_runs()
{
	write /etc/lbd/lbd.yaml "{dataplane: dpdk, interfaces: [{name: wan}, {name: lan}],
		limits: $LBD_LIMITS}"
	expect "systemctl enable --now lbd: it says that it is ready" systemctl enable --now lbd
	expect "its tables are on huge pages" in_ns lb bash -c \
		"[[ \$(readlink /run/lbd/tables) == /dev/hugepages/* ]]"
}

dpdk_runs()
{
	write /etc/systemd/system/lb-dpdk.service.d/host.conf "[Service]
Environment=\"EAL_ARGUMENTS=--lcores $LCORES --no-telemetry ${NICS[*]/#/-a}\""
	systemctl daemon-reload
	expect "systemctl enable --now lb-dpdk: it says that it is ready" \
		systemctl enable --now lb-dpdk
	await 20 "two workers run, and both interfaces have their ports" dpdk_is_ready
	address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
	address_add lb lan 10.1.0.2/24 fd00:1::2/64
	default_route lb 192.0.2.1 2001:db8:2::1
}

# killed UNIT: systemd starts it again.
killed()
{
	local pid
	pid=$(property MainPID "$1")
	in_ns lb kill -KILL "$pid"
	await 20 "$1, killed, is started again" is_another "$pid" "$1"
	await 20 "two workers run" dpdk_is_ready
	await 20 "every service is up" all_up
	[[ $1 == lbd ]] || forgive
	unbroken "$1 killed and started again"
}

lbd_stops()
{
	expect "systemctl stop lbd" systemctl stop lbd
	expect "lb-dpdk has its tables" in_ns lb test -e /run/lbd/tables
	unbroken "lbd stopped"
	expect "systemctl start lbd" systemctl start lbd
	await 20 "two workers run" dpdk_is_ready
	await 20 "every service is up" all_up
	expect "lbd took its tables over" lbd_says "tables taken over"
	unbroken "lbd started"
}

installed
topology_add nat 3
await 20 "systemd is up" systemd_is_up
nics_bind
for i in 1 2 3; do
	start_server $i
done
lbd_runs
dpdk_runs
services_render >"$RUN/services.yaml"
expect "services applied" lbctl apply "$RUN/services.yaml"
await 20 "every service is up" all_up
hold_all
unbroken "they run"
expect "lbctl status warns of nothing" eval 'api /v1/status | jq -e ".warnings == []"'
expect "lbctl trace shows packets" lbctl trace --verdict transmit --count 3 --seconds 60
killed lbd
killed lb-dpdk
lbd_stops
let_go "${!HOLDERS[@]}"
