#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Random changes, one upon the other, of backends that have connections, while lbd
# is killed again and again. No connection breaks. SLUICE_CHANGES sets how many,
# SLUICE_SEED repeats a run.

. "$(dirname "$0")/lib.sh"
isolate "$@"
CHANGES=${SLUICE_CHANGES:-60}
SEED=${SLUICE_SEED:-$$$(date +%N)}
RANDOM=$((10#$SEED % 32768))
say "SLUICE_SEED=$((10#$SEED % 32768))"

topology_add nat 6
for i in 1 2 3 4 5 6; do
	server_start b$i 8080
done
lbd_configure
lbd_start
expect "services applied" lbctl apply - <<'END'
services:
  - name: web
    vips: [203.0.113.10]
    protocol: tcp
    port: 80
    mode: nat
    ring: 1021
    idle_timeout: 15m
    check: {type: tcp, interval: 1s, timeout: 1s}
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: 10.1.0.13, port: 8080}
END
all_up()
{
	api /v1/services/web | jq -e '[.backends[] | .health == "up"] | all'
}
await 20 "all are up" all_up

# b1 stays enabled, so that there is always one; the others go through every state.
change()
{
	local n=$((RANDOM % 5 + 2)) weight=$((RANDOM % 200 + 1)) verb
	case $((RANDOM % 6)) in
	0) verb=(add web "10.1.0.1$n:8080" --weight "$weight") ;;
	1) verb=(remove web "10.1.0.1$n:8080") ;;
	2) verb=(drain web "10.1.0.1$n:8080") ;;
	3) verb=(enable web "10.1.0.1$n:8080") ;;
	4) verb=(set web "10.1.0.1$n:8080" --weight "$weight") ;;
	5) verb=(set web 10.1.0.11:8080 --weight "$weight") ;;
	esac
	# What the backend is now may not allow it: that is refused, with status 1.
	lbctl backend "${verb[@]}" >>"$RUN/log/changes" 2>&1 || (($? == 1)) ||
		fail "lbctl backend ${verb[*]}: $(tail -n 1 "$RUN/log/changes")"
	echo "${verb[*]}" >>"$RUN/log/changes"
}

hold one --to 203.0.113.10:80 --held 300 --new 100
for ((i = 1; i <= CHANGES; i++)); do
	change
	if ((RANDOM % 6 == 0)); then
		lbd_stop KILL
		lbd_start >/dev/null
	fi
	((RANDOM % 3)) || exercise
	if ((i % 20 == 0)); then
		unbroken "$i changes"
		# Connections of this time live on, beside those of before.
		hold "at$i" --to 203.0.113.10:80 --held 100
	fi
done
unbroken "$CHANGES changes"
let_go "${!HOLDERS[@]}"
assert_conservation
