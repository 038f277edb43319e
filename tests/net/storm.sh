#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Random changes, one upon the other, of backends that have connections, while lbd
# is killed again and again, also in the middle of a change. No connection breaks,
# and in the end the tables show what the services say. SLUICE_CHANGES sets how many,
# SLUICE_SEED repeats a run (but for when the kills hit), SLUICE_IDLE is the idle time:
# as short as it is by default, slots settle in between.

. "$(dirname "$0")/lib.sh"
isolate "$@"
CHANGES=${SLUICE_CHANGES:-60}
SEED=${SLUICE_SEED:-$((10#$(date +%N) / 1000 % 32768))}
RANDOM=$SEED
say "SLUICE_SEED=$SEED"

topology_add nat 6
for i in 1 2 3 4 5 6; do
	server_start b$i 8080
done
lbd_configure
lbd_start
expect "services applied" lbctl apply - <<END
services:
  - name: web
    vips: [203.0.113.10]
    protocol: tcp
    port: 80
    mode: nat
    ring: 1021
    idle_timeout: ${SLUICE_IDLE:-4s}
    check: {type: tcp, interval: 1s, timeout: 1s}
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: 10.1.0.13, port: 8080}
END
await 20 "all are up" web_is_healthy

# b1 stays enabled, so that there is always one; the others go through every state.
choose()
{
	local n=$((RANDOM % 5 + 2)) weight=$((RANDOM % 200 + 1))
	case $((RANDOM % 6)) in
	0) VERB=(add web "10.1.0.1$n:8080" --weight "$weight") ;;
	1) VERB=(remove web "10.1.0.1$n:8080") ;;
	2) VERB=(drain web "10.1.0.1$n:8080") ;;
	3) VERB=(enable web "10.1.0.1$n:8080") ;;
	4) VERB=(set web "10.1.0.1$n:8080" --weight "$weight") ;;
	5) VERB=(set web 10.1.0.11:8080 --weight "$weight") ;;
	esac
}

# What the backend is now may not allow it: that is refused, with status 1.
change()
{
	choose
	echo "${VERB[*]}" >>"$RUN/log/changes"
	lbctl backend "${VERB[@]}" >>"$RUN/log/changes" 2>&1 || (($? == 1)) ||
		fail "lbctl backend ${VERB[*]}: $(tail -n 1 "$RUN/log/changes")"
}

# The same, and lbd is killed meanwhile, or just before or after.
change_and_kill()
{
	local asking
	choose
	echo "${VERB[*]} (and killed)" >>"$RUN/log/changes"
	lbctl backend "${VERB[@]}" >>"$RUN/log/changes" 2>&1 &
	asking=$!
	sleep "0.0$((RANDOM % 40 + 10))"
	lbd_stop KILL
	wait "$asking" || true # whether it was done, or never was, is seen in the end
	lbd_start >/dev/null
}

# Each backend that is enabled and up gets new connections, and no other has a slot.
shows_services()
{
	api /v1/services/web | jq -e '[.backends[] | .gets_new_connections == (.slots > 0) and
		((.state == "enabled" and (.leaving | not)) == .gets_new_connections)] | all'
}

# The guard has the backends that there are, leaving ones too: no less and no more.
guards_backends()
{
	local listed guarded
	listed=$(api /v1/services/web | jq -c '[.backends[].address] | sort')
	guarded=$(in_ns lb nft -j list set inet sluice backends4 |
		jq -c '[.nftables[].set.elem // [] | .[].concat[0]] | sort')
	[[ $listed == "$guarded" ]]
}

hold one --to 203.0.113.10:80 --held 300 --new 100
for ((i = 1; i <= CHANGES; i++)); do
	if ((RANDOM % 4)); then
		change
	else
		change_and_kill
	fi
	((RANDOM % 3)) || exercise
	if ((i % 20 == 0)); then
		unbroken "$i changes"
		# Connections of this time live on, beside those of before.
		hold "at$i" --to 203.0.113.10:80 --held 100
	fi
done
unbroken "$CHANGES changes"
await 20 "the tables show what the services say" shows_services
await 20 "the guard shows it too" guards_backends
let_go "${!HOLDERS[@]}"
assert_conservation
