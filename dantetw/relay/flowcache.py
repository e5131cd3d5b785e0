"""
The flow cache of a datagram relay (:mod:`.datagrams`): the decisions about datagrams with one
header, or about one target's replies, so that most datagrams need no further decision.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from dantetw.values import Counts, Endpoint
from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import build_header


class EgressTraffic:
    """
    The traffic of an association's address of one family.

    :ivar source: our address and port.
    :ivar target: the one target; None: there are several, or none any more.
    :ivar connected_to: the target of the connected socket, if there is one.
    :ivar since: monotonic seconds of the beginning; ``last_activity``: of the last datagram.
    :ivar to_client: bytes sent to the client from here; ``packets_to_client``: how many datagrams;
        likewise the others.  The client's include their headers.
    """

    __slots__ = (
        "connected_to",
        "from_client",
        "from_target",
        "last_activity",
        "packets_from_client",
        "packets_from_target",
        "packets_to_client",
        "packets_to_target",
        "since",
        "source",
        "target",
        "to_client",
        "to_target",
    )

    def __init__(self, source: Endpoint, now: float) -> None:
        self.source = source
        self.connected_to: Endpoint | None = None
        self.target: Endpoint | None = None
        self.since = self.last_activity = now
        self.to_client = self.from_client = self.to_target = self.from_target = 0
        self.packets_to_client = self.packets_from_client = 0
        self.packets_to_target = self.packets_from_target = 0

    @property
    def counts(self) -> Counts:
        """Bytes."""
        return Counts(self.to_client, self.from_client, self.to_target, self.from_target)

    @property
    def packets(self) -> Counts:
        """Datagrams."""
        return Counts(
            self.packets_to_client,
            self.packets_from_client,
            self.packets_to_target,
            self.packets_from_target,
        )


class DatagramFlow:
    """
    Datagrams that one decision applies to.

    :ivar egress: the egress that they leave or arrive by.
    :ivar passes: the decision; None until there is one.
    :ivar rule: the rule that decided.
    :ivar tapped: whether the delegate sees each datagram.
    :ivar held: datagrams that wait for the decision.
    :ivar gone: it is no longer in the cache, and a late decision about it has no effect.
    """

    __slots__ = ("egress", "gone", "held", "passes", "rule", "tapped")

    def __init__(self, egress: EgressTraffic | None) -> None:
        self.egress = egress
        self.passes: bool | None = None
        self.rule: Any = None
        self.tapped = False
        self.held: list[bytes] = []
        self.gone = False


class OutboundFlow(DatagramFlow):
    """
    A client's datagrams with one header.

    :ivar header: as the client writes it; ``size``: its length.
    :ivar asked: the target in it; ``target``: the same, numeric.
    :ivar sock: over which they go out; ``address``: where to, None if ``sock`` is connected to it.
    :ivar send: sends a payload, if nothing else needs to be done with it.
    """

    __slots__ = ("address", "asked", "header", "send", "size", "sock", "target")

    def __init__(self, header: bytes, asked: Endpoint) -> None:
        super().__init__(None)
        self.header = header
        self.size = len(header)
        self.asked = self.target = asked
        self.sock: socket.socket | None = None
        self.address: tuple[Any, ...] | None = None
        self.send: Callable[[memoryview], int] | None = None


class ReplyFlow(DatagramFlow):
    """
    A target's replies.

    :ivar sender: the target.
    :ivar header: what goes in front of each to the client; ``size``: its length.
    """

    __slots__ = ("header", "sender", "size")

    def __init__(self, sender: Endpoint, egress: EgressTraffic) -> None:
        super().__init__(egress)
        self.sender = sender
        self.header = build_header(sender)
        self.size = len(self.header)


class DatagramDelegate(Protocol):
    """
    Decides about flows, and logs what is not relayed:
    :class:`dantetw.session.commands.association.Association`.
    """

    def admit_client(self, client: Endpoint) -> bool:
        """Whether ``client``, an unknown sender of a datagram, may be the client."""

    def decide_outbound(self, flow: OutboundFlow) -> None:
        """
        Decide about a new header, now or later.

        Set ``passes`` and how its datagrams go out, or have the relay drop the flow.  If this is
        done later, have the relay release the flow too.
        """

    def decide_reply(self, flow: ReplyFlow) -> None:
        """The same about a target that replies."""

    def blocked(self, flow: DatagramFlow) -> None:
        """A rule blocks a datagram."""

    def relayed(self, flow: DatagramFlow, data: memoryview) -> None:
        """A datagram of a tapped flow was relayed."""

    def malformed(self, data: memoryview, error: ProtocolError) -> None:
        """A client's datagram cannot be parsed, or not be relayed."""

    def send_failed(self, flow: DatagramFlow, size: int, number: int) -> None:
        """The system refused to send ``size`` bytes; ``number`` is the ``errno``."""

    def undelivered(
        self, egress: EgressTraffic | None, target: Endpoint | None, number: int
    ) -> None:
        """An earlier datagram did not arrive: at the client, where ``egress`` is None."""

    def unsolicited(self) -> None:
        """A datagram came from an address to which the client has not sent anything."""

    def overflowed(self, number: int) -> None:
        """So many datagrams were lost because a buffer was full."""
