"""
The messages between the supervisor process and its workers.

An *order* goes to a worker.  Some orders are questions, and their answer follows: :class:`Prepare`
is answered with :class:`Prepared`, :class:`Commit` with :class:`Committed`, :class:`Release` with
:class:`Released`, :class:`Gather` with :class:`Gathered` and :class:`ReportSessions` with
:class:`SessionsReported`.  All other messages of a worker are *notices*, which it sends unasked.
:mod:`.codec` packs them for a channel.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass

from dantetw.policy import Policy
from dantetw.relay.latency import LatencySnapshot
from dantetw.values import Endpoint

# Orders.


@dataclass(frozen=True, slots=True)
class Stop:
    """End all sessions now, and the process."""


@dataclass(frozen=True, slots=True)
class Retire:
    """Accept no more clients; end with the last session."""


@dataclass(frozen=True, slots=True)
class Change:
    """
    The change that a reload, or a change of the host's interfaces, causes.

    :ivar policy: the new one; ``key``: of pseudonyms in the log.
    :ivar kept: ports that stay; ``added``: new ones, each with a descriptor beside the message.
    """

    policy: Policy
    key: bytes
    kept: tuple[Endpoint, ...]
    added: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepare:
    """
    Make ready for a change; :class:`Commit` or :class:`Abandon` follows.

    :ivar packed: a :class:`Change`, pickled once for all workers.
    """

    packed: bytes

    @classmethod
    def of(cls, change: Change) -> Prepare:
        """Make ready for this."""
        return cls(pickle.dumps(change))

    @property
    def change(self) -> Change:
        """The change; of the supervisor process's messages only."""
        change = pickle.loads(self.packed)
        assert isinstance(change, Change)
        return change


@dataclass(frozen=True, slots=True)
class Commit:
    """
    Make the change.

    :ivar logs: destinations of the log which have been opened again, each with a descriptor beside
        the message; None: the old ones stay in use.
    """

    logs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Abandon:
    """Forget the change."""


@dataclass(frozen=True, slots=True)
class Release:
    """
    Close the ports that the change drops.

    :ivar grace: first wait for clients to complete their handshakes.
    """

    grace: bool = True


@dataclass(frozen=True, slots=True)
class Reopen:
    """Use destinations of the log which have been opened again; ``logs`` as in :class:`Commit`."""

    logs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """Bring the scoreboard up to date and send :class:`Latencies`."""


@dataclass(frozen=True, slots=True)
class ReportSessions:
    """
    Write all sessions into a status report.

    :ivar report: its number; ``up``: seconds since the server's start.
    """

    report: int
    up: float


@dataclass(frozen=True, slots=True)
class Lend:
    """
    Accept clients at the sockets of another worker, whose descriptors come beside the message.

    :ivar place: which worker, from 0.
    """

    place: int


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Accept no more clients at the sockets of that worker."""

    place: int


# Answers.


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    Ready for the change, or not.

    :ivar refusal: why not; empty: ready.
    """

    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """The change is made."""


@dataclass(frozen=True, slots=True)
class Released:
    """The ports are closed."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """
    The scoreboard and the latencies are up to date.

    :ivar free_files: how many more files the worker can open; None: unknown.
    """

    free_files: int | None


@dataclass(frozen=True, slots=True)
class SessionsReported:
    """
    The sessions are written.

    :ivar reported: how many; ``gone``: how many ended before it was their turn.
    """

    reported: int
    gone: int


# Notices.


@dataclass(frozen=True, slots=True)
class Running:
    """The worker accepts clients."""


@dataclass(frozen=True, slots=True)
class Retired:
    """The worker accepts no more clients."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker is ending, and only writes its last lines."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """
    The worker's latencies.

    :ivar kinds: by the names of :data:`dantetw.session.totals.KINDS`.
    """

    kinds: Mapping[str, LatencySnapshot]


Order = (
    Stop
    | Retire
    | Prepare
    | Commit
    | Abandon
    | Release
    | Reopen
    | Gather
    | ReportSessions
    | Lend
    | TakeBack
)
Answer = Prepared | Committed | Released | Gathered | SessionsReported
Notice = Running | Retired | Stopping | Latencies
