#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The HTTP API and lbctl against a real lbd: statuses, problem documents, generations,
# the read-only listener, JSON of every command, exit statuses.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
LBD_LIMITS="{services: 16, backends: 64, slots: 65536, connections: 4096}"
lbd_configure
sed -i 's/^listen: .*/listen: 127.0.0.1:9099/' "$RUN/lbd.yaml"
lbd_start

# request METHOD PATH [CURL ARGUMENT...]: the status; head and body are in files.
request()
{
	curl -gsS --max-time 10 --unix-socket "$RUN/lbd/lbd.sock" -D "$RUN/head" -o "$RUN/body" \
		-w '%{http_code}' -X "$1" "http://lbd$2" "${@:3}"
}

# answers STATUS METHOD PATH [CURL ARGUMENT...]: an error comes as a problem document.
answers()
{
	local status
	status=$(request "${@:2}")
	[[ $status == "$1" ]] || fail "$2 $3: $status instead of $1: $(cat "$RUN/body")"
	if ((status >= 400)); then
		grep -iq '^content-type: application/problem+json' "$RUN/head" ||
			fail "$2 $3: $(cat "$RUN/head")"
		jq -e ".status == $status and (.detail | length > 0)" "$RUN/body" >/dev/null ||
			fail "$2 $3: $(cat "$RUN/body")"
	fi
	ok "$2 $3: $status"
}

# exits STATUS WORD...: lbctl; its output is in files. One line is said where it fails.
exits()
{
	local status=0
	lbctl "${@:2}" >"$RUN/out" 2>"$RUN/says" || status=$?
	((status == $1)) || fail "lbctl ${*:2}: $status instead of $1: $(cat "$RUN/out" "$RUN/says")"
	if ((status)); then
		[[ $(grep -c '^lbctl: ' "$RUN/says") == 1 && $(wc -l <"$RUN/says") == 1 ]] ||
			fail "lbctl ${*:2}: says $(cat "$RUN/says")"
	fi
	ok "lbctl ${*:2}: $1 $(cat "$RUN/says")"
}

cat >"$RUN/services.yaml" <<-END2
services:
  - {name: web, vips: [203.0.113.10], port: 80, mode: nat, ring: 251, backends: [
       {address: 10.1.0.11, port: 8080}, {address: 10.1.0.12, port: 8080}]}
END2

# ---- before there are services ----

# says PATTERN WORD...: the one line of a table without rows, and status 0.
says()
{
	exits 0 "${@:2}"
	[[ $(<"$RUN/out") =~ $1 && $(wc -l <"$RUN/out") == 1 ]] ||
		fail "lbctl ${*:2}: says $(cat "$RUN/out")"
}
says "^no services; .lbctl apply" service list
says "^no backends" backend list
says "^no services" stats
says "^no generations are kept" history
says "^nothing was dropped" drops
exits 0 --version
expect "as lbctl version" diff "$RUN/out" <(lbctl version)

answers 503 GET /healthz
answers 200 GET /v1/config
grep -iq '^etag: "0"' "$RUN/head" || fail "no ETag: $(cat "$RUN/head")"
answers 412 PUT /v1/config -H 'If-Match: "7"' --data-binary @"$RUN/services.yaml"
answers 200 PUT '/v1/config?dry_run=1' --data-binary @"$RUN/services.yaml"
expect "a dry run changes nothing" jq -e '.generation == 0 and .dry_run' "$RUN/body"
answers 200 PUT /v1/config -H 'If-Match: "0"' --data-binary @"$RUN/services.yaml"
expect "the answer has generation and plan" \
	jq -e '.generation == 1 and (.plan.changes | length > 0)' "$RUN/body"
answers 200 PUT /v1/config --data-binary @"$RUN/services.yaml"
expect "the same again is the same generation" \
	jq -e '.generation == 1 and .plan.changes == []' "$RUN/body"
await 10 "the hops resolve" eval "api /healthz/web"
answers 200 GET /healthz

