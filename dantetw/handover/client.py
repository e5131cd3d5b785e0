"""
The successor's side of a handover.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import suppress
from typing import Final

from dantetw.handover.messages import Busy, Give, Given, Taken, TooLate, parse, send
from dantetw.handover.names import (
    ANSWER_SECONDS,
    HandoverError,
    names_of,
    process_of,
)
from dantetw.net.adopting import adopt
from dantetw.net.channel import Channel, Frame
from dantetw.net.listening import ListeningSocket
from dantetw.privileged.peers import peer_of
from dantetw.process.pidfile import other_program

#: Seconds between two attempts to connect while the old server is busy.
RETRY_SECONDS: Final = 0.05


def _connect(pid: int) -> socket.socket:
    """
    Connect to a server's socket.

    :raises HandoverError: if it has no socket for this process.
    """
    until = time.monotonic() + ANSWER_SECONDS
    while True:
        busy = other = False
        for name in names_of(pid):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                sock.connect(name)
                there, uid = peer_of(sock)
            except OSError as failed:
                # Any process can fill the socket's queue; the old server keeps emptying its own.
                busy = busy or failed.errno == errno.EAGAIN
            else:
                if there == pid and uid in (0, os.geteuid()):
                    return sock
                other = True
            sock.close()
        if not busy or time.monotonic() >= until:
            break
        time.sleep(RETRY_SECONDS)
    reason = "it is busy" if busy else "it has no socket for successors"
    if other:
        reason = "another process, or another user's, answers in its place"
    with suppress(OSError):
        if not busy and (program := other_program(pid)):
            reason = f'it is another program, "{program}": is the PID file stale?'
    raise HandoverError(f"process {pid} does not hand over its sockets: {reason}")


class HandoverClient:
    """
    The successor's side.

    :ivar sockets: duplicates of the old server's; ``pid``: its process.

    :param old: process id of the old server, or the name of the file with it.
    :raises HandoverError: if it gives none.
    """

    def __init__(self, old: str) -> None:
        self.sockets: list[ListeningSocket] = []
        self.pid = pid = process_of(old)
        sock = _connect(pid)
        # Messages with sockets that are still to come; None: nothing has come.
        self._left: int | None = None
        # Why the handover is refused.
        self._refusal = ""
        self._channel = Channel(sock, _Unattended(), self._heard, lambda: None)
        send(self._channel, Give())
        poll, until = select.poll(), time.monotonic() + ANSWER_SECONDS
        poll.register(sock, select.POLLIN)
        while self._left != 0 and sock.fileno() >= 0 and (left := until - time.monotonic()) > 0:
            if poll.poll(left * 1000):
                self._channel.doRead()
        if self._left != 0:
            self.close()
            raise HandoverError(self._refusal or f"process {pid} does not answer")

    def _heard(self, frame: Frame) -> None:
        for descriptor in frame.descriptors:
            sock = adopt(descriptor, ListeningSocket)
            sock.setblocking(False)
            self.sockets.append(sock)
        match parse(frame):
            case Busy(process):
                self._refusal = (
                    f"process {process} is taking the place of process {self.pid} at this moment"
                )
            case TooLate():
                self._refusal = f"the start took so long that process {self.pid} goes on by itself"
            case Given(left):
                self._left = left

    def close(self) -> None:
        """Give the handover up: the old server goes on."""
        self._channel.close()
        for each in self.sockets:
            each.close()

    def check(self) -> None:
        """
        Check that the handover is still possible, before this server serves clients.

        :raises HandoverError: if not.  It still is if the old server has died meanwhile.
        """
        if self._channel.fileno() >= 0:
            self._channel.doRead()
        if self._refusal:
            raise HandoverError(self._refusal)

    def done(self) -> Channel:
        """Report that this server accepts clients, so the old one stops; returns the channel."""
        self._channel.distrust()
        send(self._channel, Taken(os.getpid()))
        return self._channel


class _Unattended:
    """Stands for a reactor where none runs."""

    def addReader(self, reader: object) -> None:  # noqa: N802 - Twisted's name
        """None does."""

    removeReader = addWriter = removeWriter = addReader  # noqa: N815 - Twisted's names
