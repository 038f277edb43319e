#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# lb-pktgen's DPDK engine over a device whose sends are its receives (net_ring): what is
# sent is received, whole, of both families, and a device that there is not is named.
# shellcheck source=tests/net/lib.sh
. "$(dirname "$0")/lib.sh"
isolate "$@"

[[ -x $BUILD/lb-dpdk ]] || skip "$BUILD/lb-dpdk is not built (libdpdk-dev is not installed?)"

# loop TO BYTES: 100,000 packets of 1,000 flows.
loop()
{
	local totals
	totals=$("$BUILD/lb-pktgen" --vdev net_ring0 --to "$1" --via 02:00:00:00:00:02 --flows 1000 \
		--packets 100000 --json)
	jq -e --argjson bytes "$2" '.sent == 100000 and .received == 100000 and .lost == 0
		and .received_bytes == 100000 * $bytes' <<<"$totals" >/dev/null || die "$1: $totals"
}

loop 203.0.113.10:80 60
loop '[2001:db8:53::10]:80' 80
if text=$("$BUILD/lb-pktgen" --vdev net_nothing0 --to 203.0.113.10:80 --via 02:00:00:00:00:02 2>&1); then
	die "a device that there is not was taken"
fi
[[ $text = *"lb-pktgen: --vdev net_nothing0: "* ]] || die "it does not name the device: $text"
