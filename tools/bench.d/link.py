# SPDX-License-Identifier: BSD-2-Clause
"""tools/bench dpdk, its last part: lb-dpdk from one end of a link to the same end.

lb-pktgen on one CPU sends over net_memif (shared memory) to a process on another, and counts what
comes back: from lb-dpdk, which balances it, or from dpdk-testpmd, which swaps the MAC addresses and
does no more (`macswap`), or from nobody (`rxonly`: as much as lb-pktgen can send). All are started
once, and stopped (SIGSTOP) but for the one whose turn it is. Each turn of a mode comes behind one of
`macswap`, and is compared with that one: a machine may be half as fast a minute later. A figure is
the median of its turns.

What a tunnel adds to a frame the link has to carry too: `macswap` with frames as long as gue's, there
and back, is a row beside the modes, and shows what that alone takes."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys

import world

DIR = world.DIR / "link"
LBD_INTERFACE = "mem0"
FLOWS = 1 << 16
SECONDS = 2
PORT, NAT_PORT = 80, 8080
BASELINE = "macswap"
SIZE = 60  # bytes of a frame
LONG_SIZE = SIZE + 20 + 8  # behind the IPv4 and UDP header that gue adds
LONG = f"macswap, {LONG_SIZE} B"
COMPARED = [*world.MODES, LONG]


def why_not():
    """None, or a sentence: why this host cannot measure it."""
    if len(os.sched_getaffinity(0)) < 2:
        return "one CPU only"
    if not shutil.which("dpdk-testpmd"):
        return "dpdk-testpmd is not installed (apt install dpdk-dev)"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    return None


def cpus():
    """Of the one that forwards, and of lb-pktgen."""
    return sorted(os.sched_getaffinity(0))[:2]


def vdev(role, name):
    mac = f",mac={world.BALANCER_MAC}" if role == "server" else ""
    return f"net_memif0,role={role},socket={DIR}/{name}.sock,socket-abstract=no{mac}"


class Peer:
    """A process that forwards, and whether it may."""

    def __init__(self, name, command, says):
        """@says: in its log, once lb-pktgen may connect to it."""
        self.name, self.log, self.says = name, DIR / f"{name}.log", says
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
        world.await_true(f"{name}'s start", self.is_ready)

    def is_ready(self):
        text = self.log.read_text(encoding="utf-8")
        if self.process.poll() is not None:
            sys.exit(f"bench: {self.name} did not start: {text}")
        return self.says in text

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


def eal():
    """Main and worker share a CPU: main forwards nothing."""
    cpu = cpus()[0]
    return ["--lcores", f"0@{cpu},1@{cpu}", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry",
            "--no-shconf", "--log-level", "error"]


def start_testpmd(mode):
    return Peer(mode, ["dpdk-testpmd", *eal(), "--vdev", vdev("server", mode), "--", "--no-numa",
                       f"--forward-mode={mode}", "--auto-start", "--nb-cores=1", "--rxd=2048",
                       "--txd=2048", "--burst=32", "--total-num-mbufs=16384"],
                "Checking link statuses")


def start_lb_dpdk():
    return Peer("lb-dpdk", [f"{world.BUILD}/lb-dpdk", "--tables", f"{world.DIR}/run/tables", "--",
                            *eal(), "--vdev", vdev("server", "lb-dpdk")],
                f"is {LBD_INTERFACE} to the kernel")


def set_addresses():
    commands = [f"link set {LBD_INTERFACE} addrgenmode none up",
                f"address add 10.1.0.1/24 dev {LBD_INTERFACE}"]
    commands += world.neighbours(LBD_INTERFACE, range(world.BACKENDS), [4])
    world.run("ip", "-batch", "-", stdin="\n".join(commands))


def services():
    made = []
    for mode in world.MODES:
        port = NAT_PORT if mode == "nat" else PORT
        backends = [{"address": world.backend(4, i), "port": port}
                    for i in range(world.BACKENDS)]
        # The steady state is measured: let it come soon.
        made.append({"name": mode, "vips": [world.vip(mode, 4)], "port": PORT, "mode": mode,
                     "idle_timeout": "1s", "backends": backends})
    return json.dumps({"services": made})


def send(peer, mode, *arguments):
    """lb-pktgen's totals."""
    return json.loads(world.run(
        "taskset", "-c", str(cpus()[1]), f"{world.BUILD}/lb-pktgen", "--vdev",
        vdev("client", peer.name), "--to", f"{world.vip(mode, 4)}:{PORT}", "--via",
        world.BALANCER_MAC, "--json", *arguments))


