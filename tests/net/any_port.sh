# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A service with `port: any` beside the others, for the modes that have it. Sourced
# before transitions(): its connections live through all that happens to the others.

# shellcheck disable=SC2034 # transitions.sh reads it
MORE_PORTS=(8081 9000)

services_render()
{
	local name
	echo "services:"
	for name in "${SERVICES[@]}"; do
		service_render "$name"
	done
	cat <<-END
	  - name: any
	    vips: [203.0.113.12, "2001:db8:113::12"]
	    protocol: tcp
	    port: any
	    mode: $MODE
	    idle_timeout: ${IDLE_S}s
	    backends: [{address: 10.1.0.11}, {address: 10.1.0.12}, {address: "fd00:1::13"}]
	END
}

hold_any()
{
	hold any --to 203.0.113.12:8081 --to '[2001:db8:113::12]:8081' --to 203.0.113.12:9000 \
		--to '[2001:db8:113::12]:9000' --held 100 --new 20
	await 20 "any port: spread over b1, b2 and b3" report any \
		'[.servers.b1, .servers.b2, .servers.b3] | all(.held > 0 and .new_ok > 0)'
}
