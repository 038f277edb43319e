# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The tests' network with lb-dpdk in the balancer's place. Sourced after lib.sh's
# isolate. The balancer's two links stay as they are, named wan-nic and lan-nic now,
# without addresses: they are the NICs that DPDK has. lbd makes wan and lan, the
# kernel's side, which get the addresses.
#
# PORTS  af_xdp: lb-dpdk takes each link by an AF_XDP socket
#        tap: each link is wired to a TAP, whose other end is lb-dpdk's port
#        virtio: each link is wired to a vhost-user socket, whose other end is lb-dpdk's port
# LCORES the main lcore and one worker, on any CPU; the tests' workers sleep when idle

PORTS=${PORTS:-af_xdp}
CPUS="(0-$(($(nproc) - 1)))"
LCORES=${LCORES:-0@$CPUS,1@$CPUS}

dpdk_needs()
{
	[[ -x $BUILD/lb-dpdk ]] ||
		skip "$BUILD/lb-dpdk is not built (libdpdk-dev is not installed?)"
	command -v nft >/dev/null || skip "nft is not installed"
	[[ -c /dev/net/tun ]] || skip "there is no /dev/net/tun"
}

# nic_of LINK: takes it from the kernel of lb.
nic_of()
{
	local link=$1
	ns_ip lb link set "$link" down
	ns_ip lb link set "$link" name "$link-nic"
	in_ns lb ip address flush dev "$link-nic"
	ns_ip lb link set "$link-nic" addrgenmode none up
	case $PORTS in
	# What comes while no worker is there must not be answered by the kernel.
	af_xdp | virtio) ingress "$link-nic" drop ;;
	tap) wire "$link" ;;
	esac
}

# ingress LINK VERDICT: of whatever the kernel gets from it.
ingress()
{
	in_ns lb nft -f - <<-END
	table netdev $1 {
		chain in {
			type filter hook ingress device "$1" priority 0;
			$2
		}
	}
	END
}

# wire LINK: what comes in from LINK-nic goes to LINK-port, and back: a cable.
wire()
{
	ns_ip lb tuntap add name "$1-port" mode tap multi_queue
	ns_ip lb link set "$1-port" addrgenmode none mtu 1600 up
	ingress "$1-port" "fwd to $1-nic"
	ingress "$1-nic" "fwd to $1-port"
}

# The same by vhost-user, for frames of any size: testpmd carries them between wan-nic, lan-nic and
# the two sockets. Its one forwarding thread is always busy. Its ports are the sockets (0 and 2) and
# the NICs.
cables_start()
{
	local links=() link
	for link in wan lan; do
		links+=(--vdev "net_vhost_$link,iface=$RUN/$link.sock"
			--vdev "net_pcap_$link,rx_iface_in=$link-nic,tx_iface=$link-nic")
	done
	CABLED=$(frames lb tx.packets wan-nic lan-nic)
	spawn lb cables stdbuf -oL dpdk-testpmd --lcores "0@$CPUS,1@$CPUS" --no-huge -m 256 \
		--file-prefix cables --no-pci --no-telemetry "${links[@]}" -- --forward-mode=io \
		--port-topology=paired --max-pkt-len=9600 --total-num-mbufs=32768 \
		--stats-period 3600 --disable-link-check
	CABLES=$SPAWNED
	await 20 "the cables are there" grep -q "^io packet forwarding" "$RUN/log/cables"
}

# Then they say what they carried.
cables_stop()
{
	kill -INT "$CABLES"
	wait "$CABLES" 2>/dev/null || true
}

# carried RX|TX: frames that the cables took from lb-dpdk, or gave it, in all their time.
carried()
{
	awk -v figure="$1-packets:" '
		/-- / { is_socket = / Forward statistics for port [02] / }
		$1 == figure && is_socket { n += $2 }
		END { print n + 0 }' "$RUN/log/cables"
}

# frames NS STATISTIC LINK...: the sum of one of the links' counters, as tx.packets.
frames()
{
	local name=$1 statistic=$2 link
	shift 2
	for link; do
		ns_ip "$name" -j -s link show "$link" | jq ".[0].stats64.$statistic"
	done | awk '{ n += $1 } END { print n }'
}

