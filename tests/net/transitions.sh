# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The same services and the same history of changes for every mode: nat.sh, l2.sh
# and ipip.sh source this and set MODE. Each service has a VIP of both families, TCP
# and UDP. nat wants backends of both families in one service; with direct return
# each family's backends make a service of their own, so that every inner family
# travels to every outer one.

IDLE_S=5
CHECK="{type: tcp, interval: 500ms, timeout: 500ms, rise: 2, fall: 3}"

if [[ $MODE == nat ]]; then
	TCP_PORT=8080 UDP_PORT=5353
	SERVICES=(web dns)
else
	TCP_PORT=80 UDP_PORT=53
	SERVICES=(web4 dns4 web6 dns6)
fi

# members N: "SERVICE ADDRESS:PORT" a line, all that bN is.
members()
{
	if [[ $MODE == nat ]]; then
		echo "web 10.1.0.1$1:$TCP_PORT"
		echo "web [fd00:1::1$1]:$TCP_PORT"
		echo "dns 10.1.0.1$1:$UDP_PORT"
		echo "dns [fd00:1::1$1]:$UDP_PORT"
	else
		echo "web4 10.1.0.1$1:$TCP_PORT"
		echo "dns4 10.1.0.1$1:$UDP_PORT"
		echo "web6 [fd00:1::1$1]:$TCP_PORT"
		echo "dns6 [fd00:1::1$1]:$UDP_PORT"
	fi
}

# backend COMMAND N [ARGUMENT...]: lbctl backend COMMAND for all that bN is.
backend()
{
	local verb=$1 n=$2 service address
	shift 2
	while read -r service address; do
		lbctl backend "$verb" "$service" "$address" "$@" >/dev/null ||
			fail "lbctl backend $verb $service $address $*"
	done < <(members "$n")
}

# service_render NAME: YAML, with b1 to b3.
service_render()
{
	local name=$1 i
	case $name in
	*6) echo "  - name: $name
    vips: [203.0.113.11, \"2001:db8:113::11\"]" ;;
	*) echo "  - name: $name
    vips: [203.0.113.10, \"2001:db8:113::10\"]" ;;
	esac
	case $name in
	web*) echo "    protocol: tcp
    port: 80" ;;
	dns*) echo "    protocol: udp
    port: 53" ;;
	esac
	echo "    mode: $MODE
    idle_timeout: ${IDLE_S}s
    ring: 1021
    check: $CHECK
    backends:"
	for i in 1 2 3; do
		members $i | while read -r service address; do
			[[ $service != "$name" ]] ||
				echo "      - {address: \"$(address_of "$address")\", port: ${address##*:}}"
		done
	done
}

