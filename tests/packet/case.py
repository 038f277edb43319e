# SPDX-License-Identifier: BSD-2-Clause
#
# How a packet case is written down: case() gives its lines for cases.txt. Imported by
# the cases_*.py, which have the cases themselves. What a line means: cases.c.
import logging

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP as Tcp, UDP as Udp  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

from world import CLIENT, HOPS, TCP, mac  # noqa: E402

PAYLOAD = bytes(range(48, 75))
ETHER = Ether(dst=mac(0xA0), src=mac(0xA1))


def ip(source, destination, ttl=64, tos=0, **more):
    if ":" in destination:
        return IPv6(src=source, dst=destination, hlim=ttl, tc=tos, **more)
    return IP(src=source, dst=destination, ttl=ttl, tos=tos, id=0x1234, **more)


def l4(protocol, source_port, destination_port, flags="A", **more):
    if protocol == TCP:
        return Tcp(sport=source_port, dport=destination_port, flags=flags, seq=1000, ack=2000,
                   **more)
    return Udp(sport=source_port, dport=destination_port, **more)


def request(service, flags="A", port=None, source=None, source_port=40000, ip_flags=None,
            **ip_more):
    """From a client to a service's VIP, as it arrives."""
    if ip_flags:
        ip_more["flags"] = ip_flags
    return (ETHER / ip(source or CLIENT[service.family], service.vip, **ip_more)
            / l4(service.protocol, source_port, port or service.port, flags) / Raw(PAYLOAD))


def ether(hop):
    return Ether(dst=hop.destination, src=hop.source)


def ip_layer(frame):
    return frame[IP] if IP in frame else frame[IPv6]


def one_hop_less(layer):
    if layer.version == 4:
        layer.ttl -= 1
        del layer.chksum
    else:
        layer.hlim -= 1


def l4_layer(frame):
    return frame[Tcp] if Tcp in frame else frame[Udp] if Udp in frame else None


def to_backend(service, backend, packet):
    """What a nat or l2 backend must receive of @packet: made anew, checksums by scapy."""
    out = Ether(bytes(packet))
    out[0].dst, out[0].src = backend.hop.destination, backend.hop.source
    layer = ip_layer(out)
    one_hop_less(layer)
    if service.mode == 1:
        layer.dst = backend.address
        l4_layer(out).dport = backend.port
        del l4_layer(out).chksum
    return out


def to_client(service, packet, hop=None):
    """What a client must receive of a nat backend's reply."""
    out = Ether(bytes(packet))
    hop = hop or HOPS["gateway"]
    out[0].dst, out[0].src = hop.destination, hop.source
    layer = ip_layer(out)
    layer.src = service.vip
    one_hop_less(layer)
    l4_layer(out).sport = service.port
    del l4_layer(out).chksum
    return out


def count_backend(backend, frame_len, syn=0, untracked=0):
    return [f"count-backend {backend.row} 1 {frame_len} {syn} {untracked} 0 0 0"]


def case(sentence, packet, reason, out=None, ifindex=0, setup=(), then=()):
    """@reason: its name in reason.h, small. @then: the counters (but the reason's) and what else
    the packet must have changed in the tables. @out: None where it ends here or is passed on."""
    lines = [f"case {sentence}", *setup, f"in {bytes(packet).hex()}", f"reason {reason} {ifindex}"]
    if out is not None:
        lines.append(f"out {bytes(out).hex()}")
    return lines + [f"then {line}" for line in then]


def forwarded(sentence, packet, backend, out, reason="current", syn=0, untracked=0, setup=(),
              then=()):
    """Sent to @backend, and counted there."""
    return case(sentence, packet, reason, out, backend.hop.ifindex, setup,
                [*count_backend(backend, len(bytes(packet)), syn, untracked), *then])


def dropped(sentence, packet, reason, service=None, setup=(), then=()):
    counted = [f"count-service {service.row} 0 0 0 1"] if service else []
    return case(sentence, packet, reason, None, 0, setup, [*counted, *then])


def answered(sentence, packet, reason, out, service=None, setup=(), then=()):
    """Goes back where it came from, as @out. @service: whose it was, where that was known."""
    counted = [f"count-service {service.row} 0 0 0 1"] if service else []
    return case(sentence, packet, reason, out, 0, setup, [*counted, *then])


__all__ = ["ETHER", "Ether", "answered", "ip_layer", "one_hop_less", "l4_layer", "ICMP", "IP", "IPv6", "PAYLOAD", "Raw", "Tcp", "Udp", "case",
           "count_backend", "dropped", "ether", "forwarded", "ip", "l4", "request", "to_backend",
           "to_client"]
