# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: what comes from a nat backend. Clients on 100.64.0.0/16 and 2001:db8:64::/48 are
# not in the mirrored routes: the driver's look-up answers, which for XDP is the kernel of
# the test's own namespace (run_xdp.c makes these routes), and for the native core the
# answer that stands in the case.
from case import ETHER, PAYLOAD, Ether, Raw, case, ip, l4, to_client
from world import CLIENT, DIRECT, HOP, HOPS, RETIRED, SERVICES, TCP, UDP, Hop, address, prefix_line

LINK = Hop(40, 10, 1400)  # the interface behind the kernel's routes


def reply(backend, destination=None, flags="SA", source_port=None, payload=PAYLOAD, **more):
    service = backend.service
    return (ETHER / ip(backend.address, destination or CLIENT[service.family], **more)
            / l4(service.protocol, source_port or backend.port, 40000, flags) / Raw(payload))


def replied(sentence, packet, backend, hop=None, rst=0, setup=(), out=None):
    service = backend.service
    hop = hop or HOPS["gateway"]
    frame_len = len(bytes(packet))
    out = out or to_client(service, packet, hop)
    return case(sentence, packet, "reply", out, hop.ifindex, setup,
                [f"count-backend {backend.row} 0 0 0 0 1 {frame_len} {rst}"])


def lost(sentence, packet, reason, service, setup=()):
    return case(sentence, packet, reason, None, 0, setup, [f"count-service {service.row} 0 0 0 1"])


def by_mirrored_routes():
    out = []
    for family in (4, 6):
        for protocol in (TCP, UDP):
            service = SERVICES["nat", family, protocol]
            out += replied(f"a reply: protocol {protocol} over IPv{family}", reply(service.b),
                           service.b)
        tcp = SERVICES["nat", family, TCP]
        v = f"(IPv{family})"
        out += replied(f"a reply to a client of whom the filter says that it may be a VIP {v}",
                       reply(tcp.a), tcp.a, setup=[f"filter {address(CLIENT[family])}"])
        out += replied(f"a backend's RST {v}", reply(tcp.a, flags="RA"), tcp.a, rst=1)
        host = "10.1.0.200" if family == 4 else "fd00:1::200"
        out += case(f"from a backend to a `direct` prefix {v}", reply(tcp.a, host), "direct")
        out += case(f"from another port of a backend: no reply {v}",
                    reply(tcp.a, source_port=22), "not_vip")
        out += case(f"from a retired backend: the kernel's {v}", reply(tcp.a), "not_vip",
                    setup=[tcp.a.line(state=RETIRED)])
        out += lost(f"a reply cut in its TCP header {v}",
                    bytes(reply(tcp.a))[:14 + (20 if family == 4 else 40) + 12], "truncated", tcp)
        out += case(f"a cut packet to a `direct` prefix is left alone {v}",
                    bytes(reply(tcp.a, host))[:14 + (20 if family == 4 else 40) + 12], "direct")
        out += lost(f"a route whose hop does not resolve {v}",
                    reply(tcp.a, "192.0.2.9" if family == 4 else "2001:db8:9::9"),
                    "hop_unresolved", tcp,
                    setup=[prefix_line("0.0.0.0/0" if family == 4 else "::/0", HOP, 0)])
    return out


def checksums():
    udp = SERVICES["nat", 4, UDP]
    packet = Ether(bytes(reply(udp.a)))
    packet[2].chksum = 0
    after = to_client(udp, packet)
    after[2].chksum = 0
    return replied("a UDP reply without checksum stays without", packet, udp.a, out=after)


def full_route_set():
    """32 prefixes: the last one is still read."""
    tcp4, tcp6 = SERVICES["nat", 4, TCP], SERVICES["nat", 6, TCP]
    many4 = [prefix_line(f"203.0.113.{200 + i}/32", DIRECT) for i in range(28)]
    many6 = [prefix_line(f"2001:db8:aaaa::{i}/128", DIRECT) for i in range(29)]
    gateway = HOPS["gateway"].row
    out = replied("the 32nd of the mirrored routes (IPv4)", reply(tcp4.a, "192.0.2.9"), tcp4.a,
                  setup=[*many4, prefix_line("0.0.0.0/0", HOP, gateway)])
    return out + replied("the 32nd of the mirrored routes (IPv6)",
                         reply(tcp6.a, "2001:db8:9::9"), tcp6.a,
                         setup=[*many6, prefix_line("::/0", HOP, gateway)])


def answer(reason, hop=None):
    return (f"answer reply {hop.ifindex} {hop.mtu} {hop.macs()}" if hop
            else f"answer {reason} 0 0 {bytes(12).hex()}")


def by_driver():
    out = []
    for family, client in ((4, "100.64.%d.9"), (6, "2001:db8:64:%d::9")):
        tcp = SERVICES["nat", family, TCP]
        v = f"(IPv{family})"
        out += replied(f"the kernel's route leads to a known neighbour {v}",
                       reply(tcp.a, client % 1), tcp.a, LINK, setup=[answer("reply", LINK)])
        for third, kind in ((2, "blackhole"), (3, "unreachable"), (4, "prohibit")):
            out += lost(f"the kernel's route is {kind} {v}", reply(tcp.a, client % third),
                        "route_refused", tcp, setup=[answer("route_refused")])
        out += case(f"the kernel must resolve the neighbour first {v}", reply(tcp.a, client % 5),
                    "route_neighbour", setup=[answer("route_neighbour")])
        out += lost(f"forwarding is off {v}", reply(tcp.a, client % 1), "forwarding_off", tcp,
                    setup=[answer("forwarding_off"), "forwarding 0"])
    out += case("the kernel has no route for it", reply(SERVICES["nat", 4, TCP].a, "100.65.0.1"),
                "route_local", setup=[answer("route_local")])
    return out


def lines():
    return by_mirrored_routes() + checksums() + full_route_set() + by_driver()
