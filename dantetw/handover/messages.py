"""
The messages between a server and its successor.

The two may be of different versions, so the bytes of each message must not change
(``tests/handover/test_messages.py`` pins them), and unknown messages are ignored: a newer version
may have more.  Neither side trusts the other, which reads clients' data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dantetw.net.channel import Channel, Frame, is_count

# From the successor, until it has taken over.


@dataclass(frozen=True, slots=True)
class Give:
    """Send the listening sockets."""


@dataclass(frozen=True, slots=True)
class Taken:
    """
    The successor accepts clients: accept no more.

    :ivar process: its id.
    """

    process: int


# From the old server, until then.


@dataclass(frozen=True, slots=True)
class Given:
    """
    The listening sockets, whose descriptors come beside the message.

    :ivar left: messages with more of them that follow.  Versions up to 0.1 do not say, and send one
        message.
    """

    left: int


@dataclass(frozen=True, slots=True)
class Busy:
    """
    Another successor is starting.

    :ivar process: its id.
    """

    process: int


@dataclass(frozen=True, slots=True)
class TooLate:
    """The successor has taken too long to start: the old server goes on."""


# From the server that has been replaced.


@dataclass(frozen=True, slots=True)
class Staying:
    """The old server does what its successor says; versions up to 0.1 do not."""


@dataclass(frozen=True, slots=True)
class HandedOn:
    """
    The connection to a server that the old one had replaced; its descriptor comes beside.

    :ivar process: that server's id.
    :ivar unread: what has been read of a message that is not complete.
    """

    process: int
    unread: bytes = b""


@dataclass(frozen=True, slots=True)
class SessionCount:
    """
    The answer to :class:`CountSessions`.

    :ivar current: how many sessions there are; None: it makes no sense.
    """

    report: int
    current: int | None


@dataclass(frozen=True, slots=True)
class SessionsWritten:
    """
    The answer to :class:`WriteSessions`.

    :ivar written: how many sessions; ``gone``: how many ended before it was their turn.
    """

    report: int
    written: int
    gone: int


# From the successor to it.


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """Open the logs again."""


@dataclass(frozen=True, slots=True)
class StopServing:
    """End, as by a signal."""


@dataclass(frozen=True, slots=True)
class CountSessions:
    """Return the number of sessions, for the status report with this number."""

    report: int


@dataclass(frozen=True, slots=True)
class WriteSessions:
    """Write the sessions into the status report with this number."""

    report: int


HandoverMessage = (
    Give
    | Taken
    | Given
    | Busy
    | TooLate
    | Staying
    | HandedOn
    | SessionCount
    | SessionsWritten
    | ReopenLogs
    | StopServing
    | CountSessions
    | WriteSessions
)


def pack(message: HandoverMessage) -> Frame:
    """A message as it is sent."""
    match message:
        case Give():
            return Frame("give")
        case Taken(process):
            return Frame("taken", process)
        case Given(left):
            return Frame("given", left)
        case Busy(process):
            return Frame("busy", process)
        case TooLate():
            return Frame("late")
        case Staying():
            return Frame("staying")
        case HandedOn(process, unread):
            return Frame("predecessor", process, unread)
        case ReopenLogs():
            return Frame("reopen")
        case StopServing():
            return Frame("stop")
        case CountSessions(report):
            return Frame("measure", report)
        case WriteSessions(report):
            return Frame("tell", report)
        case SessionCount(report, current):
            return Frame(f"measured {report}", current)
        case SessionsWritten(report, written, gone):
            return Frame(f"told {report}", [written, gone])


def parse(frame: Frame) -> HandoverMessage | None:
    """The message in a frame; None: an unknown one."""
    said = frame.said
    word, _, number = frame.word.partition(" ")
    report = int(number) if number.isdecimal() and len(number) < 16 else None
    match word:
        case "give":
            return Give()
        case "taken":
            return Taken(said if is_count(said) else 0)
        case "given":
            return Given(said if is_count(said) else 0)
        case "busy":
            return Busy(said if is_count(said) else 0)
        case "late":
            return TooLate()
        case "staying":
            return Staying()
        case "predecessor" if is_count(said):
            return HandedOn(said, frame.payload)
        case "reopen":
            return ReopenLogs()
        case "stop":
            return StopServing()
        case "measure" if is_count(said):
            return CountSessions(said)
        case "tell" if is_count(said):
            return WriteSessions(said)
        case "measured" if report is not None:
            return SessionCount(report, said if is_count(said) else None)
        case "told" if report is not None:
            match said:
                case [written, gone] if is_count(written) and is_count(gone):
                    return SessionsWritten(report, written, gone)
            return SessionsWritten(report, 0, 0)
    return None


def send(channel: Channel, message: HandoverMessage, descriptors: Sequence[int] = ()) -> None:
    """
    Send a message, without waiting.

    :param descriptors: duplicates of them are sent.
    :raises OSError: if there can be no more descriptors.
    """
    frame = pack(message)
    channel.send(frame.word, frame.said, frame.payload, descriptors)
