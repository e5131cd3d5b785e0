"""A port that is free on every address of this machine, for tests of wildcards."""

from __future__ import annotations

import os
import socket
from itertools import count
from typing import Final

# Below the ports that the kernel gives to whoever asks for any, of whom one is always about.
_LOWEST: Final = 20000
_PORTS: Final = 12000

# So that tests in several processes do not meet.
_next: Final = count(os.getpid() * 97)


def quiet_port() -> int:
    """A port that nobody has, nor gets by chance."""
    while True:
        port = _LOWEST + next(_next) % _PORTS
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        return port
