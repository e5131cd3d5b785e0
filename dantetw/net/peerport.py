"""
A port that peers connect to, as ``BIND`` asks for.

The counterpart of :mod:`.dial`.  The port is bound first, so that the socks rules can be asked
about it, and listens only when they have passed it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from dantetw.net.listening import waits
from dantetw.net.poller import IPoller, Watcher
from dantetw.net.sockopts import LowBinder, bind_wished, prepare, set_options
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import Edge, SocketOption
from dantetw.values import AF_OF, Endpoint, Family

#: Room for one peer: a second one gets a reset once the first has been accepted.
_BACKLOG: Final = 1


class PeerPort:
    """
    A port that peers can connect to.

    :ivar bound: the address and the port; ``refused``: socket options that the system refused, with
        the ``errno``.

    :param source: a numeric address of this host, and the port wished for; 0: any.
    :param options: the ``external`` ones among these are set before it is bound; the peer's socket
        inherits them.
    :raises OSError: if the address cannot be bound.
    """

    __slots__ = ("_poller", "_sock", "bound", "refused")

    def __init__(
        self,
        source: Endpoint,
        options: Sequence[SocketOption] = (),
        keep_alive: bool = True,
        low: LowBinder | None = None,
    ) -> None:
        self._poller: IPoller | None = None
        self._sock = sock = socket.socket(
            AF_OF[source.family], socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        )
        try:
            if source.family is Family.IPV6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            prepare(sock, keep_alive)
            self.refused = set_options(sock, options, Edge.EXTERNAL)
            if not bind_wished(sock, source.host, source.port, low):
                sock.bind(sockaddr_of(source.host, 0))
            self.bound = endpoint_of(sock.getsockname())
        except BaseException:
            sock.close()
            raise

    def listen(
        self,
        poller: IPoller,
        arrived: Watcher,
        options: Sequence[SocketOption] = (),
        backlog: int = _BACKLOG,
    ) -> None:
        """
        Accept connections from now on.

        :param arrived: called by the poller when a peer has connected, for :meth:`accept`.
        :param options: more socket options, as above.
        :param backlog: how many peers the kernel keeps until they are accepted.
        :raises OSError: if that fails: another socket may have the port by now.
        """
        self.refused += set_options(self._sock, options, Edge.EXTERNAL)
        self._sock.listen(backlog)
        self._poller = poller
        poller.watch(self._sock.fileno(), arrived)

    def accept(self) -> tuple[socket.SocketType, Endpoint]:
        """
        The connection of a peer, and the peer's end of it.

        :raises OSError: if there is none, :exc:`BlockingIOError`, or it cannot be accepted.
        """
        sock, peer = self._sock.accept()
        sock.setblocking(False)
        return sock, endpoint_of(peer)

    def waits(self) -> bool:
        """Whether a peer has connected that has not been accepted."""
        return waits(self._sock)

    def pause(self) -> None:
        """Do not call ``arrived``, for a peer that cannot be accepted now."""
        if self._poller is not None:
            self._poller.pause(self._sock.fileno())

    def resume(self) -> None:
        """Call ``arrived`` again, but not for peers that have connected meanwhile."""
        if self._poller is not None:
            self._poller.resume(self._sock.fileno())

    def close(self) -> None:
        """Close the port.  May be called twice."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.forget(self._sock.fileno())
        self._sock.close()
