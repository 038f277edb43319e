#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A VIP's port that no service has, a service without backend, ICMP to a VIP: each
# has its reason in `lbctl drops`, and nothing reaches what listens on the host. TCP is
# refused by a RST, so that nobody waits; UDP by ICMP.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 1
server_start b1 8080
server_start lb 22 # a stranger on the host's wildcard address
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
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: "fd00:1::11", port: 8080}
END

# Before anything comes for it, `status` says where to look; afterwards it does not.
expect "status says that no packet came for a VIP" \
	grep -q "none for a VIP yet" < <(lbctl status)
in_ns client ping -c 1 -W 5 203.0.113.10 >/dev/null || fail "the VIP does not answer ping"
await 10 "and no more when one has" eval '! lbctl status | grep -q "none for a VIP yet"'

# A firewall that answers nothing: clients only repeat their SYNs.
has_note()
{
	lbctl backend list | grep -q "^web  *10.1.0.11:8080 .* only SYNs went to it: no connection was"
}
in_ns b1 nft -f - <<-'END'
	table inet deaf {
		chain input {
			type filter hook input priority 0;
			tcp dport 8080 drop
		}
	}
END
in_ns client timeout 10 bash -c ': </dev/tcp/203.0.113.10/80' 2>/dev/null &
await 20 "SYNs without an answer are seen in the list of backends" has_note
in_ns b1 nft delete table inet deaf
wait %% 2>/dev/null || true

dropped()
{
	api /v1/drops | jq ".reasons[] | select(.reason == \"$1\") | .packets"
}

# drops REASON SENTENCE TARGET...: connections to the targets fail, and are counted there.
drops()
{
	local reason=$1 sentence=$2 before after to=() target
	shift 2
	for target; do to+=(--to "$target"); done
	before=$(dropped "$reason")
	rm -f "$RUN/log/drops.json"
	spawn client drops "$BUILD/tests/net/holder" client "${to[@]}" --new 40 --timeout 500 \
		--report "$RUN/log/drops.json"
	HOLDERS[drops]=$SPAWNED
	poll 20 report drops '.new_failed + .straddled > 20' || fail "$sentence: nothing failed"
	let_go drops
	expect "$sentence: no connection is answered" report drops '.new_ok == 0'
	expect "$sentence: each is refused at once" report drops \
		'[.servers[].new_failed | to_entries[] | select(.key != "connect")] == [] and
			(.last_trouble | endswith("Connection refused"))'
	after=$(dropped "$reason")
	((after >= before + 20)) || fail "$sentence: $reason went from $before to $after"
	ok "$sentence: $((after - before)) packets counted under $reason"
}

hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 20 --new 10
drops refused_port "a port without service" 203.0.113.10:22 '[2001:db8:113::10]:22'
expect "the VIP answers echo" in_ns client ping -c 3 -i 0.2 -W 2 203.0.113.10
expect "the VIP answers echo, IPv6" in_ns client ping -c 3 -i 0.2 -W 2 2001:db8:113::10
unbroken "the service beside it"
expect "a note about SYNs is no more" eval '! has_note'
let_go web
lbctl backend disable web 10.1.0.11:8080 >/dev/null
lbctl backend disable web '[fd00:1::11]:8080' >/dev/null
drops refused_backend "a service without backend" 203.0.113.10:80 '[2001:db8:113::10]:80'
assert_conservation
