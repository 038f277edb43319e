#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Writes decap_cases.txt: a frame, what the decapsulating program must leave of it, and the reason
# that it must count. The bytes are scapy's. The world: test_decap.c (balancers 10.9.0.1 and
# fd09::/64; local 10.9.0.2, fd09:0:0:1::2, 203.0.113.10, 2001:db8:9::10, 198.51.100.0/24).
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt  # noqa: E402
from scapy.layers.l2 import ARP, Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

ETHER = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01")
OUTER4, OUTER6 = {"src": "10.9.0.1", "dst": "10.9.0.2"}, {"src": "fd09::1", "dst": "fd09:0:0:1::2"}
INNER4 = {"src": "198.18.0.1", "dst": "203.0.113.10"}
INNER6 = {"src": "2001:db8:1::1", "dst": "2001:db8:9::10"}
TCP_SYN, DATA = TCP(sport=40000, dport=80, flags="S"), Raw(bytes(range(40)))


def inner4(**more):
    return IP(**{**INNER4, **more}) / TCP_SYN / DATA


def inner6(**more):
    return IPv6(**{**INNER6, **more}) / UDP(sport=40000, dport=53) / DATA


def outer4(inside, **more):
    return ETHER / IP(**{**OUTER4, **more}) / inside


def outer6(inside, **more):
    return ETHER / IPv6(**{**OUTER6, **more}) / inside


def cut(frame, length):
    return bytes(frame)[:length]


def padded(frame, length):
    return bytes(frame) + bytes(length)


def corrupt(frame, offset):
    data = bytearray(bytes(frame))
    data[offset] ^= 1
    return bytes(data)


# (sentence, reason, frame, what is left; None: as it was)
CASES = [
    ("IPv4 comes out of IPv4", "4in4", outer4(inner4()), ETHER / inner4()),
    ("IPv6 comes out of IPv4", "6in4", outer4(inner6()), ETHER / inner6()),
    ("IPv4 comes out of IPv6", "4in6", outer6(inner4()), ETHER / inner4()),
    ("IPv6 comes out of IPv6", "6in6", outer6(inner6()), ETHER / inner6()),
    ("a prefix that is local as a whole takes the inner packet", "4in4",
     outer4(inner4(dst="198.51.100.77")), ETHER / inner4(dst="198.51.100.77")),
    ("any source of a balancers' prefix is one", "4in6", outer6(inner4(), src="fd09::abcd"),
     ETHER / inner4()),
    ("padding behind the packet stays", "4in4", padded(outer4(IP(**INNER4) / UDP()), 9),
     padded(ETHER / IP(**INNER4) / UDP(), 9)),
    ("an inner fragment comes out: the kernel puts it together", "4in4",
     outer4(inner4(flags="MF", id=7)), ETHER / inner4(flags="MF", id=7)),
    ("the inner TTL stays (RFC 2003, 3.1)", "4in4", outer4(inner4(ttl=1), ttl=9),
     ETHER / inner4(ttl=1)),
    ("a congestion mark goes over to IPv4 (RFC 6040)", "4in4", outer4(inner4(tos=0xb9), tos=0xbb),
     ETHER / inner4(tos=0xbb)),
    ("a congestion mark goes over to IPv6 (RFC 6040)", "6in6", outer6(inner6(tc=0xba), tc=3),
     ETHER / inner6(tc=0xbb)),
    ("a congestion mark that is there already stays", "4in4", outer4(inner4(tos=3), tos=3),
     ETHER / inner4(tos=3)),
    ("other marks of the outer header are left behind", "4in4", outer4(inner4(tos=0), tos=0xba),
     ETHER / inner4(tos=0)),
    ("a congestion mark for a flow that knows none drops the packet", "congestion",
     outer4(inner4(tos=0), tos=3), None),
    ("ARP is the kernel's", "other", ETHER / ARP(), None),
    ("plain TCP is the kernel's", "other", ETHER / inner4(), None),
    ("plain UDP over IPv6 is the kernel's", "other", ETHER / inner6(), None),
    ("ICMP from a balancer is the kernel's", "other", ETHER / IP(**OUTER4) / ICMP(), None),
    ("a VLAN tag is the kernel's", "other", ETHER / Dot1Q(vlan=5) / IP(**OUTER4) / inner4(), None),
    ("an outer extension header is the kernel's", "other",
     outer6(IPv6ExtHdrDestOpt() / inner6()), None),
    ("a tunnel from a stranger is left to the kernel", "stranger", outer4(inner4(), src="10.9.0.3"),
     None),
    ("a tunnel from a stranger in IPv6 is left to the kernel", "stranger",
     outer6(inner4(), src="fd08::1"), None),
    ("a tunnel for another host is left to the kernel", "not_ours", outer4(inner4(), dst="10.9.0.7"),
     None),
    ("an inner destination that is not here is dropped", "inner_not_ours",
     outer4(inner4(dst="203.0.113.11")), None),
    ("an IPv6 inner destination that is not here is dropped", "inner_not_ours",
     outer6(inner6(dst="2001:db8:9::11")), None),
    ("options in the outer header are dropped", "options",
     outer4(inner4(), options=[IPOption_NOP()]), None),
    ("a first fragment of a tunnel packet is dropped", "fragment", outer4(inner4(), flags="MF"), None),
    ("a later fragment of a tunnel packet is dropped", "fragment", outer4(inner4(), frag=3), None),
    ("a wrong outer checksum is dropped", "checksum", corrupt(outer4(inner4()), 24), None),
    ("a wrong inner checksum leaves as it came", "4in4", corrupt(outer4(inner4()), 44),
     corrupt(ETHER / inner4(), 24)),
    ("an outer length beyond the frame is malformed", "malformed", outer4(inner4(), len=1400), None),
    ("an outer IPv6 length beyond the frame is malformed", "malformed",
     outer6(inner4(), plen=1400), None),
    ("an inner length beyond the outer one is malformed", "malformed", outer4(inner4(len=200)), None),
    ("an inner IPv6 length beyond the outer one is malformed", "malformed",
     outer6(inner6(plen=200)), None),
    ("an inner length below its header is malformed", "malformed", outer4(inner4(len=19)), None),
    ("IPv6 where IPv4 was said is malformed", "malformed", outer4(inner6(), proto=4), None),
    ("IPv4 where IPv6 was said is malformed", "malformed", outer6(inner4(), nh=41), None),
    ("an inner header that is cut off is malformed", "malformed",
     cut(outer4(inner4(), len=39), 14 + 39), None),
    ("a frame that ends inside the outer header is the kernel's", "other", cut(outer4(inner4()), 33),
     None),
]


def main():
    print("# Written by make_decap_cases.py. Do not edit: change the case there.")
    for sentence, reason, before, after in CASES:
        after = bytes(after).hex() if after is not None else "-"
        print(f"{sentence}|{reason}|{bytes(before).hex()}|{after}")


if __name__ == "__main__":
    main()
