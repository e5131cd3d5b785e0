"""
Listening sockets that systemd has opened.
"""

from __future__ import annotations

import os

from twisted.internet import endpoints

from dantetw.net.adopting import adopt
from dantetw.net.listening import ListeningSocket


def from_systemd() -> list[ListeningSocket]:
    """The process's sockets from ``LISTEN_FDS`` (:manpage:`sd_listen_fds(3)`)."""
    sockets = []
    # Twisted has taken the variables out of the environment by now, for its own endpoints.
    for descriptor in endpoints._SystemdParser._sddaemon.inheritedDescriptors():
        try:
            sock = adopt(descriptor, ListeningSocket)
        except OSError:
            continue  # something else, or nothing
        os.set_inheritable(descriptor, False)
        sock.setblocking(False)
        sockets.append(sock)
    return sockets
