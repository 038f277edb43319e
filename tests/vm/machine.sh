# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Virtual machines: an initramfs made by hand, QEMU without KVM, and commands over a
# virtio port (guest/init has the other end). Sourced by lib.sh.
#
# A machine's NICs are TAPs in the namespace `router`, each with several queues. All of
# the machines are gone with the test's process namespace.

VM_QUEUES=4 # of a NIC: two for the guest's processors, two for what XDP sends
VM_CPUS=2
VM_MEMORY_MB=768
VM_HUGE_PAGES=0 # of 2 MB
VM_NIC_OPTIONS= # beside what every NIC has

# What a machine has beside Sluice's programs, which are where the host has them.
VM_PROGRAMS=(bash ip ethtool bpftool curl jq nsenter)

# A directory whose tree it has too, where a test sets one.
VM_TREE=

# Pids, and descriptors of the ports, by the machine's name.
declare -A VM_PID=() VM_IN=() VM_OUT=()

is_vm()
{
	[[ ${VM_PID[$1]-} ]]
}

# ---- the initramfs ----

# root_copy FILE: where the host has it, with its libraries.
root_copy()
{
	local file libraries
	libraries=$(ldd "$1" 2>/dev/null | grep -o '/[^ ]*' || true)
	for file in "$1" $libraries; do
		[[ -e $VM_ROOT$file ]] ||
			install -D -m "$(stat -Lc %a "$file")" "$file" "$VM_ROOT$file"
	done
}

# initramfs_build FILE...: VM_INITRAMFS, for KERNEL, with these files in it too.
initramfs_build()
{
	local name file
	VM_ROOT=$RUN/vm/root
	VM_INITRAMFS=$RUN/vm/initramfs
	mkdir -p "$VM_ROOT"/{usr/{bin,sbin,lib,lib64},etc,proc,sys,dev,tmp,run,root}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$VM_ROOT/$name"
	done
	install "$NET_DIR/../vm/guest/init" "$VM_ROOT/init"
	cp "$(command -v busybox)" "$VM_ROOT/bin/busybox"
	for name in "${VM_PROGRAMS[@]}"; do
		root_copy "$(command -v "$name")"
	done
	for file; do
		root_copy "$file"
	done
	[[ ! $VM_TREE ]] || cp -a "$VM_TREE/." "$VM_ROOT/"
	echo root:x:0:0:root:/root:/bin/sh >"$VM_ROOT/etc/passwd"
	echo root:x:0: >"$VM_ROOT/etc/group"
	printf '%s\n' "${MODULES[@]}" >"$VM_ROOT/etc/modules"
	cp -r "$KERNEL/tree/lib/modules" "$VM_ROOT/lib/"
	(cd "$VM_ROOT" && find . | cpio --quiet -o -H newc) >"$VM_INITRAMFS"
	rm -rf "$VM_ROOT"
}

# ---- machines ----

# vm_boot NAME TAP...: its NICs are eth0, eth1, ... in this order.
vm_boot()
{
	local name=$1 dir=$RUN/vm/$1 n=0 tap in out arguments=()
	shift
	mkdir -p "$dir"
	mkfifo "$dir/port.in" "$dir/port.out"
	for tap; do
		ns_ip router tuntap add dev "$tap" mode tap multi_queue
		ns_ip router link set "$tap" up
		arguments+=(-netdev "tap,id=n$n,ifname=$tap,queues=$VM_QUEUES,script=no,downscript=no,vhost=off"
			-device "virtio-net-pci,netdev=n$n,romfile=,mac=$(vm_mac "$name" $n),mq=on,vectors=$((2 * VM_QUEUES + 2))$VM_NIC_OPTIONS")
		n=$((n + 1))
	done
	nsenter --net="/run/netns/${NS_PREFIX}router" -- \
		qemu-system-x86_64 -accel tcg -machine q35 -cpu max -smp "$VM_CPUS" -m "$VM_MEMORY_MB" \
		-nodefaults -no-user-config -no-reboot -display none \
		-kernel "$KERNEL/vmlinuz" -initrd "$VM_INITRAMFS" \
		-append "console=ttyS0 quiet panic=-1 net.ifnames=0 mitigations=off hugepages=$VM_HUGE_PAGES" \
		-serial "file:$RUN/log/console-$name" \
		-device virtio-serial-pci -chardev "pipe,id=port,path=$dir/port" \
		-device virtserialport,chardev=port "${arguments[@]}" \
		>>"$RUN/log/qemu-$name" 2>&1 &
	VM_PID[$name]=$!
	exec {in}<>"$dir/port.in" {out}<>"$dir/port.out"
	VM_IN[$name]=$in
	VM_OUT[$name]=$out
	vm_shell "$name" true || fail "$name: its shell does not work"
	ok "$name is up: Linux $(vm_run "$name" uname -r), $VM_CPUS processors, $# NICs of $VM_QUEUES queues"
}

# Locally administered; the same on every run.
vm_mac()
{
	local digits
	digits=$(sha256sum <<<"$1")
	echo "52:54:${digits:0:2}:${digits:2:2}:${digits:4:2}:0$2"
}

# vm_shell NAME SCRIPT: bash runs it there. Stdout, stderr and status are its.
vm_shell()
{
	local name=$1 dir=$RUN/vm/$1 status out_bytes err_bytes
	base64 -w 0 <<<"$2" >"$dir/script"
	echo >>"$dir/script"
	cat "$dir/script" >&"${VM_IN[$name]}"
	read -r -t 120 status out_bytes err_bytes <&"${VM_OUT[$name]}" ||
		fail "$name does not answer" >&2
	# All of it is read, whatever becomes of who reads ours.
	head -c "$out_bytes" <&"${VM_OUT[$name]}" >"$dir/out"
	head -c "$err_bytes" <&"${VM_OUT[$name]}" >"$dir/err"
	cat "$dir/err" >&2
	cat "$dir/out"
	return "$status"
}

# vm_run NAME COMMAND...
vm_run()
{
	local name=$1
	shift
	vm_shell "$name" "${*@Q}"
}

# vm_put NAME FILE: the host's file, at the same path.
vm_put()
{
	vm_shell "$1" "mkdir -p $(dirname "$2") && base64 -d <<<'$(base64 "$2")' >$2"
}

# vm_spawn NAME LOG COMMAND...: in its background; SPAWNED is its pid there.
vm_spawn()
{
	local name=$1 log=$2
	shift 2
	# shellcheck disable=SC2034 # as of spawn
	SPAWNED=$(vm_shell "$name" "${*@Q} >>$RUN/log/$log 2>&1 & echo \$!")
}
