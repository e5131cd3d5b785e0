"""
A connection to a target of one address, being made and then relayed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from errno import ETIMEDOUT
from typing import Final

from twisted.python.failure import Failure

from dantetw.net.dialling import Dial, DialError
from dantetw.net.errors import reply_of, words_of
from dantetw.net.queues import unread
from dantetw.observe.status import Buffered, Standing
from dantetw.policy import Rule
from dantetw.session import tracing
from dantetw.session.commands.relaying import Relaying
from dantetw.session.outgoing import low_binder
from dantetw.session.session import Session
from dantetw.values import (
    NOWHERE,
    Cause,
    Counts,
    Ending,
    Endpoint,
    Operation,
    Path,
    Phase,
    Side,
    is_loopback,
)

#: What cannot be done without an address to go out from, in Dante's words.
SOURCELESS: Final = "could not bind address to use"


class Connect(Relaying):
    """
    A connection to ``target``, being made and then relayed.

    :ivar named: the target's name, if a rule passes it by that.
    """

    __slots__ = ("_dial", "named")

    def __init__(self, session: Session, rule: Rule, named: Endpoint | None) -> None:
        super().__init__(session, rule)
        self._dial: Dial | None = None
        self.named = named

    def dial(self, source: str, target: Endpoint) -> None:
        """
        Begin to connect.

        :param source: the address to go out from; ``target``: numeric.
        :raises DialError: if that fails at once.
        """
        session = self._session
        dial = self._dial = self._open(source, target)
        server = session.server
        server.performed += 1
        session.record.connecting_at = session.since = server.monotonic()
        dial.then(self.connected, self.unreached)

    def _open(self, source: str, target: Endpoint) -> Dial:
        """
        An attempt under the present rule, which is our end of the way from now on.

        :raises DialError: if it fails at once.
        """
        session = self._session
        record = session.record
        server, rule = session.server, self._rule
        options = record.policy.socket_options + rule.socket_options
        low = low_binder(session)
        # On loopback the client's port is taken, by the client, and nobody looks at ours.
        port = 0 if is_loopback(source) else record.client.port
        wish = Endpoint(source, port, target.family)
        dial = Dial(server.poller, wish, target, options, server.keep_alive, low)
        record.source = dial.source
        if server.journal.debug:
            tracing.step(session, f"connecting to {target} from {record.source}")
        if options:
            if server.journal.debug > 1:
                tracing.options(session, options)
            server.report_refused(dial.refused)
            if session.sock is not None:
                server.set_options(session.sock, rule.socket_options)
        return dial

    def unreached(self, failed: DialError) -> None:
        """The target cannot be reached, as it turned out in the end."""
        try:
            self.failed(failed)
        except Exception:
            self._session.broken(Failure())

    def failed(self, failed: DialError) -> None:
        """The target cannot be reached: say why."""
        session = self._session
        record = session.record
        record.source, number = failed.source, failed.number
        text = ""
        if failed.immediate:
            words = words_of(number)
            text = f"connect(2) to {record.target} from {failed.source} failed: {words}"
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, number, text, Operation.CONNECT)
        session.refuse(ending, reply_of(number), failed.source)

    def late(self) -> None:
        """The target has not answered in time."""
        connecting = Operation.CONNECT
        ending = Ending(Side.TARGET, Phase.CONNECT, Cause.TIMEOUT, operation=connecting)
        self._session.refuse(ending, reply_of(ETIMEDOUT), NOWHERE)

    def connected(self, target: socket.SocketType) -> None:
        """The connection stands."""
        session = self._session
        record = session.record
        assert record.source is not None
        self._dial = None
        try:
            self.relay(target, record.source)
        except Exception:
            session.broken(Failure())

    def check(self, now: float) -> None:
        limit = self._rule.timeouts.connect
        if self._relay is not None:
            super().check(now)
        elif limit and int(now) - int(self._session.since) > limit:
            self.late()

    def cancel(self) -> None:
        if self._dial is not None:
            self._dial.cancel()
        super().cancel()

    @property
    def under_way(self) -> bool:
        return self._dial is not None or super().under_way

    def standing(self) -> Iterator[tuple[Path, Standing]]:
        session = self._session
        record = session.record
        if self._relay is not None:
            yield from super().standing()
            return
        unseen = 0 if session.sock is None else unread(session.sock)
        early = Buffered(unseen, len(session.leftover))
        yield (
            session.record.path,
            Standing(
                record.accepted_at,
                record.connecting_at,
                Counts(),
                early,
                Buffered(),
                connecting=True,
            ),
        )