# counted_as VERDICT...: packets that the workers decided on so.
counted_as()
{
	api /v1/stats | jq '[.reasons[] | select(.verdict | IN($ARGS.positional[])) | .packets] | add' \
		--args "$@"
}

# What was counted has come out of the cables, if these lost none.
has_left()
{
	DECIDED=$(counted_as transmit answer)
	REFUSED=$(api /v1/status | jq '[.workers[].unsent] | add')
	KERNEL=$(frames lb tx.packets wan lan)
	(($(frames lb tx.packets wan-nic lan-nic) - CABLED + REFUSED == DECIDED + KERNEL))
}

has_counted()
{
	COUNTED=$(packets_counted)
	((COUNTED == $1))
}

# The last thing in a test: ends the cables. What lb-dpdk was given it has counted, and what it
# decided to send, or had from the kernel, left by a port or is counted as refused by one.
assert_cable_conservation()
{
	local given sent
	expect "nothing more comes in" silence
	expect "nor from the kernel" silence lb wan lan
	# Where the cables lose some it never is so, and this is long enough.
	poll 10 has_left || true
	cables_stop
	given=$(carried TX) sent=$(carried RX)
	poll 10 has_counted "$given" || fail "$given packets came in, $COUNTED are counted"
	ok "$given packets came in, as many are counted"
	((sent + REFUSED == DECIDED + KERNEL)) ||
		fail "$sent packets left and $REFUSED were refused, of $DECIDED and $KERNEL of the kernel"
	ok "$sent packets left and $REFUSED were refused: $DECIDED, and $KERNEL of the kernel"
}

# dpdk_topology MODE BACKENDS
dpdk_topology()
{
	dpdk_needs
	topology_add "$@"
	nic_of wan
	nic_of lan
	LBD_SETTINGS="dataplane: dpdk
${LBD_SETTINGS-}"
}

nic_mac()
{
	ns_ip lb -j link show "$1-nic" | jq -r '.[0].address'
}

# After lbd has made wan and lan for the first time.
dpdk_addresses()
{
	local lan_mtu
	lan_mtu=$(ns_ip lb -j link show lan-nic | jq ".[0].mtu")
	ns_ip lb link set lan mtu "$lan_mtu"
	address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
	address_add lb lan 10.1.0.2/24 fd00:1::2/64
	default_route lb 192.0.2.1 2001:db8:2::1
}

dpdk_start()
{
	dpdk_start_alone
	await 30 "lb-dpdk runs" dpdk_is_ready
}

# Where lbd may not run.
dpdk_start_alone()
{
	local ports=() link
	for link in wan lan; do
		case $PORTS in
		af_xdp) ports+=(--vdev "net_af_xdp_$link,iface=$link-nic,busy_budget=0") ;;
		tap) ports+=(--vdev "net_tap_$link,iface=$link-port,mac=$(nic_mac $link),persist") ;;
		# By default a queue has 256 descriptors: 51 frames of 9,000 bytes that came in, of which
		# 42 go out, for each takes one more then.
		virtio) ports+=(--vdev
			"net_virtio_user_$link,path=$RUN/$link.sock,queue_size=1024,mac=$(nic_mac $link)") ;;
		esac
	done
	spawn lb lb-dpdk "$BUILD/lb-dpdk" --tables "$RUN/lbd/tables" --idle-sleep 50 -- \
		--lcores "$LCORES" --no-huge -m 512 --no-pci --no-telemetry "${ports[@]}"
	DPDK=$SPAWNED
}

dpdk_is_ready()
{
	kill -0 "$DPDK" && api /v1/status |
		jq -e '(.workers | length > 0 and all(.state == "running")) and
			(.interfaces | all(.attached))'
}

# dpdk_stop [SIGNAL]
dpdk_stop()
{
	kill "-${1:-TERM}" "$DPDK"
	wait "$DPDK" 2>/dev/null || true
}

