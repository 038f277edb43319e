#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What lbd refuses to start with: each by one sentence with its mend, and with the
# tables and the connections of the dataplane that runs left as they are.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 1
server_start b1 8080
LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
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
    backends: [{address: 10.1.0.11, port: 8080}]
END
hold web --to 203.0.113.10:80 --held 20

lbd_run()
{
	in_ns lb "$BUILD/lbd" "$@"
}

# other NAME SED: the settings, edited, into a file; prints its name.
other()
{
	sed -E "$2" "$RUN/lbd.yaml" >"$RUN/$1.yaml"
	echo "$RUN/$1.yaml"
}

say "while another lbd runs"
refuse "the same run_dir" "run_dir: another lbd" lbd_run --config "$RUN/lbd.yaml"
refuse "the same bpffs_dir" "bpffs_dir: another lbd" \
	lbd_run --config "$(other same_pins "s,^(run_dir: .*),\1-other,")"
refuse "--detach" "another lbd" lbd_run --detach --config "$RUN/lbd.yaml"

lbd_stop TERM
tables_before=$(table_hash meta routes service_index services slots backends hops reverse_index)
link_before=$(link_ids)

# refuse_start SENTENCE PATTERN COMMAND...: refused, and nothing has changed.
refuse_start()
{
	local tables
	refuse "$@"
	tables=$(table_hash meta routes service_index services slots backends hops reverse_index)
	[[ $tables == "$tables_before" ]] || fail "$1: the tables have changed"
	[[ $(link_ids) == "$link_before" ]] || fail "$1: the links are others"
}

say "the command line and the settings"
status=0
lbd_run --nonsense 2>"$RUN/says" || status=$?
((status == 2)) || fail "an unknown option ends with status $status"
[[ $(<"$RUN/says") == "lbd: --nonsense "*"\`lbd --help\` shows the usage" ]] ||
	fail "an unknown option: it says $(<"$RUN/says")"
status=0
lbd_run sideways 2>/dev/null || status=$?
((status == 2)) || fail "an unknown argument ends with status $status"
ok "wrong usage: status 2"
expect "--version" lbd_run --version
lbd_run --check --config "$RUN/lbd.yaml" >"$RUN/says"
expect "--check says what it found" grep -qx "$RUN/lbd.yaml: the settings are valid" "$RUN/says"
for both in "--check --detach" "--detach --check"; do
	status=0
	# shellcheck disable=SC2086 # two words
	lbd_run $both --config "$RUN/lbd.yaml" 2>"$RUN/says" || status=$?
	((status == 2)) || fail "$both ends with status $status"
	[[ $(table_hash meta routes service_index services slots backends hops reverse_index) == \
		"$tables_before" ]] || fail "$both changes the tables"
	ok "$both: $(cat "$RUN/says")"
done
refuse "--check of an unknown key" "^lbd: .*interfacs.*unknown.yaml:[12]" \
	lbd_run --check --config "$(other unknown 's/^interfaces/interfacs/')"
refuse_start "no settings" "^lbd: .*/nowhere.yaml" lbd_run --config /nowhere.yaml
refuse_start "no dataplane of ours" "^lbd: dataplane: must be xdp or dpdk" \
	lbd_run --config "$(other ebpf 's/^interfaces:/dataplane: ebpf\n&/')"

say "the host"
refuse_start "no interface of this name" "^lbd: interfaces\[0\].name: .*no interface wan7" \
	lbd_run --config "$(other no_interface 's/name: wan/name: wan7/')"
refuse_start "dpdk: the name of another kind of interface" "^lbd: interfaces\[0\].name: .*no TAP" \
	lbd_run --config "$(other dpdk 's/^interfaces:/dataplane: dpdk\n&/')"
server_start lb 9099
await 20 "somebody listens on port 9099" eval 'in_ns lb ss -Hltn "sport = 9099" | grep -q .'
refuse_start "a port that is taken" "^lbd: listen: .*in use \(.*ss -ltnp.*another address and port" \
	lbd_run --config "$(other taken 's/^listen: .*/listen: 127.0.0.1:9099/')"
server_kill lb
refuse_start "a hash key in no directory" "^lbd: hash_key_file: .*its directory must be there" \
	lbd_run --config "$(other no_directory 's,^(hash_key_file: ).*,\1/nowhere/key,')"
refuse_start "no root" "^lbd: needs root" \
	in_ns lb setpriv --reuid 65534 --regid 65534 --clear-groups \
	"$BUILD/lbd" --config "$RUN/lbd.yaml"
