# SPDX-License-Identifier: BSD-2-Clause
"""The bench's small network, and lbd in it.

It lives in the namespaces that tools/bench made (network, mounts, processes), so it goes with
them, however the bench ends. Two pairs of veths, alike but for what is attached:

  gen0 === lb0  lbd's program       gen1 === lb1  the empty program

Backends and the default gateway are static neighbours behind lb0: what leaves for them goes back
out of lb0 (XDP_TX) to gen0."""
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

BUILD = os.environ["BUILD"]
DIR = pathlib.Path("/run/lb-bench")
MODES = ["nat", "l2", "ipip", "gue"]
BACKENDS = 10
BALANCER_MAC = "02:00:00:00:00:02"
START_S = 30


def run(*command, stdin=None):
    done = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def await_true(what, condition):
    deadline = time.monotonic() + START_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"bench: {what} did not happen within {START_S} s")
        time.sleep(0.02)


def vip(mode, family):
    number = MODES.index(mode) + 1
    return f"203.0.113.{number}" if family == 4 else f"2001:db8:ffff::{number}"


def backend(family, number):
    return f"10.1.0.{11 + number}" if family == 4 else f"fd10::{11 + number}"


def with_port(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as lines:
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release()}


def neighbours(device, numbers, families):
    """What the backends of these numbers are on @device, for `ip -batch`; -1 is the gateway."""
    return [f"neighbour add {backend(family, number)} dev {device} nud permanent "
            f"lladdr 02:00:00:00:01:{11 + number:02x}" for number in numbers for family in families]


def is_steady():
    """No slot is in transition but of what is always tracked: that looks up anyway."""
    shown = json.loads(lbctl("--json", "service", "list"))["services"]
    return not any(service["slots_in_transition"] for service in shown
                   if service["config"]["tracking"] != "always")


def send(pair, flows, pkts, arguments):
    """Sends through pair 0 (ours) or 1 (empty); returns lb-pktgen's totals."""
    return json.loads(run(f"{BUILD}/lb-pktgen", "--interface", f"gen{pair}", "--sink", f"gen{pair}",
                          "--via", BALANCER_MAC, "--flows", str(flows), "--packets", str(pkts),
                          "--json", *arguments))


def lbctl(*arguments, stdin=None):
    return run(f"{BUILD}/lbctl", "--socket", str(DIR / "run/lbd.sock"), *arguments, stdin=stdin)


class Lbd:
    """lbd, with its files in DIR, and other settings than those of where its files are."""

    def __init__(self, settings):
        self.bpffs = DIR / "bpf/lbd"
        run("mount", "-t", "tmpfs", "tmpfs", "/run")
        (DIR / "bpf").mkdir(parents=True)
        run("mount", "-t", "bpf", "bpf", str(DIR / "bpf"))
        self.bpffs.mkdir()
        run("ip", "link", "set", "lo", "up")
        self.settings = {**settings, "run_dir": str(DIR / "run"), "state_dir": str(DIR / "state"),
                         "bpffs_dir": str(self.bpffs),
                         "hash_key_file": str(DIR / "state/hash.key"), "listen": ""}
        self.process = None

    def start(self):
        file = DIR / "lbd.yaml"
        file.write_text(json.dumps(self.settings), encoding="ascii")
        with open(DIR / "lbd.log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([f"{BUILD}/lbd", "--config", str(file)], stderr=log)
        await_true("lbd's start", lambda: self.process.poll() is not None
                   or (DIR / "run/lbd.sock").exists())
        if self.process.poll() is not None:
            sys.exit(f"bench: lbd did not start: {(DIR / 'lbd.log').read_text(encoding='utf-8')}")


class World:
    def __init__(self, limits=None):
        settings = {"interfaces": [{"name": "lb0", "xdp": "native"}]}
        lbd = Lbd({**settings, "limits": limits} if limits else settings)
        self.bpffs = lbd.bpffs
        for pair in (0, 1):
            self.make_pair(pair)
        self.set_addresses()
        self.attach_empty()
        lbd.start()
        self.lbd = lbd.process

    def make_pair(self, pair):
        run("ip", "link", "add", f"gen{pair}", "type", "veth", "peer", "name", f"lb{pair}")
        run("ip", "link", "set", f"lb{pair}", "address", BALANCER_MAC)
        for name in (f"gen{pair}", f"lb{pair}"):
            run("ip", "link", "set", name, "addrgenmode", "none", "up")
            # What XDP sends needs XDP or GRO at the peer; what it rewrites, whole checksums.
            run("ethtool", "-K", name, "gro", "on", "tx", "off", "tso", "off", "gso", "off")

    def set_addresses(self):
        run("sysctl", "-q", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        commands = ["address add 10.1.0.1/24 dev lb0", "address add fd10::1/64 dev lb0 nodad"]
        commands += neighbours("lb0", [-1, *range(BACKENDS)], (4, 6))
        commands += [f"route add default via {backend(4, -1)}",
                     f"route add default via {backend(6, -1)}"]
        run("ip", "-batch", "-", stdin="\n".join(commands))

    def attach_empty(self):
        pin = self.bpffs / "empty"
        run("bpftool", "prog", "load", f"{BUILD}/xdp/empty.bpf.o", str(pin), "type", "xdp")
        run("ip", "link", "set", "dev", "lb1", "xdpdrv", "pinned", str(pin))
