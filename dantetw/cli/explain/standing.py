"""
What stands in for the world while a visit is played: proofs, passwords, groups, time and sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from dantetw.auth.groups import Groups
from dantetw.auth.interfaces import IAuthenticator
from dantetw.cli.explain.staging import Client
from dantetw.net.awaiting import Await
from dantetw.net.poller import IPoller, Watcher
from dantetw.net.sockopts import LowBinder
from dantetw.policy import SocketOption
from dantetw.rules.authentication import AuthCheck, AuthResult, AuthState
from dantetw.session.proving import Proving
from dantetw.session.session import Session
from dantetw.values import Endpoint, Method

#: Stands for whatever port the system would choose: the first of those :rfc:`6335` leaves for that.
FREE_PORT: Final = 49152


class Assumed(Mapping[AuthCheck, AuthResult]):
    """
    The answers to all that a rule may have to ask about a client, as if they had been asked for.

    :ivar asked: those that a rule did ask for.
    """

    def __init__(self, client: Client) -> None:
        self.asked: dict[AuthCheck, AuthResult] = {}
        self._named = Method.RFC931 in (client.method, client.client_method)
        self._user = client.user

    def __getitem__(self, check: AuthCheck) -> AuthResult:
        name = self._user if check.method is Method.RFC931 and self._named else None
        return self.asked.setdefault(check, AuthResult(name))

    def __iter__(self) -> Iterator[AuthCheck]:
        return iter(self.asked)

    def __len__(self) -> int:
        return len(self.asked)


class Proven(Proving):
    """Proves what is assumed."""

    __slots__ = ("_assumed",)

    def __init__(self, assumed: Assumed) -> None:
        super().__init__()
        self._assumed = assumed

    def claim(self, session: Session) -> AuthState:
        return AuthState(self._assumed, session.context.groups.of, self._method, self._name)

    def ask(self, session: Session, check: AuthCheck) -> Deferred[AuthResult]:
        return defer.succeed(self._assumed[check])


@implementer(IAuthenticator)
class Believer:
    """Every password is right."""

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        return defer.succeed(None)

    def revision(self, name: str) -> object:
        return None


class Supposed(Await):
    """A port that is not really bound; a free one gets the number :data:`FREE_PORT`."""

    def __init__(
        self,
        source: Endpoint,
        options: Sequence[SocketOption] = (),
        keep_alive: bool = True,
        low: LowBinder | None = None,
    ) -> None:
        self.bound = Endpoint(source.host, source.port or FREE_PORT, source.family)

    def close(self) -> None:
        """Nothing is held."""


class Members(Groups):
    """Everybody is in the groups that are given."""

    def __init__(self, groups: frozenset[str]) -> None:
        self._members = groups

    def of(self, user: str) -> frozenset[str]:
        return self._members


@implementer(ILogObserver)
class Silence:
    """Logs nothing."""

    def __call__(self, event: LogEvent) -> None: ...


@implementer(IReactorFromThreads)
class Turns(Clock):
    """A reactor without a network, in which no time passes; also a pool of threads without any."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], object]] = []

    def callFromThread(  # noqa: N802
        self, callable: Callable[..., Any], *args: object, **kwargs: object
    ) -> None:
        self._calls.append(lambda: callable(*args, **kwargs))

    def call(self, thd_function: Callable[[], None], /) -> None:
        """See :class:`~dantetw.threads.IPool`; at once."""
        thd_function()

    def stop(self) -> None: ...

    def run(self) -> None:
        """Go on until nothing is left to be done."""
        while self._calls:
            self._calls.pop(0)()


@implementer(IPoller)
class Deaf:
    """Hears nothing: the client says all it says when it is told to."""

    now = 0.0
    tells_failures = False
    turned: Callable[[int], None] | None = None

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def refresh(self) -> None: ...

    def watch(self, fd: int, watcher: Watcher) -> None: ...

    def watch_input(self, fd: int, watcher: Watcher) -> None: ...

    def hand_over(self, fd: int, watcher: Watcher) -> None: ...

    def remind(self, fd: int) -> None: ...

    def forget(self, fd: int, shared: bool = False) -> None: ...

    def pause(self, fd: int) -> None: ...

    def resume(self, fd: int) -> None: ...

    def block(self, source: int, sink: int) -> None: ...

    def unblock(self, source: int, sink: int) -> None: ...

    def again(self, call: Callable[[], None]) -> None: ...
