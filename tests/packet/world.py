# SPDX-License-Identifier: BSD-2-Clause
#
# The world of the packet cases: the tables that every case starts from, and the
# flow hash, written apart from the core so that either shows an error of the other.
# Imported by make_cases.py. What a line of tables means: cases.c.
import ipaddress

KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
NOW = 10_000_000  # beyond 23 bits: the times of entries have wrapped
M64 = (1 << 64) - 1

TCP, UDP = 6, 17
ADAPTIVE, ALWAYS, NONE = 1, 2, 3
NAT, L2, IPIP, GUE = 1, 2, 3, 4
FREE, LIVE, RETIRED = 0, 1, 2
DOWN, RESET = 1, 2
EMBRYONIC, ESTABLISHED, CLOSING = 1, 2, 3
KNOWN, OF_HOST, ANY_PORT = 1, 2, 4
LOOKUP, HOP, DIRECT = 0, 1, 2


def siphash(key, message, c=2, d=4):
    """SipHash-c-d (Aumasson, Bernstein 2012), byte by byte as the paper has it."""

    def rotl(x, b):
        return (x << b | x >> (64 - b)) & M64

    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D,
         key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & M64
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & M64
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & M64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) & 255])
    for i in range(0, len(padded), 8):
        m = int.from_bytes(padded[i:i + 8], "little")
        v[3] ^= m
        rounds(c)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(d)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# The paper's appendix A, and the first of its reference implementation's vectors.
