# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: what the dataplane answers itself, and what it must not answer. Answers are made by
# scapy from the packet that came, by what the RFCs say; checksums too.
from case import (ETHER, Ether, ICMP, IP, IPv6, PAYLOAD, Raw, Tcp, Udp, answered, case, dropped,
                  ip, ip_layer, l4, request)
from cases_reply import LINK, answer, reply
from world import CLIENT, GUE, IPIP, L2, NAT, NOW, SERVICES, TCP, UDP

from scapy.layers.inet import IPOption
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest,
                                ICMPv6PacketTooBig, ICMPv6TimeExceeded)
from scapy.layers.l2 import Dot1Q

ECHO, STEERED, REFUSED, ERROR = range(4)
REJECT = 1


def rate(kind, most, passed=0):
    """@most a second, and @passed of them in this one."""
    lines = [f"rate {kind} {most}"]
    return lines + ([f"limit {kind} {NOW} {passed}"] if passed else [])


def passed(kind, n):
    return [f"limit {kind} {NOW} {n}"]


def back(frame):
    """Ethernet of the answer: addresses swapped, tags kept."""
    frame = Ether(bytes(frame))
    out, layer = Ether(dst=frame.src, src=frame.dst), frame.payload
    if isinstance(layer, Dot1Q):
        out.type = frame.type
    while isinstance(layer, Dot1Q):
        tag = layer.copy()
        tag.remove_payload()
        out, layer = out / tag, layer.payload
    return out


def reset(packet):
    frame = Ether(bytes(packet))
    layer, tcp = ip_layer(frame), frame[Tcp]
    if layer.version == 4:
        header = IP(src=layer.dst, dst=layer.src, ttl=64, id=0, flags="DF")
        length = layer.len - layer.ihl * 4 - tcp.dataofs * 4
    else:
        header = IPv6(src=layer.dst, dst=layer.src, hlim=64)
        length = layer.plen - tcp.dataofs * 4
    flags = str(tcp.flags)
    length += ("S" in flags) + ("F" in flags)
    sent = ({"seq": tcp.ack, "ack": 0, "flags": "R"} if "A" in flags
            else {"seq": 0, "ack": tcp.seq + length & 0xffffffff, "flags": "RA"})
    return back(frame) / header / Tcp(sport=tcp.dport, dport=tcp.sport, window=0, **sent)


