#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the balancer sends in ipip, opened by others: Linux 6.1's own ipip, sit and
# ip6tnl devices, in a backend that is a machine. Then lb-decap takes their place, on
# its virtio NIC, under the same connections. The balancer is on this host. Paths are of
# 1,500 bytes, which is no room for the outer header beside a full packet: uploads arrive
# once the client was told. fou.sh is the same in gue.

MODE=${MODE:-ipip}
. "$(dirname "$0")/lib.sh"
# shellcheck disable=SC2034,SC2154 # lib.sh reads it
VM_NICS[b1]=lan-b1
vm_isolate 6.1 "$@"

topology_add l2 1 # its links are of 1,500 bytes
vips_add b1 203.0.113.{10,11} 2001:db8:113::{10,11}
LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
lbd_configure
lbd_start
server_start b1 80 53

# 10 goes to the machine's IPv4 address, 11 to the IPv6 one.
service()
{
	echo "  - {name: $1, vips: [203.0.113.$2, '2001:db8:113::$2'], protocol: $3, port: $4,
     mode: $MODE, ring: 1021, backends: [{address: '$5', port: $4}]}"
}
{
	echo "services:"
	service web4 10 tcp 80 10.1.0.11
	service dns4 10 udp 53 10.1.0.11
	service upload4 10 tcp 81 10.1.0.11
	service web6 11 tcp 80 fd00:1::11
	service dns6 11 udp 53 fd00:1::11
	service upload6 11 tcp 81 fd00:1::11
} >"$RUN/services.yaml"

expect "the kernel's ipip" ns_ip b1 link add t44 type ipip local 10.1.0.11
expect "the kernel's sit" ns_ip b1 link add t64 type sit local 10.1.0.11
expect "the kernel's ip6tnl" ns_ip b1 link add t6 type ip6tnl local fd00:1::11 mode any
for device in t44 t64 t6; do
	ns_ip b1 link set $device up
done
if [[ $MODE == gue ]]; then
	in_ns b1 modprobe fou # "ip fou" does not
	expect "the kernel's fou on IPv4" ns_ip b1 fou add port 6080 gue
	expect "the kernel's fou on IPv6" ns_ip b1 -6 fou add port 6080 gue
fi
expect "services applied" lbctl apply "$RUN/services.yaml"

# received DEVICE: packets; none with an error.
received()
{
	ns_ip b1 -j -s link show "$1" |
		jq -e '.[0].stats64.rx | select(.errors == 0 and .dropped == 0) | .packets'
}

# What IP, TCP and UDP of the machine found wrong, in both families: COUNTER=PACKETS of each that is
# not 0, or nothing.
bad_packets()
{
	vm_shell b1 'grep -hE "^(Ip|Tcp|Udp):" /proc/net/snmp; cat /proc/net/snmp6' | awk '
		$1 ~ /:$/ && !($1 in names) { names[$1] = $0; next }
		$1 ~ /:$/ { n = split(names[$1], name); for (i = 2; i <= n; i++) count[$1 name[i]] = $i }
		$1 ~ /^(Ip|Udp)6/ { count[$1] = $2 }
		END { for (i in count) if (i ~ /(InHdrErrors|InCsumErrors|InErrs|InErrors|InTooBigErrors)$/) {
				seen++
				if (count[i] > 0) printf " %s=%s", i, count[i]
			}
			if (seen < 8) printf " unknown" }'
}

# A machine is slow: the holders are patient.
hold_family()
{
	hold "tcp$1" --to "203.0.113.1$2:80" --to "[2001:db8:113::1$2]:80" --held 24 --new 4 \
		--interval 300 --bytes 3000 --timeout 30000
	hold "udp$1" --to "203.0.113.1$2:53" --to "[2001:db8:113::1$2]:53" --held 12 --new 2 \
		--interval 300 --protocol udp --timeout 30000 --retry
}

# What bulk.py uploads is answered as by its own server, for a machine has no Python.
UPLOAD_BYTES=10000000
upload_sink()
{
	vm_shell b1 "printf '%s\n' '#!/bin/sh' 'dd bs=1 count=9 of=/dev/null 2>/dev/null' \
		'head -c $UPLOAD_BYTES | sha256sum | cut -c -64 | xxd -r -p' >/run/sink
		chmod +x /run/sink"
	spawn b1 sink nc -ll -p 81 -e /run/sink
}

too_big()
{
	api /v1/stats | jq '.reasons[] | select(.reason == "too_big") | .packets'
}

# uploads SENTENCE: what the client knows of each path is gone before, so it is told anew.
uploads()
{
	local vip before
	for vip in 203.0.113.1{0,1} 2001:db8:113::1{0,1}; do
		before=$(too_big)
		ns_ip client route flush cache
		ns_ip client -6 route flush cache
		expect "$1, $vip: $UPLOAD_BYTES bytes arrive" \
			in_ns client "$NET_DIR/bulk.py" upload "$vip" 81 "$UPLOAD_BYTES"
		((before < $(too_big))) || fail "$1, $vip: nobody was told that a packet is too big"
	done
}

hold_family 4 0
hold_family 6 1
unbroken "the kernel's devices"
upload_sink
uploads "the kernel's devices"
for device in t44 t64 t6; do
	expect "$device has received $(received $device) packets, none with an error" \
		test "$(received $device)" -gt 100
done
[[ -z $(bad_packets) ]] || fail "IP, TCP or UDP found something wrong:$(bad_packets)"
ok "IP, TCP and UDP of the machine found nothing wrong in what was inside"

say "lb-decap in their place"
decap_start b1 10.9.0.0/24 fd00:9::/64
await 20 "lb-decap is attached in native mode" eval \
	'ns_ip b1 -j link show eth0 | jq -e ".[0].xdp.mode == 1"'
# It was before them; now they are gone too. Nothing is lost in between. Errors are counted from
# here on: while virtio_net changes over to XDP, TCP finds wrong checksums (0 to 144 segments each
# time, in 8 of 25 times on 6.1), which are sent again; never before, and never after.
bad=$(bad_packets)
for device in t44 t64 t6; do
	ns_ip b1 link delete $device
done
if [[ $MODE == gue ]]; then
	ns_ip b1 fou del port 6080
	ns_ip b1 -6 fou del port 6080
fi
unbroken "lb-decap"
uploads "lb-decap"
# verified_insns of the program that it pinned
n=$(vm_shell b1 "cat /proc/$SPAWNED/fdinfo/*" 2>/dev/null | awk '/^verified_insns:/ { n = $2 } END { print n }')
((n > 0 && n <= 250000)) || fail "the verifier processed '$n' instructions"
ok "the verifier processed $n instructions of lb-decap's program, of at most 250000"
[[ $(bad_packets) == "$bad" ]] || fail "IP, TCP or UDP found something wrong:$(bad_packets); before:$bad"
ok "IP, TCP and UDP of the machine found nothing wrong"
let_go "${!HOLDERS[@]}"
assert_conservation
