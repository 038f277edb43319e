# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a trace shows, of either dataplane, for trace.sh and dpdk_trace.sh: they have a network with
# two backends, lbd running, and
#
#   is_traced  packets are copied
#   is_plain   and nothing of that is left

trace_needs()
{
	[[ -x $BUILD/lb-decap ]] || skip "$BUILD/lb-decap is not built"
	/usr/bin/python3 -c 'import scapy' 2>/dev/null || skip "python3-scapy is not installed"
}

trace_backends()
{
	server_start b1 8080 80
	server_start b2 8080
	vips_add b1 203.0.113.11
	decap_start b1 192.0.2.2
	ns_ip b1 rule add from 203.0.113.11 table 100
	ns_ip b1 route add default via 10.1.0.1 table 100
}

# The API's TCP side is there too: it must not show packets.
trace_configure()
{
	lbd_configure
	sed -i 's/^listen:.*/listen: 127.0.0.1:9099/' "$RUN/lbd.yaml"
}

trace_services()
{
	expect "services applied" lbctl apply - <<'END'
services:
  - name: web
    vips: [203.0.113.10, "2001:db8:113::10"]
    port: 80
    mode: nat
    ring: 1021
    backends:
      - {address: 10.1.0.11, port: 8080}
      - {address: 10.1.0.12, port: 8080}
      - {address: "fd00:1::11", port: 8080}
      - {address: "fd00:1::12", port: 8080}
  - name: tunnel
    vips: [203.0.113.11]
    port: 80
    mode: ipip
    ring: 1021
    backends:
      - {address: 10.1.0.11}
END
}

# trace_start NAME ARGUMENT...: what it prints is log/NAME, what it says at the end log/NAME too.
trace_start()
{
	local name=$1
	shift
	spawn lb "$name" "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" trace "$@"
	TRACE=$SPAWNED
	await 20 "$name: packets are copied" is_traced
}

# trace_end NAME [SIGNAL]: the client leaves; its status is TRACE_STATUS.
trace_end()
{
	[[ -z ${2-} ]] || kill "-$2" "$TRACE"
	TRACE_STATUS=0
	wait "$TRACE" 2>/dev/null || TRACE_STATUS=$?
	await 20 "$1: the plain walk is back" is_plain
}

# connect TARGET PORT: from a source that nobody else has.
connect()
{
	in_ns client /usr/bin/python3 - "$@" <<'END' 2>/dev/null
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 5, ("198.51.100.13", 0)) as s:
    s.sendall(b"1 0\n")
    s.recv(100)
END
}

# flood N: datagrams to a port that no service has.
flood()
{
	in_ns client /usr/bin/python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 11, 0) # not told of refusals
for i in range($1):
    try:
        s.sendto(b'x' * 400, ('203.0.113.10', 9999))
    except OSError:
        pass
    if i % 100 == 0:
        time.sleep(0.001)"
}

refused()
{
	api /v1/stats | jq '[.reasons[] | select(.reason | test("^refused_(port|rate)$|^no_service$")) |
		.packets] | add'
}

# Of the packets that a trace with --json was shown.
packets()
{
	jq -es "map(select(.before)) | length > 0 and ($2)" "$RUN/log/$1"
}

has_bytes()
{
	(($(stat -c %s "$1") > 1000))
}

# Of the newest counts that a trace with --json was told.
counts()
{
	jq -es "map(select(.matched)) | last | $2" "$RUN/log/$1"
}

judge()
{
	JUDGED=$(/usr/bin/python3 "$NET_DIR/trace.py" "$1" "$2") || fail "$3"
	ok "$3: $JUDGED packets"
}

