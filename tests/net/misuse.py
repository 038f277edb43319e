#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Hostile packets, for misuse.sh: scapy makes the frames, a packet socket sends them as they are.
#
#   misuse.py INTERFACE MAC COUNT RATE KIND [ARGUMENT...]
#
# COUNT of them in turn (0: until SIGTERM), at most RATE a second, to the neighbour MAC. Says "sending"
# and in the end how many were sent.
import errno
import logging
import signal
import socket
import struct
import sys
import time

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest,  # noqa: E402
                                ICMPv6PacketTooBig, IPv6, IPv6ExtHdrFragment)
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

ATTACKER = {4: "198.18.0.66", 6: "2001:db8:666::66"}
BATCH = 32  # below what a veth's ring holds
FRAGMENT_ID_AT = 14 + 40 + 4  # of IPv6, untagged


def family(address):
    return 6 if ":" in address else 4


def ip(destination, source=None):
    source = source or ATTACKER[family(destination)]
    layer = IPv6 if family(destination) == 6 else IP
    return layer(src=source, dst=destination)


def error(vip, port, client, client_port):
    """What a router would say of a packet that the VIP's port sent to the client."""
    quoted = ip(client, vip) / TCP(sport=int(port), dport=int(client_port), flags="A")
    if family(vip) == 4:
        kinds = ICMP(type=3, code=1), ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=68)
    else:
        kinds = (ICMPv6DestUnreach(code=0), ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1280))
    return [ip(vip) / kind / quoted for kind in kinds]


def inner(vip):
    return ip(vip) / TCP(sport=1024, dport=80, flags="S")


def ipip(destination, vip, source=None):
    return [ip(destination, source) / inner(vip)]


def gue(destination, vip, source=None):
    return [ip(destination, source) / UDP(sport=0xC001, dport=6080) / inner(vip)]


def nested(destination, vip, source):
    return [ip(destination, source) / packet for packet in
            ipip(destination, vip, source) + gue(destination, vip, source)]


def echo(*vips):
    data = Raw(b"ping" * 14)
    return [ip(vip) / (ICMPv6EchoRequest(id=66) if family(vip) == 6 else ICMP(id=66)) / data
            for vip in vips]


def first(vip, port):
    """First fragments of one flow; the sender numbers them."""
    return [ip(vip) / IPv6ExtHdrFragment(m=1, nh=17) /
            UDP(sport=1024, dport=int(port), len=1000) / Raw(bytes(16))]


def later(*vips):
    packets = []
    for vip in vips:
        if family(vip) == 6:
            packets.append(ip(vip) / IPv6ExtHdrFragment(offset=10, nh=17) / Raw(bytes(16)))
        else:
            packets.append(IP(src=ATTACKER[4], dst=vip, id=7, frag=10, proto=17) / Raw(bytes(16)))
    return packets


# What the sender numbers from its first argument on.
NUMBERED = {"first": first, "later-of": later}
KINDS = {"error": error, "ipip": ipip, "gue": gue, "nested": nested, "echo": echo, "later": later}


def numbered(frame, start):
    frame, number = bytearray(frame), start
    while True:
        struct.pack_into("!I", frame, FRAGMENT_ID_AT, number)
        number += 1
        yield frame


def in_turn(frames):
    while True:
        yield from frames


def send(link, frame):
    """Whether the link took it: its ring may be full."""
    try:
        return link.send(frame) > 0
    except OSError as e:
        if e.errno != errno.ENOBUFS:
            raise
        return False


def main():
    interface, mac, count, rate, kind, *arguments = sys.argv[1:]
    count, rate, sent, stopped = int(count) or sys.maxsize, int(rate), 0, []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    ether = Ether(dst=mac, src="02:00:00:00:00:66")
    if kind in NUMBERED:
        start, *arguments = arguments
        source = numbered(bytes(ether / NUMBERED[kind](*arguments)[0]), int(start))
    else:
        source = in_turn([bytes(ether / packet) for packet in KINDS[kind](*arguments)])
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((interface, 0))
    print("sending", flush=True)
    started = time.monotonic()
    while sent < count and not stopped:
        for _ in range(min(BATCH, count - sent)):
            sent += send(link, next(source))
        time.sleep(max(0, started + sent / rate - time.monotonic()))
    print(sent)


main()