# ---- statuses ----

web=/v1/services/web
answers 404 GET /v1/nope
answers 404 GET /v1/services/nope
answers 404 GET $web/backends/10.1.0.99:8080
answers 405 POST /v1/status
grep -iq '^allow: GET, HEAD' "$RUN/head" || fail "no Allow: $(cat "$RUN/head")"
answers 405 DELETE /v1/config
for method in OPTIONS TRACE PROPFIND; do
	answers 405 $method /v1/config
	answers 404 $method /v1/nope
done
# Its body is not read, so the connection ends, and nothing in it is a request.
answers 405 PROPFIND /v1/config -d $'GET /v1/history HTTP/1.1\r\n\r\n'
grep -iq '^connection: close' "$RUN/head" || fail "it goes on: $(cat "$RUN/head")"
answers 400 PUT '/v1/config?dryrun=1' --data-binary @"$RUN/services.yaml"
answers 400 PUT '/v1/config?dry_run=perhaps' --data-binary @"$RUN/services.yaml"
answers 400 GET $web/backends/nonsense
answers 422 PUT /v1/config -d '{"services": [{"label": "x"}]}'
expect "field and line are in it" jq -e '.field == "services[0].label" and .line == 1' "$RUN/body"
answers 409 PUT /v1/config -d '{"services": []}'
answers 200 PUT '/v1/config?dry_run=1' -d '{"services": []}'
expect "a dry run says what it will need" jq -e .needs_force "$RUN/body"
lbctl apply --dry-run - <<<"services: []" >"$RUN/out"
expect "and so does lbctl" grep -q "stays; .* needs --force" "$RUN/out"
answers 200 PUT '/v1/config?dry_run=1&force=1' -d '{"services": []}'
expect "unless it has it" jq -e 'has("needs_force") | not' "$RUN/body"
answers 200 DELETE "$web?dry_run=1"
expect "or needs none" jq -e 'has("needs_force") | not' "$RUN/body"
answers 413 PUT /v1/config -H Expect: --data-binary @<(head -c 8388609 /dev/zero | tr '\0' ' ')
answers 422 PUT /v1/config -H Expect: --data-binary @<(head -c 8388608 /dev/zero | tr '\0' ' ')
answers 507 PUT /v1/services/big -d \
	'{"vips": ["203.0.113.9"], "port": 1, "mode": "ipip", "ring": 65537, "backends": []}'
answers 412 PUT $web -H 'If-None-Match: *' -d '{}'

# ---- one service, one backend ----

answers 201 PUT /v1/services/dns -d '{"vips": ["203.0.113.53"], "protocol": "udp", "port": 53,
	"mode": "nat", "ring": 251, "backends": [{"address": "10.1.0.11"}]}'
answers 200 PATCH /v1/services/dns -d '{"idle_timeout": "30s"}'
answers 200 GET /v1/services/dns
expect "the change is there" jq -e '.config.idle_timeout == "30s"' "$RUN/body"
jq .config "$RUN/body" >"$RUN/config"
answers 200 PUT /v1/services/dns --data-binary @"$RUN/config"
expect "what was read can be written" jq -e '.plan.changes == []' "$RUN/body"
answers 201 PUT /v1/services/dns/backends/10.1.0.12:53 -d '{"weight": 50}'
answers 200 PATCH /v1/services/dns/backends/10.1.0.12:53 -d '{"state": "drain"}'
answers 200 GET /v1/services/dns/backends/10.1.0.12:53
expect "it drains" jq -e '.state == "drain" and .weight == 50 and .slots == 0' "$RUN/body"
answers 422 PATCH /v1/services/dns/backends/10.1.0.12:53 -d '{"weight": 5000}'
answers 200 DELETE '/v1/services/dns/backends/10.1.0.12:53?now=1'
answers 400 DELETE '/v1/services/dns/backends/10.1.0.11:53?timeout=soon'
generation=$(api /v1/status | jq .generation)
answers 200 POST /v1/rollback/1
expect "a rollback is a new generation" jq -e ".generation == $generation + 1" "$RUN/body"
answers 404 DELETE /v1/services/dns
expect "it has a cause" eval 'api /v1/history | jq -e ".generations[0].cause == \"rollback to 1\""'

