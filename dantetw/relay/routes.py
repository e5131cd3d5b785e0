"""
What a relay of datagrams (:mod:`.datagrams`) remembers of what it has seen, and who decides for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from dantetw.values import Endpoint
from dantetw.wire.messages import ProtocolError
from dantetw.wire.udp import build_header

if TYPE_CHECKING:
    from dantetw.relay.outside import Outside


class Helping:
    """
    How many datagrams to read at a time.

    Reading until there are none costs a system call and an exception, as much as relaying half a
    datagram.  So as many are read as there were the last time; if there are more we are told again,
    and if that is so again and again, twice as many are read.

    :ivar size: from 1 to the most that are taken before others have their turn.
    """

    __slots__ = ("_full", "_most", "size")

    def __init__(self, most: int) -> None:
        self._most = most
        self._full = 0
        self.size = most

    def was(self, read: int) -> None:
        """There were no more than ``read``."""
        self.size = max(1, read)

    def full(self) -> None:
        """There may have been more."""
        self._full += 1
        if not self._full & 3:
            self.size = min(2 * self.size, self._most)


class Judged:
    """
    Something about which rules are asked.

    :ivar outside: by which it goes out, or came.
    :ivar passes: what came of it; None as long as that is being found out.
    :ivar rule: the rule that decided.
    :ivar tapped: the owner wants to see each datagram.
    :ivar held: datagrams that wait for the decision.
    :ivar gone: it is not remembered any more, and what comes of it does not matter.
    """

    __slots__ = ("gone", "held", "outside", "passes", "rule", "tapped")

    def __init__(self, outside: Outside | None) -> None:
        self.outside = outside
        self.passes: bool | None = None
        self.rule: Any = None
        self.tapped = False
        self.held: list[bytes] = []
        self.gone = False


class Route(Judged):
    """
    What becomes of a client's datagrams with one header.

    :ivar header: as the client writes it; ``size``: its length.
    :ivar asked: the target in it; ``target``: numeric, what became of that.
    :ivar sock: over which they go out; ``address``: where to, None if ``sock`` is connected to it.
    :ivar send: sends a payload, if nothing else need be done with it.
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


class Answer(Judged):
    """
    What becomes of what a target answers.

    :ivar sender: the target.
    :ivar header: what goes in front of it to the client; ``size``: its length.
    """

    __slots__ = ("header", "sender", "size")

    def __init__(self, sender: Endpoint, outside: Outside) -> None:
        super().__init__(outside)
        self.sender = sender
        self.header = build_header(sender)
        self.size = len(self.header)


class Owner(Protocol):
    """Whoever decides, and tells: :class:`dantetw.session.commands.association.Association`."""

    def introduced(self, client: Endpoint) -> bool:
        """A datagram came from ``client``, not from the one we know: may it be that one?"""

    def route(self, route: Route) -> None:
        """
        Decide about a new header, now or later.

        If now: set what becomes of it, or drop it.  If later: call ``settled`` too.
        """

    def answer(self, answer: Answer) -> None:
        """Likewise about a target that answers; if later, call ``answered`` too."""

    def blocked(self, judged: Judged) -> None:
        """A datagram was not relayed since a rule does not want it."""

    def seen(self, judged: Judged, data: memoryview) -> None:
        """A datagram was relayed, which somebody wants to see."""

    def malformed(self, data: memoryview, wrong: ProtocolError) -> None:
        """A client's datagram cannot be understood, or not be served."""

    def unsendable(self, judged: Judged, size: int, number: int) -> None:
        """The system would not send ``size`` bytes; ``number`` is the ``errno``."""

    def delayed(self, outside: Outside | None, target: Endpoint | None, number: int) -> None:
        """An earlier datagram did not arrive: at the client, where ``outside`` is None."""

    def unasked(self) -> None:
        """A datagram came from somebody whom the client has not sent anything."""

    def overflowed(self, number: int) -> None:
        """So many datagrams were lost since a buffer was full."""
