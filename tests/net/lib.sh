# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What every namespace test begins with:
#
#   . "$(dirname "$0")/lib.sh"
#   isolate "$@"
#
# isolate runs the script again in mount, network and process namespaces of its own,
# with an empty tmpfs on /run. All that a test makes (namespaces, pins, processes,
# files) lives there and is gone with it, however it ends, and tests run side by
# side. A test prints what it asserts, a line each; status 77 means skipped, and why.
#
# SLUICE_BUILD  the build directory (default: build)
# SLUICE_LOGS   keep the logs of a failed test in this directory

set -Eeuo pipefail

NET_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=${SLUICE_BUILD:-$(cd "$NET_DIR/../.." && pwd)/build}
RUN=/run/test
NAME=$(basename "$0" .sh)
PATH=$PATH:/usr/sbin:/sbin

. "$NET_DIR/topology.sh"
. "$NET_DIR/daemons.sh"

skip()
{
	echo "skipped: $*"
	exit 77
}

say()
{
	echo "-- $*"
}

ok()
{
	echo "ok: $*"
}

fail()
{
	echo "FAILED: $*"
	exit 1
}

isolate()
{
	local status=0
	if [[ ${NET_ISOLATED-} ]]; then
		enter
		return 0
	fi
	((EUID == 0)) || skip "needs root, to make network namespaces"
	local tool
	for tool in ip ethtool jq bpftool unshare nsenter setpriv; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	[[ -x $BUILD/lbd && -x $BUILD/lbctl ]] || skip "$BUILD/lbd is not built (run make)"
	trap 'kill -KILL "$inside" 2>/dev/null' EXIT
	trap 'exit 130' INT TERM HUP
	NET_ISOLATED=1 setpriv --pdeathsig KILL \
		unshare --mount --net --pid --fork --kill-child --mount-proc bash "$0" "$@" &
	inside=$!
	wait "$inside" || status=$?
	trap - EXIT
	exit "$status"
}

# Packets that each CPU dropped since the machine started, for it was not at hand to take them.
backlog_drops()
{
	cut -d ' ' -f 2 /proc/net/softnet_stat | paste -sd ' '
}

enter()
{
	BACKLOG_BEFORE=$(backlog_drops)
	mount -t tmpfs tmpfs /run
	mkdir -p "$RUN/bpf" "$RUN/log"
	mount -t bpf bpf "$RUN/bpf"
	! mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf # the host's stays out of reach
	trap 'leave $?' EXIT
	trap 'echo "FAILED: $0:$LINENO: $BASH_COMMAND"' ERR
	trap 'exit 130' INT TERM HUP
}

# What the kernel lost on the way, by its own counters: a datagram that no dataplane dropped.
show_losses()
{
	local name link
	for name in /run/netns/*; do
		name=${name##*/}
		echo "$name: $(in_ns "$name" nstat -asz 2>/dev/null |
			awk '/Discards|NoRoutes|RcvbufErrors|SndbufErrors|InErrors|InCsumErrors|InAddrErrors/ &&
				$2 > 0 { printf " %s=%s", $1, $2 }')"
		for link in $(in_ns "$name" ls /sys/class/net); do
			in_ns "$name" ethtool -S "$link" 2>/dev/null |
				awk -v link="$link" '/drop|err/ && $2 > 0 { print "  " link " " $1 $2 }'
		done
	done
	echo "CPUs' backlogs dropped, in hexadecimal: $BACKLOG_BEFORE before, $(backlog_drops) now"
}

# Shows what helps to understand a failure.
leave()
{
	local status=$1 log
	trap - ERR EXIT
	set +e
	((status == 0 || status == 77)) && exit "$status"
	for log in "$RUN"/log/*; do
		[[ -s $log ]] && echo "---- ${log##*/}" && tail -n 25 "$log"
	done
	if [[ -S $RUN/lbd/lbd.sock ]]; then
		timeout 5 "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" backend list | head -n 40
		timeout 5 "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" drops
		echo "packets by reason: $(api /v1/stats | jq -c '
			[.reasons[] | select(.packets > 0) | {(.reason): .packets}] | add')"
	fi
	show_losses
	if [[ ${SLUICE_LOGS-} ]]; then
		mkdir -p "$SLUICE_LOGS/$NAME" && cp -r "$RUN"/log/. "$SLUICE_LOGS/$NAME"
	fi
	exit "$status"
}

# await SECONDS SENTENCE COMMAND...
await()
{
	poll "$1" "${@:3}" || fail "$2 (not within $1 s)"
	ok "$2"
}

# expect SENTENCE COMMAND...: the command succeeds now.
expect()
{
	local sentence=$1
	shift
	"$@" >/dev/null || fail "$sentence ($*)"
	ok "$sentence"
}

# refuse SENTENCE PATTERN COMMAND...: the command fails with status 1 and says PATTERN.
refuse()
{
	local sentence=$1 pattern=$2 status=0 output
	shift 2
	output=$("$@" 2>&1) || status=$?
	((status == 1)) || fail "$sentence (status $status: $output)"
	grep -Eq -- "$pattern" <<<"$output" || fail "$sentence (it says: $output)"
	ok "$sentence: $(grep -Em 1 -- "$pattern" <<<"$output")"
}

# ---- holders: see holder.h ----

# unbroken SENTENCE [SERVER]: no holder has a broken connection or a failed new one, but SERVER's
# held ones; new ones that failed while SERVER was dying are forgiven up to now by forgive.
# Datagrams are sent again where none answers, as resolvers do it: a host whose two cores have other
# work loses one now and then in a socket's or a link's queue. A change may cost no more than that.
LOST_MAX=3
declare -A FORGIVEN=() LOST=()
unbroken()
{
	local sentence=$1 dead=${2:-none} name figures all="" lost
	exercise
	for name in "${!HOLDERS[@]}"; do
		figures=$(report "$name" "
			(.servers | with_entries(select(.key != \"$dead\"))
				| [.[].broken | add // 0] | add // 0) as \$broken |
			[\$broken, .new_failed - ${FORGIVEN[$name]:-0}, .open, .new_ok, .straddled, .lost] |
			join(\" \")" | tr -d '"')
		[[ $figures == "0 0 "* ]] ||
			fail "$sentence: $name: broken, new failed: $figures: $(cat "$RUN/log/$name.json")"
		read -r _ _ open new_ok straddled lost <<<"$figures"
		((lost - ${LOST[$name]:-0} <= LOST_MAX)) ||
			fail "$sentence: $name: $lost datagrams lost, ${LOST[$name]:-0} before"
		all+=" $name: $open open, $new_ok new"
		((lost == ${LOST[$name]:-0})) || all+=" ($((lost - ${LOST[$name]:-0})) datagrams lost)"
		LOST[$name]=$lost
		((straddled == 0)) || all+=" ($straddled straddled the change)"
	done
	ok "$sentence: none broken;$all"
}

FORGIVE_MS=6000 # longer than a connection's timeout
forgive()
{
	local name
	for name in "${!HOLDERS[@]}"; do
		# Those that are under way still may take until their timeout to fail.
		poll 60 report "$name" ".now_ns - .last_failed_ns > $((FORGIVE_MS * 1000000))" ||
			fail "$name: new connections still fail"
		FORGIVEN[$name]=$(report "$name" '.new_failed' || true)
		LOST[$name]=$(report "$name" '.lost' || true)
	done
}
