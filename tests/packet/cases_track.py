# SPDX-License-Identifier: BSD-2-Clause
#
# Cases: tracking on demand, packet by packet: slots in each state, entries in each state.
from case import dropped, forwarded, request, to_backend
from world import (ALWAYS, CLIENT, CLOSING, DOWN, EMBRYONIC, ESTABLISHED, NOW, RESET, RETIRED,
                   SERVICES, TCP, UDP, entry_word)

IDLE = 900
FLOW_PORT = 40000
BUSY = 0


class Flow:
    """The flow of request(service): its slot, its line, and lines about its entry."""

    def __init__(self, service):
        self.service = service
        self.hash = service.whole_hash(CLIENT[service.family], FLOW_PORT)
        self.slot = service.slot(self.hash)

    def entry(self, backend, state, age=0, at=0):
        """A line for setup or then."""
        word = entry_word(backend.row, self.slot, state, NOW - age)
        return f"entry {self.hash:#x} {at} {self.hash:#x} {word:#x}"

    def stranger(self, at, state, age, slot=None):
        """An entry of another flow in this flow's line; of a slot of the same ring by default."""
        word = entry_word(self.service.b.row, self.service.offset if slot is None else slot, state,
                          NOW - age)
        return f"entry {self.hash:#x} {at} {at + 1:#x} {word:#x}"

    def stamp(self):
        return f"time {self.slot} {NOW}"


def moved(service, tracking=None):
    """New flows go to b, old ones live on a."""
    return [service.line(tracking), service.ring(service.b.row, service.a.row, 1)]


def tcp(sentence, flags, backend, reason, setup, then, service=None, untracked=0):
    service = service or SERVICES["nat", 4, TCP]
    packet = request(service, flags)
    syn = 1 if flags == "S" else 0
    return forwarded(sentence, packet, backend, to_backend(service, backend, packet), reason, syn,
                     untracked, setup, then)


def without_entry():
    out = []
    for family in (4, 6):
        s = SERVICES["nat", family, TCP]
        f = Flow(s)
        v = f"(IPv{family})"
        out += tcp(f"transition: a SYN goes to current and is tracked {v}", "S", s.b, "new",
                   moved(s), [f.entry(s.b, EMBRYONIC)], s)
        for flags in ("A", "SA", "FA", "R"):
            out += tcp(f"transition: {flags} without entry goes to settled and stamps its slot {v}",
                       flags, s.a, "settled", moved(s), [f.stamp()], s, untracked=1)
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    out += tcp("lookup set, current and settled equal: a SYN is tracked all the same", "S", s.a,
               "new", [s.ring(s.a.row, s.a.row, 1)], [f.entry(s.a, EMBRYONIC)])
    out += tcp("the slot's time is of this second already", "A", s.a, "settled",
               [*moved(s), f.stamp()], [], untracked=1)
    out += dropped("transition to nothing: a SYN finds no backend", request(s, "S"), "no_backend",
                   s, setup=[s.ring(0, s.a.row, 1)])
    out += tcp("transition to nothing: old flows live on", "A", s.a, "settled",
               [s.ring(0, s.a.row, 1)], [f.stamp()], untracked=1)
    out += dropped("transition from nothing: an old flow has no backend, stamps nothing",
                   request(s, "A"), "no_backend", s, setup=[s.ring(s.b.row, 0, 1)])
    return out


def with_entry():
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    out = []
    for age in (0, 5, 10):
        out += tcp(f"an embryonic entry of {age} s: its first ACK establishes it", "A", s.b,
                   "tracked", [*moved(s), f.entry(s.b, EMBRYONIC, age)],
                   [f.entry(s.b, ESTABLISHED)])
    out += tcp("a retransmitted SYN follows its embryonic entry", "S", s.a, "tracked",
               [*moved(s), f.entry(s.a, EMBRYONIC, 3)], [f.entry(s.a, EMBRYONIC)])
    out += tcp("a duplicate SYN follows an established entry", "S", s.a, "tracked",
               [*moved(s), f.entry(s.a, ESTABLISHED, 3)], [f.entry(s.a, ESTABLISHED)])
    out += tcp("an established entry is refreshed", "A", s.b, "tracked",
               [*moved(s), f.entry(s.b, ESTABLISHED, IDLE)], [f.entry(s.b, ESTABLISHED)])
    for flags in ("FA", "R", "RA"):
        out += tcp(f"{flags} makes an entry closing", flags, s.b, "tracked",
                   [*moved(s), f.entry(s.b, ESTABLISHED, 2)], [f.entry(s.b, CLOSING)])
    out += tcp("an ACK gives a closing entry its full life again", "A", s.b, "tracked",
               [*moved(s), f.entry(s.b, CLOSING, 9)], [f.entry(s.b, ESTABLISHED)])
    out += tcp("a SYN on a closing entry is decided anew, in the same entry", "S", s.b, "new",
               [*moved(s), f.entry(s.a, CLOSING, 3)], [f.entry(s.b, EMBRYONIC)])
    out += tcp("a time that lies ahead (another CPU's clock) is not old", "A", s.b, "tracked",
               [*moved(s), f.entry(s.b, ESTABLISHED, -1)], [f.entry(s.b, ESTABLISHED)])
    out += tcp("a half-closed connection is found when it was silent for long", "A", s.b, "tracked",
               [*moved(s), f.entry(s.b, CLOSING, 60)], [f.entry(s.b, ESTABLISHED)])
    out += tcp("an entry is found in the last place of its line", "A", s.b, "tracked",
               [*moved(s), f.entry(s.b, ESTABLISHED, 1, at=3)],
               [f.entry(s.b, ESTABLISHED, at=3)])
    return out


