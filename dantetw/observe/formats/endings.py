"""
The lines at a session's end.

There are four forms, by how far the session had come:

1. refused or failed before a request was understood: one line, ``block(N): tcp/accept ]``, with
   the client rule's number and log bits;
2. refused by a socks rule: a line of that rule, and the client rule's ``blocked by higher-level
   socks-rule #M``;
3. a request that failed at once (unresolvable, unroutable…): a line of the socks rule, or of the
   client rule if none had been looked for, and the client rule's ``request was not performed due
   to error``;
4. established, or on the way to it: both lines with counters, reason and duration.

A BIND has a form for each way its wait can end, and lines of both rules it came under.  The peer
that connects to it is the source of the relay, so "local client" in the words of that line is the
peer, and "remote peer" the client.

``log: error`` wants errors only, ``disconnect`` wants all; blocks are logged for any keyword but
``error`` and ``tcpinfo`` (observed with Dante 1.4.2).
"""

from __future__ import annotations

from typing import Final

from dantetw.observe.events import Ended, Parted, Traffic
from dantetw.observe.facts import Times
from dantetw.observe.formats.addresses import arrival, far, inward, near, place, who
from dantetw.observe.formats.durations import stages_of
from dantetw.observe.formats.oneline import one_line
from dantetw.observe.formats.reasons import (
    NO_RULE,
    ORDERLY,
    complaint,
    given_up,
    mirrored,
    reason,
    unanswered,
    words_parted,
)
from dantetw.observe.formats.tcpinfo import block
from dantetw.observe.interfaces import Line
from dantetw.policy import Rule
from dantetw.values import (
    CAUSE_BLOCKED,
    COMMAND_BINDREPLY,
    COMMAND_CONNECT,
    EXTENSION,
    FAMILY_NAME,
    LOG_CONNECT,
    LOG_DATA,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    LOG_TCPINFO,
    NOWHERE,
    PHASE_RELAY,
    SEVERITY_INFO,
    Cause,
    Command,
    Counts,
    Drop,
    Ending,
    Path,
    Phase,
    Severity,
    Verdict,
)

_BLOCKS: Final = LOG_CONNECT | LOG_DISCONNECT | LOG_IOOP | LOG_DATA
_ERRORS: Final = LOG_ERROR | LOG_DISCONNECT

_EARLY: Final = frozenset((Phase.ACCEPT, Phase.NEGOTIATE, Phase.AUTHENTICATE))


def lines(event: Ended, timing: bool) -> tuple[Line, ...]:
    """
    What a session's end writes: no more than a line for each of its rules, the client rule's last.

    :param timing: append the durations of the stages to the lines of established sessions, as
        Dante does with ``debug``.
    """
    ending = event.ending
    if event.command is None or ending.phase in _EARLY:
        return _before_request(event)
    if event.reply_rule is not None and ending.cause is CAUSE_BLOCKED:
        return _turned_away(event, event.reply_rule)
    if ending.cause is CAUSE_BLOCKED and ending.phase is not PHASE_RELAY:
        return _refused(event)
    if unanswered(event):
        return _unanswered_lines(event)
    if event.established:
        return _finished(event, timing)
    return _failed(event)


def wanted(event: Ended) -> bool:
    """Whether :func:`lines` has any."""
    log, socks_log = event.client_rule.log, 0 if event.socks_rule is None else event.socks_rule.log
    if event.reply_rule is not None:
        log |= event.reply_rule.log
        if event.ending.cause is not CAUSE_BLOCKED:
            socks_log = 0  # its line comes behind that of the reply's rule only
    return bool((log | socks_log) & _wanting(event))


def _wanting(event: Ended) -> int:
    """The ``LOG_…`` bits of which a rule needs one for a line."""
    ending = event.ending
    if ending.cause is CAUSE_BLOCKED and ending.phase is not PHASE_RELAY:
        return _BLOCKS
    if event.established and ending.phase not in _EARLY and ending.cause in ORDERLY:
        return LOG_DISCONNECT
    return _ERRORS


def wanting_drop(drop: Drop) -> int:
    """The same for a datagram that was not relayed."""
    # Who a datagram is from blocks it too (observed).
    return _BLOCKS if drop in (Drop.BLOCKED, Drop.STRANGER) else _ERRORS


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def parted(event: Parted) -> tuple[Line, ...]:
    """The line of a peer of a port that takes many."""
    rule, path, ending = event.rule, event.path, event.ending
    if not rule.log & wanting_parted(ending):
        return ()
    verdict, text = Verdict.BLOCK, words_parted(event)
    if ending.phase is Phase.RELAY:
        seconds = int(event.ended) - int(event.began)
        verdict = rule.verdict
        way = f"{_counted_inward(path, event.counts)}: {text}.  Session duration: {seconds}s"
    elif path.local != NOWHERE:
        # Our own end stands where the client's belongs (observed).
        way = f"{place(path.target)} {place(path.source)} -> {place(None)} {place(path.local)}"
        way = f"{way}{_said(text)}"
    else:
        way = f"{inward(path)}{_said(text)}"
    line = f"{verdict.word}({rule.number}): {event.protocol.word}/{event.command.word} ]: {way}"
    if rule.log & LOG_TCPINFO:
        line = _join(line, block(*event.tcpinfo[::-1]))
    return ((Severity.INFO, line),)


