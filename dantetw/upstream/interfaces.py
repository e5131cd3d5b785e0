"""
The interface of upstreams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zope.interface import Interface

from dantetw.net.dial import IAttempt
from dantetw.net.poller import IPoller
from dantetw.net.sockopts import LowBinder
from dantetw.net.sources import Sources
from dantetw.policy import SocketOption
from dantetw.values import Endpoint


class IUpstream(Interface):
    """Connects sessions to their targets."""

    def connect(
        target: Endpoint,  # noqa: N805 - zope's way
        client: Endpoint,
        local: Endpoint,
        options: Sequence[SocketOption],
    ) -> IAttempt:
        """
        Begin to connect.

        :param target: where to; numeric.
        :param client: the client's end of its connection; ``local``: our end of that.
        :param options: socket options for the connection; only the ``external`` ones are set.
        :raises NoSource: if this host has no address to connect from.
        :raises DialError: if the attempt fails at once.
        """


#: Makes an upstream for a policy.  Parameters: the poller; the chooser of source addresses; whether
#: connections get TCP keep-alive; and the function that binds ports below 1024 (None: none, without
#: ``compatibility: sameport``).
MakeUpstream = Callable[[IPoller, Sources, bool, LowBinder | None], IUpstream]
