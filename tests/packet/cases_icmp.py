# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: ICMP errors about balanced flows. They quote a packet that one side sent; what
# leaves is made by scapy anew, from the packet that the other side knows.
from case import (ETHER, Ether, ICMP, IP, IPv6, Raw, case, dropped, forwarded, ip, ip_layer, l4,
                  one_hop_less)
from cases_answer import STEERED, passed, rate
from cases_forward import encapsulated
from cases_reply import lost
from cases_track import Flow, moved
from world import (CLIENT, ESTABLISHED, HOPS, L2, NAT, RESET, SERVICES, TCP, UDP, ALWAYS, DOWN)

from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem,
                                ICMPv6TimeExceeded, IPv6ExtHdrDestOpt)

ROUTER = {4: "192.0.2.77", 6: "2001:db8:77::1"}
PORT = 40000


def kinds(family):
    if family == 4:
        return [("unreachable", ICMP(type=3, code=1)),
                ("fragmentation needed", ICMP(type=3, code=4, nexthopmtu=1400)),
                ("time exceeded", ICMP(type=11)), ("parameter problem", ICMP(type=12))]
    return [("unreachable", ICMPv6DestUnreach(code=3)), ("packet too big", ICMPv6PacketTooBig(mtu=1400)),
            ("time exceeded", ICMPv6TimeExceeded()), ("parameter problem", ICMPv6ParamProblem())]


def error(family, destination, kind, quote, source=None, **more):
    return ETHER / ip(source or ROUTER[family], destination, **more) / kind / Raw(quote)


def sent(family, source, destination, protocol, source_port, destination_port, length=None):
    """The packet that an error quotes, as far as @length bytes of its transport."""
    raw = bytes(ip(source, destination) / l4(protocol, source_port, destination_port)
                / Raw(bytes(60)))
    return raw if length is None else raw[:(20 if family == 4 else 40) + length]


def from_vip(service, protocol=None, length=None, port=None, client_port=PORT):
    """What a client's side got of the service."""
    return sent(service.family, service.vip, CLIENT[service.family],
                protocol or service.protocol, port or service.port, client_port, length)


def from_backend(service, backend, length=None):
    """The same as a backend of nat knows it."""
    if service.mode != NAT:
        return b""
    return sent(service.family, backend.address, CLIENT[service.family], service.protocol,
                backend.port, PORT, length)


def to_backend(service, backend, kind, quote, packet):
    """The error as @backend must get it."""
    out = Ether(bytes(packet))
    if service.mode not in (NAT, L2):
        flow = service.hash(CLIENT[service.family], PORT)
        return encapsulated(service, backend, packet, flow)
    if service.mode == NAT:
        out = Ether(bytes(error(service.family, backend.address, kind, quote)))
    out.dst, out.src = backend.hop.destination, backend.hop.source
    one_hop_less(ip_layer(out))
    return out


def to_vips():
    out = []
    for family in (4, 6):
        for name in ("nat", "l2", "ipip", "cross", "gue", "crossgue"):
            for protocol in (TCP, UDP):
                service = SERVICES[name, family, protocol]
                text, kind = kinds(family)[1]
                packet = error(family, service.vip, kind, from_vip(service))
                after = to_backend(service, service.a, kind, from_backend(service, service.a),
                                   packet)
                out += forwarded(f"{text} about {'TCP' if protocol == TCP else 'UDP'} in {name}"
                                 f" (IPv{family})", packet, service.a, after, "icmp_error")
        nat = SERVICES["nat", family, TCP]
        v = f"(IPv{family})"
        for text, kind in kinds(family):
            packet = error(family, nat.vip, kind, from_vip(nat))
            out += forwarded(f"{text} {v}", packet, nat.a,
                             to_backend(nat, nat.a, kind, from_backend(nat, nat.a), packet),
                             "icmp_error")
        text, kind = kinds(family)[0]
        for service, length in ((nat, 8), (nat, 17), (nat, 18), (SERVICES["nat", family, UDP], 8)):
            packet = error(family, service.vip, kind, from_vip(service, length=length))
            quote = from_backend(service, service.a, length)
            if length == 17:  # half a checksum cannot be mended: it stays
                quote = quote[:-1] + from_vip(service, length=17)[-1:]
            out += forwarded(f"{length} bytes of protocol {service.protocol} are quoted {v}",
                             packet, service.a, to_backend(service, service.a, kind, quote, packet),
                             "icmp_error")
    return out


