#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""stack.py PROGRAM.bpf.o...: every chain of calls fits the kernel's stack, as 6.1 counts it.

The verifier takes 512 bytes for a chain, each function's part rounded up to 32 (to 16 where it is
compiled, on newer kernels: what fits only there, Debian 12's refuses). Without this only
`tools/test vm` would see it."""
import struct
import sys

STACK, ROUND, FRAMES = 512, 32, 8  # MAX_BPF_STACK, check_max_stack_depth(), MAX_CALL_FRAMES
MOV, ADD, CALL, LOAD_64 = 0xBF, 0x07, 0x85, 0x18
FRAME, PSEUDO_CALL = 10, 1  # a register, and what makes a call one of a function of ours
LDX, STX = (1,), (2, 3)  # classes of instructions whose address is in the source, in the destination
SYMBOLS, RELOCATIONS, FUNCTION, R_BPF_64_32 = 2, 9, 2, 10  # of ELF


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


def read_function(name, code, base, callees):
    """The lowest byte below the frame's pointer that is accessed or has its address taken."""
    function = Function(name)
    pointers = set()  # registers that hold the frame's pointer: nothing but a sum may come of it
    for at, opcode, dst, src, off, imm in instructions(code):
        if opcode == CALL and src == PSEUDO_CALL:
            if base + at not in callees:
                sys.exit(f"{name}+{at}: a call without a symbol")
            function.calls.append(callees[base + at])
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


def read_functions(path, elf):
    """Of an ELF file (64 bits, little endian): its functions by their names."""
    start, = struct.unpack_from("<Q", elf, 40)
    count, = struct.unpack_from("<H", elf, 60)
    # name, type, flags, address, offset, size, link, info, alignment, entry's size
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, start + i * 64) for i in range(count)]
    table = next(s for s in sections if s[1] == SYMBOLS)
    strings = sections[table[6]][4]
    symbols = []
    for at in range(table[4], table[4] + table[5], 24):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", elf, at)
        text = elf[strings + name:elf.index(b"\0", strings + name)].decode()
        symbols.append((text, info & 15, section, value, size))
    callees = {}
    for section in sections:
        if section[1] == RELOCATIONS:
            for at in range(section[4], section[4] + section[5], 16):
                offset, kind, symbol = struct.unpack_from("<QII", elf, at)
                if kind == R_BPF_64_32:
                    callees[section[7], offset] = symbols[symbol][0]
    functions = {}
    for name, kind, section, value, size in symbols:
        if kind == FUNCTION:
            at = sections[section][4] + value
            own = {offset: callee for (i, offset), callee in callees.items() if i == section}
            functions[name] = read_function(name, elf[at:at + size], value, own)
    if not functions:
        sys.exit(f"{path}: has no function")
    return functions


def deepest(functions, name):
    """The chain that begins here and takes most: [(name, bytes)], the caller first."""
    function = functions[name]
    part = (name, max(ROUND, -(-function.depth // ROUND) * ROUND))
    chains = [deepest(functions, callee) for callee in function.calls]
    return [part] + max(chains, key=lambda chain: sum(n for _, n in chain), default=[])


def main():
    for path in sys.argv[1:]:
        with open(path, "rb") as f:
            functions = read_functions(path, f.read())
        called = {callee for function in functions.values() for callee in function.calls}
        for name in sorted(functions.keys() - called):
            chain = deepest(functions, name)
            total = sum(n for _, n in chain)
            says = f"{total} of {STACK} bytes: " + " > ".join(f"{name} {n}" for name, n in chain)
            print(f"{path}: {says}")
            if total > STACK or len(chain) > FRAMES:
                sys.exit(f"{path}: a chain of calls takes more stack than 6.1 has: {says}")


main()