assert siphash(KEY, bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5
assert siphash(KEY, b"", 2, 4) == 0x726FDB47DD0E0E31


FLOW_KEYS = [siphash(KEY, i.to_bytes(8, "little")) for i in range(16)]


def flow_hashes(source, destination, source_port, destination_port, protocol):
    """Of each half of the keys: pair-multiply-shift (Thorup 2015), then a finalizer."""
    vip = bytes.fromhex(address(destination))
    mix = (int.from_bytes(vip[:8], "little") * 0x9E3779B97F4A7C15
           ^ int.from_bytes(vip[8:], "little") * 0xC2B2AE3D27D4EB4F) & M64 ^ protocol
    words = [int.from_bytes(ipaddress.ip_address(source).packed[i:i + 4], "little")
             for i in range(0, ipaddress.ip_address(source).max_prefixlen // 8, 4)]
    ports = int.from_bytes(source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big"),
                           "little")
    pairs = [(words[-1], ports)] + ([(words[0], words[1]), (words[2], 0)] if words[1:] else [])
    for keys in (FLOW_KEYS[:8], FLOW_KEYS[8:]):
        h = keys[6] + mix + sum((keys[2 * i] + odd) * (keys[2 * i + 1] + even)
                                for i, (even, odd) in enumerate(pairs)) & M64
        yield (h ^ h >> 32) * 0xFF51AFD7ED558CCD & M64


def flow_hash(*flow):
    """The first: its high half says the slot."""
    return next(flow_hashes(*flow))


def whole_hash(*flow):
    """Of an entry: the high halves of both."""
    first, second = flow_hashes(*flow)
    return first >> 32 << 32 | second >> 32


def address(text):
    """16 bytes as hex, IPv4 as ::ffff:a.b.c.d."""
    packed = ipaddress.ip_address(text).packed
    return (packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed).hex()


def slot_word(current, settled, lookup=0):
    return current | settled << 15 | lookup << 30


def entry_word(backend, slot, state, time_s):
    return backend | slot << 15 | state << 39 | (time_s & 0x7FFFFF) << 41


def fragment_line(key, backend, flow, reply=0, at=0, age=0):
    """What is remembered of a first fragment: @key is its packet's hash, @flow its flow's."""
    word = entry_word(backend, (flow & 0x7FFFFF) << 1 | reply, ESTABLISHED, NOW - age)
    return f"fragment {key:#x} {at} {key:#x} {word:#x}"


def fragment_hash(source, destination, identification, protocol):
    """IPv4 has 16 bits of identification, IPv6 32; they stand where ports would."""
    if ":" in source:
        return whole_hash(source, destination, identification >> 16, identification & 0xffff, 44)
    return whole_hash(source, destination, identification, 0, protocol)


def spread(flow):
    """What varies a tunnel of a fragmented packet, made of what is remembered of its flow."""
    return (flow & 0x7FFFFF) * 0x9E3779B97F4A7C15 & M64


def mac(n):
    return "02:00:00:00:00:%02x" % n


class Hop:
    def __init__(self, row, ifindex, mtu=1500):
        self.row, self.ifindex, self.mtu = row, ifindex, mtu
        self.destination, self.source = mac(row * 2), mac(row * 2 + 1)

    def macs(self):
        return (self.destination + self.source).replace(":", "")

    def line(self):
        return f"hop {self.row} {self.ifindex} {self.mtu} {self.macs()}"


class Backend:
    def __init__(self, row, at, port, hop, service):
        self.row, self.address, self.port, self.hop, self.service = row, at, port, hop, service
        self.family = ipaddress.ip_address(at).version

    def line(self, flags=0, state=LIVE, hop=None):
        s = self.service
        return (f"backend {self.row} {address(self.address)} {address(s.vip)} {self.port} {s.port}"
                f" {s.mode} {self.family} {s.protocol} {s.row}"
                f" {self.hop.row if hop is None else hop} {flags} {state}"
                f" {self.sums(bytes.fromhex(address(s.vip)), s.port)}")

    def sums(self, vip, vip_port):
        """Of an IPv4 header and of TCP or UDP; then the same of replies."""
        own = bytes.fromhex(address(self.address))
        ttls = bytes([2, 0]), bytes([1, 0])
        ports = vip_port.to_bytes(2, "big"), self.port.to_bytes(2, "big")
        return " ".join(map(str, (self.sum(vip + ttls[0], own + ttls[1]),
                                  self.sum(vip + ports[0], own + ports[1]),
                                  self.sum(own + ttls[0], vip + ttls[1]),
                                  self.sum(own + ports[1], vip + ports[0]))))

    @staticmethod
    def sum(before, after):
        """What a checksum changes by (RFC 1624, one's complement, words as they lie in memory)."""
        return sum(65535 - int.from_bytes(before[i:i + 2], "little")
                   + int.from_bytes(after[i:i + 2], "little")
                   for i in range(0, len(before), 2)) % 65535 or 65535


class Service:
    RING = 13

    def __init__(self, row, vip, protocol, port, mode, tracking, backends, hop, vip_bits=KNOWN):
        self.row, self.vip, self.protocol, self.port = row, vip, protocol, port
        self.mode, self.tracking, self.vip_bits = mode, tracking, vip_bits
        self.family = ipaddress.ip_address(vip).version
        self.offset = row * 16
        self.a, self.b = (Backend(row * 2 + i, at, at_port, hop, self)
                          for i, (at, at_port) in enumerate(backends))

    def line(self, tracking=None, idle=900):
        tracking = self.tracking if tracking is None else tracking
        return (f"service {self.row} {self.offset} {self.RING} {idle} {tracking} {self.protocol}\n"
                f"index {address(self.vip)} {self.protocol} {self.port} {self.word(tracking)}")

    def word(self, tracking=None):
        """What the index says of it."""
        tracking = self.tracking if tracking is None else tracking
        return (self.row + (0 if tracking == NONE else tracking) * 2**18
                + self.offset // 16 * 2**20 + self.RING * 2**40)

    def hash(self, source, source_port, port=None):
        return flow_hash(source, self.vip, source_port, port or self.port, self.protocol)

    def whole_hash(self, source, source_port):
        return whole_hash(source, self.vip, source_port, self.port, self.protocol)

    def slot(self, flow):
        return self.offset + ((flow >> 32) * self.RING >> 32)

    def ring(self, current, settled, lookup=0):
        return f"slots {self.offset} {self.RING} {slot_word(current, settled, lookup):#x}"

    def lines(self):
        lines = [self.line(), self.ring(self.a.row, self.a.row), self.a.line(), self.b.line(),
                 f"index {address(self.vip)} 0 0 {self.vip_bits}", f"filter {address(self.vip)}"]
        if self.mode == NAT:
            lines += [f"reverse {address(b.address)} {self.protocol} {b.port} {b.row}"
                      for b in (self.a, self.b)]
        return lines


# The interface that a packet comes in by is 1; a hop there goes back out of it.
HOPS = {name: Hop(row, ifindex) for row, (name, ifindex) in
        enumerate([("nat", 7), ("same", 1), ("tunnel", 8), ("gateway", 9)], 1)}


def make_services():
    """A service for each family, protocol and mode; two more for VIPs of other kinds."""
    services, row = {}, 1
    kinds = [("nat", NAT, 10, "10.1.0.%d", "fd00:1::%d", "nat"),
             ("l2", L2, 20, "10.2.0.%d", "fd00:2::%d", "same"),
             ("ipip", IPIP, 30, "10.3.0.%d", "fd00:3::%d", "tunnel"),
             ("cross", IPIP, 40, "fd00:3::%d", "10.3.0.%d", "tunnel"),
             ("gue", GUE, 70, "10.3.0.%d", "fd00:3::%d", "tunnel"),
             ("crossgue", GUE, 80, "fd00:3::%d", "10.3.0.%d", "tunnel")]
    for name, mode, host, at4, at6, hop in kinds:
        for family, vip, at in ((4, f"203.0.113.{host}", at4), (6, f"2001:db8:53::{host}", at6)):
            for protocol, port, tracking in ((TCP, 80, ADAPTIVE), (UDP, 53, NONE)):
                at_port = port + 8000 if mode == NAT else port
                services[name, family, protocol] = Service(
                    row, vip, protocol, port, mode, tracking,
                    [(at % 11, at_port), (at % 12, at_port)], HOPS[hop])
                row += 1
    services["any"] = Service(row, "203.0.113.50", TCP, 0, L2, ADAPTIVE,
                              [("10.2.0.11", 0), ("10.2.0.12", 0)], HOPS["same"],
                              KNOWN | ANY_PORT)
    services["host"] = Service(row + 1, "203.0.113.60", TCP, 80, L2, ADAPTIVE,
                               [("10.2.0.11", 80), ("10.2.0.12", 80)], HOPS["same"],
                               KNOWN | OF_HOST)
    return services


SERVICES = make_services()
CLIENT = {4: "198.51.100.7", 6: "2001:db8:c::7"}


def prefix_line(prefix, kind, hop=0):
    net = ipaddress.ip_network(prefix)
    if net.version == 4:
        return (f"route4 {net.network_address.packed.hex()} {net.netmask.packed.hex()}"
                f" {kind} {hop}")
    return f"route6 {net.network_address.packed.hex()} {net.netmask.packed.hex()} {kind} {hop}"


def world_lines():
    lines = [f"now {NOW}", f"key {KEY[0]:#x} {KEY[1]:#x} {' '.join(map(hex, FLOW_KEYS))}",
             f"source4 {address('192.0.2.64')} {bytes(15).hex()}3f",
             f"source6 {address('2001:db8:7::')} {bytes(8).hex()}{'ff' * 8}", "gue-port 6080"]
    lines += [hop.line() for hop in HOPS.values()]
    for service in SERVICES.values():
        lines += service.lines()
    return lines + [
        prefix_line("10.1.0.0/28", LOOKUP),
        prefix_line("10.1.0.0/16", DIRECT),
        prefix_line("198.51.100.0/24", HOP, HOPS["gateway"].row),
        prefix_line("fd00:1::/64", DIRECT),
        prefix_line("2001:db8:c::/48", HOP, HOPS["gateway"].row)]
