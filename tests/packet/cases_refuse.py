# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: packets that end here, or are the kernel's.
import struct

from case import ETHER, ICMP, PAYLOAD, Raw, case, dropped, ip, l4, request
from world import CLIENT, RETIRED, SERVICES, TCP, UDP, address

from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6,
                                IPv6ExtHdrHopByHop)
from scapy.layers.l2 import ARP
from scapy.layers.inet import IP, IPOption

STRANGER = {4: "192.0.2.1", 6: "2001:db8:99::1"}


def patched(packet, offset, data):
    raw = bytearray(bytes(packet))
    raw[offset:offset + len(data)] = data
    return bytes(raw)


def cut(packet, frame_len):
    return bytes(packet)[:frame_len]


def kernels():
    nat, host = SERVICES["nat", 4, TCP], SERVICES["host"]
    out = []
    out += case("ARP is the kernel's", ETHER / ARP(pdst=nat.vip), "not_ip")
    for family in (4, 6):
        vip = SERVICES["nat", family, TCP].vip
        out += case(f"TCP to no VIP is the kernel's (IPv{family})",
                    ETHER / ip(CLIENT[family], STRANGER[family]) / l4(TCP, 40000, 80), "not_vip")
        echo = ICMP() if family == 4 else ICMPv6EchoRequest()
        out += case(f"ICMP to no VIP is the kernel's (IPv{family})",
                    ETHER / ip(CLIENT[family], STRANGER[family]) / echo, "not_vip")
        out += case(f"no VIP, though the filter says that it may be one (IPv{family})",
                    ETHER / ip(CLIENT[family], STRANGER[family]) / l4(TCP, 40000, 80), "not_vip",
                    setup=[f"filter {address(STRANGER[family])}"])
        out += case(f"UDP to no VIP is the kernel's (IPv{family})",
                    ETHER / ip(CLIENT[family], STRANGER[family]) / l4(UDP, 40000, 80), "not_vip")
    out += case("another port of a VIP that is the host's address is the host's",
                request(host, port=22), "vip_of_host")
    out += case("another protocol to a VIP that is the host's address is the host's",
                ETHER / ip(CLIENT[4], host.vip, proto=47) / Raw(PAYLOAD), "vip_of_host")
    return out


def refused():
    out = []
    for family in (4, 6):
        tcp = SERVICES["nat", family, TCP]
        v = f"(IPv{family})"
        more = {"proto": 47} if family == 4 else {"nh": 47}
        out += dropped(f"GRE to a VIP {v}",
                       ETHER / ip(CLIENT[family], tcp.vip, **more) / Raw(PAYLOAD), "vip_protocol")
        out += dropped(f"no backend {v}", request(tcp, "S"), "no_backend", tcp,
                       setup=[tcp.ring(0, 0)])
        out += dropped(f"a retired backend {v}", request(tcp), "backend_gone", tcp,
                       setup=[tcp.a.line(state=RETIRED)])
        out += dropped(f"an unresolved hop {v}", request(tcp), "hop_unresolved", tcp,
                       setup=[tcp.a.line(hop=0)])
    return out


def sources():
    out = []
    for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"):
        service = SERVICES["nat", 4, TCP]
        out += dropped(f"the source {source}", request(service, source=source), "source", service)
    for source in ("::", "::1", "ff02::1"):
        service = SERVICES["nat", 6, TCP]
        out += dropped(f"the source {source}", request(service, source=source), "source", service)
    return out


def truncated():
    out = []
    for family, header in ((4, 20), (6, 40)):
        tcp, udp = SERVICES["nat", family, TCP], SERVICES["nat", family, UDP]
        v = f"(IPv{family})"
        for frame_len in (14, 14 + header - 1):
            out += dropped(f"cut at {frame_len} bytes, before its addresses end {v}",
                           cut(request(tcp), frame_len), "truncated")
        for frame_len in (14 + header, 14 + header + 3, 14 + header + 4, 14 + header + 19):
            out += dropped(f"TCP cut at {frame_len} bytes {v}", cut(request(tcp), frame_len),
                           "truncated")
        for frame_len in (14 + header, 14 + header + 7):
            out += dropped(f"UDP cut at {frame_len} bytes {v}", cut(request(udp), frame_len),
                           "truncated")
        out += dropped(f"cut inside its payload {v}", bytes(request(tcp))[:-1], "ip_length")
        stranger = ETHER / ip(CLIENT[family], STRANGER[family]) / l4(TCP, 40000, 80)
        out += case(f"cut in TCP, but for no VIP: the kernel's {v}",
                    cut(stranger, 14 + header + 10), "not_vip")
    return out


