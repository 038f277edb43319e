# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The kernels of the virtual machines: Debian's own packages, downloaded and unpacked
# into build/vm, never installed. Sourced by lib.sh; needs VM_BUILD and skip.
#
# The cloud kernels have all that is needed (virtio, veth, tunnels, FOU, UIO) and are a
# third of the others' size.

# What machines load, and what they load on demand (ip link add type ipip).
MODULES=(virtio_pci virtio_net virtio_console nf_tables)
MODULES_ON_DEMAND=(nft_objref veth bridge tun ipip sit ip6_tunnel ip_gre fou fou6 uio_pci_generic)

# kernel_get VERSION: KERNEL is a directory with vmlinuz and tree/, the modules.
kernel_get()
{
	local package
	package=$(kernel_package "$1")
	[[ $package ]] || skip "the package sources of this host have no Linux $1 of Debian's"
	KERNEL=$VM_BUILD/$package
	[[ -e $KERNEL/modules && $(<"$KERNEL/modules") == "${MODULES[*]} ${MODULES_ON_DEMAND[*]}" ]] ||
		kernel_unpack "$package"
}

# What Debian's metapackages stand for, where it is VERSION; nothing otherwise.
kernel_package()
{
	local metapackage
	for metapackage in linux-image-cloud-amd64 "linux-image-$1-cloud-amd64"; do
		apt-cache depends --important "$metapackage" 2>/dev/null || true
	done | sed -n "s/^ *Depends: \(linux-image-${1/./\\.}[.-].*\)/\1/p" | head -n 1
}

kernel_unpack()
{
	local package=$1 release=${1#linux-image-}
	rm -rf "$KERNEL"
	mkdir -p "$KERNEL/package"
	(cd "$KERNEL" && apt-get -qq -o APT::Sandbox::User=root download "$package") ||
		skip "$package cannot be downloaded"
	dpkg-deb -x "$KERNEL"/*.deb "$KERNEL/package"
	[[ -e $KERNEL/package/lib ]] || ln -s usr/lib "$KERNEL/package/lib"
	cp "$KERNEL/package/boot/vmlinuz-$release" "$KERNEL/vmlinuz"
	kernel_modules "$release"
	rm -rf "$KERNEL/package" "$KERNEL"/*.deb
	echo "${MODULES[*]} ${MODULES_ON_DEMAND[*]}" >"$KERNEL/modules"
}

# Those that are wanted, and what they depend on.
kernel_modules()
{
	local release=$1 tree=$KERNEL/tree/lib/modules/$1 name file
	mkdir -p "$tree"
	depmod -b "$KERNEL/package" "$release"
	for name in "${MODULES[@]}" "${MODULES_ON_DEMAND[@]}"; do
		# Not every release has each: what was a module may be a part of another one.
		modprobe -d "$KERNEL/package" -S "$release" --show-depends "$name" 2>/dev/null || true
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
		cp "$file" "$tree"
	done
	find "$tree" -name '*.xz' -exec xz -d {} +
	cp "$KERNEL/package/lib/modules/$release/"modules.{builtin,builtin.modinfo,order} "$tree"
	depmod -b "$KERNEL/tree" "$release"
}
