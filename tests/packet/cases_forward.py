# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: packets that go to a backend, in each mode, and how their bytes change.
from case import (ETHER, Ether, IP, IPv6, PAYLOAD, Raw, Udp, ether, forwarded, ip, l4, request,
                  to_backend)
from world import CLIENT, GUE, IPIP, NONE, SERVICES, TCP, UDP

from scapy.layers.l2 import Dot1Q

NAMES = {TCP: "TCP", UDP: "UDP"}


def encapsulated(service, backend, packet, flow):
    """The tunnel's packet to @backend: the inner one is as it came, tags stay in front."""
    frame = Ether(bytes(packet))
    inner = frame[IP] if IP in frame else frame[IPv6]
    tos = inner.tos if inner.version == 4 else inner.tc
    gue = service.mode == GUE
    protocol = 17 if gue else 4 if inner.version == 4 else 41
    if backend.family == 4:
        outer = IP(src=f"192.0.2.{64 + (flow >> 24 & 0x3f)}", dst=backend.address, ttl=64, id=0,
                   flags="DF", tos=tos, proto=protocol)
    else:
        low = flow.to_bytes(8, "little").hex()
        host = ":".join(low[i:i + 4] for i in range(0, 16, 4))
        outer = IPv6(src=f"2001:db8:7:0:{host}", dst=backend.address, hlim=64, tc=tos,
                     fl=flow & 0xfffff, nh=protocol)
    if gue:
        outer /= Udp(sport=0xc000 | flow & 0x3fff, dport=6080, chksum=0)
    return retagged(frame, backend.hop) / outer / Raw(inner_bytes(packet, inner))


