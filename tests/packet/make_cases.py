#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Writes cases.txt: what goes in, and what must come of it, for each packet case.
# The packets are made, and their checksums computed whole, by scapy; the hash by
# world.py. So no expectation comes from the code under test.
#
#   tests/packet/make_cases.py          writes cases.txt beside this file
#   tests/packet/make_cases.py --check  status 1 if cases.txt is not what it would write
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import cases_answer  # noqa: E402
import cases_forward  # noqa: E402
import cases_icmp  # noqa: E402
import cases_refuse  # noqa: E402
import cases_reply  # noqa: E402
import cases_rest  # noqa: E402
import cases_track  # noqa: E402
from world import world_lines  # noqa: E402

HEAD = """\
# Written by make_cases.py. Do not edit: change the case there and write this file anew.
"""


def render():
    lines = world_lines()
    for module in (cases_forward, cases_refuse, cases_reply, cases_track, cases_answer,
                   cases_rest, cases_icmp):
        lines += module.lines()
    return HEAD + "\n".join(lines) + "\n"


def main():
    path = pathlib.Path(__file__).with_name("cases.txt")
    text = render()
    if "--check" in sys.argv[1:]:
        return 0 if path.read_text() == text else 1
    path.write_text(text)
    print(f"{path.name}: {text.count(chr(10) + 'case ')} cases")
    return 0


sys.exit(main())
