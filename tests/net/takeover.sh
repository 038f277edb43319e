#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A restarted lbd takes over the tables it finds, in the steady state and in the
# middle of a transition, and changes not a byte; after --detach nothing is left.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 3
for i in 1 2 3; do
	server_start b$i 8080
done
LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
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
    check: {type: tcp, interval: 500ms, timeout: 500ms}
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080, weight: 50}
      - {address: 10.1.0.13, port: 8080, weight: 10}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
      - {address: "fd00:1::13", port: 8080}
END
await 20 "all are up" web_is_whole

# at_rest: lbd has swept the whole table (some five seconds) since it last changed a byte of it.
at_rest()
{
	local now
	now=$(table_hash "${STATE_TABLES[@]}")
	[[ $now == "$rest_hash" ]] || rest_since_s=$SECONDS
	rest_hash=$now
	((SECONDS - rest_since_s > 6))
}
rest_hash=

# restart SIGNAL SENTENCE: the tables are the same before, without lbd, and after.
restart()
{
	local before table
	await 60 "$2: at rest" at_rest
	before=$(table_hash "${STATE_TABLES[@]}")
	for table in "${STATE_TABLES[@]}"; do
		bpftool map dump pinned "$RUN/bpf/lbd/maps/$table" >"$RUN/before.$table"
	done
	lbd_stop "$1"
	[[ $(table_hash "${STATE_TABLES[@]}") == "$before" ]] || fail "$2: changed when lbd ended"
	lbd_start
	await 20 "$2: all that was up is up" up_again
	for table in "${STATE_TABLES[@]}"; do
		bpftool map dump pinned "$RUN/bpf/lbd/maps/$table" |
			cmp - "$RUN/before.$table" || fail "$2: table $table differs"
	done
	ok "$2 ($1): ${#STATE_TABLES[@]} tables the same to the byte"
}
# Its checks have been made again, so that what follows from them is in the tables.
up_again()
{
	api /v1/services/web | jq -e \
		'[.backends[] | select(.state == "enabled") | .health == "up" and .cause != ""] | all'
}

restart TERM "steady"
restart KILL "steady"
hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 60
lbctl backend drain web 10.1.0.11:8080 >/dev/null
lbctl backend set web '[fd00:1::12]:8080' --weight 7 >/dev/null
unbroken "changed"
let_go web
expect "slots are in transition" eval 'api /v1/services/web | jq -e ".slots_in_transition > 0"'
restart TERM "in a transition"
restart KILL "in a transition"

say "other limits than the tables have are refused, and so is another key"
lbd_stop TERM
before=$(table_hash "${STATE_TABLES[@]}")
LBD_LIMITS="{services: 64, backends: 512, slots: 65536, connections: 16384}"
lbd_configure
refuse "other limits" 'limits.*--detach' in_ns lb "$BUILD/lbd" --config "$RUN/lbd.yaml"
LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
lbd_configure
mv "$RUN/state/hash.key" "$RUN/hash.key"
echo 000102030405060708090a0b0c0d0e0f >"$RUN/state/hash.key"
refuse "another hash key" 'key.*--detach' in_ns lb "$BUILD/lbd" --config "$RUN/lbd.yaml"
[[ $(table_hash "${STATE_TABLES[@]}") == "$before" ]] || fail "refused, but the tables changed"
ok "the tables are the same to the byte"
mv "$RUN/hash.key" "$RUN/state/hash.key"

expect "no lbd runs, and the kernel is kept from services' packets" in_ns lb nft list set inet sluice services4
expect "lbd --detach" in_ns lb "$BUILD/lbd" --detach --config "$RUN/lbd.yaml"
left=$(find "$RUN/bpf/lbd" ! -type d 2>/dev/null || true)
[[ -z $left ]] || fail "left in bpffs: $left"
ok "nothing is left in bpffs"
! in_ns lb ip link show wan | grep -q xdp || fail "a program is left on wan"
ok "no program is left on wan"
! in_ns lb nft list tables | grep -q sluice || fail "a table is left in nftables"
ok "no table is left in nftables"
