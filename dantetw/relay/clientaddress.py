"""
Learning the address of an association's client.

The first datagram from an address that the relay's delegate accepts determines it.  From then on
the kernel delivers what the client sends to the client's socket, and datagrams of strangers to
another one.  Where the client has announced its address, it is known from the beginning, and its
socket is connected already.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dantetw.net.datagrams import bind_beside, errors_of
from dantetw.net.poller import FAILED
from dantetw.relay.clientport import DATAGRAMS_PER_BATCH, ClientPort
from dantetw.values import Endpoint


class ClientAddress:
    """
    The address of the client, as far as it is known.

    :param connected: the client's socket is connected to it.
    :param buffer: where datagrams are read to.
    :param relay: relays the client's datagram in ``buffer``, of the given length.
    :ivar peer: the kernel's address of the client; None until it has sent something.
    :ivar complete: the socket can no longer contain datagrams of strangers.
    :ivar strangers: receives the datagrams of strangers; None before the client is known, or if no
        second socket can be opened: then strangers are not counted.
    """

    __slots__ = ("_buffer", "_port", "_relay", "complete", "peer", "strangers")

    def __init__(
        self,
        port: ClientPort,
        connected: bool,
        buffer: bytearray,
        relay: Callable[[int], None],
    ) -> None:
        self._port = port
        self._buffer = buffer
        self._relay = relay
        self.peer: Any = None
        self.complete = False
        self.strangers: socket.socket | None = None
        if connected:
            self.peer = port.client.getpeername()
            self._separate_strangers()

    def learn(self) -> None:
        """Read datagrams one by one until the client is known and no strangers' are left."""
        port, client = self._port, self._port.client
        for _ in range(DATAGRAMS_PER_BATCH):
            try:
                count, peer = client.recvfrom_into(self._buffer)
            except BlockingIOError:
                self.complete = self.peer is not None
                return
            except OSError:
                port.report_errors(None, client)
            else:
                if self.peer is None:
                    if port.delegate.admit_client(Endpoint.of(peer)) and not port.ended:
                        self._connect(peer)
                elif peer != self.peer:
                    port.delegate.admit_client(Endpoint.of(peer))
                if peer == self.peer and not port.ended:
                    if not port.first_io:
                        port.first_io = port.poller.now
                    self._relay(count)
            if port.ended:
                return

    def _connect(self, peer: Any) -> None:
        try:
            self._port.client.connect(peer)
        except OSError as failed:
            self._port.delegate.undelivered(None, Endpoint.of(peer), failed.errno or 0)
            return
        self.peer = peer
        self._separate_strangers()

    def _separate_strangers(self) -> None:
        port = self._port
        with suppress(OSError):
            self.strangers = bind_beside(port.client, Endpoint.of(self.peer).family, ())
            port.poller.watch_input(self.strangers.fileno(), self._strangers_ready)

    def _strangers_ready(self, mask: int) -> None:
        port, strangers = self._port, self.strangers
        assert strangers is not None
        if mask & FAILED:
            # Nothing is ever sent from here, but an ICMP error can be forged.
            for _ in errors_of(strangers):
                pass
        for _ in range(DATAGRAMS_PER_BATCH):
            try:
                _, peer = strangers.recvfrom_into(self._buffer)
            except OSError:
                return
            port.delegate.admit_client(Endpoint.of(peer))
            if port.ended:
                return

    def sockets(self) -> list[socket.socket]:
        """Those for strangers."""
        return [] if self.strangers is None else [self.strangers]
