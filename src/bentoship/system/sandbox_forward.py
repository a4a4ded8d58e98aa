"""The network of a sandbox: a loopback of its own, and connections forwarded to it from a socket of the host."""

import fcntl
import os
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress

from bentoship.system.linux import end_with_parent, prctl
from bentoship.system.sandbox_rights import give_up_rights

_PIECE = 1 << 16


def raise_loopback() -> None:
    """Turn on the loopback of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP


def pump(source: socket.socket, target: socket.socket) -> None:
    """Write to one socket what comes from another, and its end."""
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def connect(outside: socket.socket, port: int) -> None:
    """Connect a client with the program, until both have ended."""
    with outside, socket.socket() as inside, suppress(OSError):
        inside.connect(("127.0.0.1", port))
        back = threading.Thread(target=pump, args=(inside, outside), daemon=True)
        back.start()
        pump(outside, inside)
        back.join()


def forward(listening: int, port: int, owner: Sequence[int] | None) -> int:
    """Connect each client of a socket of the host with a port in this network namespace, in another process.

    Args:
        listening: the descriptor of the socket, which is closed here.
        port: the port on this namespace's loopback.
        owner: the user of the process, where this one is root of the host.

    Returns: the id of the process, which ends with this one.
    """
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            end_with_parent()
            give_up_rights(owner)
            end_with_parent()
            prctl(4, 0)  # PR_SET_DUMPABLE, as for the process beside it
            accept(listening, port)
        os._exit(1)
    os.close(listening)
    return child


def accept(listening: int, port: int) -> None:
    """Connect each client of a listening socket with a port, in threads."""
    with socket.socket(fileno=listening) as server, suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=connect, args=(client, port), daemon=True).start()
