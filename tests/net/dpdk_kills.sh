#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lbd and lb-dpdk are killed in turn at random, also in the middle of changes, under
# traffic. No connection breaks, nothing goes to a host that is no backend, traffic is
# back soon after lb-dpdk's start (the longest time is printed), and in the end the
# tables show what the services say. SLUICE_KILLS sets how many, SLUICE_SEED repeats a
# run (but for when the kills hit).

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/dpdk_bed.sh"
KILLS=${SLUICE_KILLS:-15}
SEED=${SLUICE_SEED:-$((10#$(date +%N) / 1000 % 32768))}
RANDOM=$SEED
say "SLUICE_SEED=$SEED"

dpdk_topology nat 5
for i in 1 2 3 4 5; do
	server_start b$i 8080
done
# b5 is like the others, and no backend.
in_ns b5 nft -f - <<'END'
table inet count {
	chain in {
		type filter hook input priority 0;
		tcp dport 8080 counter
	}
}
END
lbd_configure
lbd_start
dpdk_addresses
dpdk_start
WEB=(--to 203.0.113.10:80 --to '[2001:db8:113::10]:80')
lbctl apply - >/dev/null <<'END'
services:
  - name: web
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: tcp
    port: 80
    mode: nat
    ring: 1021
    idle_timeout: 20s
    check: {type: tcp, interval: 500ms, timeout: 500ms}
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: 10.1.0.13, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
END
await 20 "all are up" web_is_healthy

# b1 stays, so that there is always one; b2 to b4 come and go.
choose()
{
	local n=$((RANDOM % 3 + 2))
	case $((RANDOM % 5)) in
	0) VERB=(add web "10.1.0.1$n:8080" --weight $((RANDOM % 200 + 1))) ;;
	1) VERB=(remove web "10.1.0.1$n:8080") ;;
	2) VERB=(drain web "10.1.0.1$n:8080") ;;
	3) VERB=(enable web "10.1.0.1$n:8080") ;;
	4) VERB=(set web 10.1.0.11:8080 --weight $((RANDOM % 200 + 1))) ;;
	esac
}

# What the backend is now may not allow it; lbd may be killed meanwhile.
change()
{
	choose
	echo "${VERB[*]}" >>"$RUN/log/changes"
	lbctl backend "${VERB[@]}" >>"$RUN/log/changes" 2>&1 || true
}

kill_lbd()
{
	local asking
	change &
	asking=$!
	sleep "0.0$((RANDOM % 40 + 10))"
	lbd_stop KILL
	wait "$asking"
	sleep "0.$((RANDOM % 5))"
	lbd_start >/dev/null
}

LONGEST_MS=0
has_new_since()
{
	report one ".servers | [.[].last_new_ns] | max > $1 * 1000000"
}

kill_dpdk()
{
	local started_ms ms
	change
	dpdk_stop KILL
	sleep "0.$((RANDOM % 5))"
	dpdk_start >/dev/null
	started_ms=$(now_ms)
	poll 30 has_new_since "$started_ms" || fail "no new connection after lb-dpdk's start"
	ms=$(($(now_ms) - started_ms))
	((ms <= LONGEST_MS)) || LONGEST_MS=$ms
}

hold one "${WEB[@]}" --held 100 --new 20 --interval 400 --bytes 2000 --timeout 15000
for ((i = 1; i <= KILLS; i++)); do
	if ((RANDOM % 2)); then
		kill_lbd
	else
		kill_dpdk
	fi
	((RANDOM % 3)) || change
	((i % 10)) || unbroken "$i kills"
done
unbroken "$KILLS kills"
ok "a new connection at the latest $LONGEST_MS ms after lb-dpdk was seen to run"
packets=$(in_ns b5 nft -j list chain inet count in |
	jq '[.nftables[].rule?.expr[]?.counter?.packets // empty] | add')
expect "nothing went to b5, which is no backend ($packets packets)" test "$packets" = 0

# Each backend that is enabled and up gets new connections, and no other has a slot.
shows_services()
{
	api /v1/services/web | jq -e '[.backends[] | .gets_new_connections == (.slots > 0) and
		((.state == "enabled" and (.leaving | not)) == .gets_new_connections)] | all'
}
await 20 "the tables show what the services say" shows_services

let_go one
settled()
{
	api /v1/services | jq -e '[.services[].slots_in_transition] | add == 0'
}
await 90 "every slot is settled" settled
tables()
{
	"$BUILD/tests/net/tables_hash" "$RUN/lbd/tables"
}
before=$(tables)
lbd_stop KILL
lbd_start
await 20 "all that was up is up" shows_services
[[ $(tables) == "$before" ]] || fail "a restarted lbd changed tables: $(diff <(echo "$before") <(tables))"
ok "a restarted lbd changes no byte of $(wc -l <<<"$before") tables"
assert_conservation
