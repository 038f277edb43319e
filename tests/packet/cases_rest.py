# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: TCP and UDP that are not plain: VLAN tags, IPv4 options, IPv6 extension headers,
# fragments. What must leave is made by scapy from what came.
from case import (ETHER, Ether, IP, IPv6, PAYLOAD, Raw, Udp, case, count_backend, dropped,
                  forwarded, ip, ip_layer, l4, one_hop_less, request, to_backend, to_client)
from cases_forward import encapsulated, expected
from cases_reply import replied, reply
from world import (CLIENT, HOPS, NAT, NOW, SERVICES, TCP, UDP, fragment_hash, fragment_line, spread)

from scapy.layers.inet import IPOption
from scapy.layers.inet6 import (IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import Dot1Q

NAMES = ("nat", "l2", "ipip", "cross", "gue", "crossgue")
ID = 0x1234
ID6 = 0xdeadbeef


def tagged(packet, *tags):
    out = Ether(dst=ETHER.dst, src=ETHER.src)
    for tag in tags:
        out /= tag
    return out / packet.payload


def vlans():
    out = []
    one, two = [Dot1Q(vlan=5, prio=3)], [Dot1Q(vlan=100), Dot1Q(vlan=200, prio=1)]
    for family in (4, 6):
        for name in NAMES:
            service = SERVICES[name, family, TCP]
            for tags, text in ((one, "a VLAN tag is kept"), (two, "two VLAN tags are kept")):
                packet = tagged(request(service), *tags)
                out += forwarded(f"{text} in {name} (IPv{family})", packet, service.a,
                                 expected(service, packet, service.a))
        service = SERVICES["nat", family, TCP]
        packet = tagged(reply(service.a), *one)
        out += replied(f"a VLAN tag of a reply is kept (IPv{family})", packet, service.a)
        packet = Ether(bytes(tagged(request(service), *two)))
        packet.type = 0x88a8
        after = to_backend(service, service.a, packet)
        out += forwarded(f"an outer tag of 802.1ad (IPv{family})", packet, service.a, after)
    nat = SERVICES["nat", 4, TCP]
    out += case("three VLAN tags are the kernel's",
                tagged(request(nat), *two, Dot1Q(vlan=3)), "vlan")
    for frame_len in (15, 17, 19, 21):
        out += dropped(f"cut in its VLAN tags, at {frame_len} bytes",
                       bytes(tagged(request(nat), *two))[:frame_len], "truncated")
    out += case("ARP in a VLAN is the kernel's",
                Ether(type=0x8100) / Dot1Q(vlan=5, type=0x0806) / Raw(bytes(28)), "not_ip")
    return out


def options():
    out = []
    for length in (4, 40):
        option = IPOption(b"\x01" * (length - 1) + b"\x00")
        for name in NAMES:
            service = SERVICES[name, 4, UDP]
            packet = Ether(bytes(ETHER / IP(src=CLIENT[4], dst=service.vip, ttl=9, options=[option])
                                 / l4(UDP, 40000, 53) / Raw(PAYLOAD)))
            out += forwarded(f"{length} bytes of IPv4 options in {name}", packet, service.a,
                             expected(service, packet, service.a))
    nat = SERVICES["nat", 4, TCP]
    packet = Ether(bytes(ETHER / IP(src=nat.a.address, dst=CLIENT[4], options=[option])
                         / l4(TCP, nat.a.port, 40000) / Raw(PAYLOAD)))
    out += replied("a reply with IPv4 options", packet, nat.a)
    short = bytes(ETHER / IP(src=CLIENT[4], dst=nat.vip, options=[option]) / l4(TCP, 4, 80))
    out += dropped("cut in its IPv4 options", short[:14 + 50], "truncated")
    return out


def extensions():
    out = []
    hop, dest = IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt()
    route = IPv6ExtHdrRouting(segleft=0)
    atomic = IPv6ExtHdrFragment(id=5)
    kinds = [("hop-by-hop options", hop), ("destination options", dest),
             ("a routing header at its end", route), ("an atomic fragment", atomic),
             ("four extension headers", hop / route / atomic / dest),
             ("six extension headers", hop / dest / dest / route / atomic / dest)]
    for name in NAMES:
        service = SERVICES[name, 6, UDP]
        for text, headers in kinds if name in ("nat", "gue") else kinds[:1]:
            packet = Ether(bytes(ETHER / IPv6(src=CLIENT[6], dst=service.vip) / headers
                                 / l4(UDP, 40000, 53) / Raw(PAYLOAD)))
            out += forwarded(f"{text} in {name}", packet, service.a,
                             expected(service, packet, service.a))
    nat = SERVICES["nat", 6, TCP]
    base, tail = ETHER / IPv6(src=CLIENT[6], dst=nat.vip), l4(TCP, 40000, 80) / Raw(PAYLOAD)
    for text, headers in (
            ("seven extension headers", hop / dest / dest / route / atomic / dest / dest),
            ("hop-by-hop options that are not first", dest / hop),
            ("a routing header with a way to go", IPv6ExtHdrRouting(segleft=1)),
            ("two fragment headers", atomic / atomic),
            ("extension headers longer than any need",
             IPv6ExtHdrDestOpt(options=[], len=40) / Raw(bytes(400)))):
        out += dropped(text, base / headers / tail, "ip_extensions")
    whole = bytes(base / hop / dest / tail)
    for frame_len in (14 + 40 + 7, 14 + 40 + 12, 14 + 40 + 16 + 19):
        out += dropped(f"extension headers cut at {frame_len} bytes", whole[:frame_len],
                       "truncated")
    out += dropped("no next header", base / IPv6ExtHdrDestOpt(nh=59), "vip_protocol")
    for family in (4, 6):
        vip, v = SERVICES["nat", family, TCP].vip, f"(IPv{family})"
        for header, text in ((AH(), "AH"), (ESP(), "ESP")):
            out += dropped(f"{text} to a VIP {v}", ETHER / ip(CLIENT[family], vip) / header
                           / Raw(bytes(40)), "ipsec")
            other = "192.0.2.1" if family == 4 else "2001:db8:99::1"
            out += case(f"{text} to no VIP is the kernel's {v}",
                        ETHER / ip(CLIENT[family], other) / header / Raw(bytes(40)), "not_vip")
    packet = Ether(bytes(ETHER / IPv6(src=nat.a.address, dst=CLIENT[6]) / dest
                         / l4(TCP, nat.a.port, 40000) / Raw(PAYLOAD)))
    return out + replied("a reply with an extension header", packet, nat.a)


# ---- fragments ----

def identification(family):
    return ID6 if family == 6 else ID


def fragment(family, source, destination, protocol, payload, offset, more, **ip_more):
    """One fragment, @payload its bytes at @offset."""
    if family == 4:
        return ETHER / IP(src=source, dst=destination, id=ID, proto=protocol, frag=offset // 8,
                          flags="MF" if more else 0, **ip_more) / Raw(payload)
    return (ETHER / IPv6(src=source, dst=destination, **ip_more)
            / IPv6ExtHdrFragment(nh=protocol, id=ID6, offset=offset // 8, m=int(more))
            / Raw(payload))


def datagram(family, source, destination, source_port, destination_port, size=2000):
    """A whole UDP datagram's bytes, its checksum right."""
    whole = (ip(source, destination) / Udp(sport=source_port, dport=destination_port)
             / Raw(bytes(i & 255 for i in range(size))))
    raw = bytes(whole)
    return raw[20 if family == 4 else 40:]


def remembered(service, backend, flow, reply_=0, **more):
    source, destination = ((backend.address, CLIENT[service.family]) if reply_
                           else (CLIENT[service.family], service.vip))
    key = fragment_hash(source, destination, identification(service.family), service.protocol)
    return fragment_line(key, backend.row, flow, reply_, **more)


def to_backend_later(service, backend, packet):
    out = Ether(bytes(packet))
    out.dst, out.src = backend.hop.destination, backend.hop.source
    layer = ip_layer(out)
    one_hop_less(layer)
    if service.mode == NAT:
        layer.dst = backend.address
    return out


def to_backend_fragment(service, backend, packet, first=None):
    """@first: the datagram's bytes as the backend must get them, where this is the first one."""
    if service.mode in (1, 2):
        out = to_backend_later(service, backend, packet)
        if first is not None and service.mode == NAT:
            header = 34 if service.family == 4 else 62
            out = bytes(out)[:header] + first[:len(bytes(packet)) - header]
        return out
    flow = service.hash(CLIENT[service.family], 40000)
    return encapsulated(service, backend, packet, spread(flow))


def fragments():
    out = []
    for family in (4, 6):
        for name in NAMES:
            service = SERVICES[name, family, UDP]
            v = f"in {name} (IPv{family})"
            flow = service.hash(CLIENT[family], 40000)
            whole = datagram(family, CLIENT[family], service.vip, 40000, 53)
            after = datagram(family, CLIENT[family], service.a.address
                             if service.mode == NAT else service.vip, 40000,
                             service.a.port if service.mode == NAT else 53)
            first = fragment(family, CLIENT[family], service.vip, UDP, whole[:1200], 0, True)
            out += forwarded(f"a first fragment is decided and remembered {v}", first, service.a,
                             to_backend_fragment(service, service.a, first, after),
                             then=[remembered(service, service.a, flow)])
            last = fragment(family, CLIENT[family], service.vip, UDP, whole[1200:], 1200, False)
            # It follows the first one, whatever its slot says now.
            out += forwarded(f"the last fragment follows {v}", last, service.b,
                             to_backend_fragment(service, service.b, last), "fragment",
                             setup=[remembered(service, service.b, flow)])
            middle = fragment(family, CLIENT[family], service.vip, UDP, whole[600:1200], 600, True)
            out += forwarded(f"a fragment in the middle follows {v}", middle, service.a,
                             to_backend_fragment(service, service.a, middle), "fragment",
                             setup=[remembered(service, service.a, flow, age=30)])
            out += dropped(f"a fragment whose first one is too long ago {v}", last,
                           "fragment_early", setup=[remembered(service, service.a, flow, age=31)])
        out += more_fragments(family)
    return out


def more_fragments(family):
    out = []
    tcp, udp = SERVICES["nat", family, TCP], SERVICES["nat", family, UDP]
    v = f"(IPv{family})"
    whole = datagram(family, CLIENT[family], udp.vip, 40000, 53)
    flow = udp.hash(CLIENT[family], 40000)
    last = fragment(family, CLIENT[family], udp.vip, UDP, whole[1200:], 1200, False)
    out += dropped(f"a fragment ahead of its first one {v}", last, "fragment_early")
    out += dropped(f"a fragment whose backend is no more {v}", last, "backend_gone", udp,
                   setup=[remembered(udp, udp.a, flow), udp.a.line(state=2)])
    old = Ether(bytes(last))
    if family == 4:
        old[IP].ttl = 1
    else:
        old[IPv6].hlim = 1
    out += dropped(f"a fragment with TTL 1 is not answered {v}", Ether(bytes(old)), "ttl_silent",
                   udp, setup=[remembered(udp, udp.a, flow)])
    for length, text in ((7, "7 bytes of UDP"), (0, "nothing")):
        # Lengths of fragments but the last are multiples of eight; the parser does not ask.
        short = fragment(family, CLIENT[family], udp.vip, UDP, whole[:length], 0, True)
        out += dropped(f"a first fragment with {text} {v}", short, "fragment_header")
    syn = bytes(request(tcp, "S"))[14 + (20 if family == 4 else 40):]
    short = fragment(family, CLIENT[family], tcp.vip, TCP, syn[:16], 0, True)
    out += dropped(f"a first fragment with a part of its TCP header {v}", short,
                   "fragment_header")
    first = fragment(family, CLIENT[family], tcp.vip, TCP, syn[:40], 0, True)
    out += forwarded(f"a first fragment of TCP {v}", first, tcp.a,
                     first_of_tcp(tcp, first, syn), syn=1,
                     then=[remembered(tcp, tcp.a, tcp.hash(CLIENT[family], 40000))])
    protocol = 1 if family == 4 else 58
    ping = fragment(family, CLIENT[family], udp.vip, protocol, b"\x08" + bytes(63), 0, True)
    out += case(f"the first fragment of ICMP to a VIP is the kernel's {v}", ping, "vip_icmp")
    ping = fragment(family, CLIENT[family], udp.vip, protocol, bytes(64), 64, False)
    out += case(f"a later fragment of ICMP to a VIP is the kernel's {v}", ping, "vip_icmp")
    key = fragment_hash(CLIENT[family], udp.vip, identification(family), UDP)
    out += dropped(f"a fragment to a client that has become a VIP follows no reply {v}", last,
                   "fragment_early", setup=[fragment_line(key, udp.a.row, 0, 1)])
    nobody = fragment(family, CLIENT[family], udp.vip, UDP,
                      datagram(family, CLIENT[family], udp.vip, 40000, 54)[:1200], 0, True)
    out += dropped(f"a fragment for no service is not answered {v}", nobody, "no_service")
    return out + reply_fragments(family) + full_lines(family)


def first_of_tcp(service, packet, whole):
    """The checksum covers what is not in this fragment: it is that of the whole packet."""
    family = service.family
    after = bytes(to_backend(service, service.a, request(service, "S")))
    l4_after = after[14 + (20 if family == 4 else 40):]
    out = bytes(to_backend_later(service, service.a, packet))
    at = 34 if family == 4 else 62
    return out[:at] + l4_after[:len(out) - at]


def reply_fragments(family):
    udp, v = SERVICES["nat", family, UDP], f"(IPv{family})"
    client, backend = CLIENT[family], udp.a
    whole = datagram(family, backend.address, client, backend.port, 40000)
    after = datagram(family, udp.vip, client, udp.port, 40000)
    gateway = HOPS["gateway"]

    def leaves(packet, first=None):
        out = Ether(bytes(packet))
        out.dst, out.src = gateway.destination, gateway.source
        ip_layer(out).src = udp.vip
        one_hop_less(ip_layer(out))
        if first is None:
            return out
        at = 34 if family == 4 else 62
        return bytes(out)[:at] + first[:len(bytes(packet)) - at]

    first = fragment(family, backend.address, client, UDP, whole[:1200], 0, True)
    out = case(f"a reply's first fragment {v}", first, "reply", leaves(first, after),
               gateway.ifindex, (), [
                   f"count-backend {backend.row} 0 0 0 0 1 {len(bytes(first))} 0",
                   remembered(udp, backend, 0, 1)])
    last = fragment(family, backend.address, client, UDP, whole[1200:], 1200, False)
    out += case(f"a reply's last fragment {v}", last, "fragment", leaves(last), gateway.ifindex,
                [remembered(udp, backend, 0, 1)],
                [f"count-backend {backend.row} 0 0 0 0 1 {len(bytes(last))} 0"])
    key = fragment_hash(backend.address, client, identification(family), UDP)
    out += case(f"a fragment to a VIP that is one no more follows no request {v}", last,
                "not_vip", setup=[fragment_line(key, backend.row, 0)])
    return out + case(f"a reply's fragment ahead of its first one is the kernel's {v}", last,
                      "not_vip")


def full_lines(family):
    """The line is full of young entries: one of them makes room."""
    udp, v = SERVICES["nat", family, UDP], f"(IPv{family})"
    whole = datagram(family, CLIENT[family], udp.vip, 40000, 53)
    after = datagram(family, CLIENT[family], udp.a.address, 40000, udp.a.port)
    flow = udp.hash(CLIENT[family], 40000)
    first = fragment(family, CLIENT[family], udp.vip, UDP, whole[:1200], 0, True)
    key = fragment_hash(CLIENT[family], udp.vip, identification(family), UDP)
    others = [fragment_line(key, udp.b.row, n, at=n, age=n).replace(
        f" {n} {key:#x} ", f" {n} {n + 1:#x} ") for n in range(4)]
    out = forwarded(f"a first fragment takes another's place in a full line {v}", first, udp.a,
                    to_backend_fragment(udp, udp.a, first, after), setup=others,
                    then=[remembered(udp, udp.a, flow, at=(key >> 32) % 4)])
    old = [*others[:2], others[2].replace(others[2].split()[-1], stale(udp.b.row)), others[3]]
    return out + forwarded(f"an old one's place comes first {v}", first, udp.a,
                           to_backend_fragment(udp, udp.a, first, after), setup=old,
                           then=[remembered(udp, udp.a, flow, at=2)])


def stale(backend):
    return fragment_line(0, backend, 9, age=31).split()[-1]


def lines():
    return vlans() + options() + extensions() + fragments()


__all__ = ["lines", "NOW", "count_backend", "to_client"]
