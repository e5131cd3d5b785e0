"""
Connections without a proxy, from an address of this host.
"""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from dantetw.net.dial import Dial
from dantetw.net.poller import IPoller
from dantetw.net.sockopts import LowBinder
from dantetw.net.sources import Sources
from dantetw.policy import SocketOption
from dantetw.upstream.interfaces import IUpstream
from dantetw.values import Endpoint, is_loopback


@implementer(IUpstream)
class Direct:
    """
    Connects from the addresses of ``external``.

    As in Dante, the port is that of the client if it is free.

    :param poller, sources, keep_alive, low: see :data:`~dantetw.upstream.interfaces.MakeUpstream`.
    """

    def __init__(
        self, poller: IPoller, sources: Sources, keep_alive: bool, low: LowBinder | None
    ) -> None:
        self._poller = poller
        self._sources = sources
        self._keep_alive = keep_alive
        self._low = low

    def connect(
        self, target: Endpoint, client: Endpoint, local: Endpoint, options: Sequence[SocketOption]
    ) -> Dial:
        """See :meth:`IUpstream.connect`."""
        source = self._sources.choose(target, client, local)
        # On loopback the client itself has that port, and no remote end sees ours.
        port = 0 if is_loopback(source) else client.port
        wish = Endpoint(source, port, target.family)
        return Dial(self._poller, wish, target, options, self._keep_alive, self._low)
