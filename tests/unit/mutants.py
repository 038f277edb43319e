#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Breaks each rule of tracking on demand in turn, and expects test_tracking to notice.

A mutant is one piece of one source, replaced in a copy of the tree; the piece must be
there exactly once, so that this list cannot fall behind the sources (tools/lint/mutants
asks). The test runs the same histories for all; a mutant that lives through them is a
hole in the test.

mutants.py SOURCE_ROOT [COMPILER] [NAME ...]: a line each; exits 1 if any survived.
mutants.py --check SOURCE_ROOT: are all the pieces there, and all the sources of the test? Breaks
and runs nothing."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

SEEDS, STEPS = 400, 2000
CORE, CONTROL = "dataplane/core/", "control/"

# (name, file, what stands there, what stands there in the mutant)
MUTANTS = [
    # ---- packets ----
    ("a new flow is not tracked", CORE + "select.h",
     "if (!lb_select_track(c, line, entry, word, backend)) {", "if (0) {"),
    ("a SYN without room goes to current", CORE + "select.h",
     "lb_select_untracked(env, c, is_start ? LB_REASON_CROWDED : LB_REASON_SETTLED);\n\t\treturn;",
     "c->reason = LB_REASON_CROWDED;\n\t\tc->backend = LB_SLOT_CURRENT(c->slot_word);\n\t\treturn;"),
    ("what is older than the change goes to current", CORE + "select.h",
     "c->backend = LB_SLOT_SETTLED(c->slot_word);", "c->backend = LB_SLOT_CURRENT(c->slot_word);"),
    ("the slot is not stamped", CORE + "select.h", "*time_s = c->flow.now_s;", ";"),
    ("a SYN without room does not stamp", CORE + "select.h",
     "if (*time_s != c->flow.now_s)", "if (!c->is_syn && *time_s != c->flow.now_s)"),
    ("an entry of a backend that was reset is followed", CORE + "select.h",
     "return !backend || backend->flags & LB_BACKEND_RESET ||", "return !backend ||"),
    ("a SYN follows an entry to a backend that is down", CORE + "select.h",
     "backend->flags & LB_BACKEND_DOWN ||", ""),
    ("a SYN follows an entry that is closing", CORE + "select.h",
     "state == LB_ENTRY_CLOSING || ", ""),
    ("a SYN decided anew gets an entry beside its old one", CORE + "select.h",
     "return entry ? lb_track_replace(entry, word, fresh) : lb_track_add(line, &c->flow, fresh);",
     "return lb_track_add(line, &c->flow, fresh);"),
    ("an entry is not refreshed", CORE + "select.h",
     "lb_track_refresh(entry, word, lb_select_state(c, state), c->flow.now_s);", ";"),
    ("what is closing stays closing", CORE + "select.h",
     "return LB_ENTRY_ESTABLISHED;",
     "return state == LB_ENTRY_CLOSING ? state : LB_ENTRY_ESTABLISHED;"),
    ("an entry stays embryonic", CORE + "select.h",
     "return LB_ENTRY_ESTABLISHED;",
     "return state == LB_ENTRY_EMBRYONIC ? state : LB_ENTRY_ESTABLISHED;"),
    ("a live entry is evicted", CORE + "track.h",
     "return lb_track_is_expired(word, flow->idle_s, flow->now_s);\n}\n\n// The word",
     "return 1;\n}\n\n// The word"),
    ("entries live too short", CORE + "track.h", "? idle_s :", "? idle_s / 2 :"),
    ("closing entries live too short", CORE + "track.h",
     ">= LB_ENTRY_ESTABLISHED ? idle_s : LB_EMBRYONIC_S",
     "== LB_ENTRY_ESTABLISHED ? idle_s : LB_EMBRYONIC_S"),
    ("a closing entry gives its place at once", CORE + "track.h",
     "lb_track_is_expired(word, LB_CLOSING_S, flow->now_s)", "1"),
    ("an entry of another slot is followed", CORE + "track.h",
     "if (fingerprint != flow->hash || LB_ENTRY_STATE(again) == LB_ENTRY_BUSY ||\n"
     "\t\t    LB_ENTRY_SLOT(again) != flow->slot)",
     "if (fingerprint != flow->hash || LB_ENTRY_STATE(again) == LB_ENTRY_BUSY)"),
    ("an entry is claimed without looking what it holds by then", CORE + "track.h",
     "lb_cas64(&entry->word, old, busy) != old)", "(lb_cas64(&entry->word, old, busy), 0))"),
    # ---- rings ----
    ("a slot that goes from reset to another needs no lookup", CONTROL + "ring.c",
     "lookup |= wanted != current || new_settled != settled;",
     "lookup |= wanted != new_settled;"),
    ("settled follows current", CONTROL + "ring.c",
     "has_no_connection(p, settled) ? wanted : settled;", "wanted;"),
    ("settled stays on a backend that was reset", CONTROL + "ring.c",
     "return !settled || p->t->backends[settled].flags & LB_BACKEND_RESET;", "return !settled;"),
    ("settled stays none", CONTROL + "ring.c",
     "return !settled || p->t", "return settled && p->t"),
    ("the slot's time is not written before the change", CONTROL + "ring.c",
     "publish_store_32(p, slot_time(p, slot), p->now_s);", ";"),
    ("the slot's time is written after the change", CONTROL + "ring.c",
     "\t\tpublish_store_32(p, slot_time(p, slot), p->now_s);\n"
     "\tslot_store(p, service, slot, LB_SLOT_WORD(wanted, new_settled, lookup));",
     "\t{\n\tslot_store(p, service, slot, LB_SLOT_WORD(wanted, new_settled, lookup));\n"
     "\t\tpublish_store_32(p, slot_time(p, slot), p->now_s - 1000);\n\t}\n"
     "\tslot_store(p, service, slot, LB_SLOT_WORD(wanted, new_settled, lookup));"),
    ("a change leaves what the sweep has seen of the slot", CONTROL + "ring.c",
     "p->sweep.quiet[slot / 64] &= ~(1ull << slot % 64);", ";"),
    # ---- sweep ----
    ("a slot settles at once", CONTROL + "sweep.c",
     "publish_age(p->now_s, time_s) > p->t->services[service].idle_s + PUBLISH_GRACE_S) {",
     "1) {"),
    ("a slot settles too early", CONTROL + "sweep.c",
     "> p->t->services[service].idle_s + PUBLISH_GRACE_S) {",
     "> p->t->services[service].idle_s / 2) {"),
    ("lookup is cleared whatever entries say", CONTROL + "sweep.c",
     "\t\tp->sweep.quiet[slot / 64] &= ~bit;\n}\n\n// Returns", "\t\t;\n}\n\n// Returns"),
    ("lookup is cleared over entries of backends that are down", CONTROL + "sweep.c",
     "LB_SLOT_SETTLED(*slot_word(p, slot)) != backend)",
     "LB_SLOT_SETTLED(*slot_word(p, slot)) != backend &&\n"
     "\t    !(p->t->backends[backend].flags & LB_BACKEND_DOWN))"),
    ("lookup is cleared without the grace period", CONTROL + "sweep.c",
     "if (current == settled && publish_is_past_grace(p, p->services[service].changed_s))",
     "if (current == settled)"),
    ("an entry that a packet just refreshed is cleared", CONTROL + "sweep.c",
     "lb_cas64(entry_word, word, 0);", "lb_cas64(entry_word, 0, 0);\n\t\t*entry_word = 0;"),
    ("entries are cleared too early", CONTROL + "sweep.c",
     "lb_track_is_expired(word, p->t->services[service].idle_s,",
     "lb_track_is_expired(word, p->t->services[service].idle_s / 2,"),
    ("tracking begins before the stale entries are cleared", CONTROL + "sweep.c",
     "bool must_wait = s->tracking == LB_TRACK_NONE && tracking != LB_TRACK_NONE;",
     "bool must_wait = false;"),
    ("a row goes over the entries that name it", CONTROL + "sweep.c",
     "\tp->backends[backend].is_clean = false;\n", ""),
    ("a row goes over the slots that name it", CONTROL + "sweep.c",
     "own->is_clean = is_swept_row(p, row) && !own->current_n && !own->settled_n &&",
     "own->is_clean = is_swept_row(p, row) &&"),
    ("a row that was taken back goes all the same", CONTROL + "publish.c",
     "own->is_clean = false;", ";"),
    # ---- rows, restarts ----
    ("a backend that comes back gets slots before its flags are clear",
     CONTROL + "publish_rows.c", "\tpublish_store_8(p, &b->flags, flags);\n",
     "\tring_set_dirty(p, b->service);\n\tring_flush(p);\n"
     "\tpublish_store_8(p, &b->flags, flags);\n"),
    ("a row says its way to the hop that was, a moment too long", CONTROL + "publish_hops.c",
     "\t\tif (new != b->link_hop)\n\t\t\tpublish_store_8(p, &b->way, 0);\n", ""),
    ("a row that is retired says a way", CONTROL + "publish_rows.c",
     "\tpublish_store_8(p, &b->way, 0);\n", ""),
    ("a service says that it tracks before its packets do", CONTROL + "sweep.c",
     "\tif (tracking != LB_TRACK_NONE)\n\t\tservice_publish(p, row, tracking);\n", ""),
    ("a removed backend is cut at once", CONTROL + "publish.c",
     "backend_leave(p, row, p->now_s + PUBLISH_LEAVE_DEFAULT_S);",
     "backend_leave(p, row, p->now_s);"),
    ("a restart retires what is leaving", CONTROL + "publish_adopt.c",
     "if (!p->services[b->service].is_in_use)", "if (!b->flags && row % 2)"),
    ("a restart takes what is in no slot for settled", CONTROL + "publish_adopt.c",
     "\t\tring_count(p, row);\n\t\tring_set_dirty(p, row);",
     "\t\tfor (uint32_t i = 0; i < p->t->services[row].ring_len; i++)\n"
     "\t\t\t*slot_word(p, p->t->services[row].ring_offset + i) &= ~LB_SLOT_LOOKUP;\n"
     "\t\tring_count(p, row);\n\t\tring_set_dirty(p, row);"),
]

