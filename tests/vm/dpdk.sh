# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The balancer in a machine, where lb-dpdk has its two virtio NICs, with two workers and so two
# queues each. Sourced by dpdk_nat.sh, dpdk_l2.sh, dpdk_ipip.sh and dpdk_gue.sh
# after lib.sh's vm_isolate; MODE is set.
#
# The NICs are bound to uio_pci_generic: Debian's cloud kernels have no VFIO without an IOMMU.
# Physical addresses come from huge pages. Clients and backends are namespaces of this host.
# RSS is QEMU's own (rss=on, without vhost): it takes hash, key and table from lb-dpdk's driver.

PMDS=$(find /usr/lib/x86_64-linux-gnu/dpdk -name 'pmds-*' 2>/dev/null | tail -n 1)
[[ -x $BUILD/lb-dpdk && $PMDS ]] || skip "lb-dpdk is not built, or DPDK's drivers are not installed"
VM_FILES+=("$BUILD/lb-dpdk" "$BUILD/tests/net/worker_reasons")
# Each once: a driver that is loaded from two files is registered twice. The buses are libraries of
# net_virtio's.
VM_FILES+=("$PMDS/librte_mempool_ring.so" "$PMDS/librte_net_virtio.so"
	/lib/x86_64-linux-gnu/libgcc_s.so.1) # pthread_cancel() loads it
. "$NET_DIR/transitions.sh"
. "$NET_DIR/dpdk_bed.sh"
. "$VM_DIR/balancer.sh"

# shellcheck disable=SC2034 # machine.sh, daemons.sh and transitions.sh read them
{
	VM_MEMORY_MB=1024
	VM_HUGE_PAGES=200
	VM_NIC_OPTIONS=,rss=on
	LCORES="0@(0-1),1@(0-1),2@(0-1)"
	LBD_LIMITS="{services: 64, backends: 256, slots: 65536, connections: 16384}"
	TCP_OPTIONS=(--timeout "$TCP_TIMEOUT_MS")
	UDP_OPTIONS=(--timeout "$UDP_TIMEOUT_MS" --retry)
}