def expired():
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    out = []
    for state, name, life in ((EMBRYONIC, "embryonic", 10), (ESTABLISHED, "established", IDLE),
                              (CLOSING, "closing", IDLE)):
        out += tcp(f"an expired {name} entry is a miss", "A", s.a, "settled",
                   [*moved(s), f.entry(s.b, state, life + 1)], [f.stamp()], untracked=1)
        out += tcp(f"a SYN takes the place of an expired {name} entry", "S", s.b, "new",
                   [*moved(s), f.entry(s.a, state, life + 1)], [f.entry(s.b, EMBRYONIC)])
    busy = f.entry(s.b, BUSY, 0).rsplit(" ", 1)[0] + f" {entry_word(0, f.slot, BUSY, NOW):#x}"
    out += tcp("a busy entry is a miss", "A", s.a, "settled", [*moved(s), busy], [f.stamp()],
               untracked=1)
    other = entry_word(s.b.row, s.offset + 12 if f.slot != s.offset + 12 else s.offset,
                       ESTABLISHED, NOW)
    out += tcp("an entry of another slot is not this flow's", "A", s.a, "settled",
               [*moved(s), f"entry {f.hash:#x} 0 {f.hash:#x} {other:#x}"], [f.stamp()],
               untracked=1)
    return out


def crowded():
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    live = [f.stranger(at, ESTABLISHED, 1) for at in range(4)]
    out = tcp("a line full of live entries: a SYN goes to settled and stamps", "S", s.a, "crowded",
              [*moved(s), *live], [f.stamp()], untracked=1)
    out += tcp("an expired entry of the same service gives its place", "S", s.b, "new",
               [*moved(s), *live, f.stranger(2, ESTABLISHED, IDLE + 1)],
               [f.entry(s.b, EMBRYONIC, at=2)])
    out += tcp("an expired embryonic entry of any service gives its place", "S", s.b, "new",
               [*moved(s), *live, f.stranger(1, EMBRYONIC, 11, slot=3)],
               [f.entry(s.b, EMBRYONIC, at=1)])
    out += tcp("a closing entry gives its place after 10 s, of any service", "S", s.b, "new",
               [*moved(s), *live, f.stranger(1, CLOSING, 11, slot=3)],
               [f.entry(s.b, EMBRYONIC, at=1)])
    out += tcp("a closing entry keeps its place for 10 s", "S", s.a, "crowded",
               [*moved(s), *live, f.stranger(1, CLOSING, 10)], [f.stamp()], untracked=1)
    out += tcp("a closing entry gives its place only where there is no other", "S", s.b, "new",
               [*moved(s), *live[:3], f.stranger(1, CLOSING, 11)],
               [f.entry(s.b, EMBRYONIC, at=3)])
    out += tcp("an old entry of another service may live longer: it stays", "S", s.a, "crowded",
               [*moved(s), *live, f.stranger(1, ESTABLISHED, IDLE + 1, slot=3)], [f.stamp()],
               untracked=1)
    return out + dropped("crowded, and nothing settled", request(s, "S"), "no_backend", s,
                         setup=[s.ring(s.b.row, 0, 1), *live])


