# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The network that the namespace tests and tools/demo run in. Sourced; the caller
# sets NS_PREFIX (of namespaces' names; may be empty) and BUILD.
#
#   client -- router -- wan [lb] lan -- router's bridge -- b1, b2, ...
#
# The router forwards the VIPs' prefixes to the balancer, and holds the bridge
# `lan`. Backends reply through the balancer (nat), or, with direct return, through
# the router's address on the bridge: the VIP is local on the balancer, whose kernel
# would drop packets that come from its own address.
#
#   clients 198.51.100.0/24, 2001:db8:100::/64   router .1, client .10 and on
#   wan     192.0.2.0/24,    2001:db8:2::/64     router .1, balancer .2
#   lan     10.1.0.0/24,     fd00:1::/64         router .1, balancer .2, bN .1N (::1N)
#   VIPs    203.0.113.0/24,  2001:db8:113::/48
#
# What XDP reads or writes must have its checksums and sizes in it, so the links'
# transmit offloads are off; a link's end that takes frames from XDP has a program
# that passes everything.

NS_PREFIX=${NS_PREFIX-}

# in_ns NAME COMMAND...: runs it there; mounts stay the caller's.
in_ns()
{
	local name=$1
	shift
	nsenter --net="/run/netns/$NS_PREFIX$name" -- "$@"
}

ns_ip()
{
	ip -n "$NS_PREFIX$1" "${@:2}"
}

ns_add()
{
	ip netns add "$NS_PREFIX$1"
	in_ns "$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
		net.ipv6.conf.default.accept_ra=0 \
		net.ipv4.conf.default.arp_notify=1 net.ipv6.conf.default.ndisc_notify=1
	ns_ip "$1" link set lo up
}

ns_is_forwarding()
{
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# link_add NS-A IF-A NS-B IF-B [MTU]: a cable.
link_add()
{
	local mtu=${5:-1500}
	ip link add name "$2" mtu "$mtu" netns "$NS_PREFIX$1" type veth \
		peer name "$4" mtu "$mtu" netns "$NS_PREFIX$3"
	in_ns "$1" ethtool -K "$2" tx off tso off gso off >/dev/null
	in_ns "$3" ethtool -K "$4" tx off tso off gso off >/dev/null
	ns_ip "$1" link set "$2" up
	ns_ip "$3" link set "$4" up
}

# Prepares an end of a link for frames that the other end's XDP sends: veth delivers them to an end
# with a receive ring only (GRO gives it one too), and wakes it for what comes back (XDP_TX) only
# where it has a program of its own. Else answers lie in a ring of 256 until the kernel sends
# something that way: late or, where it does not, never.
link_takes_xdp()
{
	ns_ip "$1" link set dev "$2" xdpdrv object "$BUILD/tests/net/pass.bpf.o" section xdp.frags
}

address_add()
{
	local name=$1 link=$2 address
	shift 2
	for address; do
		ns_ip "$name" address add "$address" dev "$link"
	done
}

# default_route NS IPV4 IPV6
default_route()
{
	ns_ip "$1" route replace default via "$2" mtu 1500
	ns_ip "$1" -6 route replace default via "$3" mtu 1500
}

# topology_add MODE BACKENDS: all of the above, with backends b1 to bN.
topology_add()
{
	local mode=$1 backends_n=$2 lan_mtu=1500 i
	[[ $mode == ipip || $mode == gue ]] && lan_mtu=1600 # room for the outer header
	ns_add client
	ns_add router
	ns_add lb
	ns_is_forwarding router
	ns_is_forwarding lb

	link_add client eth0 router client
	address_add client eth0 198.51.100.{10..13}/24 2001:db8:100::{10..13}/64
	address_add router client 198.51.100.1/24 2001:db8:100::1/64
	default_route client 198.51.100.1 2001:db8:100::1

	link_add lb wan router wan
	link_takes_xdp router wan
	address_add lb wan 192.0.2.2/24 2001:db8:2::2/64
	address_add router wan 192.0.2.1/24 2001:db8:2::1/64
	default_route lb 192.0.2.1 2001:db8:2::1
	ns_ip router route add 203.0.113.0/24 via 192.0.2.2
	ns_ip router route add 2001:db8:113::/48 via 2001:db8:2::2

	ns_ip router link add lan mtu "$lan_mtu" type bridge
	ns_ip router link set lan up
	address_add router lan 10.1.0.1/24 fd00:1::1/64
	link_add lb lan router lan-lb "$lan_mtu"
	link_takes_xdp router lan-lb
	ns_ip router link set lan-lb master lan
	address_add lb lan 10.1.0.2/24 fd00:1::2/64

	for ((i = 1; i <= backends_n; i++)); do
		backend_add "$mode" "$i" "$lan_mtu"
	done
}

# backend_add MODE I MTU: bI, on the bridge.
backend_add()
{
	local mode=$1 i=$2 mtu=$3
	ns_add "b$i"
	link_add "b$i" eth0 router "lan-b$i" "$mtu"
	ns_ip router link set "lan-b$i" master lan
	link_takes_xdp router "lan-b$i"
	address_add "b$i" eth0 "10.1.0.1$i/24" "fd00:1::1$i/64"
	if [[ $mode == nat ]]; then
		default_route "b$i" 10.1.0.2 fd00:1::2
	else
		default_route "b$i" 10.1.0.1 fd00:1::1
	fi
}

# vips_add NS VIP...: on loopback, for direct return.
vips_add()
{
	local name=$1 vip
	shift
	for vip; do
		ns_ip "$name" address add "$vip" dev lo # a lone address is a /32 or /128
	done
}
