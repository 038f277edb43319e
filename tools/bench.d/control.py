# SPDX-License-Identifier: BSD-2-Clause
"""tools/bench control: rings, changes, who waits for whom, and lbd at rest.

lbd runs as in tools/bench xdp (world.py). A change is visible to packets when the pinned slots,
which they read, show it; they are mapped here and read the same way."""
import argparse
import http.client
import json
import socket
import statistics
import struct
import subprocess
import sys
import time

import bpf
import world

RING_BACKENDS, RING_SLOTS, RING_RUNS = 1000, 65537, 21
SERVICES, SERVICE_BACKENDS, SERVICE_RING = 1000, 10, 251
CHANGES = 20
LISTINGS = 7
IDLE_S = 10
CURRENT_MASK = (1 << 15) - 1  # LB_SLOT_CURRENT (tables.h)
SERVICE_ROW_BYTES = 64        # struct lb_service: ring_offset, ring_len first
# Goals.
RING_MS, APPLY_S, VISIBLE_MS, WAIT_MS = 3, 1, 10, 20


def measure_ring():
    lines = world.run(f"{world.BUILD}/tools/bench-ring", str(RING_BACKENDS), str(RING_SLOTS),
                      str(RING_RUNS)).split()
    return statistics.median(int(line) for line in lines) / 1e6


def backends(first_port):
    return [{"address": world.backend(4, i % world.BACKENDS), "port": first_port + i}
            for i in range(SERVICE_BACKENDS)]


def services():
    """Many small services, and one with the default ring, whose slots are watched."""
    made = [{"name": f"s{i}", "vips": [f"203.0.{113 + i // 250}.{1 + i % 250}"], "protocol": "tcp",
             "port": 80, "mode": "nat", "ring": SERVICE_RING, "backends": backends(10000 + 10 * i)}
            for i in range(SERVICES - 1)]
    made.append({"name": "watched", "vips": ["203.0.112.1"], "protocol": "tcp", "port": 80,
                 "mode": "nat", "backends": backends(9000)})
    return json.dumps({"services": made})


def measure_apply():
    text = services()
    start = time.monotonic()
    world.lbctl("apply", "-", stdin=text)
    return time.monotonic() - start


class Ring:
    """The slots of the one service whose ring is longer than SERVICE_RING, as packets read them."""

    def __init__(self, bpffs):
        self.services = bpf.Map(f"{bpffs}/maps/services")
        self.slots = bpf.Map(f"{bpffs}/maps/slots")
        self.offset = self.length = 0

    def find(self):
        rows = self.services.rows
        for at in range(0, len(rows) - SERVICE_ROW_BYTES + 1, SERVICE_ROW_BYTES):
            self.offset, self.length = struct.unpack_from("II", rows, at)
            if self.length > SERVICE_RING:
                return True
        return False

    def currents(self):
        words = memoryview(self.slots.rows).cast("I")[self.offset:self.offset + self.length]
        return {word & CURRENT_MASK for word in words}


class UnixConnection(http.client.HTTPConnection):
    """lbd's API, kept open as a controller would."""

    def __init__(self, path):
        super().__init__("lbd")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, body, {"Content-Type": "application/json"})
        reply = self.getresponse()
        text = reply.read().decode()
        if reply.status != 200:
            sys.exit(f"bench: {method} {path} was refused: {text}")

    def set_state(self, state):
        backend = f"{world.backend(4, 0)}:9000"
        self.ask("PATCH", f"/v1/services/watched/backends/{backend}",
                 json.dumps({"state": state}))


def measure_changes(place):
    """Milliseconds from request to reply, and from the reply to the slots' showing the change."""
    ring = Ring(place.bpffs)
    world.await_true("the watched ring", lambda: ring.find()
                     and len(ring.currents() - {0}) == SERVICE_BACKENDS)
    api = UnixConnection(str(world.DIR / "run/lbd.sock"))
    replies, visible = [], []
    for i in range(CHANGES):
        state, wanted = (("drain", SERVICE_BACKENDS - 1), ("enabled", SERVICE_BACKENDS))[i % 2]
        start = time.monotonic()
        api.set_state(state)
        replied = time.monotonic()
        while len(ring.currents()) != wanted:
            if time.monotonic() - replied > world.START_S:
                sys.exit(f"bench: {state} never became visible")
        # Reading the ring here takes time too: it is part of the figure.
        replies.append((replied - start) * 1e3)
        visible.append((time.monotonic() - replied) * 1e3)
    return {"reply_ms": statistics.median(replies), "visible_ms": statistics.median(visible),
            "visible_most_ms": max(visible)}


def measure_wait():
    """Milliseconds: the longest that a small request waits while another client lists all."""
    socket_path = str(world.DIR / "run/lbd.sock")
    longest = []
    for _ in range(LISTINGS):
        api = UnixConnection(socket_path)
        api.ask("GET", "/v1/drops")
        waits = []
        with subprocess.Popen([f"{world.BUILD}/lbctl", "--socket", socket_path, "backend", "list"],
                              stdout=subprocess.DEVNULL) as listing:
            while listing.poll() is None:
                start = time.monotonic()
                api.ask("GET", "/v1/drops")
                waits.append((time.monotonic() - start) * 1e3)
        api.close()
        longest.append(max(waits))
    return statistics.median(longest)


def measure_idle(place):
    """Percent of a core that lbd uses while nothing happens."""
    def used_ns():
        with open(f"/proc/{place.lbd.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])
    before, start = used_ns(), time.monotonic()
    time.sleep(IDLE_S)  # what is measured is this time
    return (used_ns() - before) / ((time.monotonic() - start) * 1e9) * 100


def main():
    parser = argparse.ArgumentParser(prog="tools/bench control")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    arguments = parser.parse_args()
    result = {"machine": world.machine(), "ring_ms": measure_ring()}
    print(f"a ring of {RING_SLOTS} slots for {RING_BACKENDS} backends: {result['ring_ms']:.2f} ms "
          f"(goal: {RING_MS})", flush=True)
    place = world.World()
    result["idle_empty_percent"] = measure_idle(place)
    result["apply_s"] = measure_apply()
    print(f"lbctl apply of {SERVICES} services with {SERVICE_BACKENDS} backends each: "
          f"{result['apply_s']:.2f} s (goal: {APPLY_S})", flush=True)
    result["change"] = change = measure_changes(place)
    print(f"a backend's change: replied after {change['reply_ms']:.2f} ms; then visible to packets "
          f"after {change['visible_ms']:.2f} ms, at most {change['visible_most_ms']:.2f} "
          f"(goal: {VISIBLE_MS})", flush=True)
    result["wait_ms"] = measure_wait()
    print(f"a small request during lbctl backend list waits at most {result['wait_ms']:.1f} ms "
          f"(goal: {WAIT_MS})", flush=True)
    result["idle_percent"] = measure_idle(place)
    print(f"lbd at rest: {result['idle_empty_percent']:.2f} % of a core without services, "
          f"{result['idle_percent']:.2f} % with {SERVICES} that just changed")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the network and lbd go with this process
