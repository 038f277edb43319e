#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Services that are refused: each with one sentence that names field and line, status
# 1, and the running tables stay as they were, to the byte.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
LBD_LIMITS="{services: 16, backends: 64, slots: 65536, connections: 4096}"
lbd_configure
lbd_start

# A service of every kind, so that each table holds something. The transition below ends by itself
# once dns was silent for its idle_timeout, and that changes its slots: it lasts longer than the test.
GOOD="services:
  - {name: web, vips: [203.0.113.10, '2001:db8:113::10'], port: 80, mode: nat, backends: [
       {address: 10.1.0.11, port: 8080}, {address: 'fd00:1::11', port: 8080}]}
  - {name: dns, vips: [203.0.113.53], protocol: udp, port: 53, mode: l2, idle_timeout: 1h,
     backends: [{address: 10.1.0.11}, {address: 10.1.0.12}]}
  - {name: tunnel, vips: [203.0.113.20], port: 443, mode: ipip, ring: 4093, backends: [
       {address: 10.1.0.12}]}"
expect "good services are applied" lbctl apply - <<<"$GOOD"
# Slots of a backend that drains are in transition.
in_transition()
{
	api /v1/services/dns | jq -e ".slots_in_transition > 0"
}
expect "a backend drains" lbctl backend drain dns 10.1.0.12
expect "its slots are in transition" in_transition
lbctl export >"$RUN/export"
tables=$(table_hash "${STATE_TABLES[@]}")
generation=$(api /v1/status | jq .generation)

# unchanged SENTENCE: nothing of what runs is another than before.
unchanged()
{
	[[ $(table_hash "${STATE_TABLES[@]}") == "$tables" ]] || fail "$1: the tables changed"
	[[ $(api /v1/status | jq .generation) == "$generation" ]] || fail "$1: the generation changed"
	lbctl export | cmp -s - "$RUN/export" || fail "$1: the services changed"
}

# bad SENTENCE PATTERN: the file on stdin is refused with one line that names its line.
bad()
{
	cat >"$RUN/bad.yaml"
	local status=0 lines
	lbctl apply "$RUN/bad.yaml" >"$RUN/out" 2>"$RUN/says" || status=$?
	((status == 1)) || fail "$1: status $status: $(cat "$RUN/out" "$RUN/says")"
	lines=$(wc -l <"$RUN/says")
	((lines == 1)) || fail "$1: $lines lines: $(cat "$RUN/says")"
	[[ ! -s $RUN/out ]] || fail "$1: it prints $(cat "$RUN/out")"
	grep -Eq "^lbctl: $2.* \($RUN/bad.yaml:[0-9]+\)$" "$RUN/says" ||
		fail "$1: it says: $(cat "$RUN/says")"
	unchanged "$1"
	ok "$1: $(cat "$RUN/says")"
}

# edited SENTENCE PATTERN SED: the good services, edited, are refused.
edited()
{
	sed -E "$3" <<<"$GOOD" | bad "$1" "$2"
}

# ---- what is no services at all ----

bad "no YAML" "is neither YAML nor JSON" <<<"services: ["
bad "another map" "" <<<"service: []"
bad "a list" "" <<<"- web"
bad "a word" "" <<<"web"
bad "nothing" "" </dev/null
bad "bytes" "" < <(head -c 4096 /dev/urandom)
bad "a depth of 10,000" "" < <(printf 'services: '; printf '[%.0s' {1..10000})
bad "an alias" "" <<<"services: [&a {name: web}, *a]"
bad "broken JSON" "" <<<'{"services": [}'

# ---- keys, types, ranges ----

edited "an unknown key" 'services\[0\]\.moode' 's/mode: nat/moode: nat/'
edited "a key twice" 'key "mode" is given twice' 's/mode: nat/mode: nat, mode: l2/'
edited "a wrong type" 'services\[0\]\.vips' "s/\[203.0.113.10, [^]]*\]/203.0.113.10/"
edited "a name that cannot be" 'services\[0\]\.name' 's/name: web/name: we b/'
edited "no name" 'services\[0\]' 's/name: web, //'
edited "no VIP" 'services\[1\]\.vips' 's/\[203.0.113.53\]/[]/'
edited "a VIP that is no address" 'services\[1\]\.vips\[0\]' 's/203.0.113.53/203.0.113.530/'
edited "a multicast VIP" 'services\[1\]\.vips\[0\]' 's/203.0.113.53/224.0.0.1/'
edited "a port too large" 'services\[1\]\.port' 's/port: 53/port: 65536/'
edited "port 0" 'services\[1\]\.port' 's/port: 53/port: 0/'
edited "no port" 'services\[1\]' 's/port: 53, //'
edited "an unknown mode" 'services\[1\]\.mode' 's/mode: l2/mode: dsr/'
edited "an unknown protocol" 'services\[1\]\.protocol' 's/udp/sctp/'
edited "a weight too large" 'services\[1\]\.backends\[1\]\.weight' \
	's/address: 10.1.0.12}\]/address: 10.1.0.12, weight: 1001}]/'