# "[fd00::1]:80" -> "fd00::1"
address_of()
{
	local address=${1%:*}
	address=${address#[}
	echo "${address%]}"
}

services_render()
{
	local name
	echo "services:"
	for name in "${SERVICES[@]}"; do
		service_render "$name"
	done
}

# All VIPs, of both families.
WEB=(--to 203.0.113.10:80 --to '[2001:db8:113::10]:80')
DNS=(--to 203.0.113.10:53 --to '[2001:db8:113::10]:53')
if [[ $MODE != nat ]]; then
	WEB+=(--to 203.0.113.11:80 --to '[2001:db8:113::11]:80')
	DNS+=(--to 203.0.113.11:53 --to '[2001:db8:113::11]:53')
fi

# Where the balancer is slow, a fraction of the traffic.
SLOWER=1
TCP_OPTIONS=()
UDP_OPTIONS=(--retry)
TCP_TIMEOUT_MS=5000
UDP_TIMEOUT_MS=2000
hold_all()
{
	hold tcp "${WEB[@]}" --held $((400 / SLOWER)) --new $((60 / SLOWER)) --interval 300 \
		--bytes 3000 --timeout $TCP_TIMEOUT_MS
	hold udp "${DNS[@]}" --protocol udp --held $((200 / SLOWER)) --new $((30 / SLOWER)) \
		--interval 300 --timeout $UDP_TIMEOUT_MS "${UDP_OPTIONS[@]}"
}

hold_late()
{
	hold tcp-late "${WEB[@]}" --held $((100 / SLOWER)) --timeout $TCP_TIMEOUT_MS \
		"${TCP_OPTIONS[@]}"
	hold udp-late "${DNS[@]}" --protocol udp --held $((100 / SLOWER)) --timeout $UDP_TIMEOUT_MS \
		"${UDP_OPTIONS[@]}"
	expect "b4 has connections" report tcp-late '.servers.b4.held > 0'
}

all_up()
{
	api /v1/services | jq -e '[.services[].state] | all(. == "up")'
}

# is_spread_over N...: each of them has held and new connections of both protocols.
is_spread_over()
{
	local n name
	for n; do
		for name in tcp udp; do
			report $name ".servers.b$n | .held > 0 and .new_ok > 0" || return 1
		done
	done
}

# gets_new N: it has answered a new connection within the last second, over each protocol.
gets_new()
{
	report tcp ".servers.b$1.since_new_s | . >= 0 and . < 1" &&
		report udp ".servers.b$1.since_new_s | . >= 0 and . < 1"
}

gets_no_new()
{
	report tcp ".servers.b$1.since_new_s > 2" && report udp ".servers.b$1.since_new_s > 2"
}

settled()
{
	api /v1/services | jq -e '[.services[].slots_in_transition] | add == 0'
}

# What the kernel's verifier went through, by what it says of the program that lbd holds; other
# descriptors of lbd's come and go.
INSTRUCTIONS_MAX=250000
assert_verified()
{
	local n
	n=$(in_ns lb bash -c "cat /proc/$LBD/fdinfo/* 2>/dev/null || true" |
		awk '/^verified_insns:/ { n = $2 } END { print n }')
	((n > 0 && n <= INSTRUCTIONS_MAX)) || fail "the verifier processed '$n' instructions"
	ok "the verifier processed $n instructions, of at most $INSTRUCTIONS_MAX"
}

change_backends()
{
	backend add 4
	await 20 "b4, added, gets new connections" gets_new 4
	unbroken "add"
	backend set 4 --weight 300
	unbroken "weight changed"
	backend drain 2
	await 20 "b2, drained, gets no new connections" gets_no_new 2
	unbroken "drain"
	expect "b2 keeps the connections that it has" report tcp '.servers.b2.held > 0'
	backend enable 2
	await 20 "b2, enabled, gets new connections" gets_new 2
	unbroken "enable"
}

# upgrade SIGNAL PROGRAM SENTENCE: lbd ends by SIGNAL, and PROGRAM comes in its place.
upgrade()
{
	local signal=$1 program=$2 sentence=$3 id tag links
	say "in the middle of a transition: lbd ends, by $signal, and comes back: $sentence"
	lbd_stop "$signal"
	unbroken "no lbd"
	id=$(program_id)
	tag=$(program_tag)
	links=$(link_ids)
	# shellcheck disable=SC2034 # lbd_start reads it
	LBD_PROGRAM=$program
	lbd_start
	expect "the program has another id than $id: $(program_id)" test "$(program_id)" != "$id"
	expect "it is made of other instructions: tag $tag is now $(program_tag)" \
		test "$(program_tag)" != "$tag"
	expect "it is what the links run" test "$(link_programs | sort -u)" = "$(program_id)"
	expect "the links are the same ones" test "$(link_ids)" = "$links"
	assert_verified
	unbroken "$sentence"
}

change_daemon()
{
	assert_verified
	backend drain 1
	upgrade TERM "$BUILD/tests/net/lbd_rebuilt" "another build"
	upgrade KILL "$BUILD/lbd" "the build before"
	backend enable 1
	await 20 "b1 gets new connections" gets_new 1
	unbroken "enable"
}

# b4 dies; its own connections are lost, nobody else's.
kill_and_recover()
{
	hold_late # b4 has connections of its own, made since it was added
	server_kill b4
	await 30 "b4, dead, gets no new connections" api_shows_down 4
	forgive
	unbroken "b4 dead" b4
	start_server 4
	await 30 "b4, recovered, gets new connections" gets_new 4
	unbroken "recovery" b4
}

remove_backends()
{
	backend remove 3
	await 20 "b3, removed, gets no new connections" gets_no_new 3
	unbroken "remove" b4
	expect "b3, leaving, keeps the connections that it has" report tcp '.servers.b3.held > 0'
}

api_shows_down()
{
	local service address
	while read -r service address; do
		api "/v1/services/$service/backends/$address" | jq -e '.health == "down"' || return 1
	done < <(members "$1")
}

start_server()
{
	server_start "b$1" $TCP_PORT $UDP_PORT "${MORE_PORTS[@]}"
}
MORE_PORTS=()

# The whole history. Before it: topology_add, lbd_start.
transitions()
{
	local i
	for i in 1 2 3 4; do
		start_server $i
	done
	services_render >"$RUN/services.yaml"
	expect "services applied" lbctl apply "$RUN/services.yaml"
	await 20 "every service is up" all_up
	hold_all
	await 20 "spread over b1, b2 and b3" is_spread_over 1 2 3
	[[ ${#MORE_PORTS[@]} == 0 ]] || hold_any
	unbroken "steady"
	change_backends
	change_daemon
	kill_and_recover
	remove_backends
	let_go "${!HOLDERS[@]}"
	await 60 "no connections, no transitions: every slot is settled" settled
	assert_conservation
}
