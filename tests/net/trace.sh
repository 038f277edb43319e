#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lbctl trace: real packets of nat, of a tunnel and of a refusal before and after, by service,
# source, reason; the rate and a slow reader; and that the plain program is back when the client
# leaves, is killed, or lbd is, with no connection broken and no packet lost on the way.

. "$(dirname "$0")/lib.sh"
isolate "$@"
. "$NET_DIR/trace_bed.sh"

trace_needs
topology_add nat 2
trace_backends
trace_configure
lbd_start
trace_services
PLAIN=$(program_id)

# Every link runs the plain program: the pinned one, as ever.
is_plain()
{
	[[ $(program_id) == "$PLAIN" && $(link_programs | sort -u) == "$PLAIN" ]]
}

# The variants that have run.
declare -A TRACED=()

is_traced()
{
	local id ids
	ids=$(link_programs | sort -u)
	[[ -n $ids ]] || return 1
	for id in $ids; do
		[[ $(in_ns lb bpftool -j prog show id "$id" | jq -r .name) == lb_xdp_traced ]] || return 1
	done
	for id in $ids; do
		TRACED[$id]=1
	done
}

none_is_left()
{
	local id
	for id in "${!TRACED[@]}"; do
		! in_ns lb bpftool prog show id "$id" || return 1
	done
}

hold web --to 203.0.113.10:80 --to '[2001:db8:113::10]:80' --held 40 --new 20
expect "the plain program runs" is_plain

trace_shows
trace_bounds
trace_ends
await 20 "no variant is left in the kernel" none_is_left

say "lbd ends"
trace_start term
lbd_stop TERM
expect "lbd has put the plain program back" is_plain
wait "$TRACE" && fail "a trace whose lbd has ended succeeds"
expect "the client is told" grep -q 'lbd has ended' "$RUN/log/term"
lbd_start
PLAIN=$(program_id)
await 20 "the next one's program runs" is_plain

trace_start kill
lbd_stop KILL
expect "lbd has been killed: the variant runs on" is_traced
unbroken "without lbd"
lbd_start
PLAIN=$(program_id)
await 20 "the next lbd's plain program runs" is_plain
wait "$TRACE" || true
[[ $(api /v1/status | jq -c .warnings) == "[]" ]] || fail "it warns: $(api /v1/status)"
ok "it warns of nothing"
((${#TRACED[@]} == 11)) || fail "not all variants that ran are known: ${!TRACED[*]}"
await 20 "none of the ${#TRACED[@]} variants that copied is left in the kernel" none_is_left
unbroken "after all"
let_go web
assert_conservation
