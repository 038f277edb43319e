#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# A balancer of a few lines, for lb-decap: what the kernel routes into the TUN device is sent to a
# backend behind outer headers that scapy makes. The last byte of the destination says which:
# encapsulate.py TUN INTERFACE MAC OUTER4-SOURCE OUTER4 OUTER6-SOURCE OUTER6 PORT
import fcntl
import logging
import os
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.config import conf  # noqa: E402
from scapy.layers.inet import IP, UDP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

TUNSETIFF, IFF_TUN_NO_PI = 0x400454ca, 0x1001


def main():
    tun_name, interface, mac, source4, outer4, source6, outer6, port = sys.argv[1:]
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", tun_name.encode(), IFF_TUN_NO_PI))
    send = conf.L2socket(iface=interface).send
    print("ready", flush=True)
    while True:
        data = os.read(tun, 2048)
        protocol, last = (4, data[19]) if data[0] >> 4 == 4 else (41, data[39])
        header = struct.pack("!BBH", 0, protocol, 0)
        # The UDP checksum of the fourth is scapy's; the others have 0.
        udp = UDP(sport=0xC000 | sum(data[-8:]) & 0x3fff, dport=int(port), chksum=0)
        ip4, ip6 = IP(src=source4, dst=outer4, flags="DF"), IPv6(src=source6, dst=outer6)
        inside, in_ip = Raw(data), {"proto": protocol}
        tunnels = {
            0x10: lambda: ip4 / udp / inside,
            0x11: lambda: ip6 / udp / inside,
            0x12: lambda: ip4 / udp / Raw(header) / inside,
            0x13: lambda: ip6 / UDP(sport=0xC001, dport=int(port)) / Raw(header) / inside,
            0x14: lambda: IP(src=source4, dst=outer4, flags="DF", **in_ip) / inside,
            0x15: lambda: IPv6(src=source6, dst=outer6, nh=protocol) / inside,
        }
        if last in tunnels:
            send(Ether(dst=mac) / tunnels[last]())


main()
