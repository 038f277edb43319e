# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What misuse.sh and floods.sh share: services in nat and behind tunnels with real connections, and
# attacks that are counted. Sourced behind lib.sh.

/usr/bin/python3 -c 'import scapy' 2>/dev/null || skip "python3-scapy is not installed"
[[ -x $BUILD/lb-decap ]] || skip "$BUILD/lb-decap is not built"

N=1000		# packets of an attack
RATE=100	# of answers and of ICMP errors handed on, a CPU and second
CPUS=$(nproc --all)
BULK=$NET_DIR/bulk.py
VIP4=203.0.113.10 VIP6=2001:db8:113::10

# b1 and b2 are nat's, b3 and b4 are at the end of tunnels, b5 gets what a flood lets through.
topology_add ipip 5
for i in 1 2 5; do default_route b$i 10.1.0.2 fd00:1::2; done
for i in 1 2; do
	server_start b$i 8080 5353
	spawn b$i bulk-b$i "$BULK" serve 8007
done
for i in 3 4; do
	vips_add b$i 203.0.113.11 2001:db8:113::11
	server_start b$i 80
	decap_start b$i 10.9.0.0/24 fd00:9::/64
done
# It keeps no fragments: what is seen is the balancer's memory.
in_ns b5 sysctl -qw net.ipv6.ip6frag_low_thresh=0 net.ipv6.ip6frag_high_thresh=0
# shellcheck disable=SC2034 # lbd_configure reads it
LBD_SETTINGS="source: {ipv4: 10.9.0.0/24, ipv6: 'fd00:9::/64'}
rates: {echo: $RATE, icmp: $RATE}"
lbd_configure
lbd_start

# service NAME LAST PROTOCOL PORT MODE BACKEND-PORT BACKEND...: .LAST and ::LAST is its VIP.
service()
{
	local name=$1 last=$2 protocol=$3 port=$4 mode=$5 to=$6 i
	shift 6
	echo "  - {name: $name, vips: [203.0.113.$last, '2001:db8:113::$last'], protocol: $protocol,"
	echo "     port: $port, mode: $mode, ring: 1021, backends: ["
	for i; do
		echo "      {address: 10.1.0.1$i, port: $to}, {address: 'fd00:1::1$i', port: $to},"
	done
	echo "    ]}"
}

expect "services applied" lbctl apply - <<END_OF_SERVICES
services:
$(service web 10 tcp 80 nat 8080 1 2)
$(service dns 10 udp 53 nat 5353 1 2)
$(service bulk 10 udp 7 nat 8007 1 2)
$(service tunnel 11 tcp 80 ipip 80 3 4)
$(service sink 12 udp 9 nat 9 5)
END_OF_SERVICES

# count REASON...: their sum. A reason of lb-decap has its backend's name in front: b3:stranger.
count()
{
	local reason sum=0
	for reason; do
		if [[ $reason == *:* ]]; then
			sum=$((sum + $(in_ns "${reason%:*}" "$BUILD/lb-decap" --status --json \
				--interface eth0 --bpffs-dir "$RUN/bpf/decap-${reason%:*}" |
				jq ".reasons[] | select(.reason == \"${reason#*:}\").packets")))
		else
			sum=$((sum + $(api /v1/stats |
				jq ".reasons[] | select(.reason == \"$reason\").packets")))
		fi
	done
	echo $sum
}

# mac NS INTERFACE
mac()
{
	ns_ip "$1" -j link show "$2" | jq -r '.[0].address'
}
LB_MAC=$(mac lb wan) B3_MAC=$(mac b3 eth0)

# What a full ring of a link lost before any program saw it.
lost_before()
{
	ns_ip router -s -j link show "$1" | jq '.[0].stats64.tx.dropped'
}

# counted_since BEFORE SENT LINK LOST REASON...: all that reached it is counted.
counted_since()
{
	local more=$(($(count "${@:5}") - $1)) lost=$(($(lost_before "$3") - $4))
	((more <= $2 && more >= $2 - lost))
}

# attack SENTENCE TO REASONS KIND ARGUMENT...: N packets of KIND to lb or b3 (TO), each counted
# under one of the reasons.
attack()
{
	local sentence=$1 to=$2 before lost reasons link=wan over=wan address=$LB_MAC
	read -ra reasons <<<"$3"
	shift 3
	[[ $to == lb ]] || link=lan over=lan-$to address=$B3_MAC
	before=$(count "${reasons[@]}")
	lost=$(lost_before "$over")
	in_ns router "$NET_DIR/misuse.py" $link "$address" $N 2000 "$@" >"$RUN/log/misuse"
	await 20 "$sentence: $N packets, counted as ${reasons[*]}" \
		counted_since "$before" $N "$over" "$lost" "${reasons[@]}"
}

# limited BEFORE REASON: since STARTED, that it rose, and no more than the limit allows.
limited()
{
	local more=$(($(count "$2") - $1)) most
	most=$((RATE * CPUS * (SECONDS - STARTED + 2)))
	((more > 0 && more <= most)) || fail "$2: $more, the limit allows $most"
	ok "$2: $more, the limit allows $most"
}

hold web --to $VIP4:80 --to "[$VIP6]:80" --held 60 --new 10
hold tunnel --to 203.0.113.11:80 --to '[2001:db8:113::11]:80' --held 40 --new 10
hold dns --protocol udp --to $VIP4:53 --to "[$VIP6]:53" --held 20 --new 10
unbroken "before"

