"""
Finds out whether a connection would come back to this server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from dantetw.addresses import without_zone
from dantetw.values import Endpoint


class Listening:
    """
    The endpoints that clients connect to.

    :ivar endpoints: the addresses that the server listens on now.

    :param all_addresses: those of this machine, called only if the server listens on a wildcard
        address.
    """

    endpoints: frozenset[Endpoint]

    def __init__(
        self, endpoints: Iterable[Endpoint], all_addresses: Callable[[], Collection[str]]
    ) -> None:
        self._all_addresses = all_addresses
        self.change(endpoints)

    def change(self, endpoints: Iterable[Endpoint]) -> None:
        """Listen on these from now on."""
        self.endpoints = frozenset(endpoints)
        # There may be thousands, and each request asks whether it would come back to one.
        self._ours = frozenset((endpoint.shown, endpoint.port) for endpoint in self.endpoints)

    def is_ours(self, target: Endpoint) -> bool:
        """
        Whether a connection to an endpoint would come back to this server.

        :param target: numeric.
        """
        # Whatever the link, a link-local address may be ours.
        host = target.shown
        ours, port = self._ours, target.port
        if (host, port) in ours:
            return True
        if ("0.0.0.0", port) in ours or ("::", port) in ours:
            return host.startswith("127.") or host in map(without_zone, self._all_addresses())
        return False
