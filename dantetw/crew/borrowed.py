"""
Accepts at the sockets of other workers that do not respond (:mod:`.loans`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import Any

from twisted.internet.defer import Deferred

from dantetw.net.adopting import adopt
from dantetw.net.listening import ListeningSocket, given_port
from dantetw.session.drain import DrainingListeners
from dantetw.session.listener import Listener
from dantetw.session.protocol import SocksFactory
from dantetw.values import Endpoint


class Borrowed:
    """The sockets that this process has been lent."""

    def __init__(self, factory: SocksFactory, reactor: Any) -> None:
        self._factory = factory
        self._reactor = reactor
        self._leaving = DrainingListeners(reactor)
        # For each place what accepts there, by the socket's inode.
        self._places: dict[int, dict[int, Listener]] = {}

    def accept(self, place: int, descriptors: Iterable[int]) -> None:
        """
        Accept at these sockets of a place, in addition to those lent before.

        :param descriptors: owned by this object from now on; those of sockets that it has already
            are closed.
        """
        listeners = self._places.setdefault(place, {})
        for descriptor in descriptors:
            inode = os.fstat(descriptor).st_ino
            if inode in listeners:
                os.close(descriptor)
                continue
            sock = adopt(descriptor, ListeningSocket)
            try:
                port, _ = given_port((sock,))
                listener = Listener(sock, port, self._factory, self._reactor)
                listener.start()
            except OSError:  # the system watches no more: others may
                sock.close()
                continue
            listeners[inode] = listener
            self._factory.descriptors.take(1)

    def keep(self, endpoints: Collection[Endpoint], grace: bool = True) -> Deferred[None]:
        """
        Accept at these sockets only; clients queued at the others are accepted first.

        :returns: fires when the others are closed.
        """
        going = []
        for listeners in self._places.values():
            for inode, listener in tuple(listeners.items()):
                if listener.endpoint not in endpoints:
                    going.append(listeners.pop(inode))
        self._factory.descriptors.take(-len(going))
        return self._leaving.leave(going, grace)

    def give_back(self, place: int) -> None:
        """Stop accepting at the sockets of a place: another process does so."""
        for listener in self._places.pop(place, {}).values():
            listener.stop()
            self._factory.descriptors.take(-1)

    def stop(self) -> None:
        """Stop accepting at all of them."""
        self._leaving.stop()
        for place in tuple(self._places):
            self.give_back(place)
