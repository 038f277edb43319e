#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# explain --pcap: what is said of the packets of a capture is what had happened to them. Real
# traffic (nat, a tunnel, datagrams in fragments, ping of a VIP, a refused port, the balancer's
# own) is captured where it comes to the balancer; then every backend that is named is the one that
# answered, and the reasons add up to the dataplane's counters. Explaining changes nothing. A
# capture of any size is explained, one that is none is refused, and lbd serves others meanwhile.

. "$(dirname "$0")/lib.sh"
isolate "$@"

[[ -x $BUILD/lb-decap ]] || skip "$BUILD/lb-decap is not built"
command -v tcpdump >/dev/null || skip "tcpdump is not installed"
PYTHON=/usr/bin/python3
topology_add gue 4
for i in 1 2; do
	default_route b$i 10.1.0.2 fd00:1::2
	server_start b$i 8080
done
for i in 3 4; do
	vips_add b$i 203.0.113.20 2001:db8:113::20
	decap_start b$i 192.0.2.2,10.1.0.2 2001:db8:2::2,fd00:1::2
	server_start b$i 80
done
LBD_SETTINGS='source: {ipv4: 10.1.0.2, ipv6: "fd00:1::2"}'
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
    backends: [{address: 10.1.0.11, port: 8080}, {address: 10.1.0.12, port: 8080}]
  - name: datagrams
    vips: [203.0.113.10]
    protocol: udp
    port: 53
    mode: nat
    tracking: none
    ring: 1021
    backends: [{address: 10.1.0.11, port: 8080}, {address: 10.1.0.12, port: 8080}]
  - name: tunnel
    vips: [203.0.113.20, "2001:db8:113::20"]
    protocol: tcp
    port: 80
    mode: gue
    ring: 1021
    backends: [{address: 10.1.0.13}, {address: "fd00:1::14"}]
END
all_have_slots()
{
	api /v1/services | jq -e '[.services[].backends[].slots > 0] | length == 6 and all'
}
await 20 "every backend gets connections" all_have_slots

# ---- traffic, and what came of it ----

# capture NAME LINK: what the router sends to the balancer by this link, into NAME.pcap.
declare -A CAPTURES=()
capture()
{
	spawn router "tcpdump-$1" tcpdump -i "$2" -Q out -U --immediate-mode -w "$RUN/$1.pcap"
	CAPTURES[$1]=$SPAWNED
	await 20 "$2 is captured" grep -q "listening on" "$RUN/log/tcpdump-$1"
}

# Packets by reason, but for what neighbours say at any time.
NOISE='"not_ip", "not_vip", "vip_icmp"'
reasons_counted()
{
	api /v1/stats | jq -Sc "[.reasons[] | select(.packets > 0 and
		(.reason | IN($NOISE) | not)) | {(.reason): .packets}] | add"
}

is_quiet()
{
	local before
	before=$(reasons_counted)
	sleep 0.2
	[[ $before == "$(reasons_counted)" ]]
}

# Connections and datagrams: a line each, "PROTOCOL SOURCE > DESTINATION SERVER".
talk()
{
	in_ns client "$PYTHON" - <<'END'
import socket

def name(address):
    return "%s:%d" % address[:2] if ":" not in address[0] else "[%s]:%d" % address[:2]

def talk(family, kind, to, message):
    s = socket.socket(family, kind)
    s.settimeout(10)
    s.connect(to)
    s.sendall(message)
    answer = s.recv(65535)
    print("tcp" if kind == socket.SOCK_STREAM else "udp", name(s.getsockname()), ">",
          name(s.getpeername()), answer.split()[0].decode())
    s.close()

for i in range(20):
    for family, to in ((socket.AF_INET, "203.0.113.10"), (socket.AF_INET, "203.0.113.20"),
                       (socket.AF_INET6, "2001:db8:113::20")):
        talk(family, socket.SOCK_STREAM, (to, 80), b"hello\n")
for i in range(5):
    talk(socket.AF_INET, socket.SOCK_DGRAM, ("203.0.113.10", 53), b"x" * 4000 + b"\n")
for port in range(1000, 1005):
    try:
        talk(socket.AF_INET, socket.SOCK_STREAM, ("203.0.113.10", port), b"hello\n")
    except ConnectionRefusedError:
        pass
END
}

capture wan wan
capture lan lan-lb
BEFORE=$(reasons_counted)
talk >"$RUN/talk"
expect "the VIP answers echo" in_ns client ping -c 3 -i 0.2 -W 2 203.0.113.10
expect "the VIP answers echo, IPv6" in_ns client ping -c 3 -i 0.2 -W 2 2001:db8:113::20
expect "so does the balancer's own address" in_ns client ping -c 3 -i 0.2 -W 2 192.0.2.2
await 20 "all is quiet" is_quiet
AFTER=$(reasons_counted)

# ---- each packet is explained as it was treated ----

# explain NAME: of NAME.pcap, into NAME.json.
explain()
{
	lbctl --json explain --pcap "$RUN/$1.pcap" >"$RUN/$1.json"
}

