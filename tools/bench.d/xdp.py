# SPDX-License-Identifier: BSD-2-Clause
"""tools/bench xdp: what a packet costs in the XDP program.

lb-pktgen sends through lbd's own program, with services made by lbctl, and through an empty one
beside it (world.py); what comes back is counted. The kernel measures each program's runs (BPF
statistics). The whole table is measured several times over, ours and the empty program's in turns,
and a figure is the median of its rounds: what else the machine does for some seconds meets one
round of a figure, not most of them."""
import argparse
import json
import signal
import statistics
import sys

import bpf
import world

FLOWS = [1, 1 << 10, 1 << 16, 1 << 20, 1 << 22]
PKTS_MIN = 1 << 18
FLOOD_PKTS = 1 << 20
TRIES = 3  # of a run that lost packets: the machine had other things to do
# Goals: the ratio, and the growth from one flow to the most. For what is tracked on demand.
RATIO_MAX, GROWTH_MAX = 1.0, 1.5

# Services: traffic's name, protocol, port at the VIP, port of a backend in nat, tracking,
# families, what lb-pktgen is told.
TRAFFIC = [
    ("ack", "tcp", 80, 8080, "adaptive", (4, 6), []),
    ("syn", "tcp", 80, 8080, "adaptive", (4, 6), ["--syn", "100"]),
    ("udp", "udp", 53, 8053, "none", (4, 6), ["--protocol", "udp"]),
    ("udp, always tracked", "udp", 54, 8054, "always", (4,), ["--protocol", "udp"]),
]


def services():
    """One for each mode, family and port."""
    made = {}
    for mode in world.MODES:
        for _, protocol, port, nat_port, tracking, families, _ in TRAFFIC:
            for family in families:
                backends = [{"address": world.backend(family, i),
                             "port": nat_port if mode == "nat" else port}
                            for i in range(world.BACKENDS)]
                name = f"{mode}-{protocol}-{port}-{family}"
                # The steady state is measured: let it come soon. (What is always tracked keeps 60 s.)
                idle = {} if tracking == "always" else {"idle_timeout": "1s"}
                made[name] = {**idle, "name": name, "vips": [world.vip(mode, family)],
                              "protocol": protocol, "port": port, "mode": mode,
                              "tracking": tracking, "backends": backends}
    return json.dumps({"services": list(made.values())})


def rows():
    """The table's rows: a name, and what lb-pktgen is told."""
    for mode in world.MODES:
        for name, _, port, _, _, families, arguments in TRAFFIC:
            for family in families:
                to = world.with_port(world.vip(mode, family), port)
                yield f"{mode} ipv{family} {name}", ["--to", to, *arguments]
    for family in (4, 6):
        source = world.with_port(world.backend(family, 0), 8080)
        yield f"nat ipv{family} reply", ["--from", source]


class Bench:
    def __init__(self, bpffs):
        self.ours = bpf.Program(f"{bpffs}/lb_xdp")
        self.empty = bpf.Program(f"{bpffs}/empty")
        self.stats = bpf.Stats()

    def measure(self, program, pair, arguments, flows, pkts):
        """Nanoseconds a run, and lb-pktgen's totals."""
        for _ in range(TRIES):
            before = program.runs()
            sent = world.send(pair, flows, pkts, arguments)
            after = program.runs()
            if sent["lost"] <= sent["sent"] / 100:
                return (after[0] - before[0]) / (after[1] - before[1]), sent
        sys.exit(f"bench: {arguments}: {sent['lost']} of {sent['sent']} packets lost, "
                 f"and so {TRIES} times over")

    def cell(self, arguments, flows):
        """One round of a figure."""
        # Every flow at least once; to the empty program they are all the same.
        empty_ns, _ = self.measure(self.empty, 1, arguments, flows, PKTS_MIN)
        ns, sent = self.measure(self.ours, 0, arguments, flows, max(PKTS_MIN, flows))
        return {"ns": ns, "empty_ns": empty_ns, "ratio": (ns - empty_ns) / empty_ns,
                "mpps": sent["received_mpps"], "lost": sent["lost"]}

    def rounds(self, chosen, rounds_n):
        """All of the table, @rounds_n times; yields the rows' names and cells."""
        taken = {name: [[] for _ in FLOWS] for name, _ in chosen}
        for i in range(rounds_n):
            for name, how in chosen:
                print(f"round {i + 1} of {rounds_n}: {name}", file=sys.stderr, flush=True)
                for at, flows in enumerate(FLOWS):
                    taken[name][at].append(self.cell(how, flows))
        for name, row in taken.items():
            yield name, [self.summary(flows, cells) for flows, cells in zip(FLOWS, row)]

    @staticmethod
    def summary(flows, cells):
        figures = {key: statistics.median(cell[key] for cell in cells)
                   for key in ("ns", "empty_ns", "ratio", "mpps")}
        return {"flows": flows, **figures, "lost": sum(cell["lost"] for cell in cells),
                "rounds": cells}