def error(packet, kind, mtu=0, source=None):
    """@kind: port, big, ttl."""
    frame = Ether(bytes(packet))
    layer = ip_layer(frame)
    raw = bytes(packet)
    at = 14
    while raw[at - 2:at] in (b"\x81\x00", b"\x88\xa8"):
        at += 4
    length = layer.len if layer.version == 4 else 40 + layer.plen
    if layer.version == 4:
        quote = raw[at:at + min(length, 548) // 4 * 4]
        kinds = {"port": ICMP(type=3, code=3), "big": ICMP(type=3, code=4, nexthopmtu=mtu),
                 "ttl": ICMP(type=11, code=0)}
        header = IP(src=source or layer.dst, dst=layer.src, ttl=64, id=0, flags="DF", tos=0xc0)
    else:
        quote = raw[at:at + min(length, 1232) // 4 * 4]
        kinds = {"port": ICMPv6DestUnreach(code=4), "big": ICMPv6PacketTooBig(mtu=mtu),
                 "ttl": ICMPv6TimeExceeded(code=0)}
        header = IPv6(src=source or layer.dst, dst=layer.src, hlim=64)
    return back(frame) / header / kinds[kind] / Raw(quote)


def echo_request(family, vip, payload=PAYLOAD, **more):
    asked = (ICMP(type=8, id=77, seq=3) / Raw(payload) if family == 4
             else ICMPv6EchoRequest(id=77, seq=3, data=payload))
    return ETHER / ip(CLIENT[family], vip, **more) / asked


def echo_reply(packet):
    frame = Ether(bytes(packet))
    layer = ip_layer(frame)
    data = bytes(layer.payload)[8:]
    if layer.version == 4:
        header = IP(src=layer.dst, dst=layer.src, ttl=64, id=layer.id, flags=layer.flags,
                    tos=layer.tos)
        return back(frame) / header / ICMP(type=0, id=77, seq=3) / Raw(data)
    header = IPv6(src=layer.dst, dst=layer.src, hlim=64, tc=layer.tc)
    return back(frame) / header / ICMPv6EchoReply(id=77, seq=3, data=data)


def echoes():
    out = []
    for family in (4, 6):
        vip, v = SERVICES["nat", family, TCP].vip, f"(IPv{family})"
        packet = echo_request(family, vip, tos=0x48)
        out += answered(f"echo to a VIP is answered {v}", packet, "echo", echo_reply(packet))
        packet = echo_request(family, vip, bytes(1200))
        out += answered(f"echo of 1200 bytes, all of them returned {v}", packet, "echo",
                        echo_reply(packet))
        packet = echo_request(family, vip, b"\x01")
        out += answered(f"echo of one byte {v}", packet, "echo", echo_reply(packet))
        tagged = Ether(dst=ETHER.dst, src=ETHER.src) / Dot1Q(vlan=9) / packet.payload
        out += answered(f"echo in a VLAN goes back into it {v}", tagged, "echo",
                        echo_reply(tagged))
        out += answered(f"echo within its rate {v}", packet, "echo", echo_reply(packet),
                        setup=rate(ECHO, 2, 1), then=passed(ECHO, 2))
        out += dropped(f"echo over its rate {v}", packet, "echo_rate", setup=rate(ECHO, 2, 2))
        out += answered(f"a new second has its own rate {v}", packet, "echo", echo_reply(packet),
                        setup=[f"rate {ECHO} 2", f"limit {ECHO} {NOW - 1} 2"],
                        then=passed(ECHO, 1))
        many = Ether(dst="01:00:5e:00:00:01", src=ETHER.src) / packet.payload
        out += case(f"echo that a link's many got is not answered here {v}", many, "vip_icmp")
        out += case(f"echo to no VIP is the kernel's {v}",
                    echo_request(family, "192.0.2.1" if family == 4 else "2001:db8:99::1"),
                    "not_vip")
    # Nothing but zeros has the sum 0, and so the checksum ffff; no mending says so by itself.
    zeros = bytes(16)
    asked = ETHER / ip(CLIENT[4], SERVICES["nat", 4, TCP].vip) / ICMP(type=8) / Raw(zeros)
    told = echo_reply(asked)
    told[ICMP].id = told[ICMP].seq = 0
    out += answered("echo of zeros: the reply has the checksum ffff", asked, "echo", told)
    out += dropped("echo from a multicast address",
                   ETHER / IP(src="224.0.0.5", dst=SERVICES["nat", 4, TCP].vip) / ICMP(type=8),
                   "source")
    out += case("echo with IPv4 options is the kernel's",
                ETHER / IP(src=CLIENT[4], dst=SERVICES["nat", 4, TCP].vip,
                           options=[IPOption(b"\x01\x01\x01\x00")]) / ICMP(type=8), "vip_icmp")
    out += case("an echo reply to a VIP is the kernel's",
                ETHER / ip(CLIENT[4], SERVICES["nat", 4, TCP].vip) / ICMP(type=0), "vip_icmp")
    out += dropped("an ICMP header cut in two",
                   bytes(ETHER / ip(CLIENT[4], SERVICES["nat", 4, TCP].vip)
                         / ICMP(type=8))[:14 + 20 + 5], "truncated")
    return out


def refusals():
    out = []
    for family in (4, 6):
        tcp, udp = SERVICES["nat", family, TCP], SERVICES["nat", family, UDP]
        v = f"(IPv{family})"
        for flags, text in (("S", "SYN"), ("A", "ACK"), ("F", "FIN"), ("SF", "SYN and FIN"),
                            ("PA", "data"), ("", "no flag")):
            packet = request(tcp, flags, port=81)
            out += answered(f"a port without service, {text}: RST {v}", packet, "refused_port",
                            reset(packet))
        packet = request(tcp, "R", port=81)
        out += dropped(f"a RST is never answered {v}", packet, "no_service")
        packet = request(udp, port=54)
        out += answered(f"UDP to a port without service: port unreachable {v}", packet,
                        "refused_port", error(packet, "port"))
        packet = ETHER / ip(CLIENT[family], udp.vip) / l4(UDP, 4000, 54) / Raw(bytes(1400))
        out += answered(f"a port unreachable quotes no more than it may {v}", packet,
                        "refused_port", error(packet, "port"))
        packet = ETHER / ip(CLIENT[family], udp.vip) / l4(UDP, 4000, 54) / Raw(bytes(7))
        out += answered(f"a quote is a multiple of four bytes {v}", packet, "refused_port",
                        error(packet, "port"))
        for service, text in ((tcp, "TCP"), (udp, "UDP")):
            packet = request(service, "S")
            empty = [service.ring(0, 0)]
            out += dropped(f"no backend, and not to be refused, {text} {v}", packet, "no_backend",
                           service, setup=empty)
            refused = reset(packet) if service is tcp else error(packet, "port")
            out += answered(f"no backend: refused, {text} {v}", packet, "refused_backend", refused,
                            service, setup=[*empty, f"flags {service.row} {REJECT}"])
        packet = request(tcp, "S", port=81)
        out += dropped(f"refusals over their rate {v}", packet, "refused_rate",
                       setup=rate(REFUSED, 3, 3))
        out += dropped(f"no backend, refusals over their rate {v}", request(tcp, "S"),
                       "refused_rate", tcp,
                       setup=[tcp.ring(0, 0), f"flags {tcp.row} {REJECT}", *rate(REFUSED, 3, 3)])
        many = Ether(dst="33:33:00:00:00:01", src=ETHER.src) / packet.payload
        out += dropped(f"what a link's many got is refused in silence {v}", many, "no_service")
        out += dropped(f"a refusal to a source that is none {v}",
                       request(tcp, "S", port=81,
                               source="127.0.0.1" if family == 4 else "::1"), "source")
        tagged = Ether(dst=ETHER.dst, src=ETHER.src) / Dot1Q(vlan=5) / packet.payload
        out += answered(f"a RST goes back into its VLAN {v}", tagged, "refused_port",
                        reset(tagged))
    options = (ETHER / IP(src=CLIENT[4], dst=SERVICES["nat", 4, TCP].vip,
                          options=[IPOption(b"\x01\x01\x01\x00")]) / l4(TCP, 40000, 81, "S"))
    out += answered("a RST to a packet with IPv4 options has none", options, "refused_port",
                    reset(options))
    seq = ETHER / ip(CLIENT[4], SERVICES["nat", 4, TCP].vip) / Tcp(
        sport=4000, dport=81, flags="S", seq=0xffffffff) / Raw(bytes(3))
    out += answered("a RST whose acknowledgement wraps", seq, "refused_port", reset(seq))
    return out


GROW = {NAT: {4: 0, 6: 0}, L2: {4: 0, 6: 0}, IPIP: {4: 20, 6: 40}, GUE: {4: 28, 6: 48}}


def too_big():
    out = []
    for name in ("nat", "l2", "ipip", "cross", "gue", "crossgue"):
        for family in (4, 6):
            service = SERVICES[name, family, UDP]
            grow = GROW[service.mode][service.a.family]
            mtu = 1500 - grow
            room = mtu - (28 if family == 4 else 48)
            v = f"in {name} (IPv{family})"
            base = ETHER / ip(CLIENT[family], service.vip, **({"flags": "DF"} if family == 4 else {}))
            packet = base / l4(UDP, 40000, 53) / Raw(bytes(room + 1))
            out += answered(f"one byte too many {v}", packet, "too_big", error(packet, "big", mtu),
                            service)
    for family in (4, 6):
        service = SERVICES["ipip", family, UDP]
        v = f"(IPv{family})"
        base = ETHER / ip(CLIENT[family], service.vip, **({"flags": "DF"} if family == 4 else {}))
        packet = base / l4(UDP, 40000, 53) / Raw(bytes(1460))
        out += dropped(f"too big, over the rate of errors {v}", packet, "answer_rate", service,
                       setup=rate(ERROR, 5, 5))
        many = Ether(dst="33:33:00:00:00:01", src=ETHER.src) / packet.payload
        out += dropped(f"too big, but to a link's many {v}", many, "too_big_silent", service)
    service = SERVICES["ipip", 4, UDP]
    packet = ETHER / ip(CLIENT[4], service.vip) / l4(UDP, 40000, 53) / Raw(bytes(1460))
    out += answered("IPv4 that might be cut is not, and is counted apart", packet, "too_big_no_df",
                    error(packet, "big", 1480), service)
    service = SERVICES["ipip", 6, UDP]
    small = f"hop {service.a.hop.row} {service.a.hop.ifindex} 1300 {service.a.hop.macs()}"
    base = ETHER / ip(CLIENT[6], service.vip)
    packet = base / l4(UDP, 40000, 53) / Raw(bytes(1280 - 48))
    out += dropped("1280 bytes of IPv6 that do not fit are the operator's to mend", packet,
                   "too_big_minimum", service, setup=[small])
    packet = base / l4(UDP, 40000, 53) / Raw(bytes(1281 - 48))
    out += answered("no smaller MTU than 1280 is told to IPv6", packet, "too_big",
                    error(packet, "big", 1280), service, setup=[small])
    for family in (4, 6):
        tcp = SERVICES["nat", family, TCP]
        v = f"(IPv{family})"
        more = {"flags": "DF"} if family == 4 else {}
        big = 1500 - (40 if family == 4 else 60) + 1
        packet = (ETHER / ip(tcp.a.address, CLIENT[family], **more)
                  / l4(TCP, tcp.a.port, 40000) / Raw(bytes(big)))
        out += answered(f"a reply that is too big {v}", packet, "too_big",
                        error(packet, "big", 1500, tcp.vip), tcp)
        client = "100.64.1.9" if family == 4 else "2001:db8:64:1::9"
        packet = (ETHER / ip(tcp.a.address, client, **more) / l4(TCP, tcp.a.port, 40000)
                  / Raw(bytes(1400)))
        out += answered(f"too big for the kernel's route {v}", packet, "too_big",
                        error(packet, "big", 1400, tcp.vip), tcp,
                        setup=[f"answer reply {LINK.ifindex} {LINK.mtu} {LINK.macs()}"])
    return out


def ttl():
    out = []
    for family in (4, 6):
        v = f"(IPv{family})"
        for name in ("nat", "l2"):
            service = SERVICES[name, family, TCP]
            for value in (0, 1):
                packet = request(service, ttl=value)
                out += answered(f"TTL {value} in {name} {v}", packet, "ttl", error(packet, "ttl"),
                                service)
            many = Ether(dst="33:33:00:00:00:01", src=ETHER.src) / packet.payload
            out += dropped(f"TTL 1 in {name}, to a link's many {v}", many, "ttl_silent", service)
        service = SERVICES["nat", family, TCP]
        out += dropped(f"TTL 1, over the rate of errors {v}", request(service, ttl=1),
                       "answer_rate", service, setup=rate(ERROR, 1, 1))
        packet = reply(service.a, ttl=1)
        out += answered(f"a reply with TTL 1 {v}", packet, "ttl",
                        error(packet, "ttl", 0, service.vip), service)
        client = "100.64.1.9" if family == 4 else "2001:db8:64:1::9"
        packet = reply(service.a, client, ttl=1)
        out += answered(f"the kernel's route, TTL 1 {v}", packet, "ttl",
                        error(packet, "ttl", 0, service.vip), service,
                        setup=[answer("reply", LINK)])
    return out


def lines():
    return echoes() + refusals() + too_big() + ttl()
