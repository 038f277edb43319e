#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Bytes in bulk, for path_mtu.sh, nat_mtu.sh and tunnels.sh of tests/vm: a server that answers a
# TCP upload by its SHA-256, a download by random bytes and their SHA-256, and a datagram by itself,
# and a client that checks them. IPv4 and IPv6.
#
#   bulk.py serve PORT
#   bulk.py upload ADDRESS PORT BYTES     status 0: all arrived
#   bulk.py download ADDRESS PORT BYTES   the same
#   bulk.py echo ADDRESS PORT BYTES       status 0: a datagram of this size came back whole
import hashlib
import os
import select
import socket
import struct
import sys
import threading

TIMEOUT_S = 30
HEADER = struct.Struct("!?Q")  # whether it is a download, and of how many bytes


def take(connection, length):
    """The SHA-256 of what comes; None where less comes."""
    digest = hashlib.sha256()
    while length:
        data = connection.recv(min(length, 65536))
        if not data:
            return None
        digest.update(data)
        length -= len(data)
    return digest.digest()


def answer(connection):
    with connection:
        is_download, length = HEADER.unpack(connection.recv(HEADER.size, socket.MSG_WAITALL))
        if is_download:
            data = os.urandom(length)
            connection.sendall(data + hashlib.sha256(data).digest())
        else:
            connection.sendall(take(connection, length) or b"")


def echo(datagrams):
    while True:
        data, ancillary, _, peer = datagrams.recvmsg(65536, 256)
        # Answered from the address that it came to, by any interface.
        for i, (level, kind, value) in enumerate(ancillary):
            if level == socket.IPPROTO_IPV6:
                ancillary[i] = (level, kind, value[:16] + bytes(4))
            else:
                ancillary[i] = (level, kind, struct.pack("I", 0) + value[8:12] + value[8:12])
        datagrams.sendmsg([data], ancillary, 0, peer)


def serve(port):
    listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    for family, level, option in ((socket.AF_INET, socket.IPPROTO_IP, 8),
                                  (socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO)):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        datagrams.setsockopt(level, option, 1)
        datagrams.bind(("", port))
        threading.Thread(target=echo, args=(datagrams,), daemon=True).start()
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


def upload(address, port, length):
    data = os.urandom(length)
    with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(HEADER.pack(False, length) + data)
        digest = connection.recv(32, socket.MSG_WAITALL)
    return digest == hashlib.sha256(data).digest()


def download(address, port, length):
    with socket.create_connection((address, port), timeout=TIMEOUT_S) as connection:
        connection.sendall(HEADER.pack(True, length))
        digest = take(connection, length)
        return digest is not None and digest == connection.recv(32, socket.MSG_WAITALL)


def ask(address, port, length):
    data = os.urandom(length)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((address, port))
        for _ in range(10):  # the first one learns the path's MTU
            try:
                datagrams.send(data)
            except OSError:
                continue  # EMSGSIZE: it has learnt
            if select.select([datagrams], [], [], 1)[0]:
                try:
                    return datagrams.recv(65536) == data
                except OSError:
                    continue
    return False


def main():
    verb, *arguments = sys.argv[1:]
    if verb == "serve":
        serve(int(arguments[0]))
    ask_for = {"upload": upload, "download": download, "echo": ask}[verb]
    return 0 if ask_for(arguments[0], *map(int, arguments[1:])) else 1


sys.exit(main())