# The reasons of both captures are what the counters went up by.
agrees()
{
	local counted explained
	explain wan && explain lan || return 1
	counted=$(jq -Snc --argjson before "${BEFORE:-null}" --argjson after "$AFTER" '
		$after | with_entries(.value -= ($before[.key] // 0)) | with_entries(select(.value > 0))')
	explained=$(jq -Ssc "[.[].packets[].reason | select(IN($NOISE) | not)] |
		group_by(.) | map({(.[0]): length}) | add" "$RUN/wan.json" "$RUN/lan.json")
	AGREED="counted $counted, explained $explained"
	[[ $counted == "$explained" ]]
}

written=(connections slot_times fragments limits service_counters backend_counters)
state=$(table_hash "${written[@]}")
poll 10 agrees || fail "explained is what was counted: $AGREED"
ok "explained is what was counted: $AGREED"
# Neighbours go on talking.
kill "${CAPTURES[@]}"
wait "${CAPTURES[@]}" || true
for reason in current reply fragment echo refused_port; do
	expect "packets that end as $reason were among them" jq -e ".$reason > 4" \
		<<<"${AGREED#*explained }"
done
expect "nothing was stamped, tracked, taken or counted" \
	test "$(table_hash "${written[@]}") $(reasons_counted)" = "$state $AFTER"

explain wan

# The server that answered each flow, against the backend that is named for each of its packets.
# shellcheck disable=SC2016 # jq's
expect "each backend that is named is the one that answered" jq -en --rawfile talk "$RUN/talk" \
	--slurpfile wan "$RUN/wan.json" '
	{"10.1.0.11:8080": "b1", "10.1.0.12:8080": "b2", "10.1.0.13:80": "b3",
		"[fd00:1::14]:80": "b4"} as $names |
	[$talk | split("\n")[] | select(. != "") | capture("^(?<flow>.*) (?<server>[^ ]*)$")] as $flows |
	($flows | length == 65) and all($flows[];
		. as $f | [$wan[0].packets[] | select(.packet | startswith($f.flow))] |
		length > 0 and all(.[]; $names[.backend] == $f.server and .verdict == "transmit"))'
expect "all four have answered" test "$(awk '{ print $NF }' "$RUN/talk" | sort -u | wc -l)" = 4
expect "what leaves is told" jq -e '
	([.packets[] | select(.service == "web") | .leaves] | length > 0 and
		all(.[]; test("^tcp 198.51.100.10:[0-9]+ > 10.1.0.1[12]:8080 "))) and
	([.packets[] | select(.service == "tunnel") | .leaves] | length > 0 and
		all(.[]; test("^udp .* > .*:6080$"))) and
	([.packets[] | select(.reason == "refused_port") | .answer] | length > 0 and all(.[]; . == "rst"))
	' "$RUN/wan.json"
expect "what is not ours is the kernel's" jq -e '[.packets[] |
	select(.packet == "icmp 198.51.100.10 > 192.0.2.2 echo request") |
	.verdict + " " + .reason] == ["pass not_vip", "pass not_vip", "pass not_vip"]' "$RUN/wan.json"

# ---- lines, standard input, other formats ----

packets_n=$(jq '.packets | length' "$RUN/wan.json")
lbctl explain --pcap "$RUN/wan.pcap" >"$RUN/lines"
expect "a line each" test "$(wc -l <"$RUN/lines")" = "$packets_n"
expect "a line says it all" grep -Eq \
	'^ *[0-9]+  [0-9:.]{15}  tcp 198\.51\.100\.10:[0-9]+ > 203\.0\.113\.10:80 SYN +transmit current +web 10\.1\.0\.1[12]:8080$' \
	"$RUN/lines"
expect "and what is answered" grep -Eq ' answer +refused_port +- - rst$' "$RUN/lines"
expect "standard input does too" cmp "$RUN/lines" <(lbctl explain --pcap - <"$RUN/wan.pcap")

# post FILE: the status; the answer is in body.
post()
{
	in_ns lb curl -sS --max-time 60 -o "$RUN/body" -w '%{http_code}' -H Expect: \
		--unix-socket "$RUN/lbd/lbd.sock" --data-binary @"$1" http://lbd/v1/explain
}

expect "the API takes a capture as it is" test "$(post "$RUN/wan.pcap")" = 200
# shellcheck disable=SC2016 # jq's
expect "and answers the same" jq -e --slurpfile by_lbctl "$RUN/wan.json" '
	[.packets[].packet] == [$by_lbctl[0].packets[].packet] and
	[.packets[].reason] == [$by_lbctl[0].packets[].reason]' "$RUN/body"

# pcapng of the same packets (draft-ietf-opsawg-pcapng).
"$PYTHON" - "$RUN/wan.pcap" "$RUN/wan.pcapng" <<'END'
import struct, sys
data = open(sys.argv[1], "rb").read()
with open(sys.argv[2], "wb") as out:
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        out.write(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))
    block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    block(1, struct.pack("<HHI", 1, 0, 262144))
    at = 24
    while at < len(data):
        s, us, captured, length = struct.unpack_from("<IIII", data, at)
        time = s * 1000000 + us
        block(6, struct.pack("<IIIII", 0, time >> 32, time & 0xffffffff, captured, length) +
              data[at + 16:at + 16 + captured])
        at += 16 + captured
END
expect "pcapng reads the same" cmp "$RUN/lines" <(lbctl explain --pcap "$RUN/wan.pcapng")
expect "the API says what to do with it" test "$(post "$RUN/wan.pcapng")" = 422
expect "in words" grep -q 'lbctl explain --pcap' "$RUN/body"

# The same datagrams under identifications that the dataplane has not seen: their later fragments
# go where the capture's first one went.
"$PYTHON" - "$RUN/wan.pcap" "$RUN/unseen.pcap" <<'END'
import struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
at = 24
while at < len(data):
    captured, = struct.unpack_from("<8xI", data, at)
    at += 16
    if data[at + 12:at + 14] == b"\x08\0" and data[at + 23] == 17:
        data[at + 18] ^= 0x55
    at += captured
open(sys.argv[2], "wb").write(data)
END
explain unseen
# shellcheck disable=SC2016 # jq's
expect "fragments follow the first one of their capture" jq -en --slurpfile wan "$RUN/wan.json" \
	--slurpfile unseen "$RUN/unseen.json" \
	'[$unseen[0].packets[] | .reason, .backend] == [$wan[0].packets[] | .reason, .backend]'

# ---- any size; others are served meanwhile ----

# grow FILE BYTES: the packets of wan.pcap over and over, up to so many bytes.
grow()
{
	local n size
	size=$(($(stat -c %s "$RUN/wan.pcap") - 24))
	n=$((($2 - 24) / size))
	GROWN=$((n * packets_n))
	{
		cat "$RUN/wan.pcap"
		tail -c +25 "$RUN/wan.pcap" >"$RUN/packets"
		while ((--n)); do cat "$RUN/packets"; done
	} >"$1"
}

grow "$RUN/large.pcap" $((8 << 20))
post "$RUN/large.pcap" >"$RUN/status" &
poster=$! served=0
while kill -0 $poster 2>/dev/null; do
	api /v1/status >/dev/null && ((++served))
done
wait $poster
expect "8 MiB are explained" test "$(<"$RUN/status")" = 200
expect "all $GROWN packets of it" jq -e "[.packets[].number] == [range(1; $GROWN + 1)]" "$RUN/body"
((served > 2)) || fail "lbd answered $served others meanwhile"
ok "lbd answered $served others meanwhile"
grow "$RUN/large.pcap" $((9 << 20))
expect "more than 8 MiB are refused" test "$(post "$RUN/large.pcap")" = 413
lbctl explain --pcap "$RUN/large.pcap" >"$RUN/many"
expect "but not by lbctl" test "$(wc -l <"$RUN/many")" = "$GROWN"
# shellcheck disable=SC2016 # awk's
expect "whose numbers go on" awk '$1 != NR { exit 1 }' "$RUN/many"

# A client that goes away before it has its answer.
for i in 1 2 3 4 5; do
	in_ns lb curl -sS --max-time 60 -H Expect: --unix-socket "$RUN/lbd/lbd.sock" \
		--data-binary @<(head -c $((4 << 20)) "$RUN/large.pcap" | tcpdump -r - -w - 2>/dev/null) \
		http://lbd/v1/explain 2>/dev/null | head -c 1000 >/dev/null || true
done
expect "lbd outlives those who do not wait for the end" lbd_is_ready

# ---- what is no capture ----

refused()
{
	local sentence=$1 pattern=$2 status
	status=$(post "$3")
	[[ $status == 422 ]] || fail "$sentence: status $status"
	jq -r .detail "$RUN/body" | grep -Eq "$pattern" || fail "$sentence: $(cat "$RUN/body")"
	ok "$sentence: $(jq -r .detail "$RUN/body")"
}

: >"$RUN/empty"
head -c 24 "$RUN/wan.pcap" >"$RUN/none.pcap"
head -c -5 "$RUN/wan.pcap" >"$RUN/cut.pcap"
refused "an empty body" 'empty' "$RUN/empty"
refused "what is no capture" 'no capture' "$RUN/lbd.yaml"
refused "a capture that was cut off" "ends inside packet $packets_n:" "$RUN/cut.pcap"
expect "a capture without packets has none" test "$(post "$RUN/none.pcap")" = 200
expect "which is an answer" jq -e '.packets == []' "$RUN/body"
refuse "lbctl says so" 'holds no packet' lbctl explain --pcap "$RUN/none.pcap"
refuse "and where there is no capture" 'cannot be read as a capture' lbctl explain --pcap "$RUN/lbd.yaml"
refuse "or no file" 'No such file' lbctl explain --pcap "$RUN/nowhere"
refuse "lbctl explains what is whole of a capture that was cut off" 'truncated' \
	lbctl explain --pcap "$RUN/cut.pcap"
lbctl explain --pcap "$RUN/cut.pcap" >"$RUN/lines" 2>/dev/null || true
expect "and not its last packet" test "$(wc -l <"$RUN/lines")" = $((packets_n - 1))