# ---- the read-only listener ----

public()
{
	in_ns lb curl -sS --max-time 10 -o "$RUN/body" -w '%{http_code}' "${@:2}" "http://127.0.0.1:9099$1"
}
for path in /metrics /healthz /v1/status /v1/services; do
	expect "the listener has $path" test "$(public $path)" = 200
done
for path in /v1/config /v1/history /v1/services/web /v1/stats; do
	expect "the listener has no $path" test "$(public $path)" = 404
done
expect "the listener takes no changes" test "$(public /v1/services -X PUT -d '{}')" = 405
expect "nor captures" test "$(public /v1/explain --data-binary x)" = 404
public /metrics >/dev/null
# shellcheck disable=SC2016 # awk's
expect "metrics are Prometheus text" awk '
	!/^# (HELP|TYPE) sluice_[a-z_]+ / && !/^sluice_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+$/ {
		print "no metric: " $0; exit 1 }' "$RUN/body"
expect "the socket is the group's" test "$(stat -c '%a %G' "$RUN/lbd/lbd.sock")" = "660 root"

# ---- slow clients do not hold up others ----

mkfifo "$RUN/never"
exec 7<>"$RUN/never"
for ((i = 0; i < 50; i++)); do
	spawn lb slow curl -sS --unix-socket "$RUN/lbd/lbd.sock" -X PUT -H Expect: \
		-T "$RUN/never" http://lbd/v1/config
done
started=$(now_ms)
expect "a client is served beside 50 that stall" api /v1/status
say "in $(($(now_ms) - started)) ms"

# ---- explain ----

explain="/v1/explain?protocol=tcp&source=198.51.100.10:40000&destination=203.0.113.10:80"
written=(slot_times connections service_counters backend_counters) # by packets for a VIP
state=$(table_hash "${written[@]}")
answers 200 GET "$explain"
expect "the story names the backend that its slot has" jq -e '
	.verdict == "transmit" and .service == "web" and .backend == .slot.current and
	.leaves.destination == .backend and .hop.interface == "lan" and
	(.story | length > 5)' "$RUN/body"
answers 200 GET "/v1/explain?protocol=tcp&source=198.51.100.10:40000&destination=203.0.113.10:81"
expect "a port without service says so, and what is answered" jq -e '.reason == "refused_port" and
	.answer == "rst" and .leaves.source == "203.0.113.10:81" and
	.leaves.destination == "198.51.100.10:40000" and
	.rate == {name: "refused", limit: 1000, cpus: .rate.cpus, cpus_full: 0}' "$RUN/body"
answers 200 GET "/v1/explain?protocol=icmp&source=198.51.100.10&destination=203.0.113.10"
expect "ping of a VIP is answered" jq -e '.reason == "echo" and .answer == "echo_reply"' "$RUN/body"
answers 200 GET "$explain&size=1501"
expect "a packet that is too big says what fits" jq -e '.reason == "too_big" and
	.answer == "fragmentation_needed" and .answer_mtu == 1500 and .hop.mtu == 1500' "$RUN/body"