# Which packets, and what of them.
trace_shows()
{
	say "what is not to be traced"
	refuse "an unknown service" 'wob: no such service' lbctl trace --service wob
	refuse "an unknown reason" 'did you mean current' lbctl trace --reason currant
	refuse "no address" 'source: must be an address' lbctl trace --source nowhere
	[[ $(in_ns lb curl -s http://127.0.0.1:9099/v1/trace | jq .status) == 404 ]] ||
		fail "packets are shown by TCP"
	ok "not by TCP: packets are private"
	expect "none of them has begun" is_plain

	say "by service and source: nat, before and after"
	trace_start nat --service web --source 198.51.100.13 --write "$RUN/nat.pcapng"
	refuse "a second one" 'one at a time' lbctl trace
	connect 203.0.113.10 80
	connect 203.0.113.11 80
	await 20 "it is written" has_bytes "$RUN/nat.pcapng"
	trace_end nat INT
	((TRACE_STATUS == 0)) || fail "nat: status $TRACE_STATUS"
	judge nat "$RUN/nat.pcapng" "requests, their destination rewritten"
	[[ $(stat -c %a "$RUN/nat.pcapng") == 600 ]] || fail "others may read the file"

	trace_start replies --destination 198.51.100.13 --reason reply --count 2 --write "$RUN/replies.pcapng"
	connect 203.0.113.10 80
	trace_end replies
	judge nat "$RUN/replies.pcapng" "replies, their source rewritten"
	((JUDGED == 2)) || fail "--count 2 shows $JUDGED"

	say "a tunnel; a refusal"
	trace_start tunnel --destination 203.0.113.11:80 --count 3 --write "$RUN/tunnel.pcapng"
	connect 203.0.113.11 80
	trace_end tunnel
	judge ipip "$RUN/tunnel.pcapng" "the packet inside is the one that came"
	trace_start refused --verdict answer --protocol tcp --count 1 --write "$RUN/refused.pcapng"
	connect 203.0.113.10 22 || true
	trace_end refused
	judge refused "$RUN/refused.pcapng" "the SYN, and the RST that answers it"

	say "a line a packet"
	trace_start lines --reason refused_port --count 1
	connect 203.0.113.10 22 || true
	trace_end lines
	cat "$RUN/log/lines"
	expect "before, what became of it, after" grep -Eq \
		'^[0-9T:.-]+Z wan tcp 198.51.100.13:[0-9]+ > 203.0.113.10:22 SYN, [0-9]+ bytes -> answer \(refused_port\), by wan: tcp 203.0.113.10:22 > 198.51.100.13:[0-9]+ RST' \
		"$RUN/log/lines"
	expect "how many there were, and why no more" grep -qx \
		'1 packets matched, 1 shown, 0 left out by the rate (--rate); as many as asked for' \
		"$RUN/log/lines"
}

# And how many.
trace_bounds()
{
	say "over the rate"
	before=$(refused)
	trace_start flood --json --protocol udp --destination :9999 --rate 50 --snap 64
	began_s=$SECONDS
	flood 3000
	after=$(refused)
	took_s=$((SECONDS - began_s))
	await 20 "all that came are counted: $((after - before))" counts flood ".matched == $after - $before"
	expect "they are shown, left out by the rate, or lost" counts flood \
		'.shown + .left_out + .lost == .matched'
	expect "most are left out" counts flood '.left_out > .matched / 2 and .matched > 500'
	expect "no more are shown than the rate allows" counts flood ".shown <= 50 * ($took_s + 2)"
	expect "in the order of time" packets flood 'map(.time) | . == sort'
	expect "cut at the snap length, and their whole length told" packets flood \
		'map(.before) | all(.length == 442 and (.bytes | length) == 128)'
	trace_end flood INT

	say "a client that does not read"
	trace_start slow --json --protocol udp --destination :9999 --rate 100000 --snap 2048
	kill -STOP "$TRACE"
	before=$(refused)
	flood 6000
	expect "lbd answers" lbctl status
	after=$(refused)
	kill -CONT "$TRACE"
	await 20 "what it missed is counted" counts slow ".lost > 0 and .matched == $after - $before"
	trace_end slow INT
}

# There is a holder.
trace_ends()
{
	say "for a while; killed"
	trace_start brief --seconds 1
	trace_end brief
	((TRACE_STATUS == 0)) || fail "--seconds 1: status $TRACE_STATUS"
	trace_start killed
	trace_end killed KILL
	unbroken "traced and not"
}
