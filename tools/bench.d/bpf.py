# SPDX-License-Identifier: BSD-2-Clause
"""What the benches ask of the kernel's BPF, by libbpf itself: programs' statistics and pinned maps.

BPF statistics are on while a Stats lives, and off again however this process ends."""
import ctypes
import hashlib
import mmap
import os
import struct

LIBBPF = ctypes.CDLL("libbpf.so.1", use_errno=True)
BPF_STATS_RUN_TIME = 0

# struct bpf_prog_info and bpf_map_info (linux/bpf.h): offsets of what is read.
PROGRAM_INFO_BYTES = 232
PROGRAM_RUN_TIME_NS, PROGRAM_RUN_CNT, PROGRAM_VERIFIED = 192, 200, 216
MAP_INFO_BYTES = 88


def check(result, what):
    if result < 0:
        code = ctypes.get_errno() or -result
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def open_pin(path):
    return check(LIBBPF.bpf_obj_get(str(path).encode()), path)


def get_info(fd, size):
    info, length = ctypes.create_string_buffer(size), ctypes.c_uint32(size)
    check(LIBBPF.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(length)), "bpf_obj_get_info_by_fd")
    return info.raw


class Stats:
    """Switches the kernel's measuring of BPF programs on."""

    def __init__(self):
        self.fd = check(LIBBPF.bpf_enable_stats(BPF_STATS_RUN_TIME), "bpf_enable_stats")


class Program:
    """A pinned program."""

    def __init__(self, path):
        self.fd = open_pin(path)

    def read(self, offset, size="Q"):
        return struct.unpack_from(size, get_info(self.fd, PROGRAM_INFO_BYTES), offset)[0]

    def runs(self):
        info = get_info(self.fd, PROGRAM_INFO_BYTES)
        return struct.unpack_from("QQ", info, PROGRAM_RUN_TIME_NS)

    def verified_instructions(self):
        return self.read(PROGRAM_VERIFIED, "I")


class Map:
    """A pinned array that may be mapped."""

    def __init__(self, path):
        self.fd = open_pin(path)
        info = get_info(self.fd, MAP_INFO_BYTES)
        _, _, _, value_size, max_entries = struct.unpack_from("5I", info, 0)
        value_bytes = (value_size + 7) // 8 * 8
        page = mmap.PAGESIZE
        length = (value_bytes * max_entries + page - 1) // page * page
        self.rows = mmap.mmap(self.fd, length, mmap.MAP_SHARED, mmap.PROT_READ)

    def digest(self):
        return hashlib.sha256(self.rows).hexdigest()
