#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Two workers share the queues of each port (net_tap); lb-dpdk stands still, and is
# noticed; the tables are retired under it, and made anew.

. "$(dirname "$0")/lib.sh"
isolate "$@"
MODE=nat
PORTS=tap
LCORES=0@0,1@0,2@1
. "$NET_DIR/transitions.sh"
. "$NET_DIR/dpdk_bed.sh"
IDLE_S=30 # longer than it stands still
(($(nproc) > 1)) || skip "needs two CPUs: lbd makes a row a CPU for workers"

dpdk_topology nat 3
for i in 1 2 3; do
	start_server $i
done
lbd_configure
lbd_start
dpdk_addresses
dpdk_start
services_render >"$RUN/services.yaml"
expect "services applied" lbctl apply "$RUN/services.yaml"
await 20 "every service is up" all_up
expect "two workers" eval 'lbctl status | grep -q "^workers *2 running"'
expect "metrics of both" eval 'api /metrics | grep -c "^sluice_worker_running{.*} 1" | grep -qx 2'
hold_all
unbroken "two workers"
# worker_packets: what each counted, as the tables have it.
worker_packets()
{
	"$BUILD/tests/net/worker_reasons" "$RUN/lbd/tables" |
		awk '{ n[$1] += $3 } END { for (i = 0; i < 2; i++) print n[i] + 0 }'
}
# shown_packets: what is shown lies between what was counted before and after, for each.
shown_packets()
{
	worker_packets >"$RUN/before"
	api /v1/status | jq -r '.workers[].packets' >"$RUN/shown"
	worker_packets >"$RUN/after"
	paste "$RUN/before" "$RUN/shown" "$RUN/after" | awk '
		{ all += $1; if (NF != 3 || $2 < $1 || $2 > $3) wrong = 1 }
		END { exit wrong || NR != 2 || !all }'
}
expect "each worker's packets are shown" shown_packets
expect "also by lbctl" eval 'lbctl status | grep -Eq "^ +CPU [0-9]+: [0-9]+ packets$"'

say "lb-dpdk stands still"
# down_events: how often a backend was declared down.
down_events()
{
	grep -c 'is down' "$RUN/log/lbd" || true
}
is_stalled()
{
	api /v1/status | jq -e '(.workers | all(.state == "stalled")) and
		(.warnings | any(test("has stood still")))'
}
before=$(down_events)
kill -STOP "$DPDK"
await 20 "it is noticed" is_stalled
sleep 1.5 # several checks fail
expect "nobody is judged" test "$(down_events)" = "$before"
kill -CONT "$DPDK"
await 20 "it goes on" dpdk_is_ready
forgive
unbroken "stood still"
expect "nobody was judged" test "$(down_events)" = "$before"

say "its main lcore alone stands still: packets flow, and checks get no answer"
# Stops the one thread, until it is killed itself (ptrace(2): PTRACE_SEIZE, PTRACE_INTERRUPT).
/usr/bin/python3 - "$DPDK" <<'END' &
import ctypes, signal, sys
libc = ctypes.CDLL(None)
libc.ptrace(0x4206, int(sys.argv[1]), None, None)
libc.ptrace(0x4207, int(sys.argv[1]), None, None)
signal.pause()
END
tracer=$!
is_main_stalled()
{
	api /v1/status | jq -e '(.workers | all(.state == "running")) and
		(.warnings | any(test("main lcore .* has stood still")))'
}
await 20 "it is noticed" is_main_stalled
unbroken "the main lcore stands still"
expect "nobody is judged" test "$(down_events)" = "$before"
kill -KILL "$tracer"
wait "$tracer" || true
no_warning()
{
	api /v1/status | jq -e '.warnings | all(test("stood still") | not)'
}
await 20 "it goes on" no_warning
unbroken "goes on"
expect "nobody was judged" test "$(down_events)" = "$before"

say "the tables are retired under it"
let_go tcp udp
lbd_stop TERM
expect "lbd --detach" in_ns lb "$BUILD/lbd" --detach --config "$RUN/lbd.yaml"
expect "there is no file" test ! -e "$RUN/lbd/tables"
await 10 "lb-dpdk notices" grep -q 'tables were retired' "$RUN/log/lb-dpdk"
await 10 "the host is reached: all packets are the kernel's" \
	in_ns router ping -q -c 1 -W 1 192.0.2.2
LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
lbd_configure
lbd_start
await 20 "lb-dpdk has the new tables, with other limits" dpdk_is_ready
await 20 "every service is up" all_up
hold_all
unbroken "other tables"
let_go tcp udp
assert_conservation