def is_attached():
    status = json.loads(world.lbctl("--json", "status"))
    return any(worker["state"] == "running" for worker in status["workers"]) and all(
        interface["attached"] for interface in status["interfaces"])


class Bench:
    def __init__(self):
        lbd = world.Lbd({"dataplane": "dpdk", "interfaces": [LBD_INTERFACE],
                         "source": {"ipv4": "10.9.0.0/24"}})
        DIR.mkdir()
        lbd.start()
        ours = start_lb_dpdk()
        world.await_true("lb-dpdk's attachment", is_attached)
        set_addresses()
        world.lbctl("apply", "-", stdin=services())
        for mode in world.MODES:
            world.await_true(f"{mode}: a way through", lambda: not send(
                ours, mode, "--packets", "64")["lost"])
        world.await_true("the steady state", world.is_steady)
        ours.stop()
        self.peers = dict.fromkeys(world.MODES, ours)
        for mode in (BASELINE, "rxonly"):
            self.peers[mode] = start_testpmd(mode)
            self.peers[mode].stop()
        self.peers[LONG] = self.peers[BASELINE]

    def turn(self, row):
        """Packets a second that came back, in millions."""
        peer = self.peers[row]
        mode = row if row in world.MODES else world.MODES[0]
        size = LONG_SIZE if row == LONG else SIZE
        peer.go_on()
        sent = send(peer, mode, "--flows", str(FLOWS), "--seconds", str(SECONDS), "--size",
                    str(size))
        peer.stop()
        return sent["sent_mpps" if row == "rxonly" else "received_mpps"]

    def round(self, taken):
        """A turn of each row into @taken: one that is compared has the baseline's in front."""
        taken["rxonly"].append(self.turn("rxonly"))
        for row in COMPARED:
            taken[BASELINE].append(self.turn(BASELINE))
            taken[row].append(self.turn(row))

    def measure(self, rounds):
        taken = {row: [] for row in ["rxonly", BASELINE, *COMPARED]}
        for i in range(rounds):
            print(f"link: round {i + 1} of {rounds}", file=sys.stderr, flush=True)
            self.round(taken)
        rows = {row: {"mpps": statistics.median(turns), "turns": turns}
                for row, turns in taken.items()}
        for i, row in enumerate(COMPARED):
            before = taken[BASELINE][i::len(COMPARED)]
            ratios = [own / base for own, base in zip(taken[row], before)]
            rows[row].update(ratio=statistics.median(ratios), ratios=ratios)
        return rows


def show(rows):
    print(f"\nover net_memif, millions of packets a second, and of them beside `{BASELINE}` "
          "(least and most)\n")
    for row, figures in rows.items():
        text = ""
        if "ratio" in figures:
            least, most = min(figures["ratios"]), max(figures["ratios"])
            text = f"{figures['ratio']:8.2f}   ({least:.2f} to {most:.2f})"
        print(f"{row:14}{figures['mpps']:8.2f}{text}")


def run(turns):
    """The figures; None: this host cannot measure it."""
    hindrance = why_not()
    if hindrance:
        print(f"\nover net_memif: skipped: {hindrance}")
        return None
    rows = Bench().measure(turns)
    show(rows)
    return rows