def wanting_parted(ending: Ending) -> int:
    """The ``LOG_…`` bits of which a rule needs one for that line."""
    if ending.cause is Cause.BLOCKED:
        return _BLOCKS
    return LOG_DISCONNECT if ending.cause in ORDERLY else _ERRORS


def _seconds(times: Times) -> int:
    # Dante subtracts truncated clocks, so that 0.6 s may be logged as 0 or 1.
    return int(times.now) - int(times.accepted)


def _said(text: str) -> str:
    return f": {one_line(text)}" if text else ""


def _arrival_line(event: Ended, text: str, wanted: int, tcpinfo: bool = True) -> tuple[Line, ...]:
    """The client rule's line of a session that was never established."""
    rule = event.client_rule
    if not rule.log & wanted:
        return ()
    line = f"block({rule.number}): tcp/accept ]: {arrival(event.path)}{_said(text)}"
    if tcpinfo and rule.log & LOG_TCPINFO:
        line = _join(line, block(event.tcpinfo[0]))
    return ((SEVERITY_INFO, line),)


def _before_request(event: Ended) -> tuple[Line, ...]:
    ending = event.ending
    if ending.cause is CAUSE_BLOCKED:
        text = ending.text or ("" if event.client_rule.number else NO_RULE)
        return _arrival_line(event, text, _BLOCKS)
    seconds = _plural(_seconds(event.times), "second")
    if ending.cause is Cause.TIMEOUT:
        return _arrival_line(event, f"negotiate timeout after {seconds}", _ERRORS)
    text = f"error after reading {_plural(event.read, 'byte')} in {seconds}: {complaint(ending)}"
    return _arrival_line(event, text, _ERRORS)


def _refused(event: Ended) -> tuple[Line, ...]:
    rule = event.socks_rule or event.client_rule
    text = event.ending.text or ("" if rule.number else NO_RULE)
    if event.ending.text and not rule.number and event.command is Command.UDPASSOCIATE:
        text = f"{text}: {NO_RULE}"
    lines: tuple[Line, ...] = ()
    if rule.log & _BLOCKS:
        lines = (_request_line(event, rule, text, asked=True),)
    higher = f"blocked by higher-level socks-rule #{rule.number}{_said(text)}"
    # Dante has no tcpinfo for what was refused or failed after the request (observed).
    return lines + _arrival_line(event, higher, _BLOCKS, tcpinfo=False)


def _failed(event: Ended) -> tuple[Line, ...]:
    rule = event.socks_rule or event.client_rule
    ending = event.ending
    text = complaint(ending)
    lines: tuple[Line, ...] = ()
    if rule.log & _ERRORS:
        # A BIND has come so far before its rule is looked for.
        asked = event.socks_rule is not None or ending.phase is Phase.CONNECT
        lines = (_request_line(event, rule, text, asked),)
    failed = f"request was not performed due to error: {text}"
    return lines + _arrival_line(event, failed, _ERRORS, tcpinfo=False)


def _request_line(event: Ended, rule: Rule, text: str, asked: bool) -> Line:
    """
    The line of a request that was refused or failed.

    :param asked: name the target although no way to it was chosen.  A name stands there as the
        client gave it, whichever of its addresses it was about.
    """
    assert event.command is not None
    path = event.path
    if event.command is Command.UDPASSOCIATE:
        way = near(path)
    elif asked or path.source is not None:
        target = event.asked
        if target is None or target.family is not FAMILY_NAME:
            target = path.target or target
        way = f"{near(path)} -> {place(path.source)} {place(target)}"
    else:
        way = near(path)
    what = f"{event.protocol.word}/{event.command.word}"
    return (SEVERITY_INFO, f"block({rule.number}): {what} ]: {way}{_said(text)}")


def _unanswered_lines(event: Ended) -> tuple[Line, ...]:
    said = f": {given_up(event.ending)}"
    lines: tuple[Line, ...] = ()
    rule = event.socks_rule
    if rule is not None and rule.log & LOG_DISCONNECT:
        lines = (_bind_line(event, rule, rule.verdict, said),)
    rule = event.client_rule
    if rule.log & LOG_DISCONNECT:
        line = f"{rule.verdict.word}({rule.number}): tcp/accept ]: {arrival(event.path)}{said}"
        lines += ((SEVERITY_INFO, line),)
    return lines


