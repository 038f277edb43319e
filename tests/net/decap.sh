#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lb-decap without lbd: real TCP and UDP, each inner family in each outer one, IP in IP and
# both variants of GUE, out of headers that scapy makes; then strangers, another port,
# what --status says, and with the capabilities of its unit only.

. "$(dirname "$0")/lib.sh"
isolate "$@"

[[ -c /dev/net/tun ]] || skip "there is no /dev/net/tun"
/usr/bin/python3 -c 'import scapy' 2>/dev/null || skip "python3-scapy is not installed"

PORT=7080
VIPS4=(203.0.113.{16..21}) VIPS6=(2001:db8:113::1{0..5}) # see encapsulate.py
# shellcheck disable=SC2054 # one argument
UNIT_CAPABILITIES=(setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon --inh-caps=-all)

ns_add client
ns_add b1
link_add client eth0 b1 eth0
address_add client eth0 10.9.0.1/24 fd00:9::1/64
address_add b1 eth0 10.9.0.2/24 fd00:9::2/64
default_route b1 10.9.0.1 fd00:9::1
vips_add b1 "${VIPS4[@]}" "${VIPS6[@]}"
link_takes_xdp client eth0
server_start b1 80 53

decap()
{
	in_ns b1 "$BUILD/lb-decap" "$@" --interface eth0 --bpffs-dir "$RUN/bpf/decap"
}

status_is()
{
	decap --status --json | jq -e "$1"
}

# count REASON
count()
{
	decap --status --json | jq --arg reason "$1" '.reasons[] | select(.reason == $reason).packets'
}

# decap_run JQ ARGUMENT...: until its status says so.
decap_run()
{
	local settings=$1
	shift
	spawn b1 decap "${UNIT_CAPABILITIES[@]}" "$BUILD/lb-decap" --interface eth0 \
		--bpffs-dir "$RUN/bpf/decap" "$@"
	DECAP=$SPAWNED
	await 20 "attached: $settings" status_is ".mode == \"native\" and ($settings)"
}

decap_end()
{
	kill -TERM "$DECAP"
	wait "$DECAP" 2>/dev/null || true
}

refuse "--status where nothing is" "eth0: no lb-decap is attached there" decap --status
refuse "a port that is none" "--gue-port: must be 0 to 65535, is .65536." \
	decap --from 10.9.0.1 --gue-port 65536
refuse "a source that is none" "--from: .10.9.0.1/33. is no address or prefix" \
	decap --from 10.9.0.1/33

say "listed balancers"
decap_run ".gue_port == $PORT and (.balancers | sort == [\"10.9.0.0/30\", \"fd00:9::/64\"])" \
	--from 10.9.0.0/30,fd00:9::/64 --gue-port $PORT
expect "--status as text" grep -Eq "^stranger +[0-9]+ +drop " <(decap --status)

mac=$(ns_ip b1 -j link show eth0 | jq -r '.[0].address')
spawn client encapsulate "$NET_DIR/encapsulate.py" tun0 eth0 "$mac" \
	10.9.0.1 10.9.0.2 fd00:9::1 fd00:9::2 $PORT
await 20 "the sender is ready" grep -q ready "$RUN/log/encapsulate"
ns_ip client link set tun0 mtu 1400 up
address_add client tun0 198.51.100.10/32 2001:db8:100::10/128
ns_ip client route add 203.0.113.0/24 dev tun0 src 198.51.100.10
ns_ip client -6 route add 2001:db8:113::/48 dev tun0 src 2001:db8:100::10

to_all()
{
	local port=$1 vip
	for vip in "${VIPS4[@]}"; do printf -- '--to %s:%s ' "$vip" "$port"; done
	for vip in "${VIPS6[@]}"; do printf -- '--to [%s]:%s ' "$vip" "$port"; done
}
# shellcheck disable=SC2046 # words
hold tcp $(to_all 80) --held 24 --new 4 --interval 300 --bytes 3000
# shellcheck disable=SC2046 # words
hold udp $(to_all 53) --held 24 --new 4 --interval 300 --protocol udp
unbroken "out of IP in IP and GUE"
for reason in {,gue_}{4in4,6in4,4in6,6in6}; do
	expect "$reason: $(count "$reason") packets" test "$(count "$reason")" -gt 20
done
for reason in stranger malformed checksum fragment options inner_not_ours gue_header nested; do
	expect "none counted as $reason" test "$(count $reason)" == 0
done
let_go tcp udp

# one_to VIP: a datagram.
one_to()
{
	in_ns client bash -c "echo x >/dev/udp/$1/53"
}

# counts_more REASON VIP: a datagram to VIP is counted as REASON.
counts_more()
{
	local before
	before=$(count "$1")
	one_to "$2"
	await 20 "$2: counted as $1" eval "((\$(count $1) > $before))"
}

say "strangers, the lists of another lb-decap in its place"
decap_end
counts_more gue_4in4 203.0.113.16 # the program outlives it
decap_run '.balancers | sort == ["10.9.0.3/32", "fd00:9::/127"]' \
	--from 10.9.0.3,fd00:9::/127 --gue-port $PORT
expect "what was counted is kept" test "$(count gue_4in4)" -gt 20
counts_more stranger 203.0.113.16
counts_more stranger 203.0.113.20
counts_more gue_4in6 203.0.113.17
counts_more 6in6 2001:db8:113::15

say "a VIP that is no address of the host any more"
ns_ip b1 address delete 203.0.113.17/32 dev lo
counts_more inner_not_ours 203.0.113.17
vips_add b1 203.0.113.17
counts_more gue_4in6 203.0.113.17

say "no GUE"
decap_end
decap_run '.gue_port == 0' --from 10.9.0.0/24,fd00:9::/64 --gue-port 0
gue=$(count gue_4in4)
counts_more other 203.0.113.16
expect "GUE is left to the kernel" test "$(count gue_4in4)" == "$gue"
counts_more 4in4 203.0.113.20

say "taken away"
expect "--detach" decap --detach
status=0
wait "$DECAP" || status=$?
((status == 1)) || fail "the resident one ends with status $status"
ok "the resident one ends with status 1"
refuse "--status" "eth0: no lb-decap is attached there" decap --status