answers 200 GET "/v1/explain?protocol=tcp&source=10.1.0.11:8080&destination=198.51.100.10:40000"
expect "a reply is rewritten" jq -e '.leaves.source == "203.0.113.10:80"' "$RUN/body"
answers 400 GET "/v1/explain?protocol=icmp&source=198.51.100.10:1&destination=203.0.113.10:80"
answers 400 GET "/v1/explain?protocol=tcp&source=198.51.100.10&destination=203.0.113.10:80"
answers 400 GET "$explain&size=39"
answers 400 GET "$explain&size=65536"
answers 405 PUT /v1/explain -d '{}'
answers 400 POST "/v1/explain?syn=1" -d x
answers 422 POST /v1/explain -d x
answers 400 GET "/v1/explain?protocol=tcp&source=[::1]:1&destination=203.0.113.10:80"
expect "explaining writes nothing" test "$(table_hash "${written[@]}")" = "$state"
backend=$(api "$explain" | jq -r .backend)
expect "its backend drains" lbctl backend drain web "$backend"
answers 200 GET "$explain"
# shellcheck disable=SC2016 # jq's
expect "the open connection stays, a new one would go elsewhere" jq -e --arg b "$backend" '
	.backend == $b and .reason == "settled" and .slot.in_transition and .slot.settled == $b and
	.new_connection.reason == "new" and .new_connection.backend != $b' "$RUN/body"
expect "and back" lbctl backend enable web "$backend"
answers 201 PUT /v1/services/tunnel -d '{"vips": ["203.0.113.20", "2001:db8:113::20"], "port": 443,
	"mode": "ipip", "ring": 251, "backends": [{"address": "fd00:1::12"}]}'
tunnel="/v1/explain?protocol=tcp&source=198.51.100.10:40000&destination=203.0.113.20:443"
tunnelled()
{
	api "$tunnel" | jq -e '.leaves == {source: "198.51.100.10:40000", destination:
		"203.0.113.20:443", ttl: 64, length: 40, tunnel: "ipip", outer_source: "2001:db8:2::2",
		outer_destination: "fd00:1::12", outer_ttl: 64, outer_length: 80}'
}
await 10 "IPv4 leaves inside IPv6, with both headers told" tunnelled
answers 200 DELETE /v1/services/tunnel

# ---- a server as a whole ----

exits 0 service add second --vip 203.0.113.77 --port 80 --ring 251 --backend 10.1.0.12:8081 \
	--backend 10.1.0.12:8082 --backend 10.1.0.11:8081
states_are()
{
	test "$(api /v1/services | jq -r '[.services[].backends[] |
		select(.address == "10.1.0.12") | "\(.port)=\(.state)"] | sort | join(" ")')" = "$1"
}
exits 0 backend drain 10.1.0.12 --dry-run
expect "a dry run drains nothing" states_are "8080=enabled 8081=enabled 8082=enabled"
exits 0 backend drain 10.1.0.12
expect "a server is drained in all services" states_are "8080=drain 8081=drain 8082=drain"
expect "and no other one" api /v1/services/second/backends/10.1.0.11:8081
expect "which stays" test "$(api /v1/services/second/backends/10.1.0.11:8081 | jq -r .state)" = enabled
exits 0 backend disable 10.1.0.12:8082
expect "one of its ports is disabled" states_are "8080=drain 8081=drain 8082=disabled"
prints_one_json()
{
	"$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" --json "$@" | jq -es 'length == 1'
}
expect "with --json it is one document" prints_one_json backend enable 10.1.0.12
expect "it is put back" states_are "8080=enabled 8081=enabled 8082=enabled"
exits 1 backend drain 10.1.0.99
expect "an address that no service has is named" grep -q '^lbctl: 10.1.0.99: no service has such' "$RUN/says"
exits 2 backend drain web
exits 0 service remove second
exits 0 service add third --vip 203.0.113.78 --port 80 --ring 251 --backend 10.1.0.12:8099 --check tcp \
	--check-fall 10 --check-interval 20s
await 20 "the last answer is no reason by itself" eval \
	'lbctl backend list third | grep -q "unknown .* not known to be up yet: connection refused"'
exits 0 service remove third

# ---- events ----

spawn lb follow "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" events --follow
follows()
{
	grep -q "$1" "$RUN/log/follow"
}
await 10 "what happened is told" follows ': rollback to 1'
expect "a change" lbctl backend drain web 10.1.0.12:8080
await 10 "what happens is told" follows 'backend drain web'
expect "a change" lbctl backend enable web 10.1.0.12:8080
await 10 "and what happens next" follows 'backend enable web'
FOLLOWER=$SPAWNED
expect "each has a number" eval 'api /v1/events | jq -e "[.events[].id] == [range(1; (.events | length) + 1)]"'

