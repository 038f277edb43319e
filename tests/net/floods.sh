#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Floods of fragments and of echo requests beside real connections, real fragments and real pings:
# the memory is bounded, limits hold, each packet is counted, and no connection notices.

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/misuse_bed.sh"

FLOOD=40000  # packets a second
TABLE=262144 # fragments that are remembered

# flood_start KIND ARGUMENT...: to the balancer until flood_end, which sets SENT.
flood_start()
{
	rm -f "$RUN/log/flood"
	spawn router flood "$NET_DIR/misuse.py" wan "$LB_MAC" 0 $FLOOD "$@"
	FLOODER=$SPAWNED
	STARTED=$SECONDS FLOOD_LOST=$(lost_before wan)
	poll 20 grep -q sending "$RUN/log/flood" || fail "the flood does not start"
}

flood_end()
{
	kill -TERM "$FLOODER"
	wait "$FLOODER" || fail "the flood had ended before"
	SENT=$(tail -n 1 "$RUN/log/flood")
}

# counts_flood BEFORE REASON...
counts_flood()
{
	await 20 "$SENT packets of the flood, counted as ${*:2}" \
		counted_since "$1" "$SENT" wan "$FLOOD_LOST" "${@:2}"
}

# real_fragments SENTENCE: a datagram of 8 KB in fragments, and its answer in fragments.
real_fragments()
{
	local vip
	for vip in $VIP4 $VIP6; do
		expect "$1: 8 KB of UDP to $vip are answered" in_ns client "$BULK" echo "$vip" 7 8192
	done
}

maps_bytes()
{
	local map
	for map in "$RUN"/bpf/lbd/maps/*; do
		in_ns lb bpftool -j map show pinned "$map"
	done | jq -s '[.[].bytes_memlock] | add'
}

sink_packets()
{
	api '/v1/stats?service=sink' | jq '.services[0].packets'
}

sink_has()
{
	(($(sink_packets) >= $1))
}

say "a flood of fragments"
real_fragments "before"
attack "fragments without a first one" lb fragment_early later $VIP4 $VIP6
bytes=$(maps_bytes)
before=$(sink_packets)
flood_start first 0 2001:db8:113::12 9
await 120 "first fragments, as many as the table holds and half as many more" \
	sink_has $((before + TABLE * 3 / 2))
real_fragments "the table is full, and the flood goes on"
unbroken "the table is full, and the flood goes on"
flood_end
more=$(($(sink_packets) - before)) lost=$(($(lost_before wan) - FLOOD_LOST))
((more <= SENT && more >= SENT - lost)) || fail "$SENT were sent, $lost lost, $more counted"
ok "$SENT packets of the flood, counted at the sink's backend"
expect "no map has grown" test "$(maps_bytes)" = "$bytes"
before=$(count fragment)
attack "fragments of the first ones" lb "fragment fragment_early" later-of 0 2001:db8:113::12
(($(count fragment) - before < N)) || fail "none was forgotten: the table was not full"
ok "some were forgotten: $(($(count fragment) - before)) of $N are known"
before=$(count fragment)
attack "fragments of the last ones" lb "fragment fragment_early" \
	later-of $((SENT - N)) 2001:db8:113::12
(($(count fragment) - before > N / 2)) || fail "most of the last ones were forgotten"
ok "most of the last ones are known: $(($(count fragment) - before)) of $N"

say "a flood of echo requests"
PINGS=300
answered=$(count echo) over=$(count echo_rate)
flood_start echo $VIP4 $VIP6
for vip in $VIP4 $VIP6; do
	# Each second's first ones are answered, whose ever they are.
	expect "ping $vip, one of many is answered" in_ns client ping -i 0.01 -c $PINGS -W 2 "$vip"
done
real_fragments "echo requests"
unbroken "echo requests"
flood_end
limited "$answered" echo
SENT=$((SENT + 2 * PINGS))
counts_flood $((answered + over)) echo echo_rate
for vip in $VIP4 $VIP6; do
	await 20 "the flood is over: ping $vip" in_ns client ping -c 3 -i 0.2 -W 2 "$vip"
done
unbroken "after all"
let_go "${!HOLDERS[@]}"
assert_conservation
