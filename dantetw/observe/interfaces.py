"""What a format and a sink promise."""

# ruff: noqa: N805 - an interface's methods are described as they are called, without ``self``.

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

from dantetw.observe.events import Event
from dantetw.values import Severity

#: A message, and how severe it is.
Line = tuple[Severity, str]
#: The same with the time when it happened in between, in seconds since the epoch.
Said = tuple[Severity, float, str]


class IFormat(Interface):
    """From an event to text."""

    def lines(event: Event) -> tuple[Line, ...]:
        """
        The messages an event makes, in order, without prefix and without a newline at the end.

        Most are one line; a message of several lines (``log: tcpinfo``) has newlines inside.
        Nothing in them that came from a client may add a line or move a terminal's cursor.
        """


class ISink(Interface):
    """
    From text to the outside.

    A sink never raises from :meth:`write` or :meth:`write_all`, never waits for its reader, and
    never logs: it has its error in :attr:`error` and counts in :attr:`lost`; the observer
    looks and reports.
    """

    name: str = Attribute("The destination as the operator wrote it.")
    rank: int = Attribute("Sinks of lower rank are written first: 0 for syslog, 1 for others.")
    error: int = Attribute("Why lines do not get out, an ``errno``; 0 while they do.")
    lost: int = Attribute("Messages given to the sink that will never come out.  Never decreases.")

    waiting: int = Attribute("Messages taken that did not come out yet.")

    def write(severity: Severity, when: float, text: str) -> None:
        """
        Take one message.

        :param when: when it happened, seconds since the epoch.
        """

    def write_all(said: Sequence[Said]) -> None:
        """Take several, in order."""

    def reopen() -> None:
        """
        Open the destination again; no message is lost between the old and the new.

        :raises OSError: it cannot be opened; the old one stays in use.
        """

    def flush(seconds: float) -> None:
        """Get out what waits, blocking for at most so long; what remains stays queued."""

    def close() -> None:
        """Let go of the destination.  What still waits is lost, and counted."""
