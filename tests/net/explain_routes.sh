#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Replies of nat that no mirrored route sends on: explain says what the kernel's routes and
# neighbours say of them, and the dataplane counts the same of a real reply.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 1
server_start b1 5353
lbd_configure
lbd_start
expect "services applied" lbctl apply - <<'END'
services:
  - name: dns
    vips: [203.0.113.10, "2001:db8:113::10"]
    protocol: udp
    port: 53
    mode: nat
    ring: 1021
    backends: [{address: 10.1.0.11, port: 5353}, {address: "fd00:1::11", port: 5353}]
END
all_have_slots()
{
	api /v1/services/dns | jq -e '[.backends[].slots > 0] | length == 2 and all'
}
await 20 "both backends get datagrams" all_have_slots

# told FAMILY ARGUMENT...: the explanation of b1's reply to the client, in JSON.
told()
{
	local ends=(10.1.0.11:5353 198.51.100.10:40000)
	[[ $1 == 4 ]] || ends=('[fd00:1::11]:5353' '[2001:db8:100::10]:40000')
	lbctl explain udp "${ends[@]}" "${@:2}" --json
}

# is_told FAMILY JQ...: its arguments.
is_told()
{
	told "$1" | jq -e "${@:2}"
}

counted()
{
	api /v1/stats | jq ".reasons[] | select(.reason == \"$1\") | .packets"
}

# counts REASON THAN: more than that.
counts()
{
	(($(counted "$1") > $2))
}

# replies FAMILY REASON: a real one ends so.
replies()
{
	local before vip=203.0.113.10
	[[ $1 == 4 ]] || vip=2001:db8:113::10
	before=$(counted "$2")
	in_ns client bash -c "echo question >/dev/udp/$vip/53"
	await 20 "IPv$1: a real reply ends as $2" counts "$2" "$before"
}

for family in 4 6; do
	await 20 "IPv$family: the default route is mirrored" \
		is_told $family '.reason == "reply" and .hop.mirrored'
done

say "two gateways: such a route is not mirrored"
ns_ip lb route replace default nexthop via 192.0.2.1 nexthop via 192.0.2.77
ns_ip lb -6 route replace default nexthop via 2001:db8:2::1 nexthop via 2001:db8:2::77
for to in 192.0.2.77 2001:db8:2::77; do
	ns_ip lb neigh replace $to lladdr 02:00:00:00:99:77 dev wan nud permanent
done
for family in 4 6; do
	await 20 "IPv$family: explain says so" is_told $family '.hop.mirrored == false'
	# shellcheck disable=SC2016 # jq's
	expect "IPv$family: by one of the two gateways" is_told $family \
		--arg router "$(ns_ip router -j link show dev wan | jq -r '.[0].address')" '
		.verdict == "transmit" and .reason == "reply" and .hop.interface == "wan" and
		.hop.mtu == 1500 and (.hop.destination_mac | IN($router, "02:00:00:00:99:77"))'
	replies $family reply
done

say "a smaller MTU of that route"
ns_ip lb route replace default mtu lock 1300 nexthop via 192.0.2.1 nexthop via 192.0.2.77
for size in 1300 1301; do
	echo "$size $(told 4 --size $size | jq -c '[.verdict, .reason, .answer_mtu]')"
done >"$RUN/sizes"
expect "1,300 bytes fit, and 1,301 do not" diff - "$RUN/sizes" <<'END'
1300 ["transmit","reply",null]
1301 ["answer","too_big",1300]
END

say "a neighbour that is not known"
ns_ip lb route replace default nexthop via 192.0.2.78 nexthop via 192.0.2.79
await 20 "explain says so" is_told 4 '.verdict == "pass" and .reason == "route_neighbour"'
replies 4 route_neighbour

say "no way there"
ns_ip lb route replace unreachable 198.51.100.0/24
ns_ip lb -6 route replace unreachable 2001:db8:100::/64
for family in 4 6; do
	await 20 "IPv$family: explain says so" \
		is_told $family '.verdict == "drop" and .reason == "route_refused"'
	replies $family route_refused
done
