"""
JSON: one object for each event, on one line, for programs to read.

Which events are written follows the ``log`` keywords of their rules, as Dante's lines do; the end
of a session is one object, though it may be two lines in Dante's.  The members are described in
``docs/log-json.rst`` and, for programs, in ``docs/session-events.schema.json``.

A text is what was received: bytes that are not UTF-8 are single surrogates (:pep:`383`), as in the
events.  All that is not printable ASCII is written as an escape.

The object's beginning, with the time and the severity, is put in front by
:class:`~dantetw.observe.prefix.JsonPrefix`, as the prefix of Dante's lines is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from json import JSONEncoder
from typing import Any, Final

from zope.interface import implementer

from dantetw.escaping import escape
from dantetw.observe.events import (
    Accepted,
    Connected,
    Dropped,
    Ended,
    Event,
    Message,
    Parted,
    Repeated,
    Step,
    Transferred,
)
from dantetw.observe.formats import endings, reasons
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.durations import seconds_of
from dantetw.observe.formats.members import (
    attempt_of,
    counts_of,
    ending_of,
    ends_of,
    name_of,
    place_of,
    plain,
    rule_of,
    tcpinfo_of,
    traffic_of,
    word_of,
)
from dantetw.observe.formats.tcpinfo import table
from dantetw.observe.interfaces import IFormat, Line
from dantetw.observe.status import (
    Active,
    Buffered,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    TrafficSnapshot,
    WorkerReport,
)
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_IOOP,
    LOG_TCPINFO,
    Protocol,
    Severity,
)

#: Version of the schema: changes when a member changes its meaning or goes, not when one comes.
SCHEMA: Final = 1

_encode: Final = JSONEncoder(separators=(",", ":"), check_circular=False).encode
# The ``kind`` of events whose class has another name.
_REPORT_KINDS: Final[Mapping[type[Any], str]] = {
    WorkerReport: "worker",
    PredecessorReport: "predecessor",
    ChildReport: "child",
    LatencyReport: "latency",
}
_Way = Connected | Transferred | Parted | Dropped


@implementer(IFormat)
class Json:
    """
    The format ``json``.

    :param run: what the ids of this run of the server begin with, unique among all runs.
    """

    def __init__(self, run: str = "") -> None:
        self._run = run
        self._words = Dante()
        self._makers: Mapping[type[Any], Callable[[Any], dict[str, Any] | None]] = {
            Accepted: self._accepted,
            Connected: self._connected,
            Transferred: self._transferred,
            Parted: self._parted,
            Dropped: self._dropped,
            Ended: self._ended,
            Step: self._step,
            Status: _status,
            WorkerReport: _facts,
            PredecessorReport: _facts,
            ChildReport: _facts,
            LatencyReport: _latency,
            Active: self._active,
            Reported: _facts,
            Message: _message,
        }

    def lines(self, event: Event) -> tuple[Line, ...]:
        """All but the beginning of an event's object; nothing if its rule does not want it."""
        record = self._record_of(event)
        if record is None:
            return ()
        severity = getattr(event, "severity", _SEVERITIES.get(type(event), Severity.INFO))
        return ((severity, _encode(record)[1:]),)

    def _record_of(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Repeated):
            record = self._record_of(event.event)
            return None if record is None else {**record, "repeated": event.times}
        return self._makers.get(type(event), self._other)(event)

    def _id(self, number: int) -> str:
        return f"{self._run}{number:x}"

    def _accepted(self, event: Accepted) -> dict[str, Any] | None:
        rule = event.rule
        if not rule.log & LOG_CONNECT:
            return None
        record = {
            "kind": "accepted",
            "id": self._id(event.session),
            "session": event.session,
            "rule": rule_of(rule),
            **ends_of(event.path),
        }
        if rule.log & LOG_TCPINFO:
            record["tcpinfo"] = {"client": table(event.tcpinfo)}
        return record

    def _connected(self, event: Connected) -> dict[str, Any] | None:
        if not event.rule.log & LOG_CONNECT:
            return None
        return self._on_the_way(event, "connected") | {"asked": place_of(event.asked)}

    def _transferred(self, event: Transferred) -> dict[str, Any] | None:
        if not event.rule.log & (LOG_IOOP | LOG_DATA):
            return None
        record = self._on_the_way(event, "transferred")
        record["origin"] = event.origin.word
        record["bytes"] = event.count
        if event.data:
            record["data"] = escape(event.data)
        return record

    def _parted(self, event: Parted) -> dict[str, Any] | None:
        if not event.rule.log & endings.wanting_parted(event.ending):
            return None
        record = self._on_the_way(event, "parted") | {"bytes": counts_of(event.counts)}
        record["seconds"] = {"total": round(event.ended - event.began, 6)}
        return record | {
            "ending": ending_of(
                event.ending, reasons.words_parted(event) or reasons.blocked_by(event.rule)
            )
        }

    def _dropped(self, event: Dropped) -> dict[str, Any] | None:
        if not event.rule.log & endings.wanting_drop(event.drop):
            return None
        return {
            **self._common(event, "dropped"),
            "origin": event.origin.word,
            "cause": event.drop.word,
            "text": reasons.words_dropped(event),
            "more": event.more,
        }

    def _on_the_way(self, event: Connected | Transferred | Parted, kind: str) -> dict[str, Any]:
        record = self._common(event, kind)
        if event.rule.log & LOG_TCPINFO:
            record["tcpinfo"] = tcpinfo_of(event.tcpinfo)
        return record

    def _common(self, event: _Way, kind: str) -> dict[str, Any]:
        return {
            "kind": kind,
            "id": self._id(event.session),
            "session": event.session,
            "rule": rule_of(event.rule),
            "protocol": event.protocol.word,
            "command": event.command.word,
            **ends_of(event.path),
        }

    def _ended(self, event: Ended) -> dict[str, Any] | None:
        client_rule, socks_rule = event.client_rule, event.socks_rule
        reply_rule = event.reply_rule
        if not endings.wanted(event):
            return None
        log = client_rule.log
        for rule in (socks_rule, reply_rule):
            log |= 0 if rule is None else rule.log
        record = {
            "kind": "session",
            "id": self._id(event.session),
            "session": event.session,
            "client_rule": rule_of(client_rule),
            "socks_rule": None if socks_rule is None else rule_of(socks_rule),
            "reply_rule": None if reply_rule is None else rule_of(reply_rule),
            **ends_of(event.path),
            "method": word_of(event.method),
            "claimed": event.claimed or None,
            "proxy_protocol": word_of(event.proxy_protocol),
            "protocol": event.protocol.word,
            "command": word_of(event.command),
            "asked": place_of(event.asked),
            "addresses": event.addresses,
            "upstream": None,
            "bytes": counts_of(event.counts),
            "packets": counts_of(event.packets) if event.protocol is Protocol.UDP else None,
            "negotiation_bytes": event.read,
            "seconds": seconds_of(event),
            "ending": ending_of(event.ending, reasons.words(event)),
            "tried": event.tried,
            "attempts": [attempt_of(attempt) for attempt in event.attempts],
        }
        if event.protocol is Protocol.UDP:
            record["traffic"] = [traffic_of(traffic) for traffic in event.traffic]
            record["drops"] = {drop.word: number for drop, number in event.drops}
        if log & LOG_TCPINFO:
            record["tcpinfo"] = tcpinfo_of(event.tcpinfo)
        return record

    def _active(self, event: Active) -> dict[str, Any]:
        client_rule, socks_rule = event.client_rule, event.socks_rule
        standing = event.standing
        record = {
            "kind": "active",
            "report": event.report,
            "id": self._id(event.session),
            "session": event.session,
            "work": event.work.word,
            "phase": event.phase.word,
            "client_rule": rule_of(client_rule),
            "socks_rule": None if socks_rule is None else rule_of(socks_rule),
            **ends_of(event.path),
            "method": word_of(event.method),
            "proxy_protocol": word_of(event.proxy_protocol),
            "protocol": event.protocol.word,
            "command": word_of(event.command),
            "asked": place_of(event.asked),
            "age": round(event.times.now - event.times.accepted, 6),
            "lasting": round(event.times.now - event.began, 6),
            "standing": None if standing is None else _standing(standing, event.times.now),
        }
        log = client_rule.log | (0 if socks_rule is None else socks_rule.log)
        if log & LOG_TCPINFO:
            record["tcpinfo"] = tcpinfo_of(event.tcpinfo)
        return record

    def _step(self, event: Step) -> dict[str, Any]:
        return {
            "kind": "step",
            "id": self._id(event.session),
            "session": event.session,
            "client": place_of(event.client),
            "text": event.text,
        }

    def _other(self, event: Any) -> dict[str, Any]:
        """A failure of the network, or an event that is not known here: its fields."""
        name = type(event).__name__
        kind = "failure" if name.endswith("Failed") else name.lower()
        record: dict[str, Any] = {"kind": kind, "what": name}
        if number := getattr(event, "session", 0):
            record["id"] = self._id(number)
        for field in fields(event):
            if field.name == "user":
                record["user"] = name_of(event.user)
            elif field.name != "severity":
                record[field.name] = plain(getattr(event, field.name))
        if kind == "failure":
            record["text"] = " ".join(text for _, text in self._words.lines(event))
        return record


