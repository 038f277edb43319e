#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Somebody opens as many connections to lbd as he can, on the read-only listener and then on the
# unix socket, and says nothing on them: checks go on, so does whoever has another listener, and
# all is well once he is gone. So it is where no connection can be accepted for a while.

. "$(dirname "$0")/lib.sh"
isolate "$@"

topology_add nat 2
lbd_configure
sed -i 's/^listen: .*/listen: 127.0.0.1:9099/' "$RUN/lbd.yaml"
cat >"$RUN/lbd.sh" <<-END2
	#!/bin/bash
	exec prlimit --nofile=256 "$BUILD/lbd" "\$@"
END2
chmod +x "$RUN/lbd.sh"
# shellcheck disable=SC2034 # lbd_start reads it
LBD_PROGRAM=$RUN/lbd.sh
lbd_start

# A backend's server, which notes that it was asked.
serve()
{
	spawn b1 server /usr/bin/python3 -c "
import socket
server = socket.create_server(('10.1.0.11', 8080))
while True:
    server.accept()[0].close()
    open('$RUN/asked', 'w').close()"
	SERVER=$SPAWNED
}

health_is()
{
	api /v1/services/web | jq -e ".backends[0].health == \"$1\""
}

# crowd FAMILY ADDRESS: 400 connections, held.
crowd()
{
	rm -f "$RUN/crowd"
	spawn lb crowd /usr/bin/python3 -c "
import signal, socket
held = []
for i in range(400):
    s = socket.socket(socket.$1)
    s.setblocking(False)
    s.connect_ex($2)
    held.append(s)
open('$RUN/crowd', 'w').close()
signal.pause()"
	CROWD=$SPAWNED
	await 20 "400 connections are under way" test -e "$RUN/crowd"
}

disperse()
{
	kill "$CROWD"
	wait "$CROWD" 2>/dev/null || true
}

warns_of()
{
	lbctl status | tr -d '\n' | grep -q "$1 has more connections than there is room for"
}

cat >"$RUN/services.yaml" <<-END2
services:
  - {name: web, vips: [203.0.113.10], port: 80, mode: nat, ring: 251,
     check: {type: tcp, interval: 200ms}, backends: [{address: 10.1.0.11, port: 8080}]}
END2
serve
expect "a service is applied" lbctl apply "$RUN/services.yaml"
await 20 "its backend is up" health_is up

say "on the read-only listener"
crowd AF_INET "('127.0.0.1', 9099)"
await 20 "lbctl is answered, and told" warns_of 127.0.0.1:9099
kill -KILL "$SERVER"
await 20 "checks go on: the backend is down" health_is down
expect "changes are taken" lbctl backend drain web 10.1.0.11:8080
disperse
await 30 "/metrics is answered again" in_ns lb curl -fsS --max-time 2 http://127.0.0.1:9099/metrics
await 30 "and nobody is warned" eval '! warns_of 127.0.0.1:9099'

say "on the unix socket"
crowd AF_UNIX "'$RUN/lbd/lbd.sock'"
rm -f "$RUN/asked"
serve
await 20 "checks go on: the backend is asked" test -e "$RUN/asked"
disperse
await 30 "lbctl is answered" timeout 5 "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" status
await 20 "the backend is up" health_is up

# Both listeners said so: neither could ask, and none could hear it from the API.
both_wait()
{
	grep "127.0.0.1:9099 cannot take connections" "$RUN/log/lbd"
	grep "lbd.sock cannot take connections" "$RUN/log/lbd"
}

is_log_without()
{
	! grep "$1" "$RUN/log/lbd"
}

say "no connection can be accepted at all"
prlimit --pid "$LBD" --nofile=3:
spawn lb client curl -fsS --max-time 60 http://127.0.0.1:9099/metrics
CLIENT=$SPAWNED
spawn lb lbctl "$BUILD/lbctl" --socket "$RUN/lbd/lbd.sock" status
LBCTL=$SPAWNED
await 20 "lbd says so" both_wait
prlimit --pid "$LBD" --nofile=256:
expect "/metrics is answered after all" wait "$CLIENT"
expect "so is lbctl" wait "$LBCTL"
expect "it was not tried over and over" is_log_without "accept() call"
await 30 "and nobody is warned" eval '! lbctl status | grep -E "connections, which|more connections"'
