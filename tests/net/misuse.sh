#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Hostile packets beside real connections: spoofed ICMP errors, tunnels from strangers, packets
# that are encapsulated already. Each is counted under its reason as often as it was sent, and no
# connection notices.

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/misuse_bed.sh"

# connection VIP: address and port of the client in a connection to it that there is.
connection()
{
	in_ns client ss -Htn state established | awk -v vip="$1" '
		{ gsub(/\[|\]|::ffff:/, "") }
		index($4, vip ":80") == 1 {
			port = $3
			sub(/.*:/, "", port)
			sub(/:[0-9]*$/, "", $3)
			print $3, port
			exit
		}'
}

say "spoofed ICMP errors"
for vip in $VIP4 $VIP6; do
	read -r client port < <(connection "$vip")
	attack "errors about no flow, to $vip" lb icmp_stranger \
		error "$vip" 4444 "$client" 1024
	before=$(count icmp_error) STARTED=$SECONDS
	attack "errors about a connection that there is, to $vip" lb "icmp_error icmp_rate" \
		error "$vip" 80 "$client" "$port"
	limited "$before" icmp_error
done
unbroken "spoofed ICMP errors"

say "tunnels from strangers, and what is encapsulated already"
for pair in "$VIP4 $VIP6" "$VIP6 $VIP4"; do
	read -r vip other <<<"$pair"
	attack "IP in IP to $vip" lb vip_protocol ipip "$vip" "$other"
	attack "GUE to $vip" lb "refused_port refused_rate" gue "$vip" "$other"
done
for pair in "10.1.0.13 10.9.0.66" "fd00:1::13 fd00:9::66"; do
	read -r b3 balancer <<<"$pair"
	for vip in 203.0.113.11 2001:db8:113::11; do
		attack "IP in IP for $vip, by a stranger to $b3" b3 b3:stranger ipip "$b3" $vip
		attack "GUE for $vip, by a stranger to $b3" b3 b3:stranger gue "$b3" $vip
		attack "a tunnel in a tunnel for $vip, as from a balancer to $b3" b3 b3:nested \
			nested "$b3" $vip "$balancer"
	done
	attack "to an address that b3 does not have, as from a balancer" b3 b3:inner_not_ours \
		ipip "$b3" 203.0.113.99 "$balancer"
done
unbroken "tunnels"

lbctl drops >"$RUN/drops"
for reason in icmp_stranger icmp_rate vip_protocol refused_port; do
	expect "lbctl drops names $reason" grep -E "^$reason +[a-z]+ +[0-9]" "$RUN/drops"
done
let_go "${!HOLDERS[@]}"
assert_conservation