_SEVERITIES: Final[Mapping[type[Any], Severity]] = {Step: Severity.DEBUG}


def _message(event: Message) -> dict[str, Any]:
    record: dict[str, Any] = {"kind": "message", "code": event.code, "text": event.text}
    where = event.where
    if where is not None:
        record |= {"file": where.file, "line": where.line, "column": where.column}
    return record


def _status(event: Status) -> dict[str, Any]:
    return {
        "kind": "status",
        "report": event.report,
        "version": event.version,
        "up": round(event.up, 6),
        "accepted": event.accepted,
        "current": event.current,
        "negotiators": plain(event.negotiators),
        "requesters": plain(event.requesters),
        "iorelayers": plain(event.iorelayers),
        "limits": {"processes": plain(event.processes), "files": plain(event.files)},
    }


def _facts(event: WorkerReport | PredecessorReport | ChildReport | Reported) -> dict[str, Any]:
    facts = {field.name: plain(getattr(event, field.name)) for field in fields(event)}
    return {"kind": _REPORT_KINDS.get(type(event)) or type(event).__name__.lower(), **facts}


def _latency(event: LatencyReport) -> dict[str, Any]:
    return {
        "kind": "latency",
        "report": event.report,
        "what": event.kind,
        "latest": plain(event.latest),
        "since_start": plain(event.since_start),
        "last_minute": plain(event.last_minute),
    }


def _standing(standing: TrafficSnapshot, now: float) -> dict[str, Any]:
    packets = standing.packets
    return {
        "age": round(now - standing.began, 6),
        "idle": round(now - standing.last_activity, 6),
        "connecting": standing.connecting,
        "bytes": counts_of(standing.counts),
        "packets": None if packets is None else counts_of(packets),
        "buffered": {
            "to_target": _buffered(standing.to_target),
            "to_client": _buffered(standing.to_client),
        },
    }


def _buffered(buffered: Buffered | None) -> dict[str, int | None] | None:
    if buffered is None:
        return None
    return {"unread": buffered.unread, "held": buffered.held, "unsent": buffered.unsent}
