# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What tools/demo, tools/test, tools/bench and the lint scripts share: the packages that each needs,
# the build, and a few words. Sourced by bash, from anywhere; it moves to the project's root:
#
#   . "$(dirname "$0")/lib.sh"
#   need_root
#   install_packages build net      # only what is missing, and nothing at all where nothing is
#   build                           # build/lbd, build/lbctl, ...

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BUILD=$ROOT/build
# A root's shell made by su has no sbin; a python of the user's own has no scapy.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
export LC_ALL=C.UTF-8
export ROOT BUILD

# Debian's packages, by what needs them. All are in Debian 12's main. install_packages reads these
# by name.
# shellcheck disable=SC2034
{
	packages_build=(gcc libc6-dev clang bpftool meson ninja-build pkg-config
		libbpf-dev libmnl-dev libnftables-dev libevent-dev libcurl4-openssl-dev libjansson-dev
		libyaml-dev libsystemd-dev libsmartcols-dev libpcap-dev libcmocka-dev)
	packages_net=(iproute2 ethtool nginx-light jq curl tcpdump nftables procps iputils-ping
		mount python3 util-linux)
	packages_dpdk=(libdpdk-dev dpdk)
	packages_unit=(iproute2 jq mount nftables procps python3 python3-pyelftools python3-scapy
		util-linux)
	packages_fuzz=(clang libclang-rt-dev)
	packages_vm=(qemu-system-x86 busybox-static cpio kmod xz-utils clang-19)
	packages_lint=(clang-format shellcheck codespell git python3 bash-completion)
	packages_tools=(jq)
	packages_testpmd=(dpdk-dev)
	packages_bench=(iproute2 ethtool jq mount procps python3 util-linux)
}

say()
{
	printf '%s\n' "$*"
}

# One line on stderr, and the end.
die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# For a test: this host cannot run it, and why.
skip()
{
	printf 'skipped: %s\n' "$*"
	exit 77
}

need_root()
{
	[ "$(id -u)" = 0 ] || die "needs root (for namespaces and XDP): run it with sudo"
}

is_installed()
{
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages GROUP...: what is missing of packages_GROUP, by apt-get.
install_packages()
{
	local group package missing=()
	command -v dpkg-query >/dev/null || {
		say "not a Debian system: what is needed is taken to be installed (tools/lib.sh lists it)"
		return 0
	}
	for group in "$@"; do
		local -n packages=packages_$group
		for package in "${packages[@]}"; do
			is_installed "$package" || missing+=("$package")
		done
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	need_root
	say "installing: ${missing[*]}"
	apt_get_install "${missing[@]}"
}

apt_get_install()
{
	local log policy=/usr/sbin/policy-rc.d has_policy=no status=0
	log=$(mktemp)
	# What is installed for tests must not start to serve on this host (nginx would).
	if [ ! -e $policy ]; then
		has_policy=yes
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi
	{
		export DEBIAN_FRONTEND=noninteractive
		apt-get -q -o DPkg::Lock::Timeout=300 update &&
			apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
	} >"$log" 2>&1 </dev/null || status=$?
	[ $has_policy = no ] || rm -f $policy
	if [ $status != 0 ]; then
		cat "$log" >&2
		rm -f "$log"
		die "apt-get could not install: $*"
	fi
	rm -f "$log"
}

# Everything, into build/. Quiet, unless it fails.
build()
{
	build_in "$BUILD"
}

# build_in DIRECTORY [MESON ARGUMENT...]: TARGET, where it is set, or all.
build_in()
{
	local dir=$1 log
	shift
	log=$dir/build.log
	mkdir -p "$dir"
	if ! {
		if [ -f "$dir/build.ninja" ]; then
			[ $# = 0 ] || meson configure "$dir" "$@"
		else
			meson setup "$dir" "$@"
		fi && ninja -C "$dir" ${TARGET:+"$TARGET"}
	} >"$log" 2>&1 </dev/null; then
		tail -n 60 "$log" >&2
		die "the build failed (all of it: $log)"
	fi
}

# list_files PATTERN...: the project's own files, as git's pathspecs name them ('*.c'); without git,
# those outside build/.
list_files()
{
	if git -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
		git -c safe.directory='*' ls-files --cached --others --exclude-standard -- "$@"
	else
		local pattern args=()
		for pattern in "$@"; do
			args+=(-o -path "./$pattern")
		done
		find . \( -path './build*' -o -path './.git' \) -prune -o -type f \( "${args[@]:1}" \) -print | sed 's|^\./||'
	fi | while read -r file; do
		[ ! -f "$file" ] || printf '%s\n' "$file"
	done
}

# The project's own shell files, with or without a suffix.
list_shell_files()
{
	list_files '*' | while read -r file; do
		if [[ $file = *.sh ]] || head -c 64 "$file" | grep -qaE '^#!.*[ /](ba)?sh$'; then
			printf '%s\n' "$file"
		fi
	done
}
