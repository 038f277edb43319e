# SPDX-License-Identifier: BSD-2-Clause
"""tools/bench dpdk: what a packet costs in the walk of lb-dpdk, in memory; and lb-dpdk on a link.

bench-dpdk (tools/bench.d/dpdk/) measures; this asks it and shows. Each figure is the best of
alternating rounds: the staged walk, which takes a burst through each step, and the plain one,
which takes each packet through all of them."""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import link
import world

PROGRAM = pathlib.Path(world.BUILD) / "tools/bench-dpdk"
# Goals: nanoseconds a packet, and the growth from one flow to the most; for the modes in the
# steady state, which are the rows whose names have no comma.
NS_MAX, GROWTH_MAX = 15, 1.3
FLOW_BITS = (0, 10, 16, 20, 22)  # as bench-dpdk has them


def measure(runs, *arguments):
    """Yields the lines of bench-dpdk, split."""
    command = [str(PROGRAM), str(runs), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        for line in program.stdout:
            yield line.rstrip("\n").split("\t")
    if program.returncode:
        sys.exit(f"bench: {' '.join(command)}: status {program.returncode}")


def growth(cells, walk):
    return cells[-1][walk] / cells[0][walk]


def print_row(name, cells):
    for walk in ("staged", "plain"):
        text = "".join(f"{cell[walk]:9.1f}" for cell in cells)
        print(f"{name if walk == 'staged' else '':30}{walk:8}{text}   {growth(cells, walk):10.2f}",
              flush=True)


def print_head():
    columns = "".join(f"2^{bits}".rjust(9) for bits in FLOW_BITS)
    print("nanoseconds a packet, by the number of flows\n")
    print(f"{'':38}{columns}   2^22 / 2^0")


def run_rows(runs, only):
    rows = {}
    for name, flows, staged, plain in measure(runs, only):
        if not rows:
            print_head()
        cells = rows.setdefault(name, [])
        cells.append({"flows": int(flows), "staged": float(staged), "plain": float(plain)})
        if len(cells) == len(FLOW_BITS):
            print_row(name, cells)
    return rows


def run_flood(runs):
    syns, size, changed, ns_syn, ns_ack = next(measure(runs, "--flood"))
    return {"syns": int(syns), "bytes": int(size), "changed": changed == "1",
            "ns_syn": float(ns_syn), "ns_ack": float(ns_ack)}


def print_verdict(result):
    steady = {name: cells for name, cells in result["rows"].items() if "," not in name}
    for walk in ("staged", "plain"):
        if not steady:
            break
        figures = [(cell[walk], name) for name, cells in steady.items() for cell in cells]
        within = sum(ns <= NS_MAX for ns, _ in figures)
        worst = max((growth(cells, walk), name) for name, cells in steady.items())
        print(f"{walk}: at most {NS_MAX} ns: {within} of {len(figures)} figures "
              f"(least {min(figures)[0]:.1f}, most {max(figures)[0]:.1f}); growth at most "
              f"{GROWTH_MAX}: most {worst[0]:.2f}, {worst[1]}")
    flood = result["flood"]
    print(f"SYN flood: {flood['syns']} SYNs, {flood['bytes'] >> 20} MiB of connections "
          f"{'CHANGED' if flood['changed'] else 'unchanged'}; {flood['ns_syn']:.1f} ns a SYN, "
          f"{flood['ns_ack']:.1f} ns an ACK")


def main():
    parser = argparse.ArgumentParser(prog="tools/bench dpdk")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--runs", type=int, default=5, help="rounds a figure, of which the best")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    arguments = parser.parse_args()
    if not os.access(PROGRAM, os.X_OK):
        print("skipped: built without DPDK (apt install libdpdk-dev, then build anew)")
        return 77
    result = {"machine": world.machine(), "rows": run_rows(arguments.runs, arguments.only)}
    if not result["rows"]:
        parser.error(f"no row's name contains `{arguments.only}`")
    result["flood"] = run_flood(arguments.runs)
    print()
    print_verdict(result)
    if not arguments.only:
        result["link"] = link.run(arguments.runs)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return 1 if result["flood"]["changed"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