# A worker that shares its CPU with all the rest of a test, and with others, is not always there in
# time, and the sockets' rings are short: less traffic than under XDP, clients that wait longer, or
# ask again, and an idle time beyond that.
# shellcheck disable=SC2034 # transitions.sh reads them
{
	IDLE_S=25
	TCP_OPTIONS=(--timeout 20000)
	UDP_OPTIONS=(--timeout 5000 --retry)
	LOST_MAX=1000
}
hold_all()
{
	hold tcp "${WEB[@]}" --held 120 --new 20 --interval 500 --bytes 3000 "${TCP_OPTIONS[@]}"
	hold udp "${DNS[@]}" --protocol udp --held 80 --new 10 --interval 500 "${UDP_OPTIONS[@]}"
}

# ---- the history of changes (transitions.sh), with lb-dpdk ----

# In the place of the XDP program's upgrades.
change_daemon()
{
	local signal
	backend drain 1
	for signal in TERM KILL; do
		say "in the middle of a transition: lbd ends, by $signal"
		lbd_stop $signal
		unbroken "no lbd"
		lbd_start
		unbroken "lbd again"
		say "and lb-dpdk, by $signal"
		dpdk_stop $signal
		dpdk_start
		forgive
		unbroken "lb-dpdk again"
	done
	backend enable 1
	await 20 "b1 gets new connections" gets_new 1
	unbroken "enable"
}

# What lb-dpdk was given, by the driver's own count.
packets_in()
{
	local link
	for link in wan lan; do
		case $PORTS in
		af_xdp) in_ns lb ethtool -S $link-nic |
			awk '/rx_queue_[0-9]+_xdp_redirect:/ { n += $2 } END { print n }' ;;
		tap) ns_ip lb -j -s link show $link-port | jq '.[0].stats64.tx.packets' ;;
		esac
	done | awk '{ n += $1 } END { print n }'
}

# Under silence. What had come in is counted: neither number moves from one reading to the next.
is_quiet()
{
	IN=$(packets_in)
	COUNTED=$(packets_counted)
	(($(packets_in) == IN && $(packets_counted) == COUNTED))
}

conserves()
{
	local in counted
	in=$(packets_in)
	counted=$(packets_counted)
	CONSERVED="$((in - IN_BEFORE)) came in, $((counted - COUNTED_BEFORE)) counted"
	((counted - COUNTED_BEFORE == in - IN_BEFORE))
}

# Packets that came while no lb-dpdk was there are nobody's: counted anew, with some more traffic.
assert_conservation()
{
	expect "nothing comes in" silence
	await 20 "what had come in is counted" is_quiet
	IN_BEFORE=$IN COUNTED_BEFORE=$COUNTED
	in_ns router nft delete table netdev silence
	hold more "${WEB[@]}" --held 40 --new 20
	exercise
	let_go more
	expect "nothing more comes in" silence
	poll 20 conserves || fail "packets in are the sum of all reasons: $CONSERVED"
	ok "packets in are the sum of all reasons: $CONSERVED"
	in_ns router nft delete table netdev silence
}

# dpdk_transitions MODE
dpdk_transitions()
{
	local i
	[[ $MODE != ipip ]] || LBD_SETTINGS='source: {ipv4: 10.9.0.0/24, ipv6: "fd00:9::/64"}'
	dpdk_topology "$MODE" 4
	for i in 1 2 3 4; do
		[[ $MODE == nat ]] || vips_add b$i 203.0.113.{10..12} 2001:db8:113::{10..12}
		[[ $MODE != ipip ]] || decap_start b$i 10.9.0.0/24 fd00:9::/64
	done
	# net_tap takes frames of Ethernet's own size only: the outer header must fit in.
	if [[ $PORTS$MODE == tapipip ]]; then
		ns_ip client route replace default via 198.51.100.1 mtu 1440
		ns_ip client -6 route replace default via 2001:db8:100::1 mtu 1440
	fi
	lbd_configure
	lbd_start
	dpdk_addresses
	dpdk_start
	transitions
}
