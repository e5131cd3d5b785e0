"""
The ports that clients connect to, and their change at a reload.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred

from dantetw.net.listening import Binder, ListeningSocket, Port, given_port, open_port, turn_away
from dantetw.policy import Policy, SocketOption
from dantetw.session.drain import DrainingListeners
from dantetw.session.listener import Listener
from dantetw.session.protocol import SocksFactory
from dantetw.values import Endpoint

_EXHAUSTED: Final = frozenset((errno.EMFILE, errno.ENFILE))


class BindError(Exception):
    """
    An address cannot be bound.

    :ivar endpoint: which; ``place``: which of how many, from 1, as ``1/2``; ``errno``: why.
    :ivar exhausted: there are too few descriptors.
    """

    def __init__(self, endpoint: Endpoint, place: str, number: int) -> None:
        super().__init__(number)
        self.endpoint = endpoint
        self.place = place
        self.errno = number
        self.exhausted = number in _EXHAUSTED


class ListeningPorts:
    """
    The ports that clients connect to.

    A change is made in two steps, so that nothing has changed if the first of them fails:
    :meth:`bind` the addresses that are new, then :meth:`use` them and close the others.

    :param bind: binds a socket with the privileges it needs.
    :param report: gets socket options that the system refused.
    :param number: how many processes accept.
    :param given: sockets that another process has opened, for the addresses they are bound to.
    :ivar bound: the ports in use.
    :ivar absent: the endpoints that the last :meth:`bind` left out, with the ``errno``:
        ``EADDRNOTAVAIL`` if the machine does not have the address now.
    """

    def __init__(
        self,
        bind: Binder,
        report: Callable[[Sequence[tuple[SocketOption, int]]], None],
        keep_alive: bool = True,
        number: int = 1,
        given: Iterable[ListeningSocket] = (),
    ) -> None:
        self._bind = bind
        self._report = report
        self._keep_alive = keep_alive
        self._number = number
        self._given: dict[Endpoint, list[ListeningSocket]] = {}
        for sock in given:
            self._given.setdefault(Endpoint.of(sock.getsockname()), []).append(sock)
        self.bound: Mapping[Endpoint, Port] = {}
        self.absent: dict[Endpoint, int] = {}

    def bind(
        self, policy: Policy, wanted: Collection[Endpoint] | None = None, patient: bool = False
    ) -> dict[Endpoint, Port]:
        """
        The ports for addresses to listen on: existing and new ones.

        An address that the machine does not have is left out if the policy waits for it.

        :param wanted: which, each once; None: the ``internal`` ones of the policy.
        :param patient: leave out all that cannot be bound.
        :raises BindError: if an address cannot be bound; all is as it was then.
        """
        if wanted is None:
            wanted = dict.fromkeys(e for line in policy.internal for e in line.listens)
        going: dict[int, list[Port]] = {}
        for endpoint, port in self.bound.items():
            if endpoint not in wanted:
                going.setdefault(endpoint.port, []).append(port)
        self.absent = {}
        ports: dict[Endpoint, Port] = {}
        try:
            for number, endpoint in enumerate(wanted, 1):
                old = self.bound.get(endpoint)
                if old is not None:
                    ports[endpoint] = old
                    continue
                place = f"{number}/{len(wanted)}"
                try:
                    rivals = going.get(endpoint.port, ())
                    ports[endpoint] = self._new(endpoint, place, policy, rivals)
                except BindError as failed:
                    waits = policy.waits and failed.errno == errno.EADDRNOTAVAIL
                    if not (waits or patient):
                        raise
                    self.absent[endpoint] = failed.errno
        except BindError:
            self.release(ports)
            raise
        self._forget_given()
        return ports

    def _forget_given(self) -> None:
        """Close sockets that were given and are not wanted."""
        for sockets in self._given.values():
            for sock in sockets:
                sock.close()
        self._given.clear()

    def _new(self, endpoint: Endpoint, place: str, policy: Policy, rivals: Sequence[Port]) -> Port:
        options = policy.socket_options
        given = self._given.pop(endpoint, None)
        if given is not None:
            port, refused = given_port(given, options)
            self._report(refused)
            return port
        # A wildcard and a specific address exclude each other.  Both listen for a moment, so that
        # nothing is lost if the new one cannot be bound, and no client is refused.
        try:
            for rival in rivals:
                rival.share(True)
            port, refused = open_port(
                endpoint, self._keep_alive, options, bool(rivals), self._number, self._bind
            )
        except socket.gaierror:  # of a scope: there is no such interface
            raise BindError(endpoint, place, errno.EADDRNOTAVAIL) from None
        except OSError as failed:
            raise BindError(endpoint, place, failed.errno or 0) from None
        finally:
            for rival in rivals:
                rival.share(False)
        self._report(refused)
        return port

    def release(self, ports: Mapping[Endpoint, Port]) -> None:
        """Close ports that were bound and will not be used."""
        for endpoint, port in ports.items():
            if self.bound.get(endpoint) is not port:
                port.close()

    def use(self, ports: Mapping[Endpoint, Port], policy: Policy | None = None) -> None:
        """
        Keep these and no others.

        :param policy: sets the socket options of ports that stay; None: this process accepts no
            more.
        """
        old, self.bound = self.bound, ports
        for endpoint, port in old.items():
            if ports.get(endpoint) is not port:
                if policy is not None:
                    for sock in port.sockets:
                        turn_away(sock)  # other processes accept there until the last have come
                port.close()
            elif policy is not None:
                self._report(port.set_options(policy.socket_options))


class Listeners:
    """The listeners at the ports, in a process that accepts."""

    def __init__(self, factory: SocksFactory, reactor: Any) -> None:
        self._factory = factory
        self._reactor = reactor
        self._listeners: dict[Endpoint, list[Listener]] = {}
        self._leaving = DrainingListeners(reactor)

    def use(self, ports: Mapping[Endpoint, Port], grace: bool = True) -> Deferred[None]:
        """
        Accept at these ports only.  Accepted clients stay; clients that are queued at a port to be
        closed, or are connecting to it, are accepted before it is closed.

        :param grace: wait for those that are connecting.

        :returns: fires when no port is left but these.
        """
        old, self._listeners = self._listeners, {}
        before = sum(map(len, old.values()))
        for endpoint, port in ports.items():
            listeners = old.pop(endpoint, None)
            if listeners is None:
                listeners = [
                    Listener(sock, port, self._factory, self._reactor) for sock in port.sockets
                ]
                for listener in listeners:
                    listener.start()
            self._listeners[endpoint] = listeners
        going = [listener for listeners in old.values() for listener in listeners]
        if before:
            after = sum(map(len, self._listeners.values()))
            self._factory.descriptors.take(after - before)
        self._factory.listening = frozenset(port.endpoint for port in ports.values())
        return self._leaving.leave(going, grace)

    def hand_over(self) -> None:
        """Accept no more; another process does, at the same sockets."""
        for listeners in self._listeners.values():
            for listener in listeners:
                # They may be the last to accept there, if the other one has fewer ports.
                listener.drain()
        self.stop()

    def stop(self) -> None:
        """Accept no more."""
        self._leaving.stop()
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.stop()
        self._listeners = {}
