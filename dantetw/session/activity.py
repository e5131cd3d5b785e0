"""
The interface of the command that a session performs.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from typing import Final

from dantetw.observe.events import Attempt, Traffic
from dantetw.observe.status import TrafficSnapshot
from dantetw.values import Counts, Drop, Endpoint, Path

#: The counts of an activity that has relayed nothing; shared.
NO_COUNTS: Final = Counts()


class Activity:
    """
    The command that a session performs, as the session sees it.

    The defaults are those of a command that has not begun.
    """

    __slots__ = ()

    #: The target's name, if a rule passed it by name; None: by its address, or it has no name.
    named: Endpoint | None = None
    #: The results of connecting to the target's addresses, if it has several.
    attempts: tuple[Attempt, ...] = ()

    def check(self, now: float) -> None:
        """Act if a time limit of the command has passed; ``now`` is monotonic seconds."""

    def closing(self) -> None:
        """The session ends now: log what has not been logged."""

    def cancel(self) -> None:
        """Release all resources of the command."""

    @property
    def is_active(self) -> bool:
        """
        Whether the status report shows the session's traffic; otherwise it shows that the request
        is in progress, as that of a BIND which waits for its peer.  From then on the session counts
        as performed.
        """
        return False

    def traffic_snapshots(self) -> Iterator[tuple[Path, TrafficSnapshot]]:
        """
        The traffic for the status report: for each outgoing path its ends and counts.  At least one
        item; called only while the activity is active.
        """
        return iter(())

    @property
    def last_activity(self) -> float:
        """Monotonic seconds of the last bytes moved, or a little later; infinite: unknown."""
        return math.inf

    @property
    def counts(self) -> Counts:
        """Bytes moved so far."""
        return NO_COUNTS

    @property
    def packets(self) -> Counts:
        """Datagrams moved so far."""
        return NO_COUNTS

    @property
    def traffic(self) -> tuple[Traffic, ...]:
        """The datagrams by outgoing path."""
        return ()

    @property
    def drops(self) -> tuple[tuple[Drop, int], ...]:
        """How many datagrams were not relayed, and why."""
        return ()

    @property
    def first_io(self) -> float:
        """Monotonic seconds of the first bytes moved, or 0.0."""
        return 0.0

    @property
    def target_socket(self) -> socket.SocketType | None:
        """The connection to the target, if there is one."""
        return None
