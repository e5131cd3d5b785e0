"""
Method ``rfc931``: the client's own host names the connection's user (:rfc:`1413`, once :rfc:`931`).

The owner of that host decides what it answers, so this is of use where the hosts are trusted.
"""

from __future__ import annotations

import pwd
import re
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import error
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    connectProtocol,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from dantetw.auth.interfaces import IProver, Visitor
from dantetw.escaping import escape
from dantetw.rules.authentication import AuthCheck, AuthResult
from dantetw.values import Family
from dantetw.wire.messages import user_text

PORT: Final = 113

#: Seconds that the client's host has, as in libwrap, which Dante asks by.
SECONDS: Final = 10

#: Bytes of an answer (:rfc:`1413`, 4, has no answer of more), and of a name (libwrap).
ANSWER_LIMIT: Final = 1000
NAME_LIMIT: Final = 255

_ANSWER: Final = re.compile(rb"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*:\s*USERID\s*:[^:]*:\s*(\S+)")

_DONE = Failure(error.ConnectionDone())


def name_in(answer: bytes, ports: tuple[int, int]) -> str | None:
    """
    The user's name in an answer.

    :param ports: that were asked about: the client's, and ours.
    :returns: up to the first blank, as libwrap does; None if there is none.
    """
    found = _ANSWER.match(answer)
    if found is None or (int(found[1]), int(found[2])) != ports or len(found[3]) > NAME_LIMIT:
        return None
    return user_text(found[3])


class _Question(Protocol):
    """
    One question.

    :ivar answer: fires with the first line, or with less if there is no more.
    """

    def __init__(self, ports: tuple[int, int]) -> None:
        self._ports = ports
        self._heard = b""
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"%d,%d\r\n" % self._ports)

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if b"\n" in data or len(self._heard) > ANSWER_LIMIT:
            self._answered()

    def connectionLost(self, reason: Failure = _DONE) -> None:
        self._answered()

    def _answered(self) -> None:
        if not self.answer.called:
            self.answer.callback(self._heard.partition(b"\n")[0][:ANSWER_LIMIT])

    def abort(self) -> None:
        """Hear no more."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]


@implementer(IProver)
class Ident:
    """
    The hosts of clients.

    :param reactor: connects, and watches the time.
    :param port: where they are asked.
    :param getpwnam: the password database; as in Dante a user that it lacks is refused.
    """

    def __init__(
        self,
        reactor: Any,
        port: int = PORT,
        getpwnam: Callable[[str], object] = pwd.getpwnam,
    ) -> None:
        self._reactor = reactor
        self._port = port
        self._getpwnam = getpwnam

    def prove(self, check: AuthCheck, visitor: Visitor) -> Deferred[AuthResult]:
        """See :class:`~dantetw.auth.interfaces.IProver`."""
        ports = (visitor.client.port, visitor.local.port)
        asked = Deferred.fromCoroutine(self._ask(visitor, ports))
        asked.addTimeout(SECONDS, self._reactor)
        return asked.addCallbacks(lambda answer: self._result(name_in(answer, ports)), _unanswered)

    async def _ask(self, visitor: Visitor, ports: tuple[int, int]) -> bytes:
        host, local = visitor.client.host, visitor.local.host
        kind = TCP6ClientEndpoint if visitor.client.family is Family.IPV6 else TCP4ClientEndpoint
        # From the address the client knows us by: its host looks for that connection.
        endpoint = kind(self._reactor, host, self._port, timeout=SECONDS, bindAddress=(local, 0))
        question = _Question(ports)
        try:
            await connectProtocol(endpoint, question)
            return await question.answer
        finally:
            question.abort()

    def _result(self, name: str | None) -> AuthResult:
        if name is None:
            return AuthResult()
        try:
            self._getpwnam(name)
        except (KeyError, ValueError):
            refusal = f'no user "{escape(name)}" found in system password file'
            return AuthResult(name, refusal)
        return AuthResult(name)


def _unanswered(failure: Failure) -> AuthResult:
    failure.trap(error.ConnectError, TimeoutError)
    return AuthResult()