def tracking():
    """The error goes where the flow goes."""
    out = []
    for family in (4, 6):
        nat, udp = SERVICES["nat", family, TCP], SERVICES["nat", family, UDP]
        v = f"(IPv{family})"
        kind = kinds(family)[1][1]
        packet = error(family, nat.vip, kind, from_vip(nat))
        flow = Flow(nat)

        def goes(sentence, backend, setup, service=nat, what=None):
            what = what or packet
            return forwarded(f"{sentence} {v}", what, backend,
                             to_backend(service, backend, kind, from_backend(service, backend),
                                        what), "icmp_error", setup=setup)

        out += goes("in a transition, without entry: settled, and no time is stamped", nat.a,
                    moved(nat))
        out += goes("in a transition: by the flow's entry, which is not refreshed", nat.b,
                    [*moved(nat), flow.entry(nat.b, ESTABLISHED, 100)])
        out += goes("an entry that has expired is none", nat.a,
                    [*moved(nat), flow.entry(nat.b, ESTABLISHED, 901)])
        out += goes("an entry whose backend is down is none", nat.a,
                    [*moved(nat), flow.entry(nat.b, ESTABLISHED, 1),
                     nat.b.line(flags=DOWN | RESET)])
        what = error(family, udp.vip, kind, from_vip(udp))
        out += goes("UDP that is always tracked, without entry: current", udp.b,
                    [udp.line(ALWAYS), udp.ring(udp.b.row, udp.a.row, 1)], udp, what)
    any_port = SERVICES["any"]
    kind = kinds(4)[1][1]
    packet = error(4, any_port.vip, kind, from_vip(any_port, port=443))
    out += forwarded("about a flow of a service of any port", packet, any_port.a,
                     to_backend(any_port, any_port.a, kind, b"", packet), "icmp_error")
    return out


def refused():
    out = []
    for family in (4, 6):
        nat, v = SERVICES["nat", family, TCP], f"(IPv{family})"
        kind = kinds(family)[0][1]
        for text, quote in (
                ("a port of the VIP that no service has", from_vip(nat, port=81)),
                ("another address than the VIP",
                 sent(family, ROUTER[family], CLIENT[family], TCP, 80, PORT)),
                ("a packet cut before its ports", from_vip(nat, length=7)),
                ("nothing", b""), ("bytes that are no packet", bytes(60)),
                ("another protocol",
                 bytes(ip(nat.vip, CLIENT[family], **({"proto": 47} if family == 4 else {"nh": 47}))
                       / Raw(bytes(40))))):
            out += dropped(f"an ICMP error that quotes {text} {v}",
                           error(family, nat.vip, kind, quote), "icmp_stranger")
        quote = from_vip(nat)
        out += dropped(f"an ICMP error from a multicast address {v}",
                       error(family, nat.vip, kind, quote,
                             "224.0.0.1" if family == 4 else "ff02::1"), "source", nat)
        out += dropped(f"an ICMP error where the service has no backend is not refused {v}",
                       error(family, nat.vip, kind, quote), "no_backend", nat,
                       setup=[nat.ring(0, 0), f"flags {nat.row} 1"])
        out += dropped(f"an ICMP error with TTL 1 is not answered {v}",
                       error(family, nat.vip, kind, quote, ttl=1), "ttl_silent", nat)
        out += dropped(f"an ICMP error over its rate {v}",
                       error(family, nat.vip, kind, quote), "icmp_rate", nat,
                       setup=rate(STEERED, 7, 7))
        packet = error(family, nat.vip, kind, quote)
        out += forwarded(f"an ICMP error within its rate {v}", packet, nat.a,
                         to_backend(nat, nat.a, kind, from_backend(nat, nat.a), packet),
                         "icmp_error", setup=rate(STEERED, 7, 6), then=passed(STEERED, 7))
        ipip = SERVICES["ipip", family, TCP]
        out += dropped(f"an ICMP error too big for its tunnel is not answered {v}",
                       error(family, ipip.vip, kind, from_vip(ipip) + bytes(1380)),
                       "too_big_silent", ipip)
    host = SERVICES["host"]
    out += case("an ICMP error about no service of a VIP that is the host's address is the host's",
                error(4, host.vip, kinds(4)[0][1], from_vip(host, port=22)), "vip_of_host")
    out += case("an ICMP redirect is the kernel's",
                error(4, host.vip, ICMP(type=5), from_vip(host)), "vip_icmp")
    return out