# The kernel of the machine loses its NICs; NICS are their PCI addresses.
nics_bind()
{
	in_ns lb mkdir -p /dev/hugepages /var
	in_ns lb bash -c "[[ -e /var/run ]] || ln -s /run /var/run" # the EAL's files
	in_ns lb mount -t hugetlbfs none /dev/hugepages
	in_ns lb modprobe -a tun uio_pci_generic
	NICS=()
	local link pci
	for link in wan lan; do
		pci=$(in_ns lb readlink -f /sys/class/net/$link/device/..)
		NICS+=("${pci##*/}")
		in_ns lb bash -c "echo ${pci##*/} >$pci/driver/unbind
			echo uio_pci_generic >$pci/driver_override
			echo ${pci##*/} >/sys/bus/pci/drivers_probe"
	done
}

dpdk_start_alone()
{
	spawn lb lb-dpdk "$BUILD/lb-dpdk" --tables "$RUN/lbd/tables" --idle-sleep 50 -- \
		--lcores "$LCORES" --no-telemetry "${NICS[@]/#/-a}"
	DPDK=$SPAWNED
}

dpdk_is_ready()
{
	in_ns lb kill -0 "$DPDK" && workers_run
}

workers_run()
{
	api /v1/status | jq -e '(.workers | length == 2 and all(.state == "running")) and
		(.interfaces | all(.attached))'
}

dpdk_stop()
{
	in_ns lb kill "-${1:-TERM}" "$DPDK"
	poll 20 dpdk_is_gone || fail "lb-dpdk does not end"
}

dpdk_is_gone()
{
	! in_ns lb kill -0 "$DPDK"
}

hold_all()
{
	hold tcp "${WEB[@]}" --held 24 --new 4 --interval 500 --bytes 3000 "${TCP_OPTIONS[@]}"
	hold udp "${DNS[@]}" --protocol udp --held 24 --new 4 --interval 500 "${UDP_OPTIONS[@]}"
}

# By the other ends of the cables.
packets_in()
{
	local link
	for link in wan lan-lb; do
		ns_ip router -j -s link show $link | jq '.[0].stats64.tx.packets'
	done | awk '{ n += $1 } END { print n }'
}

# As in dpdk_bed.sh: packets that came while no lb-dpdk was there are nobody's.
assert_conservation()
{
	expect "nothing comes in" silence
	await 20 "what had come in is counted" is_quiet
	IN_BEFORE=$IN COUNTED_BEFORE=$COUNTED
	in_ns router nft delete table netdev silence
	await 20 "every service is up" all_up
	hold more "${WEB[@]}" --held 24 --new 4 --interval 500 "${TCP_OPTIONS[@]}"
	exercise
	let_go more
	expect "nothing more comes in" silence
	poll 20 conserves || fail "packets in are the sum of all reasons: $CONSERVED"
	ok "packets in are the sum of all reasons: $CONSERVED"
	in_ns router nft delete table netdev silence
}

# ---- queues: as many as workers, and so the N-th one of each NIC is the N-th worker's ----

# counted WORKER PATTERN: packets that it counted under these reasons.
counted()
{
	in_ns lb "$BUILD/tests/net/worker_reasons" "$RUN/lbd/tables" |
		awk -v worker="$1" -v pattern="^($2)\$" \
			'$1 == worker && $2 ~ pattern { n += $3 } END { print n + 0 }'
}

# send_to_queue N VIP: 32 datagrams to a port that no service has, of flows whose Toeplitz hash is N
# modulo 2. Under the key that port.c gives, of one repeated word, that is a parity: of the XOR of
# the flow's 16-bit words, under that word shifted by one. (TAPs choose queues too, otherwise.)
send_to_queue()
{
	in_ns client /usr/bin/python3 - "$@" <<-'END'
	import socket, struct, sys
	queue, vip = int(sys.argv[1]), sys.argv[2]
	family, client = ((socket.AF_INET6, "2001:db8:100::10") if ":" in vip else
			  (socket.AF_INET, "198.51.100.10"))
	hosts = socket.inet_pton(family, vip) + socket.inet_pton(family, client)
	sent, port = 0, 20000
	while sent < 32:
	    port += 1
	    words = 0
	    for word in struct.unpack(f"!{len(hosts) // 2}H", hosts) + (port, 9):
	        words ^= word
	    if bin(words & 0x6d5a >> 1).count("1") % 2 != queue:
	        continue
	    with socket.socket(family, socket.SOCK_DGRAM) as s:
	        s.bind((client, port))
	        s.sendto(b"x", (vip, 9))
	    sent += 1
	END
}

TO_BACKENDS="current|new|tracked|settled"
REFUSED="refused_port|refused_rate"
assert_queues()
{
	local n vip want other
	for n in 0 1; do
		expect "worker $n has sent packets to backends: $(counted $n "$TO_BACKENDS")" \
			test "$(counted $n "$TO_BACKENDS")" -gt 100
		[[ $MODE != nat ]] || expect "and replies to clients: $(counted $n reply)" \
			test "$(counted $n reply)" -gt 100
		for vip in 203.0.113.10 2001:db8:113::10; do
			want=$(($(counted $n "$REFUSED") + 32))
			other=$(counted $((1 - n)) "$REFUSED")
			send_to_queue $n $vip
			await 10 "flows to $vip that RSS gives to queue $n come to it, all 32" \
				eval "((\$(counted $n '$REFUSED') == $want))"
			expect "and none to the other" \
				test "$(counted $((1 - n)) "$REFUSED")" = "$other"
		done
	done
}

dpdk_machine()
{
	local i
	[[ $MODE != @(ipip|gue) ]] || LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
	LBD_SETTINGS="dataplane: dpdk
${LBD_SETTINGS-}"
	topology_add "$MODE" 3
	nics_bind
	for i in 1 2 3; do
		start_server $i
		[[ $MODE == nat ]] || vips_add b$i 203.0.113.{10,11} 2001:db8:113::{10,11}
		[[ $MODE != @(ipip|gue) ]] || decap_start b$i 10.9.0.0/24 fd00:9::/64
	done
	lbd_configure
	lbd_start
	dpdk_start
	[[ $MODE != @(ipip|gue) ]] || ns_ip lb link set lan mtu 1600
	address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
	address_add lb lan 10.1.0.2/24 fd00:1::2/64
	default_route lb 192.0.2.1 2001:db8:2::1
	services_render >"$RUN/services.yaml"
	expect "services applied" lbctl apply "$RUN/services.yaml"
	await 20 "every service is up" all_up
	hold_all
	unbroken "steady"
	backend drain 2
	await 20 "b2, drained, gets no new connections" gets_no_new 2
	unbroken "drain"
	backend enable 2
	await 20 "b2, enabled, gets new connections" gets_new 2
	unbroken "enable"
	change_daemon
	let_go tcp udp
	assert_queues
	assert_conservation
}