SOURCES = ["tests/unit/test_tracking.c", "tests/unit/publish_bed.c"] + [
    "tests/unit/tracking/%s.c" % s for s in ("changes", "clients", "world")] + [
    CONTROL + s + ".c" for s in (
        "address", "err", "map", "maglev", "model", "model_validate", "publish",
        "publish_address", "publish_adopt", "publish_check", "publish_hops", "publish_index",
        "publish_rows", "publish_view", "ring", "sweep", "tables")]
# What a header of the core is compiled into.
OF_CORE = ["tests/unit/tracking/world.c", "tests/unit/tracking/clients.c", CONTROL + "sweep.c"]


class Tree:
    def __init__(self, root, where, compiler):
        self.root, self.where, self.compiler = root, pathlib.Path(where), compiler
        for part in ("dataplane", "control", "tests/unit"):
            shutil.copytree(root / part, self.where / part)
        for source in SOURCES:
            self.compile(source)

    def object_of(self, source):
        return self.where / (source.replace("/", "_") + ".o")

    def compile(self, source):
        include = ["tests/unit/tracking", ".", "dataplane/native"]
        subprocess.run([self.compiler, "-O1", "-w", "-std=gnu11", "-D_GNU_SOURCE",
                        "-fno-strict-aliasing"]
                       + ["-I%s" % (self.where / i) for i in include]
                       + ["-c", self.where / source, "-o", self.object_of(source)], check=True)

    def link(self):
        program = self.where / "test_tracking"
        subprocess.run([self.compiler, "-o", program] + [self.object_of(s) for s in SOURCES]
                       + ["-lcmocka"], check=True)
        return program

    def run(self):
        program = self.link()
        try:
            done = subprocess.run([program, "1", str(SEEDS), str(STEPS)], capture_output=True,
                                  timeout=300, text=True, errors="replace")
        except subprocess.TimeoutExpired:
            return 1, "timeout"
        seed = done.stdout.split("seed ")[-1].split()[0].split("[")[0]
        why = done.stderr.splitlines()[0] if done.stderr else ""
        return done.returncode, "seed %s: %s" % (seed, why[:110])

    def mutate(self, file, old, new):
        path = self.where / file
        text = path.read_text()
        path.write_text(text.replace(old, new))
        sources = OF_CORE if file.startswith(CORE) else [file]
        try:
            for source in sources:
                self.compile(source)
            return self.run()
        finally:
            path.write_text(text)
            for source in sources:
                os.replace(str(self.object_of(source)) + ".whole", self.object_of(source))
                shutil.copy(self.object_of(source), str(self.object_of(source)) + ".whole")