def from_backends():
    out = []
    gateway = HOPS["gateway"]
    for family in (4, 6):
        for protocol in (TCP, UDP):
            service = SERVICES["nat", family, protocol]
            backend = service.a
            v = f"(IPv{family}, protocol {protocol})"
            for length in (None, 8):
                quote = sent(family, CLIENT[family], backend.address, protocol, PORT, backend.port,
                             length)
                known = sent(family, CLIENT[family], service.vip, protocol, PORT, service.port,
                             length)
                for text, kind in kinds(family)[:2]:
                    for source in (backend.address, ROUTER[family]):
                        packet = error(family, CLIENT[family], kind, quote, source)
                        after = Ether(bytes(error(family, CLIENT[family], kind, known,
                                                  service.vip)))
                        after.dst, after.src = gateway.destination, gateway.source
                        one_hop_less(ip_layer(after))
                        by = "a backend" if source == backend.address else "a router before it"
                        out += case(f"{text} from {by}, {length or 'all'} quoted {v}", packet,
                                    "icmp_reply", after, gateway.ifindex, (),
                                    [f"count-backend {backend.row} 0 0 0 0 1"
                                     f" {len(bytes(packet))} 0"])
        tcp, v = SERVICES["nat", family, TCP], f"(IPv{family})"
        kind = kinds(family)[0][1]
        quote = sent(family, CLIENT[family], tcp.a.address, TCP, PORT, tcp.a.port)
        packet = error(family, CLIENT[family], kind, quote, tcp.a.address)
        out += lost(f"from a backend, over the rate {v}", packet, "icmp_rate", tcp,
                    setup=rate(STEERED, 1, 1))
        out += lost(f"from a backend, TTL 1 {v}",
                    error(family, CLIENT[family], kind, quote, tcp.a.address, ttl=1), "ttl_silent",
                    tcp)
        out += case(f"from a backend to another than the quoted sender: the kernel's {v}",
                    error(family, ROUTER[family], kind, quote, tcp.a.address), "not_vip")
        other = sent(family, CLIENT[family], tcp.a.address, TCP, PORT, 22)
        out += case(f"from a backend about another port: the kernel's {v}",
                    error(family, CLIENT[family], kind, other, tcp.a.address), "not_vip")
        host = "10.1.0.200" if family == 4 else "fd00:1::200"
        inside = sent(family, host, tcp.a.address, TCP, PORT, tcp.a.port)
        out += case(f"from a backend to a `direct` prefix is left alone {v}",
                    error(family, host, kind, inside, tcp.a.address), "direct")
    return out


def quoted_headers():
    """The quote may have what any packet may have."""
    nat = SERVICES["nat", 6, TCP]
    kind = kinds(6)[1][1]

    def quote(address, port):
        return bytes(IPv6(src=address, dst=CLIENT[6]) / IPv6ExtHdrDestOpt()
                     / l4(TCP, port, PORT) / Raw(bytes(20)))

    packet = error(6, nat.vip, kind, quote(nat.vip, 80))
    after = to_backend(nat, nat.a, kind, quote(nat.a.address, nat.a.port), packet)
    return forwarded("an error that quotes an extension header", packet, nat.a, after,
                     "icmp_error")


def quoted_udp_checksum_of_zero(udp):
    """A payload word is chosen such that the checksum of what the backend sent computes to 0."""
    def quote(address, port, word):
        return bytes(ip(address, CLIENT[udp.family]) / l4(UDP, port, PORT)
                     / Raw(word.to_bytes(2, "big") + bytes(20)))

    def checksum(raw):
        return int.from_bytes(raw[-24:-22], "big")

    word = checksum(quote(udp.a.address, udp.a.port, 0))
    sent_by_backend = quote(udp.a.address, udp.a.port, word)
    assert checksum(sent_by_backend) == 0xffff
    kind = kinds(udp.family)[0][1]
    packet = error(udp.family, udp.vip, kind, quote(udp.vip, udp.port, word))
    return forwarded(f"a quoted UDP checksum that becomes 0 was ffff (IPv{udp.family})", packet,
                     udp.a, to_backend(udp, udp.a, kind, sent_by_backend, packet), "icmp_error")


def lines():
    zeros = [line for family in (4, 6)
             for line in quoted_udp_checksum_of_zero(SERVICES["nat", family, UDP])]
    return to_vips() + tracking() + refused() + from_backends() + quoted_headers() + zeros


__all__ = ["lines", "IP"]
