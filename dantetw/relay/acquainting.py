"""
Who the client of an association is, and who is not.

Whoever may be the client sends the first datagram; the owner of the relay says whether it is.  From
then on the kernel gives us what the client sends, and strangers' datagrams to another socket.
Where the client has announced an address it is known from the beginning, and its socket is
connected already.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dantetw.net.datagrams import bind_beside, errors_of
from dantetw.net.poller import FAILED
from dantetw.relay.outside import TURN
from dantetw.values import Endpoint

if TYPE_CHECKING:
    from dantetw.relay.datagrams import DatagramRelay


class Acquaintance:
    """
    The client of a relay, as far as it is known.

    :param connected: the client's socket is connected to it.
    :param buffer: where the relay reads datagrams to.
    :ivar peer: the kernel's address of the client; None until it has sent something.
    :ivar complete: nothing is left in the socket that somebody else could have sent.
    :ivar strangers: gets what others send; None as long as there is no client, or if there can be
        no other socket: then nobody counts strangers.
    """

    __slots__ = ("_buffer", "_relay", "complete", "peer", "strangers")

    def __init__(self, relay: DatagramRelay, connected: bool, buffer: bytearray) -> None:
        self._relay = relay
        self._buffer = buffer
        self.peer: Any = None
        self.complete = False
        self.strangers: socket.socket | None = None
        if connected:
            self.peer = relay.client.getpeername()
            self._part_strangers()

    def listen(self) -> None:
        """Look at datagrams one by one until there is a client, and no others are left."""
        relay, client = self._relay, self._relay.client
        for _ in range(TURN):
            try:
                count, peer = client.recvfrom_into(self._buffer)
            except BlockingIOError:
                self.complete = self.peer is not None
                return
            except OSError:
                relay.hear(None, client)
            else:
                if self.peer is None:
                    if relay.owner.introduced(Endpoint.of(peer)) and not relay.ended:
                        self._meet(peer)
                elif peer != self.peer:
                    relay.owner.introduced(Endpoint.of(peer))
                if peer == self.peer and not relay.ended:
                    if not relay.first_io:
                        relay.first_io = relay.poller.now
                    relay.consider(count)
            if relay.ended:
                return

    def _meet(self, peer: Any) -> None:
        try:
            self._relay.client.connect(peer)
        except OSError as failed:
            self._relay.owner.delayed(None, Endpoint.of(peer), failed.errno or 0)
            return
        self.peer = peer
        self._part_strangers()

    def _part_strangers(self) -> None:
        client = self._relay.client
        with suppress(OSError):
            self.strangers = bind_beside(client, Endpoint.of(self.peer).family, ())
            self._relay.poller.watch_input(self.strangers.fileno(), self._strangers_ready)

    def _strangers_ready(self, mask: int) -> None:
        relay, strangers = self._relay, self.strangers
        assert strangers is not None
        if mask & FAILED:
            # Nothing is ever sent from here, but anybody can say that it was.
            for _ in errors_of(strangers):
                pass
        for _ in range(TURN):
            try:
                _, peer = strangers.recvfrom_into(self._buffer)
            except OSError:
                return
            relay.owner.introduced(Endpoint.of(peer))
            if relay.ended:
                return

    def sockets(self) -> list[socket.socket]:
        """Those for strangers."""
        return [] if self.strangers is None else [self.strangers]