def print_head():
    columns = "".join(f"{f'2^{flows.bit_length() - 1}':>14}" for flows in FLOWS)
    print("(ours - empty) / empty, and nanoseconds a packet, by the number of flows\n")
    print(f"{'':30}{columns}   2^22 / 2^0   Mpps   lost")


def print_row(name, cells):
    text = "".join(f"{cell['ratio']:6.2f} {cell['ns']:4.0f} ns" for cell in cells)
    lost = sum(cell["lost"] for cell in cells)
    print(f"{name:30}{text}   {growth(cells):10.2f} {cells[0]['mpps']:6.2f} {lost:6}", flush=True)


def growth(cells):
    return cells[-1]["ns"] / cells[0]["ns"]


def flood(place):
    """Whether SYN floods in the steady state change a byte of the connections.

    lbd is stopped meanwhile: it would clear what expires."""
    connections = bpf.Map(f"{place.bpffs}/maps/connections")
    syns = 0
    place.lbd.send_signal(signal.SIGSTOP)
    before = connections.digest()
    for mode in world.MODES:
        to = world.with_port(world.vip(mode, 4), 80)
        syns += world.send(0, FLOOD_PKTS, FLOOD_PKTS, ["--to", to, "--syn", "100"])["received"]
    after = connections.digest()
    place.lbd.send_signal(signal.SIGCONT)
    return {"syns": syns, "bytes": len(connections.rows), "changed": after != before}


def print_verdict(result):
    goal = {name: cells for name, cells in result["rows"].items() if "always" not in name}
    cells = [(cell["ratio"], name) for name, row in goal.items() for cell in row]
    within = sum(ratio <= RATIO_MAX for ratio, _ in cells)
    worst, worst_growth = max(cells), max((growth(row), name) for name, row in goal.items())
    flooded = result["flood"]
    print(f"\nempty program: {result['empty_ns']:.0f} ns; "
          f"ours: {result['verified_instructions']} instructions verified")
    print(f"at most {RATIO_MAX}: {within} of {len(cells)} figures (without `always`); "
          f"most: {worst[0]:.2f}, {worst[1]}")
    print(f"growth at most {GROWTH_MAX}: most {worst_growth[0]:.2f}, {worst_growth[1]}")
    print(f"SYN flood: {flooded['syns']} SYNs; {flooded['bytes'] >> 20} MiB of connections "
          f"{'CHANGED' if flooded['changed'] else 'unchanged'}")


def main():
    parser = argparse.ArgumentParser(prog="tools/bench xdp")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--runs", type=int, default=3,
                        help="rounds, of which each figure is the median")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    arguments = parser.parse_args()
    chosen = [(name, how) for name, how in rows() if arguments.only in name]
    if not chosen:
        parser.error(f"no row's name contains `{arguments.only}`")
    place = world.World()
    world.lbctl("apply", "-", stdin=services())
    for name, how in chosen:
        world.await_true(f"{name}: a way through", lambda: not world.send(0, 1, 64, how)["lost"])
    world.await_true("the steady state", world.is_steady)
    bench = Bench(place.bpffs)
    result = {"machine": world.machine(), "rows": {},
              "verified_instructions": bench.ours.verified_instructions()}
    result["rows"] = dict(bench.rounds(chosen, arguments.runs))
    print_head()
    for name, cells in result["rows"].items():
        print_row(name, cells)
    result["empty_ns"] = statistics.median(cell["empty_ns"] for row in result["rows"].values()
                                           for cell in row)
    result["flood"] = flood(place)
    print_verdict(result)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 1 if result["flood"]["changed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the network and lbd go with this process