def inner_bytes(packet, inner):
    """Of the IP packet alone, without padding, as it came."""
    raw = bytes(packet)
    length = inner.len if inner.version == 4 else 40 + inner.plen
    at = 14
    while raw[at - 2:at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    return raw[at:at + length]


def retagged(frame, hop):
    """Ethernet to @hop with the tags of @frame."""
    out, layer = ether(hop), frame.payload
    if isinstance(layer, Dot1Q):
        out.type = frame.type
    while isinstance(layer, Dot1Q):
        out /= Dot1Q(vlan=layer.vlan, prio=layer.prio)
        layer = layer.payload
        if isinstance(layer, Dot1Q):
            out.lastlayer().type = 0x8100
    return out


def expected(service, packet, backend, source_port=40000):
    if service.mode not in (IPIP, GUE):
        return to_backend(service, backend, packet)
    flow = service.hash(CLIENT[service.family], source_port)
    return encapsulated(service, backend, packet, flow)


def every_mode():
    out = []
    for key, service in SERVICES.items():
        if not isinstance(key, tuple):
            continue
        name, family, protocol = key
        packet = request(service)
        other = f"the outer header of the other family (IPv{10 - family})"
        what = {"cross": f"ipip, {other}", "crossgue": f"gue, {other}"}
        out += forwarded(f"{NAMES[protocol]} over IPv{family} in {what.get(name, name)}",
                         packet, service.a, expected(service, packet, service.a))
    return out


def flags():
    nat = SERVICES["nat", 4, TCP]
    out = []
    for flag, syn, text in (("S", 1, "a SYN in the steady state is counted and not stored"),
                            ("SA", 0, "a SYN with ACK starts no connection"),
                            ("F", 0, "a FIN in the steady state"),
                            ("R", 0, "a RST in the steady state"),
                            ("SF", 0, "a SYN with FIN starts no connection")):
        packet = request(nat, flag)
        out += forwarded(text, packet, nat.a, to_backend(nat, nat.a, packet), syn=syn)
    return out


def wrong(packet, layer, delta):
    """Makes a checksum wrong by @delta (one's complement)."""
    packet = Ether(bytes(packet))
    total = packet[layer].chksum + delta
    packet[layer].chksum = (total & 0xffff) + (total >> 16)
    return packet


def checksums():
    out = []
    for family in (4, 6):
        tcp, udp = SERVICES["nat", family, TCP], SERVICES["nat", family, UDP]
        packet = request(tcp)
        out += forwarded(f"a wrong TCP checksum stays wrong (IPv{family})", wrong(packet, 2, 0x101),
                         tcp.a, wrong(to_backend(tcp, tcp.a, packet), 2, 0x101))
        packet = request(udp)
        out += forwarded(f"a wrong UDP checksum stays wrong (IPv{family})", wrong(packet, 2, 0x4242),
                         udp.a, wrong(to_backend(udp, udp.a, packet), 2, 0x4242))
        packet = Ether(bytes(packet))
        packet[2].chksum = 0
        after = to_backend(udp, udp.a, packet)
        after[2].chksum = 0
        out += forwarded(f"a UDP packet without checksum stays without (IPv{family})", packet,
                         udp.a, after)
        out += udp_checksum_of_zero(udp)
    nat = SERVICES["nat", 4, TCP]
    packet = request(nat)
    out += forwarded("a wrong IPv4 header checksum stays wrong", wrong(packet, 1, 0x1000), nat.a,
                     wrong(to_backend(nat, nat.a, packet), 1, 0x1000))
    return out


def udp_checksum_of_zero(udp):
    """A payload word is chosen such that the checksum after the rewrite computes to 0."""
    def build(word):
        return (ETHER / ip(CLIENT[udp.family], udp.vip) / l4(UDP, 40000, udp.port)
                / Raw(word.to_bytes(2, "big") + PAYLOAD))

    after = Ether(bytes(to_backend(udp, udp.a, build(0))))
    packet = build(after[2].chksum)
    after = Ether(bytes(to_backend(udp, udp.a, packet)))
    assert after[2].chksum == 0xffff
    return forwarded(f"a UDP checksum that becomes 0 is sent as ffff (IPv{udp.family})", packet,
                     udp.a, after)


def outer_headers():
    out = []
    for key in (("ipip", 4, TCP), ("ipip", 6, TCP), ("cross", 4, TCP), ("cross", 6, TCP)):
        service = SERVICES[key]
        packet = request(service, tos=0xb9)
        out += forwarded(f"DSCP and ECN are copied to the outer header ({key[0]}, IPv{key[1]})",
                         packet, service.a, expected(service, packet, service.a))
        packet = request(service, source_port=40001, ttl=1)
        out += forwarded(f"another flow has another outer source; a tunnel takes no hop"
                         f" ({key[0]}, IPv{key[1]})", packet, service.a,
                         expected(service, packet, service.a, 40001))
    service = SERVICES["ipip", 4, TCP]
    packet = bytes(request(service)) + bytes(6)
    flow = service.hash(CLIENT[4], 40000)
    after = bytes(encapsulated(service, service.a, Ether(packet[:-6]), flow)) + bytes(6)
    return out + forwarded("Ethernet padding is no part of the inner packet", packet, service.a,
                           after)


def vips():
    any_port, host = SERVICES["any"], SERVICES["host"]
    out = []
    for port in (1, 443, 65535):
        packet = request(any_port, port=port)
        out += forwarded(f"any port: {port}", packet, any_port.a,
                         to_backend(any_port, any_port.a, packet))
    packet = request(host)
    out += forwarded("a service on a VIP that is the host's own address", packet, host.a,
                     to_backend(host, host.a, packet))
    return out


def edges():
    nat, l2 = SERVICES["nat", 4, TCP], SERVICES["l2", 6, TCP]
    ipip = SERVICES["ipip", 4, TCP]
    out = []
    packet = request(l2, ttl=2)
    out += forwarded("a hop limit of 2 leaves as 1", packet, l2.a, to_backend(l2, l2.a, packet))
    packet = request(nat, ttl=255)
    out += forwarded("a TTL of 255 leaves as 254", packet, nat.a, to_backend(nat, nat.a, packet))
    full = ETHER / ip(CLIENT[4], nat.vip) / l4(TCP, 40000, 80) / Raw(bytes(1460))
    out += forwarded("just as long as the MTU", full, nat.a, to_backend(nat, nat.a, full))
    full = ETHER / ip(CLIENT[4], ipip.vip) / l4(TCP, 40000, 80) / Raw(bytes(1440))
    out += forwarded("just as long as the MTU with its outer header", full, ipip.a,
                     expected(ipip, full, ipip.a))
    options = (ETHER / ip(CLIENT[4], nat.vip)
               / l4(TCP, 40000, 80, "S", options=[("MSS", 1460), ("WScale", 7)]))
    out += forwarded("TCP options are let alone", options, nat.a,
                     to_backend(nat, nat.a, options), syn=1)
    empty = ETHER / ip(CLIENT[4], SERVICES["nat", 4, UDP].vip) / l4(UDP, 40000, 53)
    udp = SERVICES["nat", 4, UDP]
    out += forwarded("an empty UDP packet", empty, udp.a, to_backend(udp, udp.a, empty))
    packet = request(nat)
    out += forwarded("tracking none takes the current backend even in a transition", packet, nat.b,
                     to_backend(nat, nat.b, packet),
                     setup=[nat.line(NONE), nat.ring(nat.b.row, nat.a.row, 1)])
    packet = request(nat)
    out += forwarded("a backend that is down, in a steady slot, is lbd's to replace", packet, nat.a,
                     to_backend(nat, nat.a, packet), setup=[nat.a.line(flags=3)])
    return out


def lines():
    return (every_mode() + flags() + checksums() + outer_headers() + vips() + edges())

