"""
Dante's lines, as its version 1.4.2 writes them.

``VERDICT(RULE): PROTOCOL/COMMAND MARK: ADDRESSES[: TEXT]``, where the mark is ``[`` for a begin,
``]`` for an end and ``-`` for what is between.  Each line is subject to the ``log`` keywords of the
rule it is logged under.  The prefix (date, program, pid, severity) is the sink's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zope.interface import implementer

from dantetw.escaping import escape
from dantetw.net.errors import failure_text, lookup_text
from dantetw.observe.events import (
    Accepted,
    AcceptFailed,
    Connected,
    ConnectFailed,
    Dropped,
    Ended,
    Event,
    Message,
    Parted,
    Repeated,
    ResolveFailed,
    Step,
    TrafficFailed,
    Transferred,
)
from dantetw.observe.formats import endings, status
from dantetw.observe.formats.addresses import arrival, far, inward, near, outward, place
from dantetw.observe.formats.oneline import one_line
from dantetw.observe.formats.tcpinfo import block
from dantetw.observe.interfaces import IFormat, Line
from dantetw.observe.status import (
    Active,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    WorkerReport,
)
from dantetw.values import (
    COMMAND_BINDREPLY,
    LOG_CONNECT,
    LOG_DATA,
    LOG_IOOP,
    LOG_TCPINFO,
    SEVERITY_DEBUG,
    SEVERITY_INFO,
    SIDE_CLIENT,
    Operation,
)


@implementer(IFormat)
class Dante:
    """
    The format of Dante.

    :param timing: log at a session's end how long its stages took (Dante: ``debug`` above 0).
    """

    def __init__(self, timing: bool = False) -> None:
        self._timing = timing
        self._tellers: dict[type[Any], Callable[[Any], tuple[Line, ...]]] = {
            Accepted: self._accepted,
            Connected: self._connected,
            Transferred: self._transferred,
            Parted: endings.parted,
            Dropped: self._dropped,
            Ended: self._ended,
            ConnectFailed: self._connect_failed,
            TrafficFailed: self._traffic_failed,
            AcceptFailed: self._accept_failed,
            ResolveFailed: self._resolve_failed,
            Step: self._step,
            Status: status.status,
            WorkerReport: status.worker,
            PredecessorReport: status.predecessor,
            ChildReport: status.child,
            LatencyReport: status.latency,
            Active: status.active,
            Reported: _nothing,
            Message: self._message,
            Repeated: self._repeated,
        }

    def lines(self, event: Event) -> tuple[Line, ...]:
        """The messages of one event; none if its rule does not want them."""
        return self._tellers[type(event)](event)

    def _accepted(self, event: Accepted) -> tuple[Line, ...]:
        rule = event.rule
        if not rule.log & LOG_CONNECT:
            return ()
        text = f"{rule.verdict.word}({rule.number}): tcp/accept [: {arrival(event.path)}"
        if rule.log & LOG_TCPINFO and (info := block(event.tcpinfo)):
            text = f"{text}\n{info}"
        return ((SEVERITY_INFO, text),)

    def _connected(self, event: Connected) -> tuple[Line, ...]:
        rule = event.rule
        if not rule.log & LOG_CONNECT:
            return ()
        # The peer that answers a BIND is the source of what follows.
        way, columns = outward, event.tcpinfo
        if event.command is COMMAND_BINDREPLY:
            way, columns = inward, columns[::-1]
        path = event.path
        if event.by_name:
            path = replace(path, target=event.asked)
        text = (
            f"{rule.verdict.word}({rule.number}): "
            f"{event.protocol.word}/{event.command.word} [: {way(path)}"
        )
        if rule.log & LOG_TCPINFO and (info := block(*columns)):
            text = f"{text}\n{info}"
        return ((SEVERITY_INFO, text),)

    def _transferred(self, event: Transferred) -> tuple[Line, ...]:
        rule = event.rule
        if not rule.log & (LOG_IOOP | LOG_DATA):
            return ()
        from_client = event.origin is SIDE_CLIENT
        way = outward(event.path) if from_client else inward(event.path)
        text = (
            f"{rule.verdict.word}({rule.number}): "
            f"{event.protocol.word}/{event.command.word} -: {way} ({event.count})"
        )
        if event.data:
            text = f"{text}: {escape(event.data)}"
        if rule.log & LOG_TCPINFO:
            columns = event.tcpinfo if from_client else event.tcpinfo[::-1]
            if info := block(*columns):
                text = f"{text}\n{info}"
        return ((SEVERITY_INFO, text),)

    def _dropped(self, event: Dropped) -> tuple[Line, ...]:
        rule = event.rule
        if not rule.log & endings.wanting_drop(event.drop):
            return ()
        if event.origin is SIDE_CLIENT:
            way = f"{near(event.path)} -> {far(event.path)}"
        else:
            way = inward(event.path)
        text = f": {one_line(event.text)}" if event.text else ""
        if event.more:
            text = f"{text}; {event.more} more like it since this was last told"
        what = f"{event.protocol.word}/{event.command.word}"
        return ((SEVERITY_INFO, f"block({rule.number}): {what} -: {way}{text}"),)

    def _ended(self, event: Ended) -> tuple[Line, ...]:
        return endings.lines(event, self._timing)

    def _connect_failed(self, event: ConnectFailed) -> tuple[Line, ...]:
        text = failure_text(Operation.CONNECT, place(event.asked or event.endpoint), event.errno)
        return ((event.severity, text),)

    def _traffic_failed(self, event: TrafficFailed) -> tuple[Line, ...]:
        text = failure_text(event.operation, place(event.endpoint), event.errno)
        return ((event.severity, text),)

    def _accept_failed(self, event: AcceptFailed) -> tuple[Line, ...]:
        text = failure_text(Operation.ACCEPT, place(event.local), event.errno)
        return ((event.severity, text),)

    def _resolve_failed(self, event: ResolveFailed) -> tuple[Line, ...]:
        text = lookup_text(escape(event.name), one_line(event.reason), event.reverse)
        return ((event.severity, text),)

    def _step(self, event: Step) -> tuple[Line, ...]:
        text = f"session {event.session} from {event.client}: {event.text}"
        return ((SEVERITY_DEBUG, one_line(text)),)

    def _message(self, event: Message) -> tuple[Line, ...]:
        return ((event.severity, one_line(event.text)),)

    def _repeated(self, event: Repeated) -> tuple[Line, ...]:
        times = "1 time" if event.times == 1 else f"{event.times} times"
        return tuple(
            (severity, f"last message repeated {times}: {text}")
            for severity, text in self.lines(event.event)
        )


def _nothing(event: Reported) -> tuple[Line, ...]:
    """Dante does not say when a report is complete."""
    return ()