def down():
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    reset, keep = s.a.line(flags=DOWN | RESET), s.a.line(flags=DOWN)
    out = tcp("reset: an entry that names a down backend is a miss, and stays", "A", s.b, "settled",
              [s.ring(s.b.row, s.b.row, 1), reset, f.entry(s.a, ESTABLISHED, 1)], [f.stamp()],
              untracked=1)
    out += tcp("reset: a SYN on such an entry is decided anew in it", "S", s.b, "new",
               [s.ring(s.b.row, s.b.row, 1), reset, f.entry(s.a, ESTABLISHED, 1)],
               [f.entry(s.b, EMBRYONIC)])
    out += tcp("keep: an entry that names a down backend holds", "A", s.a, "tracked",
               [s.ring(s.b.row, s.b.row, 1), keep, f.entry(s.a, ESTABLISHED, 1)],
               [f.entry(s.a, ESTABLISHED)])
    out += tcp("keep: a SYN on such an entry is decided anew in it", "S", s.b, "new",
               [s.ring(s.b.row, s.b.row, 1), keep, f.entry(s.a, ESTABLISHED, 1)],
               [f.entry(s.b, EMBRYONIC)])
    out += dropped("reset, and no backend left: a SYN leaves the entry as it is", request(s, "S"),
                   "no_backend", s, setup=[s.ring(0, 0, 1), reset, f.entry(s.a, ESTABLISHED, 1)])
    out += dropped("an entry that names a retired backend, which it does not refresh", request(s),
                   "backend_gone", s,
                   setup=[*moved(s), s.a.line(state=RETIRED), f.entry(s.a, ESTABLISHED, 1)])
    return out + tcp("a SYN on an entry that names a retired backend is decided anew", "S", s.b,
                     "new", [*moved(s), s.a.line(state=RETIRED), f.entry(s.a, ESTABLISHED, 1)],
                     [f.entry(s.b, EMBRYONIC)])


def always():
    s = SERVICES["nat", 4, TCP]
    f = Flow(s)
    on = s.line(ALWAYS)
    live = [f.stranger(at, ESTABLISHED, 1) for at in range(4)]
    out = tcp("always: a SYN is tracked in the steady state too", "S", s.a, "new", [on],
              [f.entry(s.a, EMBRYONIC)])
    out += tcp("always: an ACK without entry goes to settled and is tracked", "A", s.a, "settled",
               [on, *moved(s, ALWAYS)], [f.entry(s.a, ESTABLISHED)])
    out += tcp("always: a FIN without entry is tracked as closing", "FA", s.a, "settled",
               [on, *moved(s, ALWAYS)], [f.entry(s.a, CLOSING)])
    out += tcp("always, steady: an ACK without room is not tracked, and stamps nothing", "A", s.a,
               "settled", [on, *live], [], untracked=1)
    out += tcp("always, in transition: an ACK without room stamps", "A", s.a, "settled",
               [on, *moved(s, ALWAYS), *live], [f.stamp()], untracked=1)
    out += tcp("always: an entry holds in the steady state", "A", s.b, "tracked",
               [on, f.entry(s.b, ESTABLISHED, 5)], [f.entry(s.b, ESTABLISHED)])
    return out + always_udp()


def always_udp():
    out = []
    for family in (4, 6):
        s = SERVICES["nat", family, UDP]
        f = Flow(s)
        packet = request(s)
        on = s.line(ALWAYS, 60)
        move = [on, s.ring(s.b.row, s.a.row, 1)]
        live = [f.stranger(at, ESTABLISHED, 1) for at in range(4)]
        v = f"(UDP over IPv{family})"
        for sentence, backend, reason, untracked, setup, then in (
                ("a flow's first packet goes to current and is tracked", s.a, "new", 0, [on],
                 [f.entry(s.a, ESTABLISHED)]),
                ("so it is in a transition", s.b, "new", 0, move, [f.entry(s.b, ESTABLISHED)]),
                ("an entry holds", s.a, "tracked", 0, [*move, f.entry(s.a, ESTABLISHED, 60)],
                 [f.entry(s.a, ESTABLISHED)]),
                ("an expired entry does not", s.b, "new", 0,
                 [*move, f.entry(s.a, ESTABLISHED, 61)], [f.entry(s.b, ESTABLISHED)]),
                ("an entry of a down backend is decided anew", s.b, "new", 0,
                 [*move, s.a.line(flags=DOWN | RESET), f.entry(s.a, ESTABLISHED, 1)],
                 [f.entry(s.b, ESTABLISHED)]),
                ("no room: to settled, with a stamp", s.a, "crowded", 1, [*move, *live],
                 [f.stamp()])):
            out += forwarded(f"always: {sentence} {v}", packet, backend,
                             to_backend(s, backend, packet), reason, 0, untracked, setup, then)
    return out


def lines():
    return without_entry() + with_entry() + expired() + crowded() + down() + always()