refuse_start "too few descriptors" "^lbd: needs 256 file descriptors.*its limit is 100;.*LimitNOFILE" \
	in_ns lb prlimit --nofile=100 "$BUILD/lbd" --config "$RUN/lbd.yaml"
# A wrong reason would be dangerous here: its mend takes the tables away.
refuse_start "pins of another user" \
	"^lbd: interfaces\[0\].name: cannot open what is pinned for wan: Permission denied$" \
	in_ns lb setpriv --reuid 65534 --regid 65534 --clear-groups \
	--inh-caps=+net_admin,+bpf,+perfmon --ambient-caps=+net_admin,+bpf,+perfmon \
	"$BUILD/lbd" --config "$RUN/lbd.yaml"
refuse_start "no bpf filesystem" "^lbd: bpffs_dir: .*mount -t bpf" \
	lbd_run --config "$(other no_bpffs "s,^bpffs_dir: .*,bpffs_dir: $RUN/none,")"
[[ ! -e $RUN/none ]] || fail "a directory was made that is no use"

ns_ip lb link add own0 type veth peer name own1
bpftool prog load "$BUILD/xdp/traffic.bpf.o" "$RUN/bpf/foreign" type xdp
in_ns lb bpftool net attach xdp pinned "$RUN/bpf/foreign" dev own0
refuse_start "a foreign XDP program" "^lbd: interfaces\[2\].name: own0 .*id [0-9]+" \
	lbd_run --config "$(other foreign 's/^limits/  - name: own0\n&/')"
ns_ip lb link show own0 | grep -q xdp || fail "the foreign program is gone"
ok "the foreign program is still there"

say "what is kept from before"
newest=$(find "$RUN/state/generations" -name '*.yaml' | sort -V | tail -n 1)
cp "$newest" "$RUN/kept"
echo "services: [{name: web, vips: 7" >"$newest"
refuse_start "a broken state file" "^lbd: .*${newest##*/}" lbd_run --config "$RUN/lbd.yaml"
cp "$RUN/kept" "$newest"
cp "$RUN/state/hash.key" "$RUN/key"
echo "not a key" >"$RUN/state/hash.key"
refuse_start "a broken hash key" "^lbd: hash_key_file: .*32 hex digits" \
	lbd_run --config "$RUN/lbd.yaml"
tr 0-9a-f 1-9a-f0 <"$RUN/key" >"$RUN/state/hash.key"
refuse_start "another hash key" "^lbd: hash_key_file: .*lbd --detach" \
	lbd_run --config "$RUN/lbd.yaml"
cp "$RUN/key" "$RUN/state/hash.key"
for limit in services:64 backends:256 slots:65536 connections:16384; do
	refuse_start "limits: ${limit%:*}" "^lbd: limits.${limit%:*}: .*lbd --detach" lbd_run --config \
		"$(other limit "s/${limit%:*}: ${limit#*:}/${limit%:*}: 32000/")"
done

# set_layout_version N: byte 8 of meta.
set_layout_version()
{
	local meta=$RUN/bpf/lbd/maps/meta
	# shellcheck disable=SC2046 # one word a byte
	bpftool map update pinned "$meta" key hex 00 00 00 00 value hex $(bpftool -j map dump \
		pinned "$meta" | jq -r --arg n "$1" '.[0].value | .[8] = $n | .[]' | sed 's/^0x//')
}
set_layout_version 0x63
tables_before=$(table_hash meta routes service_index services slots backends hops reverse_index)
refuse_start "pins of another layout version" "^lbd: .*layout version 99.*lbd --detach" \
	lbd_run --config "$RUN/lbd.yaml"
set_layout_version "0x$(sed -n 's/^#define LB_LAYOUT_VERSION //p' "$NET_DIR/../../dataplane/core/tables.h")"

say "a first start that fails leaves nothing"
ns_ip lb link add own2 type bridge
refuse "an interface without native XDP" "^lbd: interfaces\[0\].xdp: .*native" lbd_run --config \
	"$(other fresh "s/name: wan/name: own2\n    xdp: native/; /name: lan/d
		s,^bpffs_dir: .*,bpffs_dir: $RUN/bpf/fresh,; s,^run_dir: .*,run_dir: $RUN/fresh,")"
[[ ! -e $RUN/bpf/fresh ]] || fail "it left $RUN/bpf/fresh"

lbd_start
unbroken "all the while"
let_go web
assert_conservation