def check_pieces(root):
    misplaced = []
    for name, file, old, _ in MUTANTS:
        times = (root / file).read_text().count(old)
        if times != 1:
            misplaced.append("tests/unit/mutants.py: %s: its piece is in %s %d times, not once"
                             % (name, file, times))
    if misplaced:
        raise SystemExit("\n".join(misplaced))


def check(root):
    check_pieces(root)
    with tempfile.TemporaryDirectory(prefix="mutants.") as where:
        try:
            Tree(root, where, "cc").link()
        except subprocess.CalledProcessError:
            raise SystemExit("tests/unit/mutants.py: SOURCES are not all that the test is made of,"
                             " as above") from None


def main():
    if sys.argv[1] == "--check":
        check(pathlib.Path(sys.argv[2]))
        return
    root = pathlib.Path(sys.argv[1]).resolve()
    check_pieces(root)
    compiler = sys.argv[2] if len(sys.argv) > 2 else "cc"
    only = sys.argv[3:]
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants.") as where:
        tree = Tree(root, where, compiler)
        for source in SOURCES:
            shutil.copy(tree.object_of(source), str(tree.object_of(source)) + ".whole")
        status, why = tree.run()
        if status:
            raise SystemExit("without any mutant the test fails: %s" % why)
        for name, file, old, new in MUTANTS:
            if only and not any(word in name for word in only):
                continue
            status, why = tree.mutate(file, old, new)
            print("%-8s %s (%s)%s" % ("noticed" if status else "SURVIVED", name, file,
                                      ": " + why if status else ""), flush=True)
            if not status:
                survivors.append(name)
    if survivors:
        raise SystemExit("%d mutants survived" % len(survivors))


main()
