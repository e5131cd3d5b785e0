"""
The command at work, as a session sees it.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from typing import Final

from dantetw.observe.events import Attempt, Traffic
from dantetw.observe.status import Standing
from dantetw.values import Counts, Drop, Endpoint, Path

#: Of an activity that has relayed nothing; one for all.
NO_COUNTS: Final = Counts()


class Activity:
    """
    The command that is being performed for a session, as the session sees it.

    The defaults here are those of a command that has not begun.
    """

    __slots__ = ()

    #: The target's name, if a rule passes it by that; None: by its address, or it has no name.
    named: Endpoint | None = None
    #: What became of the target's addresses, if it has several.
    attempts: tuple[Attempt, ...] = ()

    def check(self, now: float) -> None:
        """Act if a time limit of the command has passed; ``now`` is monotonic seconds."""

    def closing(self) -> None:
        """The session ends now: say what is left to say."""

    def cancel(self) -> None:
        """Release all that the command holds."""

    @property
    def under_way(self) -> bool:
        """
        Whether the status report shows the session's traffic; else, that its request is in progress
        (as that of a BIND is that waits for its peer).  It counts in ``performed`` from then on.
        """
        return False

    def standing(self) -> Iterator[tuple[Path, Standing]]:
        """
        How the traffic stands, for the status report: for each way it takes who talks to whom, and
        how much.  At least one; asked only when it is under way.
        """
        return iter(())

    @property
    def stirred(self) -> float:
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
        """The datagrams by each way out."""
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
