"""
Why sessions end, in words: Dante's as far as it has some.

A block has none in Dante's lines, where the rule's number says it all; programs that read JSON get
the rule in words.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

from dantetw.observe.events import Dropped, Ended, Parted
from dantetw.policy import Rule
from dantetw.values import (
    CAUSE_BLOCKED,
    CAUSE_CLOSED,
    COMMAND_BIND,
    Cause,
    Drop,
    Ending,
    Phase,
    Side,
)

_CLOSED: Final = {Side.CLIENT: "local client closed", Side.TARGET: "remote peer closed"}
_FAILED: Final = {Side.CLIENT: "local client error", Side.TARGET: "remote peer error"}
_OTHER: Final = {Side.CLIENT: Side.TARGET, Side.TARGET: Side.CLIENT}
_AWAITED: Final = {Side.CLIENT: "client", Side.TARGET: "remote peer"}

#: Why rule 0 blocks, in Dante's words.
NO_RULE: Final = "no rules matched; using default block rule"
#: What happens to established sessions without anything being wrong; a time-out counts as that.
ORDERLY: Final = frozenset(
    (Cause.CLOSED, Cause.TIMEOUT, Cause.FIN_WAIT, Cause.SHUTDOWN, Cause.BLOCKED)
)
_STOPPED: Final = "administrative termination"
_CRASHED: Final = "server process died"
#: What is said of a request that came to nothing before the socks rules were asked: Dante's line of
#: it has the client rule's number.
UNASKED: Final = "no socks rule was asked"
#: Why such a request may have come to nothing.
REFUSALS: Final = frozenset((Cause.UNRESOLVED, Cause.UNUSABLE, Cause.TIMEOUT, Cause.ERROR))


def words(event: Ended) -> str:
    """Why a session ended, for programs."""
    ending = event.ending
    if ending.cause is CAUSE_BLOCKED:
        rule = event.reply_rule or event.socks_rule or event.client_rule
        return ending.text or blocked_by(rule)
    if event.command is not None and event.socks_rule is None and ending.cause in REFUSALS:
        return f"{complaint(ending)}; {UNASKED}"
    if ending.text:
        return ending.text
    if unanswered(event):
        return given_up(ending)
    return reason(ending) if event.established else complaint(ending)


def reason(ending: Ending) -> str:
    """Why an established session ended, such as ``remote peer error (Connection refused)``."""
    if ending.cause is CAUSE_CLOSED:
        return _CLOSED.get(ending.side, "session closed")
    match ending.cause:
        case Cause.ERROR:
            side = _FAILED.get(ending.side, "session error")
            return f"{side} ({os.strerror(ending.errno)})" if ending.errno else side
        case Cause.TIMEOUT:
            return "connect timeout" if ending.phase is Phase.CONNECT else "i/o timeout"
        case Cause.FIN_WAIT:
            awaited = _AWAITED.get(ending.side, "remote peer")
            return f"tcp-fin-wait timeout (waiting for {awaited} to close)"
        case Cause.SHUTDOWN:
            return _STOPPED
        case Cause.CRASH:
            return _CRASHED
        case _:
            return str(ending.cause.value)


def blocked_by(rule: Rule) -> str:
    """Which rule blocks, such as ``blocked by socks-rule #2``."""
    return f"blocked by {rule.kind.value}-rule #{rule.number}" if rule.number else NO_RULE


def words_dropped(event: Dropped) -> str:
    """Why a datagram was not relayed, for programs."""
    if event.text or event.drop is not Drop.BLOCKED:
        return event.text
    return blocked_by(event.rule)


def words_parted(event: Parted) -> str:
    """Why a peer of a port that takes many is over, in Dante's words as far as it has some."""
    ending = event.ending
    if ending.cause is Cause.BLOCKED:
        return ending.text or ("" if event.rule.number else NO_RULE)
    return ending.text or reason(mirrored(ending))


def complaint(ending: Ending) -> str:
    """What went wrong before a session was established."""
    if ending.text:
        return ending.text
    match ending.cause:
        case Cause.CLOSED:
            return "eof from local client" if ending.side is Side.CLIENT else "eof from remote peer"
        case Cause.ERROR if ending.errno:
            return os.strerror(ending.errno)
        case Cause.PROTOCOL:
            return "local client protocol error"
        case _:
            return reason(ending)


def unanswered(event: Ended) -> bool:
    """Whether it is the end of a BIND that no peer came to, without an error."""
    ending, waited = event.ending, event.path.source is not None and event.reply_rule is None
    return event.command is COMMAND_BIND and waited and ending.cause in ORDERLY


def given_up(ending: Ending) -> str:
    """Why the client of such a BIND waits no longer."""
    match ending.cause:
        case Cause.CLOSED:
            return "eof from client"
        case Cause.TIMEOUT:
            return "i/o timeout"
        case _:
            return reason(ending)


def mirrored(ending: Ending) -> Ending:
    """
    The end of a BIND's relay as its line has it, with the sides exchanged.

    To Dante the side that fails is the "local client" there (observed).
    """
    if ending.cause is Cause.ERROR:
        return replace(ending, side=Side.CLIENT)
    return replace(ending, side=_OTHER.get(ending.side, ending.side))
