"""
The sockets clients connect to, bound and listening; accepting is done elsewhere.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable, Sequence
from socket import SocketType
from typing import Any, Final

from dantetw.net.sockopts import prepare, set_options
from dantetw.policy import Edge, SocketOption
from dantetw.values import AF_OF, UNSPECIFIED, Endpoint, Family

#: Connections the kernel keeps for us until we accept them; it takes the lower of this and
#: ``net.core.somaxconn``.
BACKLOG: Final = 4096

# Address families by the length of their kernel addresses.
_NUMBER: Final = {2: int(socket.AF_INET), 4: int(socket.AF_INET6)}

# ``asm-generic/socket.h``; Python has no name for it.
_SO_BINDTOIFINDEX: Final = 62
_NO_INTERFACE: Final = 2**31 - 1

#: Binds a socket to an address as the kernel's interface of :mod:`socket` has it.
Binder = Callable[[SocketType, Any], None]


def kernel_address(endpoint: Endpoint) -> tuple[str | int, ...]:
    """
    A numeric endpoint as the kernel has it: the scope, such as ``%eth0``, is a number.

    :raises OSError: it is none, or there is no such scope now (:exc:`socket.gaierror`).
    """
    host, _, scope = endpoint.host.partition("%")
    socket.inet_pton(AF_OF[endpoint.family], host)  # else it would be looked up
    if endpoint.family is Family.IPV4:
        return host, endpoint.port
    if not scope:
        return host, endpoint.port, 0, 0
    # As bytes: of a text Python would make IDNA, by a module that may not be readable any more when
    # the privileges are gone.
    found = socket.getaddrinfo(
        endpoint.host.encode("ascii", "replace"),
        endpoint.port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_NUMERICHOST,
    )
    kernels: tuple[str | int | bytes, ...] = found[0][4]
    return host, endpoint.port, 0, int(kernels[3])


class ListeningSocket(socket.socket):
    """
    Accepts without asking each time what family and type it is of, as the base class does.

    What it accepts are objects of C's class alone, without the layer in Python that ``socket``
    puts on it for files and ``with``: they are made and closed in a third of the time.
    """

    def accept(self) -> tuple[SocketType, tuple[Any, ...]]:  # type: ignore[override]
        descriptor, peer = self._accept()  # type: ignore[attr-defined]
        sock = SocketType(_NUMBER[len(peer)], socket.SOCK_STREAM, 0, descriptor)
        sock.setblocking(False)
        return sock, peer


class Port:
    """
    An address that clients come in by: a socket for each process that accepts there.

    With several, the kernel deals clients out to them (``SO_REUSEPORT``): none is woken for a
    client that another gets, and none gets them all.

    :param sockets: bound and listening.
    :param wildcard: bound to no address in particular.
    :ivar endpoint: where clients come in, the port being the real one; ``local`` the same, or None
        on a wildcard, where each connection has a local address of its own.
    """

    def __init__(self, sockets: Sequence[ListeningSocket], wildcard: bool) -> None:
        self.sockets = sockets
        self.wildcard = wildcard
        self._name = sockets[0].getsockname()
        self.endpoint = Endpoint.of(self._name)
        self.local = None if wildcard else self.endpoint

    @property
    def is_stale(self) -> bool:
        """
        Whether the link of a link-local address has gone, or another has its name now.

        The kernel knows a link by a number; no client comes by one that is gone.
        """
        scope = self._name[3] if len(self._name) > 3 else 0
        if not scope:
            return False
        try:
            return socket.if_nametoindex(self.endpoint.host.partition("%")[2]) != scope
        except OSError:
            return True

    def share_of(self, place: int, number: int) -> Port:
        """
        The same with the sockets that one process of several accepts at.

        Each process has a socket; if there are fewer than processes, some share one.

        :param place: which process, from 0; ``number``: of how many.
        """
        own = tuple(self.sockets[place::number]) or (self.sockets[place % len(self.sockets)],)
        return Port(own, self.wildcard)

    def set_options(self, options: Sequence[SocketOption]) -> list[tuple[SocketOption, int]]:
        """
        Set the ``internal`` ones among these for clients from now on.

        :returns: those that the system refused, with the ``errno``.
        """
        refused: list[tuple[SocketOption, int]] = []
        for sock in self.sockets:
            refused = set_options(sock, options, Edge.INTERNAL)  # the same for each
        return refused

    def share(self, sharing: bool) -> None:
        """
        Let another port of ours have the same number, or no longer.

        A wildcard and an address of its own cannot follow each other otherwise.  Only for as long
        as it takes, unless we share it among ourselves anyway: a process of the same user that sets
        the option too could take clients of ours.
        """
        if len(self.sockets) == 1:
            _share(self.sockets[0], sharing)

    def close(self) -> None:
        """Let go of it.  Clients that wait there are reset, unless another process has it too."""
        for sock in self.sockets:
            sock.close()


def open_port(
    endpoint: Endpoint,
    keep_alive: bool = True,
    options: Sequence[SocketOption] = (),
    share: bool = False,
    number: int = 1,
    bind: Binder = socket.socket.bind,
) -> tuple[Port, list[tuple[SocketOption, int]]]:
    """
    Bind and listen.

    :param options: socket options; accepted sockets inherit the ``internal`` ones among them.
    :param share: a port of ours that shares its number (:meth:`Port.share`) may be in the way.
    :param number: how many sockets.
    :param bind: binds one, with privileges if that takes some.
    :returns: also the options that the system refused, with the ``errno``.
    :raises OSError: if the address cannot be bound.
    """
    address, sockets = kernel_address(endpoint), []
    try:
        for place in range(number):
            sock = ListeningSocket(
                AF_OF[endpoint.family], socket.SOCK_STREAM | socket.SOCK_NONBLOCK
            )
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if endpoint.family is Family.IPV6:
                # ``internal: ::`` means IPv6, as with Dante; both take two lines.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            prepare(sock, keep_alive)
            # The first asks for the port without sharing it, lest another server have it.
            _share(sock, share or place > 0)
            bind(sock, address)
            _share(sock, share or number > 1)
            address = sock.getsockname()
        port = Port(sockets, endpoint.host in UNSPECIFIED)
        refused = port.set_options(options)
        for sock in sockets:
            sock.listen(BACKLOG)
        port.share(False)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return port, refused


def given_port(
    sockets: Sequence[ListeningSocket], options: Sequence[SocketOption] = ()
) -> tuple[Port, list[tuple[SocketOption, int]]]:
    """
    A port that another process has opened; the sockets belong to it.

    :param options: as above, likewise what is returned.
    """
    for sock in sockets:
        sock.listen(BACKLOG)
    port = Port(sockets, sockets[0].getsockname()[0] in UNSPECIFIED)
    return port, port.set_options(options)


def turn_away(sock: socket.socket) -> bool:
    """
    Let no new connection begin at a listening socket, in whatever process it is.

    The kernel no longer finds it for a first packet, which then goes to another socket that fits,
    or is refused; connections that have begun are completed as if nothing had happened.

    Of several at one address all must be treated so before one is closed, and at once: the kernel
    may still choose one of them as long as it finds another, and loses the packet then.

    :returns: False if that cannot be done: it takes Linux 5.7.
    """
    if sys.platform != "linux":
        return False
    try:
        # Bound to an interface that there cannot be.
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)
    except OSError:
        # It may have been done before, which takes privileges to do again.
        try:
            return sock.getsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX) == _NO_INTERFACE
        except OSError:
            return False
    return True


def waits(sock: socket.socket) -> bool:
    """Whether a client waits at a listening socket to be accepted."""
    poll: Any = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _share(sock: socket.socket, sharing: bool) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, sharing)
