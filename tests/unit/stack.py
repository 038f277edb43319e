#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""stack.py PROGRAM.bpf.o...: every chain of calls fits the kernel's stack, as 6.1 counts it.

The verifier takes 512 bytes for a chain, each function's part rounded up to 32 (to 16 where it is
compiled, on newer kernels: what fits only there, Debian 12's refuses). Without this only
`tools/test vm` would see it."""
import struct
import sys

from elftools.elf.elffile import ELFFile

STACK, ROUND, FRAMES = 512, 32, 8  # MAX_BPF_STACK, check_max_stack_depth(), MAX_CALL_FRAMES
MOV, ADD, CALL, LOAD_64 = 0xBF, 0x07, 0x85, 0x18
FRAME, PSEUDO_CALL = 10, 1  # a register, and what makes a call one of a function of ours
LDX, STX = (1,), (2, 3)  # classes of instructions whose address is in the source, in the destination
R_BPF_64_32 = 10  # the relocation of a call


class Function:
    def __init__(self, name):
        self.name = name
        self.depth = 0
        self.calls = []


def instructions(code):
    """Yields (offset, opcode, destination, source, offset of the access, immediate)."""
    at = 0
    while at < len(code):
        opcode, registers, off, imm = struct.unpack_from("<BBhi", code, at)
        yield at, opcode, registers & 15, registers >> 4, off, imm
        at += 16 if opcode == LOAD_64 else 8


def read_function(name, code, callees):
    """The lowest byte below the frame's pointer that is accessed or has its address taken."""
    function = Function(name)
    pointers = set()  # registers that hold the frame's pointer: nothing but a sum may come of it
    for at, opcode, dst, src, off, imm in instructions(code):
        if opcode == CALL and src == PSEUDO_CALL:
            if at not in callees:
                sys.exit(f"{name}+{at}: a call without a symbol")
            function.calls.append(callees[at])
        elif opcode == MOV and src == FRAME:
            pointers.add(dst)
        elif opcode == ADD and dst in pointers:
            function.depth = max(function.depth, -imm)
            pointers.remove(dst)
        elif dst in pointers or src in pointers:
            sys.exit(f"{name}+{at}: the frame's pointer is used in a way that is not understood")
        elif opcode & 7 in LDX and src == FRAME or opcode & 7 in STX and dst == FRAME:
            function.depth = max(function.depth, -off)
    return function


def read_functions(path):
    """Of an object: its functions by their names."""
    with open(path, "rb") as f:
        elf = ELFFile(f)
        symbols = elf.get_section_by_name(".symtab")
        callees = {}  # by section and offset
        for section in elf.iter_sections("SHT_REL"):
            for relocation in section.iter_relocations():
                if relocation["r_info_type"] == R_BPF_64_32:
                    callees[section["sh_info"], relocation["r_offset"]] = symbols.get_symbol(
                        relocation["r_info_sym"]).name
        functions = {}
        for symbol in symbols.iter_symbols():
            if symbol["st_info"]["type"] == "STT_FUNC":
                index, at, size = symbol["st_shndx"], symbol["st_value"], symbol["st_size"]
                own = {offset - at: callee for (i, offset), callee in callees.items() if i == index}
                code = elf.get_section(index).data()[at:at + size]
                functions[symbol.name] = read_function(symbol.name, code, own)
    if not functions:
        sys.exit(f"{path}: has no function")
    return functions


def chains(functions, name):
    """Yields every chain that begins here: [(name, bytes)], the caller first."""
    function = functions[name]
    part = (name, max(ROUND, -(-function.depth // ROUND) * ROUND))
    yield [part]
    for callee in sorted(set(function.calls)):
        for chain in chains(functions, callee):
            yield [part] + chain


def total(chain):
    return sum(n for _, n in chain)


def says(path, chain):
    return (f"{path}: {total(chain)} of {STACK} bytes: " +
            " > ".join(f"{name} {n}" for name, n in chain))


def main():
    for path in sys.argv[1:]:
        functions = read_functions(path)
        called = {callee for function in functions.values() for callee in function.calls}
        for name in sorted(functions.keys() - called):
            all_chains = list(chains(functions, name))
            print(says(path, max(all_chains, key=total)))
            for chain in all_chains:
                if total(chain) > STACK or len(chain) > FRAMES:
                    sys.exit("more than Linux 6.1 has for a chain of calls: " + says(path, chain))


main()
