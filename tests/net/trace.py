#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Judges what `lbctl trace --write` wrote, for trace.sh: frames as scapy reads them, what is
# said of them by the format's description, and what each mode makes of a packet by scapy.
#
#   trace.py nat|ipip|refused FILE    prints how many pairs of before and after it judged
import logging
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)  # it wants newlines in comments
from scapy.layers.inet import IP, TCP, Ether  # noqa: E402
from scapy.utils import PcapNgReader  # noqa: E402

VIP, TUNNELLED_VIP = "203.0.113.10", "203.0.113.11"
BACKENDS = ("10.1.0.11", "10.1.0.12")
CLIENT = "198.51.100.13"
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
COMMENT, NAME, FLAGS = 1, 2, 2


def options(data):
    found = {}
    while data:
        code, length = struct.unpack_from("HH", data)
        found[code] = data[4:4 + length]
        data = data[4 + (length + 3) // 4 * 4:]
        if code == 0:
            assert not data
    return found


def notes(path):
    """Yields (interface, direction, comment) of each packet."""
    names = []
    with open(path, "rb") as f:
        data = f.read()
    while data:
        kind, length = struct.unpack_from("II", data)
        assert length % 4 == 0 and struct.unpack_from("I", data, length - 4)[0] == length
        body, data = data[8:length - 4], data[length:]
        if kind == INTERFACE:
            names.append(options(body[8:])[NAME].decode())
        elif kind == PACKET:
            interface, _, _, captured, _ = struct.unpack_from("5I", body)
            said = options(body[20 + (captured + 3) // 4 * 4:])
            direction = {1: "in", 2: "out"}[struct.unpack("I", said[FLAGS])[0]]
            yield names[interface], direction, said[COMMENT].decode()
        else:
            assert kind == SECTION


def pairs(path):
    """Yields (before, after, comment): every packet of these traces leaves."""
    with PcapNgReader(path) as reader:
        frames = list(reader)
    said = list(notes(path))
    assert frames and len(frames) == len(said) and len(frames) % 2 == 0
    for i in range(0, len(frames), 2):
        before, after = said[i], said[i + 1]
        assert before[0].endswith(" in") and before[1] == "in", before
        assert after[0].endswith(" out") and after[1] == "out", after
        assert before[2] == after[2]
        assert frames[i].time == frames[i + 1].time
        yield frames[i], frames[i + 1], before[0][:-3], after[0][:-4], before[2]


def assert_sound(frame):
    """Its checksums are what scapy makes them."""
    anew = Ether(bytes(frame))
    for layer in (IP, TCP):
        del anew[layer].chksum
    assert bytes(anew) == bytes(frame), (anew, frame)


def judge_nat(before, after, came, left, comment):
    wanted = before.copy()
    wanted.src, wanted.dst = after.src, after.dst
    wanted[IP].ttl -= 1
    if before[IP].src == CLIENT:
        assert (before[IP].dst, before[TCP].dport, came, left) == (VIP, 80, "wan", "lan")
        assert after[IP].dst in BACKENDS and "transmit (current)" in comment
        wanted[IP].dst, wanted[TCP].dport = after[IP].dst, 8080
        backend = after[IP].dst
    else:
        assert before[IP].src in BACKENDS and (came, left) == ("lan", "wan")
        assert before[TCP].sport == 8080 and "transmit (reply)" in comment
        wanted[IP].src, wanted[TCP].sport = VIP, 80
        backend = before[IP].src
    assert f"service web, backend {backend}:8080" in comment
    del wanted[IP].chksum, wanted[TCP].chksum
    assert bytes(wanted) == bytes(after), (wanted, after)
    assert before.src != after.src and before.dst != after.dst
    assert_sound(before)


def judge_ipip(before, after, came, left, comment):
    assert before[IP].dst == TUNNELLED_VIP and (came, left) == ("wan", "lan")
    outer = after[IP]
    assert (outer.src, outer.dst, outer.proto) == ("192.0.2.2", BACKENDS[0], 4)
    assert bytes(outer.payload) == bytes(before[IP])
    assert after.wirelen == before.wirelen + 20 and "service tunnel" in comment


def judge_refused(before, after, came, left, comment):
    assert (before[IP].dst, before[TCP].dport, before[TCP].flags) == (VIP, 22, "S")
    assert (after[IP].src, after[IP].dst, after[TCP].sport) == (VIP, before[IP].src, 22)
    assert (after[TCP].flags, after[TCP].ack) == ("RA", before[TCP].seq + 1)
    assert (came, left) == ("wan", "wan") and comment == "answer (refused_port)"
    assert_sound(after)


def main():
    judge = {"nat": judge_nat, "ipip": judge_ipip, "refused": judge_refused}[sys.argv[1]]
    n = 0
    for pair in pairs(sys.argv[2]):
        judge(*pair)
        n += 1
    print(n)


main()