def _turned_away(event: Ended, reply_rule: Rule) -> tuple[Line, ...]:
    """A BIND whose peer was not expected, or blocked by a rule: three lines."""
    number, path, text = reply_rule.number, event.path, event.ending.text
    lines: tuple[Line, ...] = ()
    if reply_rule.log & _BLOCKS:
        said = _said(text or ("" if number else NO_RULE))
        lines = ((SEVERITY_INFO, f"block({number}): tcp/bindreply ]: {inward(path)}{said}"),)
    text = f"bind-reply from {place(path.target)} blocked by socks-rule #{number}"
    rule = event.socks_rule
    if rule is not None and rule.log & _BLOCKS:
        lines += (_bind_line(event, rule, Verdict.BLOCK, _said(text)),)
    return lines + _arrival_line(event, text, _BLOCKS, tcpinfo=False)


def _bind_line(event: Ended, rule: Rule, verdict: Verdict, said: str) -> Line:
    """The last line of the rule that has passed a BIND; its target is as the client named it."""
    path = event.path
    asked = event.asked
    named = None if asked is None or asked.host == EXTENSION else asked
    way = f"{near(path)} -> {place(path.source)} {place(named)}"
    return (SEVERITY_INFO, f"{verdict.word}({rule.number}): tcp/bind ]: {way}{said}")


def _finished(event: Ended, timing: bool) -> tuple[Line, ...]:
    bound, ending = event.reply_rule is not None, event.ending
    wanted = LOG_DISCONNECT if ending.cause in ORDERLY else _ERRORS
    why = reason(mirrored(ending) if bound else ending)
    tail = f": {why}.  Session duration: {_seconds(event.times)}s"
    if timing:
        tail = f"{tail}\n{stages_of(event.times)}"
    lines: tuple[Line, ...] = ()
    rule = event.reply_rule or event.socks_rule
    if rule is not None and rule.log & wanted:
        for counted in map(_datagrams, event.traffic) if event.traffic else (_counted(event),):
            line = f"{_head(rule, event)} ]: {counted}{tail}"
            lines += ((SEVERITY_INFO, _with_tcpinfo(line, rule, event, timing)),)
    replied, rule = rule, event.socks_rule
    # Both rules must want it (observed).
    if bound and replied and replied.log & wanted and rule and rule.log & LOG_DISCONNECT:
        severity, line = _bind_line(event, rule, rule.verdict, "")
        if event.reply_rule is not None and event.reply_rule.log & LOG_TCPINFO:
            line = _with_tcpinfo(line, rule, event, timing=False)
        lines += ((severity, line),)
    rule = event.client_rule
    if rule.log & wanted:
        counts = event.counts
        line = (
            f"{rule.verdict.word}({rule.number}): tcp/accept ]: "
            f"{counts.to_client} -> {arrival(event.path)} -> {counts.to_target}{tail}"
        )
        lines += ((SEVERITY_INFO, _with_tcpinfo(line, rule, event, timing)),)
    return lines


def _head(rule: Rule, event: Ended) -> str:
    command = event.command or COMMAND_CONNECT
    if event.reply_rule is not None:
        command = COMMAND_BINDREPLY
    return f"{rule.verdict.word}({rule.number}): {event.protocol.word}/{command.word}"


def _counted(event: Ended) -> str:
    """
    ``A -> CLIENT LOCAL -> B, C -> LOCAL TARGET -> D``: what went in stands left of an address pair,
    what came out right of it.
    """
    if event.reply_rule is not None:
        return _counted_inward(event.path, event.counts)
    to_client, from_client, to_target, from_target = _four(event.counts)
    path = event.path
    return (
        f"{to_client} -> {near(path)} -> {from_client}, {to_target} -> {far(path)} -> {from_target}"
    )


def _counted_inward(path: Path, counts: Counts) -> str:
    """The same where a peer that connected to us is the source, the client the destination."""
    to_client, from_client, to_target, from_target = _four(counts)
    peer = f"{place(path.target)} {place(path.source)}"
    client = f"{place(path.local)} {who(path.user)}{place(path.client)}"
    return f"{to_target} -> {peer} -> {from_target}, {to_client} -> {client} -> {from_client}"


def _datagrams(traffic: Traffic) -> str:
    """The same for datagrams, ``BYTES/DATAGRAMS``; without a target if none was forwarded."""
    path, counts, packets = traffic.path, _four(traffic.counts), _four(traffic.packets)
    a, b, c, d = (f"{size}/{number}" for size, number in zip(counts, packets, strict=True))
    client = f"{a} -> {near(path)} -> {b}"
    return client if path.source is None else f"{client}, {c} -> {far(path)} -> {d}"


def _four(counts: Counts) -> tuple[int, int, int, int]:
    return counts.to_client, counts.from_client, counts.to_target, counts.from_target


def _with_tcpinfo(line: str, rule: Rule, event: Ended, timing: bool) -> str:
    if not rule.log & LOG_TCPINFO:
        return line
    # The durations are a message that ends in a newline, so an empty line follows them.
    columns = event.tcpinfo if event.reply_rule is None else event.tcpinfo[::-1]
    return _join(f"{line}\n" if timing else line, block(*columns))


def _join(line: str, info: str) -> str:
    return f"{line}\n{info}" if info else line
