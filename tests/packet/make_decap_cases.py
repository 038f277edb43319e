#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Writes decap_cases.txt: a frame, what the decapsulating program must leave of it, and the reason
# that it must count. The bytes are scapy's. The world: test_decap.c (balancers 10.9.0.1 and
# fd09::/64; local 10.9.0.2, fd09:0:0:1::2, 203.0.113.10, 2001:db8:9::10, 198.51.100.0/24; GUE on
# port 6080). scapy knows no GUE: gue_header() is the draft's figure (draft-ietf-intarea-gue-09, 3.1).
import logging
import struct

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP  # noqa: E402
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment  # noqa: E402
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


def gue_header(protocol, control=0, hlen=0, flags=0, variant=0):
    return Raw(struct.pack("!BBH", variant << 6 | control << 5 | hlen, protocol, flags))


def gue1(inside, **more):
    """Variant 1: IP follows UDP. With a checksum of 0, as the balancer sends it."""
    return UDP(**{"sport": 0xC123, "dport": 6080, "chksum": 0, **more}) / inside


def gue0(inside, header=None, **more):
    """Variant 0: behind a header of 4 bytes."""
    return gue1((header or gue_header(4 if isinstance(inside, IP) else 41)) / inside, **more)


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
    ("a mark for a flow that knows none is left behind, and so is the outer class", "4in4",
     outer4(inner4(tos=0), tos=0xba), ETHER / inner4(tos=0)),
    ("ECT(1) outside makes ECT(1) of ECT(0) inside IPv4 (RFC 6040)", "4in4",
     outer4(inner4(tos=0xba), tos=1), ETHER / inner4(tos=0xb9)),
    ("ECT(1) outside makes ECT(1) of ECT(0) inside IPv6 (RFC 6040)", "6in6",
     outer6(inner6(tc=0xba), tc=1), ETHER / inner6(tc=0xb9)),
    ("ECT(0) outside leaves ECT(1) inside (RFC 6040)", "4in4", outer4(inner4(tos=1), tos=2),
     ETHER / inner4(tos=1)),
    ("ECT(1) outside leaves a congestion mark inside (RFC 6040)", "4in4",
     outer4(inner4(tos=3), tos=1), ETHER / inner4(tos=3)),
    ("no mark outside leaves the one inside", "6in4", outer4(inner6(tc=2)), ETHER / inner6(tc=2)),
    ("a congestion mark for a flow that knows none drops the packet", "congestion",
     outer4(inner4(tos=0), tos=3), None),
    ("a congestion mark for an IPv6 flow that knows none drops the packet", "congestion",
     outer6(inner6(tc=0x28), tc=3), None),
    ("ARP is the kernel's", "other", ETHER / ARP(), None),
    ("plain TCP is the kernel's", "other", ETHER / inner4(), None),
    ("plain UDP over IPv6 is the kernel's", "other", ETHER / inner6(), None),
    ("ICMP from a balancer is the kernel's", "other", ETHER / IP(**OUTER4) / ICMP(), None),
    ("a VLAN tag is the kernel's", "other", ETHER / Dot1Q(vlan=5) / IP(**OUTER4) / inner4(), None),
    ("an outer extension header is the kernel's", "other",
     outer6(IPv6ExtHdrDestOpt() / inner6()), None),
    ("a tunnel from a stranger is dropped", "stranger", outer4(inner4(), src="10.9.0.3"), None),
    ("a tunnel from a stranger in IPv6 is dropped", "stranger",
     outer6(inner4(), src="fd08::1"), None),
    ("a tunnel for another host is left to the kernel", "not_ours", outer4(inner4(), dst="10.9.0.7"),
     None),
    ("a stranger's tunnel for another host is left to the kernel too", "not_ours",
     outer6(inner4(), src="fd08::1", dst="fd08::2"), None),
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
    # IPv6's outer fragments
    ("a first IPv6 fragment of a tunnel packet is dropped", "fragment",
     outer6(IPv6ExtHdrFragment(m=1, id=7) / inner4()), None),
    ("a later IPv6 fragment of a tunnel packet is dropped", "fragment",
     outer6(IPv6ExtHdrFragment(offset=3, id=7) / inner6()), None),
    ("a whole packet in an IPv6 fragment header is dropped as a fragment", "fragment",
     outer6(IPv6ExtHdrFragment(id=7) / inner6()), None),
    ("a stranger's IPv6 fragment of a tunnel packet is a stranger's", "stranger",
     outer6(IPv6ExtHdrFragment(m=1, id=7) / inner4(), src="fd08::1"), None),
    ("an IPv6 fragment of plain TCP is the kernel's", "other",
     outer6(IPv6ExtHdrFragment(m=1, id=7) / TCP_SYN), None),
    ("a fragment header that the IPv6 length leaves out is malformed", "malformed",
     outer6(IPv6ExtHdrFragment(id=7) / inner6(), plen=7), None),
    # tunnels in tunnels
    ("IPv4 in IPv4 inside a tunnel is not opened further", "nested",
     outer4(IP(**INNER4) / inner4()), None),
    ("IPv6 in IPv6 inside a tunnel is not opened further", "nested",
     outer6(IPv6(**INNER6) / inner6()), None),
    ("an inner fragment of a tunnel packet is nested too", "nested",
     outer6(IPv6(**INNER6) / IPv6ExtHdrFragment(m=1, id=7) / inner6()), None),
    ("GUE inside IP in IP is not opened further", "nested",
     outer4(IP(**INNER4) / gue1(inner4())), None),
    ("GUE behind IPv4 options inside IP in IP is not opened further", "nested",
     outer4(IP(**INNER4, options=[IPOption_NOP()] * 4) / gue1(inner4())), None),
    ("GUE in IPv6 inside GUE is not opened further", "nested",
     outer6(gue1(IPv6(**INNER6) / gue0(inner6()))), None),
    ("IP in IP inside GUE is not opened further", "nested",
     outer4(gue0(IP(**INNER4) / inner4())), None),
    ("a later inner fragment is not asked for its port", "4in4",
     outer4(IP(**INNER4, frag=3, proto=17) / gue1(inner4())),
     ETHER / IP(**INNER4, frag=3, proto=17) / gue1(inner4())),
    ("UDP of another port than GUE's comes out", "4in4", outer4(IP(**INNER4) / gue1(DATA, dport=6081)),
     ETHER / IP(**INNER4) / gue1(DATA, dport=6081)),
    # GUE: variant 1
    ("IPv4 comes out of GUE, variant 1, in IPv4", "gue_4in4", outer4(gue1(inner4())),
     ETHER / inner4()),
    ("IPv6 comes out of GUE, variant 1, in IPv4", "gue_6in4", outer4(gue1(inner6())),
     ETHER / inner6()),
    ("IPv4 comes out of GUE, variant 1, in IPv6", "gue_4in6", outer6(gue1(inner4())),
     ETHER / inner4()),
    ("IPv6 comes out of GUE, variant 1, in IPv6", "gue_6in6", outer6(gue1(inner6())),
     ETHER / inner6()),
    # GUE: variant 0
    ("IPv4 comes out of GUE, variant 0, in IPv4", "gue_4in4", outer4(gue0(inner4())),
     ETHER / inner4()),
    ("IPv6 comes out of GUE, variant 0, in IPv4", "gue_6in4", outer4(gue0(inner6())),
     ETHER / inner6()),
    ("IPv4 comes out of GUE, variant 0, in IPv6", "gue_4in6", outer6(gue0(inner4())),
     ETHER / inner4()),
    ("IPv6 comes out of GUE, variant 0, in IPv6", "gue_6in6", outer6(gue0(inner6())),
     ETHER / inner6()),
    # GUE: what is accepted
    ("an outer UDP checksum in IPv4 is accepted", "gue_4in4", outer4(gue1(inner4(), chksum=None)),
     ETHER / inner4()),
    ("an outer UDP checksum in IPv6 is accepted", "gue_6in6", outer6(gue0(inner6(), chksum=None)),
     ETHER / inner6()),
    ("a wrong outer UDP checksum is not looked at", "gue_4in4", outer4(gue1(inner4(), chksum=1)),
     ETHER / inner4()),
    ("any source port carries GUE", "gue_4in6", outer6(gue1(inner4(), sport=1)), ETHER / inner4()),
    ("padding behind GUE stays", "gue_4in4", padded(outer4(gue1(inner4())), 9),
     padded(ETHER / inner4(), 9)),
    ("bytes between the end of UDP and the end of IP are padding too", "gue_4in4",
     outer4(gue1(Raw(padded(inner4(), 5)), len=8 + 80)), padded(ETHER / inner4(), 5)),
    ("a congestion mark goes over GUE too", "gue_4in4", outer4(gue1(inner4(tos=2)), tos=3),
     ETHER / inner4(tos=3)),
    ("a congestion mark on GUE for a flow that knows none drops the packet", "congestion",
     outer6(gue0(inner6()), tc=3), None),
    ("an inner fragment comes out of GUE", "gue_4in6", outer6(gue1(inner4(flags="MF", id=7))),
     ETHER / inner4(flags="MF", id=7)),
    # GUE: what is not
    ("UDP to another port is the kernel's", "other", outer4(gue1(inner4(), dport=6081)), None),
    ("UDP from GUE's port is the kernel's", "other", outer6(gue1(inner4(), sport=6080, dport=53)),
     None),
    ("TCP to GUE's port is the kernel's", "other", outer4(TCP(dport=6080)), None),
    ("GUE from a stranger is dropped", "stranger", outer4(gue1(inner4()), src="10.9.0.3"), None),
    ("GUE from a stranger in IPv6 is dropped", "stranger", outer6(gue0(inner4()), src="fd08::1"),
     None),
    ("anything on GUE's port from a stranger is dropped", "stranger",
     outer4(UDP(dport=6080), src="10.9.0.3"), None),
    ("GUE for another host is left to the kernel", "not_ours", outer4(gue1(inner4()), dst="10.9.0.7"),
     None),
    ("GUE's inner destination that is not here is dropped", "inner_not_ours",
     outer4(gue1(inner4(dst="203.0.113.11"))), None),
    ("options before GUE are dropped", "options", outer4(gue1(inner4()), options=[IPOption_NOP()]),
     None),
    ("a stranger's GUE behind the longest options is seen", "stranger",
     outer4(gue1(inner4()), options=[IPOption_NOP()] * 40, src="10.9.0.3"), None),
    ("a first fragment of GUE is dropped", "fragment", outer4(gue1(inner4()), flags="MF"), None),
    ("a first fragment of GUE in IPv6 is dropped", "fragment",
     outer6(IPv6ExtHdrFragment(m=1, id=7) / gue1(inner4())), None),
    ("a later fragment of UDP is the kernel's: it does not say of what", "other",
     outer4(gue1(inner4()), frag=3), None),
    ("a later fragment of UDP in IPv6 is the kernel's", "other",
     outer6(IPv6ExtHdrFragment(offset=3, id=7) / gue1(inner4())), None),
    ("a wrong outer checksum before GUE is dropped", "checksum", corrupt(outer4(gue1(inner4())), 24),
     None),
    ("a GUE control message is dropped", "gue_header",
     outer4(gue0(inner4(), gue_header(4, control=1))), None),
    ("GUE with optional fields is dropped", "gue_header",
     outer4(gue0(Raw(bytes(4)) / inner4(), gue_header(4, hlen=1))), None),
    ("GUE with a flag is dropped", "gue_header", outer6(gue0(inner4(), gue_header(4, flags=1))), None),
    ("GUE with the highest flag is dropped", "gue_header",
     outer4(gue0(inner4(), gue_header(4, flags=0x8000))), None),
    ("GUE that carries something else than IP is dropped", "gue_header",
     outer4(gue0(TCP_SYN, gue_header(6))), None),
    ("GUE with nothing that follows (59) is dropped", "gue_header",
     outer6(gue0(DATA, gue_header(59))), None),
    ("GUE of variant 2 is dropped", "gue_header", outer4(gue0(inner4(), gue_header(4, variant=2))),
     None),
    ("GUE of variant 3 is dropped", "gue_header", outer4(gue0(inner4(), gue_header(4, variant=3))),
     None),
    ("GUE of variant 1 with IP version 5 is dropped", "gue_header",
     outer4(gue1(inner4(version=5))), None),
    ("GUE of variant 1 with IP version 7 is dropped", "gue_header",
     outer6(gue1(inner6(version=7))), None),
    ("GUE that says IPv4 before IPv6 is malformed", "malformed",
     outer4(gue0(inner6(), gue_header(4))), None),
    ("GUE that says IPv6 before IPv4 is malformed", "malformed",
     outer6(gue0(inner4(), gue_header(41))), None),
    ("GUE without anything in it is malformed", "malformed", outer4(gue1(Raw(b""))), None),
    ("GUE of three bytes is malformed", "malformed", outer4(gue1(Raw(b"E\0\0"))), None),
    ("a GUE header with nothing behind it is malformed", "malformed",
     outer6(UDP(dport=6080, chksum=0) / gue_header(4)), None),
    ("a UDP length beyond IP's is malformed", "malformed", padded(outer4(gue1(inner4(), len=89)), 9),
     None),
    ("a UDP length of 0 in IPv6 (a jumbogram's) is malformed", "malformed",
     outer6(gue1(inner4(), len=0)), None),
    ("a UDP length below its header is malformed", "malformed", outer4(gue1(inner4(), len=7)), None),
    ("an inner length beyond UDP's is malformed", "malformed",
     outer4(gue1(inner4(), len=8 + 79)), None),
    ("an inner length beyond UDP's, behind a GUE header, is malformed", "malformed",
     outer6(gue0(inner6(), len=8 + 4 + 87)), None),
    ("an outer length beyond the frame is malformed with GUE too", "malformed",
     outer4(gue1(inner4()), len=1400), None),
    ("a frame that ends inside the outer UDP header is the kernel's", "other",
     cut(outer4(gue1(inner4())), 14 + 27), None),
]


def main():
    print("# Written by make_decap_cases.py. Do not edit: change the case there.")
    for sentence, reason, before, after in CASES:
        after = bytes(after).hex() if after is not None else "-"
        print(f"{sentence}|{reason}|{bytes(before).hex()}|{after}")


if __name__ == "__main__":
    main()
