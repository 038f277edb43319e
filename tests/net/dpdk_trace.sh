#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lbctl trace of lb-dpdk: what trace.sh shows of XDP, and what is the file's that carries the copies:
# lb-dpdk lets go of it when the client leaves or is killed, or lbd is; a lb-dpdk that was killed
# goes on with the trace when it is back; one that stands still, or is not there, keeps nobody
# waiting; and what is found in the file's place harms nobody.

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/dpdk_bed.sh"
. "$NET_DIR/trace_bed.sh"

trace_needs
dpdk_topology nat 2
trace_backends
trace_configure
lbd_start
dpdk_addresses
FILE=$RUN/lbd/tables.trace

refuse "no lb-dpdk" 'lb-dpdk does not run' lbctl trace
[[ ! -e $FILE ]] || fail "there is $FILE, and nobody traces"
dpdk_start
trace_services

is_mapped()
{
	grep -q "$FILE" "/proc/$DPDK/maps"
}

has_let_go()
{
	! is_mapped
}

# lbd has told its client, too.
is_traced()
{
	is_mapped && api /v1/events |
		jq -e '[.events[].text | select(test("^a trace "))] | last == "a trace began"'
}

is_plain()
{
	has_let_go && [[ ! -e $FILE && ! -e $FILE.new ]]
}

# has_pairs N FILE: so many packets, before and after.
has_pairs()
{
	[[ $(/usr/bin/python3 "$NET_DIR/trace.py" refused "$2") == "$1" ]]
}

WEB=(--to 203.0.113.10:80 --to '[2001:db8:113::10]:80')
hold web "${WEB[@]}" --held 40 --new 20 "${TCP_OPTIONS[@]}"
expect "nothing is copied" is_plain

trace_shows
trace_bounds
trace_ends

say "lbd ends"
trace_start term
lbd_stop TERM
wait "$TRACE" && fail "a trace whose lbd has ended succeeds"
expect "the client is told" grep -q 'lbd has ended' "$RUN/log/term"
await 20 "lb-dpdk copies no more" is_plain
unbroken "without lbd"
lbd_start

say "lbd is killed"
trace_start kill --rate 100000
lbd_stop KILL
await 20 "lb-dpdk has let go of the file" has_let_go
wait "$TRACE" || true
unbroken "without lbd"
lbd_start
expect "the next lbd has removed it" is_plain
trace_start next --reason refused_port --count 1 --write "$RUN/next.pcapng"
head -c 100000 "$FILE" >"$RUN/cut"
connect 203.0.113.10 22 || true
trace_end next
judge refused "$RUN/next.pcapng" "the next trace works"

say "lb-dpdk is killed, and back"
trace_start back --destination 203.0.113.10:22 --protocol tcp --count 2 --write "$RUN/back.pcapng"
connect 203.0.113.10 22 || true
await 20 "one is written" has_pairs 1 "$RUN/back.pcapng"
dpdk_stop KILL
dpdk_start
forgive
await 20 "the new one copies" is_traced
connect 203.0.113.10 22 || true
trace_end back
judge refused "$RUN/back.pcapng" "the trace went on"
((JUDGED == 2)) || fail "--count 2 shows $JUDGED"
unbroken "lb-dpdk again"

say "lb-dpdk stands still"
kill -STOP "$DPDK"
refuse "it does not begin" 'has not begun to copy' lbctl trace
kill -CONT "$DPDK"
await 20 "nothing is left" is_plain
await 30 "lb-dpdk goes on" dpdk_is_ready
forgive

say "the one that starts while a trace runs is of another version"
trace_start other --reason refused_port
dpdk_stop KILL
printf '\1\0\0\0' | dd of="$FILE" bs=1 seek=8 conv=notrunc status=none
dpdk_start
await 20 "its client is told, and the trace ends" grep -q \
	'; lb-dpdk refuses a trace: it is of another version than lbd' "$RUN/log/other"
trace_end other
forgive

# is_told BYTE VALUE: lb-dpdk finds lbd's file with another word at BYTE.
is_told()
{
	kill -STOP "$DPDK"
	spawn lb refused "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" trace
	TRACE=$SPAWNED
	await 4 "there is a file" test -e "$FILE"
	/usr/bin/python3 - "$FILE" "$1" "$2" <<-'END'
		import struct, sys
		with open(sys.argv[1], "r+b") as f:
		    f.seek(int(sys.argv[2]))
		    f.write(struct.pack("I", int(sys.argv[3])))
	END
	kill -CONT "$DPDK"
	wait "$TRACE" && fail "a trace that lb-dpdk refuses succeeds"
	await 20 "nothing is left" is_plain
}

say "lb-dpdk is of another version; has more workers than there are rings"
is_told 8 1
expect "the client is told" grep -q 'lb-dpdk refuses a trace: it is of another version than lbd' \
	"$RUN/log/refused"
expect "so is the log" grep -q 'lb-dpdk: refuses a trace: it is of another version' \
	"$RUN/log/lb-dpdk"
is_told 16 0
expect "the client is told" grep -q 'lb-dpdk refuses a trace: it has more workers' \
	"$RUN/log/refused"
forgive

say "another file in its place"
# Reading changes the time of access where it is not newer than that of change.
is_read()
{
	[[ $(stat -c %x "$FILE") != "$(stat -c %y "$FILE")" ]]
}

# leaves_alone SENTENCE: lb-dpdk looks at $FILE, locked as lbd's is, again and again, and no more.
leaves_alone()
{
	local holder
	/usr/bin/python3 - "$FILE" <<-'END' &
		import fcntl, struct, sys, time
		f = open(sys.argv[1], "r+b")
		fcntl.fcntl(f, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0))
		time.sleep(600)
	END
	holder=$!
	touch "$FILE"
	await 20 "$1: it is read" is_read
	touch "$FILE"
	await 20 "$1: and again" is_read
	expect "$1: it is not taken" has_let_go
	kill -KILL "$holder"
	wait "$holder" 2>/dev/null || true
}
echo >"$FILE"
leaves_alone "a line"
head -c 600000 /dev/zero >"$FILE"
leaves_alone "zeros"
cp "$RUN/cut" "$FILE"
leaves_alone "one that is cut short"
trace_start last --reason refused_port --count 1 --write "$RUN/last.pcapng"
connect 203.0.113.10 22 || true
trace_end last
judge refused "$RUN/last.pcapng" "the last trace"
unbroken "after all"
let_go web
assert_conservation