def lengths():
    out = []
    tcp4, tcp6 = SERVICES["nat", 4, TCP], SERVICES["nat", 6, TCP]
    packet = request(tcp4)
    for version_ihl, reason in ((0x65, "ip_version"), (0x05, "ip_version"), (0x44, "ip_length"),
                                (0x40, "ip_length"), (0x4f, "truncated")):
        out += dropped(f"IPv4 whose first byte is {version_ihl:02x}",
                       patched(packet, 14, [version_ihl]), reason)
    out += dropped("IPv6 whose version is 4", patched(request(tcp6), 14, [0x40]), "ip_version")
    out += dropped("an IPv4 length below its header", patched(packet, 16, struct.pack("!H", 19)),
                   "ip_length")
    out += dropped("an IPv4 length beyond the frame", patched(packet, 16, struct.pack("!H", 1400)),
                   "ip_length")
    out += dropped("an IPv4 length that ends in the TCP header",
                   patched(packet, 16, struct.pack("!H", 39)), "l4_length")
    out += dropped("an IPv6 length beyond the frame",
                   patched(request(tcp6), 18, struct.pack("!H", 1400)), "ip_length")
    out += dropped("an IPv6 length that ends in the TCP header",
                   patched(request(tcp6), 18, struct.pack("!H", 19)), "l4_length")
    for service, header in ((tcp4, 20), (tcp6, 40)):
        at = 14 + header + 12
        out += dropped(f"a TCP header of 16 bytes (IPv{service.family})",
                       patched(request(service), at, [0x40]), "l4_length")
        out += dropped(f"a TCP header longer than its packet (IPv{service.family})",
                       patched(request(service), at, [0xf0]), "l4_length")
    for family, header in ((4, 20), (6, 40)):
        udp = SERVICES["nat", family, UDP]
        at = 14 + header + 4
        for udp_len in (0, 7, 8 + len(PAYLOAD) + 1):
            out += dropped(f"a UDP length of {udp_len} (IPv{family})",
                           patched(request(udp), at, struct.pack("!H", udp_len)), "l4_length")
    return out


def strangers():
    out = []
    stranger = (ETHER / IP(src=CLIENT[4], dst=STRANGER[4], options=[IPOption(b"\x01\x01\x01\x00")])
                / l4(TCP, 40000, 80))
    out += case("IPv4 options to no VIP are the kernel's", stranger, "not_vip")
    out += case("a fragment to no VIP is the kernel's",
                ETHER / ip(CLIENT[4], STRANGER[4], frag=10) / Raw(PAYLOAD), "not_vip")
    out += case("IPv6 extension headers to no VIP are the kernel's",
                ETHER / IPv6(src=CLIENT[6], dst=STRANGER[6]) / IPv6ExtHdrHopByHop()
                / l4(TCP, 40000, 80), "not_vip")
    out += dropped("a broken packet for a VIP of the host does not reach it",
                   cut(request(SERVICES["host"], port=22), 40), "truncated")
    return out


def mapped():
    """::ffff:a.b.c.d is in the tables for a.b.c.d, and nobody's address in an IPv6 packet."""
    nat, six = SERVICES["nat", 4, TCP], SERVICES["nat", 6, TCP]
    vip, backend = f"::ffff:{nat.vip}", f"::ffff:{nat.a.address}"
    reply = l4(TCP, nat.a.port, 40000, "SA") / Raw(PAYLOAD)
    to_vip = l4(TCP, 40000, nat.port) / Raw(PAYLOAD)
    quote = bytes(IPv6(src=CLIENT[6], dst=backend) / l4(TCP, 40000, nat.a.port))
    frames = {
        "to an IPv4 VIP": IPv6(src=CLIENT[6], dst=vip) / to_vip,
        "to an IPv4 VIP, from such a one": IPv6(src=f"::ffff:{CLIENT[4]}", dst=vip) / to_vip,
        "to an IPv4 VIP, behind a header": IPv6(src=CLIENT[6], dst=vip) / IPv6ExtHdrHopByHop()
                                           / to_vip,
        "to an IPv4 VIP, a ping": IPv6(src=CLIENT[6], dst=vip) / ICMPv6EchoRequest(),
        "to an IPv6 VIP, from such a one":
            IPv6(src=f"::ffff:{CLIENT[4]}", dst=six.vip) / l4(TCP, 40000, six.port),
        "from a backend": IPv6(src=backend, dst=CLIENT[6]) / reply,
        "from a backend to such a one": IPv6(src=backend, dst=f"::ffff:{CLIENT[4]}") / reply,
        "of a backend, quoted by an error":
            IPv6(src="2001:db8:5::1", dst=CLIENT[6]) / ICMPv6DestUnreach() / Raw(quote),
    }
    out = []
    for what, frame in frames.items():
        out += case(f"IPv6 with a mapped address is the kernel's: {what}", ETHER / frame, "not_vip")
    return out


def crowded_index():
    """The look-up goes on behind a line that says so, and ends where none does."""
    nat = SERVICES["nat", 4, TCP]
    away = [f"index-far {address('203.0.113.77')} {TCP} 80 {nat.word()} {at}" for at in (7,)]
    vip = [f"index {address('203.0.113.77')} 0 0 1", f"filter {address('203.0.113.77')}"]
    packet = (ETHER / ip(CLIENT[4], "203.0.113.77") / l4(TCP, 40000, 80) / Raw(PAYLOAD))
    out = dropped("a service that stands seven lines behind its own is found (and has no backend)",
                  packet, "no_backend", nat, setup=[*away, *vip, nat.ring(0, 0)])
    return out


def lines():
    return (kernels() + refused() + sources() + truncated() + lengths() + strangers() + mapped()
            + crowded_index())

