# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A kernel takes the program as every compiler makes it: Debian's clang, the one that is
# newest here, and ours for an older BPF. Sourced by linux_VERSION.sh after lib.sh. Each
# build of lbd swaps its program in under connections.

MODE=nat
. "$NET_DIR/transitions.sh"
. "$VM_DIR/balancer.sh"

# Those of Debian that are installed and are not what `clang` is.
other_clangs()
{
	local default name
	default=clang-$(clang -dumpversion | sed 's/\..*//')
	for name in /usr/bin/clang-[0-9]*; do
		name=${name##*/}
		[[ ! $name =~ ^clang-[0-9]+$ || $name == "$default" ]] || echo "$name"
	done | sort -V
}

# clang_build CLANG: build/vm/CLANG/lbd.
clang_build()
{
	local dir=$VM_BUILD/$1
	[[ -e $dir/build.ninja ]] ||
		meson setup "$dir" "$VM_DIR/../.." -Dbpf_clang="$1" -Dtests=disabled || return
	ninja -C "$dir" lbd
}

# The program that copies packets (lbctl trace) is taken too, under connections.
traces()
{
	lbctl trace --verdict transmit --count 5 --seconds 60 >"$RUN/traced" &&
		(($(wc -l <"$RUN/traced") == 5))
}

loads()
{
	local name clangs
	mapfile -t clangs < <(other_clangs)
	((${#clangs[@]} > 0)) || say "no other clang is installed than the default one"
	for name in "${clangs[@]}"; do
		clang_build "$name" >"$RUN/log/build-$name" 2>&1 || fail "lbd cannot be built with $name"
		VM_FILES+=("$VM_BUILD/$name/lbd")
	done
	balancer_start
	for i in 1 2 3; do
		start_server $i
	done
	services_render >"$RUN/services.yaml"
	expect "services applied" lbctl apply "$RUN/services.yaml"
	await 20 "every service is up" all_up
	assert_verified
	hold_all
	expect "packets are traced" traces
	backend drain 1
	for name in "${clangs[@]}"; do
		upgrade TERM "$VM_BUILD/$name/lbd" "built with $name"
		expect "packets are traced" traces
	done
	upgrade KILL "$BUILD/tests/net/lbd_rebuilt" "built for an older BPF"
	expect "packets are traced" traces
	backend enable 1
	await 20 "b1 gets new connections" gets_new 1
	unbroken "enable"
	let_go "${!HOLDERS[@]}"
	assert_conservation
}
