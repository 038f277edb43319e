#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the balancer sends in gue, opened by Linux 6.1's own fou, IPv4 and IPv6 in IPv4 and
# in IPv6, and then by lb-decap: tunnels.sh says how.

# shellcheck disable=SC2034 # tunnels.sh reads it
MODE=gue
. "$(dirname "$0")/tunnels.sh"
