"""
All listeners of a server, and their change at a reload.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from dantetw.config.policy import Policy
from dantetw.session.listener import Listener
from dantetw.session.protocol import SocksFactory
from dantetw.values import Endpoint


class BindError(Exception):
    """
    An address cannot be bound.

    :ivar endpoint: which; ``place``: which of how many, from 1, as ``1/2``; ``errno``: why.
    """

    def __init__(self, endpoint: Endpoint, place: str, errno: int) -> None:
        super().__init__(errno)
        self.endpoint = endpoint
        self.place = place
        self.errno = errno


class Ports:
    """
    Where clients come in.

    A change is made in two steps, so that nothing has changed if the first of them fails:
    :meth:`bind` the addresses that are new, then :meth:`use` them and let go of the others.

    :param bind: binds a socket with the privileges that ports below 1024 take.
    """

    def __init__(
        self,
        factory: SocksFactory,
        reactor: Any,
        bind: Callable[[socket.socket, Any], None] = socket.socket.bind,
    ) -> None:
        self._factory = factory
        self._reactor = reactor
        self._bind = bind
        self._listeners: dict[Endpoint, Listener] = {}

    def bind(self, policy: Policy) -> dict[Endpoint, Listener]:
        """
        The listeners for all ``internal`` addresses of a policy: those there are, and new ones.

        :raises BindError: if an address cannot be bound; all is as it was then.
        """
        wanted = dict.fromkeys(e for line in policy.internal for e in line.listens)
        listeners: dict[Endpoint, Listener] = {}
        try:
            for number, endpoint in enumerate(wanted, 1):
                listener = self._listeners.get(endpoint)
                if listener is None:
                    going = [x for e, x in self._listeners.items() if e not in wanted]
                    place = f"{number}/{len(wanted)}"
                    listener = self._new(endpoint, place, policy, going)
                listeners[endpoint] = listener
        except BindError:
            self.release(listeners)
            raise
        return listeners

    def _new(
        self, endpoint: Endpoint, place: str, policy: Policy, going: Sequence[Listener]
    ) -> Listener:
        # A wildcard and an address of its own are in each other's way.  Both listen for a moment:
        # nothing is lost if the new one cannot be bound, and no client is turned away.
        rivals = [x for x in going if x.endpoint.port == endpoint.port]
        try:
            for rival in rivals:
                rival.share(True)
            options = policy.socket_options
            share = bool(rivals)
            return Listener(endpoint, self._factory, self._reactor, options, share, self._bind)
        except OSError as failed:
            raise BindError(endpoint, place, failed.errno or 0) from None
        finally:
            for rival in rivals:
                rival.share(False)

    def release(self, listeners: dict[Endpoint, Listener]) -> None:
        """Let go of listeners that were bound and will not be used."""
        for listener in listeners.values():
            if listener not in self._listeners.values():
                listener.stop()

    def use(self, listeners: dict[Endpoint, Listener], policy: Policy | None = None) -> None:
        """
        Accept on these and no others.  Clients that were accepted stay.

        :param policy: whose socket options listeners that stay get.
        """
        old, self._listeners = self._listeners, listeners
        for listener in old.values():
            if listener not in listeners.values():
                if policy is not None:
                    listener.drain()
                listener.stop()
        for listener in listeners.values():
            if listener not in old.values():
                listener.start()
            elif policy is not None:
                listener.set_options(policy.socket_options)
        self._factory.listening = frozenset(x.endpoint for x in listeners.values())

    def stop(self) -> None:
        """Accept no more."""
        self.use({})