# follow N: N clients begin to follow the events, one after the other, and leave.
follow()
{
	/usr/bin/python3 - "$RUN/lbd/lbd.sock" "$1" <<'END'
import socket, sys
done = 0
while done < int(sys.argv[2]):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(sys.argv[1])
    s.sendall(b"GET /v1/events HTTP/1.1\r\nHost: lbd\r\nAccept: text/event-stream\r\n\r\n")
    status = s.recv(100).split()[1]
    done += status == b"200"  # 503: lbd has not noticed yet that the last ones left
    s.close()
END
}

lbd_kib()
{
	awk '$1 == "RssAnon:" { print $2 }' "/proc/$LBD/status"
}

follow 1000
before=$(lbd_kib)
follow 10000
expect "those who left have left nothing behind" test "$(lbd_kib)" -lt $((before + 3000))

# ---- lbctl ----

prints_json()
{
	exits 0 --json "$@"
	jq -es 'length == 1' "$RUN/out" >/dev/null || fail "no JSON document: $(cat "$RUN/out")"
}

for command in status export history diff 'service list' 'service show web' 'backend list' \
	'backend list web' stats 'stats web' drops events version \
	'explain tcp 198.51.100.7:40000 203.0.113.10:80' \
	'explain --syn tcp 198.51.100.7:40000 203.0.113.10:80' \
	'explain --size 1500 icmp 2001:db8:100::7 2001:db8:113::10' \
	"apply --dry-run $RUN/services.yaml"; do
	# shellcheck disable=SC2086 # words are meant
	prints_json $command
	# shellcheck disable=SC2086
	exits 0 $command
	[[ -s $RUN/out ]] || fail "it prints nothing"
done
prints_json backend drain web 10.1.0.11:8080
expect "what changes is said" jq -e '.plan.changes[0].text == "state enabled -> drain"' "$RUN/out"
prints_json backend enable web 10.1.0.11:8080
prints_json backend set web 10.1.0.11:8080 --weight 7
prints_json backend add web 10.1.0.13:8080 --weight 3
prints_json backend remove web 10.1.0.13:8080 --now
prints_json service set web idle_timeout=20m
prints_json service add dns --vip 203.0.113.53 --port 53 --protocol udp --mode l2 --ring 251 \
	--check tcp --check-interval 5s --backend 10.1.0.11 --backend 10.1.0.12
expect "it is as it was said" eval 'api /v1/services/dns | jq -e ".config.check.interval == \"5s\""'
prints_json service remove dns
prints_json rollback 1
prints_json apply "$RUN/services.yaml"
exits 0 backend drain web 10.1.0.11:8080
expect "the plan is printed" grep -q '^changed  backend web 10.1.0.11:8080: state enabled -> drain$' \
	"$RUN/out"
expect "the generation is printed last" grep -Eq '^generation [0-9]+$' <(tail -n 1 "$RUN/out")
exits 1 --json service show nope
expect "a refusal is a JSON document too" jq -e '.status == 404' "$RUN/out"
exits 2 frobnicate
exits 2 backend drain web
exits 2 explain tcp 198.51.100.7:40000
exits 2 explain --pcap "$RUN/none" tcp
expect "completion offers files for a capture" test "$(lbctl complete -- explain --pcap "")" = FILE
exits 2 apply --dry-rnu "$RUN/services.yaml"
exits 1 apply /nowhere.yaml
exits 0 export
mv "$RUN/out" "$RUN/export.yaml"
exits 0 apply "$RUN/export.yaml"
expect "what is exported changes nothing" grep -q 'nothing changes' "$RUN/out"
lbd_stop TERM
status=0
wait "$FOLLOWER" || status=$?
expect "who follows the events is told of the end" test "$status" = 3
exits 3 status
exits 0 version
