#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What lb-dpdk says where something is missing or wrong: one sentence with the mend.

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/dpdk_bed.sh"

dpdk_needs
ip link add nic0 type veth peer name nic1
# What the host has reserved is out of sight.
mount -t tmpfs tmpfs /sys/kernel/mm/hugepages 2>/dev/null || true

# says SENTENCE PATTERN ARGUMENT...: refused with one line that starts with "lb-dpdk: ".
says()
{
	local sentence=$1 pattern=$2 lines
	shift 2
	refuse "$sentence" "^lb-dpdk: .*$pattern" timeout 20 "$BUILD/lb-dpdk" "$@"
	lines=$("$BUILD/lb-dpdk" "$@" 2>&1 | grep -cv '^lb-dpdk: ' || true)
	((lines == 0)) || fail "$sentence: DPDK says $lines lines of its own"
}

TABLES=(--tables "$RUN/tables")
EAL=(--no-huge -m 256 --no-pci --no-telemetry)
TWO=(--lcores '0@0,1@0')

says "no huge pages" 'vm.nr_hugepages' "${TABLES[@]}" -- --no-pci "${TWO[@]}" --vdev net_null0
says "no port" 'dpdk-devbind' "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}"
says "one lcore" '--lcores 0,1' "${TABLES[@]}" -- "${EAL[@]}" --lcores 0@0 --vdev net_null0
says "a CPU that is not there" 'nproc' "${TABLES[@]}" -- "${EAL[@]}" --lcores 0@0,1@999 \
	--vdev net_null0
says "no such interface" 'is its interface there.*net_af_xdp0' "${TABLES[@]}" -- "${EAL[@]}" \
	"${TWO[@]}" --vdev net_af_xdp0,iface=nope
says "no such driver" 'is its name right.*net_nope0' "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" \
	--vdev net_nope0
says "an unknown argument" 'frobnicate' "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" --frobnicate
RUNTIME_DIRECTORY=$RUN/nowhere/dpdk says "no runtime directory" "make the directory.*$RUN/nowhere" \
	"${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" --vdev net_null0
head -c 8192 /dev/zero >"$RUN/other"
says "no tables, but another file" "no file of Sluice's tables" --tables "$RUN/other" -- "${EAL[@]}" \
	"${TWO[@]}" --vdev net_null0

chmod 1777 "$RUN"
AS_NOBODY=(setpriv --reuid 65534 --clear-groups --bounding-set=-all)
refuse "not root" '^lb-dpdk: .*permission is missing: run it as root' "${AS_NOBODY[@]}" \
	"$BUILD/lb-dpdk" "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" --vdev net_af_xdp0,iface=nic0

"$BUILD/lb-dpdk" "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" --vdev net_null0 2>"$RUN/log/first" &
await 20 "a first one waits for the tables" grep -q 'is lbd running' "$RUN/log/first"
says "a second one with the same prefix" '--file-prefix' "${TABLES[@]}" -- "${EAL[@]}" "${TWO[@]}" \
	--vdev net_null0
kill -TERM $!
wait $! || fail "lb-dpdk did not end well: $(cat "$RUN/log/first")"
ok "SIGTERM ends it"

status=0
"$BUILD/lb-dpdk" --tables 2>/dev/null || status=$?
expect "wrong usage is status 2" test "$status" = 2
status=0
output=$("$BUILD/lb-dpdk" 2>&1) || status=$?
expect "without --tables: $output" test "$status" = 2
