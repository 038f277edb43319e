# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What every test with a virtual machine begins with:
#
#   . "$(dirname "$0")/lib.sh"
#   vm_isolate VERSION "$@"
#
# It is the namespace tests' library, in which a namespace may be a machine with a Linux
# of Debian's: where VM_NICS[NAME] names TAPs, ns_add NAME boots one (vm_kernel first),
# and in_ns, ns_ip, spawn and link_add do there what they do in a namespace. $RUN and
# $BUILD are the same paths there.
#
# There is no KVM: a machine is slow, two processors of the host at most. What is tested
# is that things are right.

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$VM_DIR/../net/lib.sh" # sets NET_DIR, BUILD, RUN
. "$VM_DIR/kernel.sh"
. "$VM_DIR/machine.sh"
VM_BUILD=$BUILD/vm

# The machines to be: NAME -> TAPs, in the order of the NICs.
declare -A VM_NICS=()
# Files that they have, beside what machine.sh lists.
VM_FILES=("$BUILD/lbd" "$BUILD/lbctl" "$BUILD/lb-decap" "$BUILD/tests/net/lbd_rebuilt"
	"$BUILD/tests/net/holder")

# vm_isolate VERSION ARGUMENT...: with the kernel (6.1), which is downloaded before the
# network is gone. Where SLUICE_VM_KERNEL is set, that one.
vm_isolate()
{
	local version=${SLUICE_VM_KERNEL:-$1} tool
	shift
	for tool in qemu-system-x86_64 busybox cpio depmod xz apt-cache; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	((EUID == 0)) || skip "needs root, to make network namespaces"
	[[ -c /dev/net/tun ]] || skip "there is no /dev/net/tun"
	kernel_get "$version"
	isolate "$@"
}

# override FUNCTION: what it was is host_FUNCTION.
override()
{
	eval "host_$(declare -f "$1")"
}

override in_ns
in_ns()
{
	if is_vm "$1"; then
		vm_run "$@"
	else
		host_in_ns "$@"
	fi
}

override ns_ip
ns_ip()
{
	if is_vm "$1"; then
		vm_run "$1" ip "${@:2}"
	else
		host_ns_ip "$@"
	fi
}

override spawn
spawn()
{
	if is_vm "$1"; then
		vm_spawn "$@"
	else
		host_spawn "$@"
	fi
}

ns_sysctls()
{
	in_ns "$1" sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 \
		net.ipv6.conf.default.accept_ra=0 \
		net.ipv4.conf.default.arp_notify=1 net.ipv6.conf.default.ndisc_notify=1
}

override ns_add
ns_add()
{
	local nics=${VM_NICS[$1]-}
	if [[ -z $nics ]]; then
		host_ns_add "$1"
		return
	fi
	[[ -e ${VM_INITRAMFS:=$RUN/vm/initramfs} ]] || initramfs_build "${VM_FILES[@]}"
	# shellcheck disable=SC2086 # a list
	vm_boot "$1" $nics
	ns_sysctls "$1"
}

# A cable with a machine at one end: the TAP at the other one is there since it booted.
override link_add
link_add()
{
	local mtu=${5:-1500} tap n=0
	if ! is_vm "$1"; then
		host_link_add "$@"
		return
	fi
	for tap in ${VM_NICS[$1]}; do
		[[ $tap != "$4" ]] || break
		n=$((n + 1))
	done
	ns_ip "$3" link set "$4" mtu "$mtu"
	ns_ip "$1" link set "eth$n" name "$2" mtu "$mtu"
	ns_ip "$1" link set "$2" up
}

# A TAP takes whatever its machine sends.
override link_takes_xdp
link_takes_xdp()
{
	[[ " ${VM_NICS[*]} " == *" $2 "* ]] || host_link_takes_xdp "$@"
}

# The balancer's processes are where it is, and so are lbctl's files.
lbd_is_ready()
{
	in_ns lb bash -c "kill -0 $LBD && $BUILD/lbctl --socket $RUN/lbd/lbd.sock status"
}

lbd_stop()
{
	in_ns lb kill "-${1:-TERM}" "$LBD"
	poll 20 lbd_is_gone || fail "lbd does not end"
}

lbd_is_gone()
{
	! in_ns lb kill -0 "$LBD"
}

lbctl()
{
	local file=${!#}
	if is_vm lb && [[ $1 == apply && -f $file ]]; then
		vm_put lb "$file"
	fi
	in_ns lb "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" "$@"
}

override lbd_configure
lbd_configure()
{
	host_lbd_configure
	is_vm lb && vm_put lb "$RUN/lbd.yaml"
	in_ns lb mkdir -p "$RUN/state"
}

# A failed test shows the machines' logs too.
override leave
leave()
{
	local name
	trap - ERR EXIT
	if (($1 != 0 && $1 != 77)); then
		for name in "${!VM_PID[@]}"; do
			(vm_shell "$name" "cd $RUN/log && tail -n 25 *; dmesg | tail -n 5
				! type journalctl || journalctl -q -o cat -n 30") \
				>"$RUN/log/in-$name" 2>&1 || true
		done
	fi
	host_leave "$1"
}

# Without KVM, and beside whatever else this host does: deadlines say "broken", never "slow".
override poll
poll()
{
	host_poll $((10 * $1)) "${@:2}"
}