edited "a negative weight" 'services\[1\]\.backends\[1\]\.weight' \
	's/address: 10.1.0.12}\]/address: 10.1.0.12, weight: -1}]/'
edited "an unknown state" 'services\[1\]\.backends\[0\]\.state' \
	's/\{address: 10.1.0.11\}/{address: 10.1.0.11, state: off}/'
edited "a ring that is no prime" 'services\[2\]\.ring' 's/4093/4096/'
edited "a duration without unit" 'services\[2\]\.idle_timeout' 's/ring: 4093/idle_timeout: 30/'
edited "an unknown check" 'services\[2\]\.check\.type' 's/ring: 4093/check: {type: icmp}/'
edited "a check that times out after its interval" 'services\[2\]\.check' \
	's/ring: 4093/check: {type: tcp, interval: 1s, timeout: 2s}/'

# ---- what contradicts itself ----

edited "a VIP and port twice" 'services\[2\]\.vips\[0\]' 's/203.0.113.53\], protocol: udp, port: 53/203.0.113.20], port: 443/'
edited "a name twice" 'services\[1\]\.name' 's/name: dns/name: web/'
edited "a backend twice" 'services\[1\]\.backends\[1\]' 's/10.1.0.12\}\]\}/10.1.0.11}]}/'
edited "nat with port any" 'services\[0\]' 's/port: 80,/port: any,/'
edited "nat with two VIPs of a family" 'services\[0\]\.vips\[1\]' 's/2001:db8:113::10/203.0.113.11/'
edited "nat: two services share a backend and port" 'services\[2\]\.backends\[0\]' \
	's/port: 443, mode: ipip/port: 443, mode: nat/; s/^       \{address: 10.1.0.12\}/       {address: 10.1.0.11, port: 8080}/'
edited "nat: a backend of a family without VIP" 'services\[0\]\.backends\[1\]' "s/, '2001:db8:113::10'//"
edited "another port than the service's outside nat" 'services\[1\]\.backends\[0\]\.port' \
	's/\{address: 10.1.0.11\}/{address: 10.1.0.11, port: 54}/'
edited "l2 with a backend on no connected network" 'services\[1\]\.backends\[0\]' \
	's/\{address: 10.1.0.11\}/{address: 10.9.0.11}/'
edited "l2 with a backend of the other family" 'services\[1\]\.backends\[0\]' \
	"s/\{address: 10.1.0.11\}/{address: 'fd00:1::11'}/"
edited "adaptive tracking for UDP" 'services\[1\]\.tracking' 's/protocol: udp/protocol: udp, tracking: adaptive/'
edited "another ring than the service has" 'services\[2\]\.ring' 's/4093/8191/'

# ---- what does not fit ----

# full SENTENCE PATTERN: refused for room, or for want of --force; that is no fault of a line.
full()
{
	refuse "$1" "$2" lbctl apply -
	unchanged "$1"
}

large()
{
	local i
	echo "$GOOD"
	for ((i = 0; i < $1; i++)); do
		echo "  - {name: s$i, vips: [203.0.113.$((i % 250))], port: $((i + 1)), mode: ipip," \
			"ring: $2, backends: [{address: 10.1.0.12}]}"
	done
}

full "more services than the limit" 'limits.*services' < <(large 40 251)
full "more slots than the limit" 'limits.*slots' < <(large 10 16381)
full "more backends than the limit" 'limits.*backends' < <(
	echo "$GOOD"
	echo "  - {name: s, vips: [203.0.113.9], port: 1, mode: ipip, ring: 251, backends: ["
	for i in {1..100}; do echo "      {address: 10.2.0.$i},"; done
	echo "    ]}"
)
full "more than half of the services gone" '--force' <<<"services: []"
full "more than 8 MiB" '8 MiB' < <(head -c 8400000 /dev/zero | tr '\0' ' ')

# ---- single changes ----

one()
{
	refuse "$1" "$2" lbctl "${@:3}"
	unchanged "$1"
}

one "a service that is not there" 'nope: no such service' service remove nope
one "a backend that is not there" '10.1.0.99:8080: no such backend' backend drain web 10.1.0.99:8080
one "a backend that is no address" 'foo: is no backend' backend drain web foo
one "a backend that is there already" 'exists already' backend add web 10.1.0.11:8080
one "a service that is there already" 'exists already' service add web --vip 203.0.113.99 --port 9
one "a weight that cannot be" 'weight' backend set web 10.1.0.11:8080 --weight 3000
one "a state that cannot be" 'state' backend set web 10.1.0.11:8080 --state off
one "a key that is none" 'idle_timeot' service set web idle_timeot=1h
one "a ring that cannot change" 'ring' service set tunnel ring=8191
one "a name that cannot be" 'name' service add 'a b' --vip 203.0.113.99 --port 9
one "a generation that is not kept" '99' rollback 99
expect "the slots are in transition still" in_transition
