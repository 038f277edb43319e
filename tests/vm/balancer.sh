# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The namespace tests' network with the balancer in a machine. Sourced by nat.sh, l2.sh
# and ipip.sh, after lib.sh and transitions.sh; MODE is set.

# shellcheck disable=SC2034,SC2154 # lib.sh and transitions.sh read them
{
	VM_NICS[lb]="wan lan-lb"
	SLOWER=8
	IDLE_S=40 # longer than the holders wait for an answer
	UDP_OPTIONS=(--retry)
	TCP_TIMEOUT_MS=30000
	UDP_TIMEOUT_MS=30000
	FORGIVE_MS=31000
	CHECK="{type: tcp, interval: 2s, timeout: 2s, rise: 2, fall: 3}"
}

balancer_start()
{
	topology_add "$MODE" 4
	lbd_configure
	lbd_start
	expect "it warns of nothing" eval \
		'api /v1/status | jq -e ".warnings == []"'
	expect "both NICs have it in native mode" eval \
		'api /v1/status | jq -e "[.interfaces[].xdp] == [\"native\", \"native\"]"'
}
