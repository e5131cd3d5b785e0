"""
A log daemon: ``python -m benchmarks.daemon SOCKET FILE`` appends each datagram to a file.

A process and not a thread, so that it can be stopped with SIGSTOP.
"""

from __future__ import annotations

import os
import socket
import sys


def main(path: str, log: str) -> None:
    """Receive until killed."""
    # Made before the socket, which shows that we are ready.
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        # From within its folder: the name of a socket is at most 107 bytes long.
        os.chdir(os.path.dirname(path))
        receiver.bind(os.path.basename(path))
        # Whoever the server works as.
        os.chmod(path, 0o666)
        while True:
            os.write(out, receiver.recv(1 << 18))


if __name__ == "__main__":
    main(*sys.argv[1:])
