# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lbd, lbctl, lb-decap and the holders: started, killed, asked. Sourced by lib.sh,
# and by tools/demo, after topology.sh; needs RUN, BUILD, ok and fail.

# poll SECONDS COMMAND...: until the command succeeds. The deadline says "broken", never "slow": it
# is generous.
poll()
{
	local seconds=$1 started=$SECONDS
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS - started < seconds)) || return 1
		sleep 0.05
	done
}

now_ms()
{
	local up
	read -r up _ </proc/uptime
	echo $((10#${up/./} * 10))
}

# spawn NS LOG COMMAND...: in the background; SPAWNED is its pid. A plain command, no function:
# a signal must reach it and not a shell. Descriptor 9 is a lock of the demo.
spawn()
{
	local name=$1 log=$2
	shift 2
	nsenter --net="/run/netns/$NS_PREFIX$name" -- "$@" >>"$RUN/log/$log" 2>&1 9>&- &
	SPAWNED=$!
}

lbctl()
{
	"$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" "$@"
}

# api PATH: the body; fails where the status is an error.
api()
{
	in_ns lb curl -gsS --fail --max-time 10 --unix-socket "$RUN/lbd/lbd.sock" "http://lbd$1"
}

# Writes lbd.yaml; LBD_SETTINGS goes behind what every test has, LBD_LIMITS instead of its limits.
LBD_SETTINGS=
LBD_LIMITS="{services: 2048, backends: 16384, slots: 4194304, connections: 262144}"
lbd_configure()
{
	mkdir -p "$RUN/state"
	cat >"$RUN/lbd.yaml" <<-END
	interfaces:
	  - name: wan
	  - name: lan
	limits: $LBD_LIMITS
	run_dir: $RUN/lbd
	state_dir: $RUN/state
	bpffs_dir: $RUN/bpf/lbd
	hash_key_file: $RUN/state/hash.key
	listen: ""
	$LBD_SETTINGS
	END
}

# LBD_PROGRAM is lbd, or another build of it.
LBD_PROGRAM=$BUILD/lbd
lbd_start()
{
	spawn lb lbd "$LBD_PROGRAM" --config "$RUN/lbd.yaml"
	LBD=$SPAWNED
	await 20 "lbd answers" lbd_is_ready
}

lbd_is_ready()
{
	kill -0 "$LBD" && lbctl status
}

# lbd_stop [SIGNAL]
lbd_stop()
{
	kill "-${1:-TERM}" "$LBD"
	wait "$LBD" 2>/dev/null || true
}

program_id()
{
	in_ns lb bpftool -j prog show pinned "$RUN/bpf/lbd/lb_xdp" | jq '.id'
}

# The kernel's hash of its instructions.
program_tag()
{
	in_ns lb bpftool -j prog show pinned "$RUN/bpf/lbd/lb_xdp" | jq -r '.tag'
}

link_ids()
{
	links_show .id
}

# The programs that run behind the links.
link_programs()
{
	links_show .prog_id
}

links_show()
{
	local link
	for link in wan lan; do
		in_ns lb bpftool -j link show pinned "$RUN/bpf/lbd/link_$link" | jq "$1"
	done
}

# Of the service "web": the checks of every backend pass.
web_is_healthy()
{
	api /v1/services/web | jq -e '[.backends[] | .health == "up"] | all'
}

# And every backend gets connections.
web_is_whole()
{
	api /v1/services/web | jq -e '[.backends[] | .health == "up" and .slots > 0] | all'
}

# All that lbd writes, and the connections; counters move with every packet.
# shellcheck disable=SC2034 # the scripts read it
STATE_TABLES=(meta routes service_index services slots slot_times backends hops reverse_index
	connections)

# table_hash TABLE...: of the pinned maps' bytes.
table_hash()
{
	local table
	for table; do
		in_ns lb bpftool map dump pinned "$RUN/bpf/lbd/maps/$table"
	done | sha256sum
}

# decap_start NS FROM...: accepts tunnels from these addresses.
decap_start()
{
	local name=$1 from
	shift
	from=$(IFS=,; echo "$*")
	spawn "$name" "decap-$name" "$BUILD/lb-decap" --interface eth0 --from "$from" \
		--bpffs-dir "$RUN/bpf/decap-$name"
}

# Packets that ran through the program on wan and lan, by the driver's own count.
packets_in()
{
	local link
	for link in wan lan; do
		in_ns lb ethtool -S "$link"
	done | awk '/rx(_queue_)?[0-9]+_xdp_packets:/ { n += $2 } END { print n }'
}

packets_counted()
{
	api /v1/stats | jq '[.reasons[].packets] | add'
}

# silence [NS LINK...]: nothing leaves by these any more; by itself, nothing comes to the balancer.
# It would go on: checks, and each next hop every second.
silence()
{
	local name=${1:-router} links hook
	links=$(IFS=,; echo "${*:2}")
	hook="type filter hook egress devices = { ${links:-wan, lan-lb} } priority 0"
	in_ns "$name" nft "add table netdev silence; add chain netdev silence out { $hook; policy drop; }"
}

# Every packet has ended with exactly one reason. (Counters of the driver move a batch later.)
conserves()
{
	local in counted
	in=$(packets_in)
	counted=$(packets_counted)
	CONSERVED="$in came in, $counted counted"
	((in == counted))
}

assert_conservation()
{
	expect "nothing more comes in" silence
	poll 20 conserves || fail "packets in are the sum of all reasons: $CONSERVED"
	ok "packets in are the sum of all reasons: $CONSERVED"
	in_ns router nft delete table netdev silence
}

# ---- holders: the traffic, see holder.h ----

declare -A HOLDERS=()

report()
{
	jq -e "$2" "$RUN/log/$1.json" 2>/dev/null
}

# server_start NS PORT...: answers as NS. Its pid is in SERVERS[NS].
declare -A SERVERS=()
server_start()
{
	local name=$1 port ports=()
	shift
	for port; do ports+=(--port "$port"); done
	spawn "$name" "server-$name" "$BUILD/tests/net/holder" server --name "$name" "${ports[@]}"
	SERVERS[$name]=$SPAWNED
}

server_kill()
{
	kill -KILL "${SERVERS[$1]}"
	wait "${SERVERS[$1]}" 2>/dev/null || true
}

# hold NAME ARGUMENTS...: a client in `client`, its report is log/NAME.json. Returns when its held
# connections are all open.
hold()
{
	local name=$1
	shift
	spawn client "$name" "$BUILD/tests/net/holder" client --report "$RUN/log/$name.json" "$@"
	HOLDERS[$name]=$SPAWNED
	await 20 "$name: $(sed -n 's/.*--held \([0-9]*\).*/\1/p' <<<"$*") connections open" \
		report "$name" '.wanted == .open and .servers["?"].held == 0'
}

# let_go NAME...: ends it; its report stays.
let_go()
{
	local name
	for name; do
		kill -TERM "${HOLDERS[$name]}"
		wait "${HOLDERS[$name]}" || true
		unset "HOLDERS[$name]"
	done
}

# exercise: each held connection has sent a message, and was answered, after this was called, or has broken.
exercise()
{
	local name since
	for name in "${!HOLDERS[@]}"; do
		since=$(report "$name" '.now_ns + 700000000') # a report is as old, and an interval
		poll 30 report "$name" ".oldest_answer_ns >= $since" ||
			fail "$name: its messages are not answered: $(cat "$RUN/log/$name.json")"
	done
}
