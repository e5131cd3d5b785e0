"""
The lines of a status report (SIGUSR1), as Dante 1.4.2 writes them.

Where a configuration has several rules of a kind we add at the end of a session's line which it is
under; with one rule of each kind, nothing is to be said and the line is Dante's.
"""

from __future__ import annotations

from typing import Final

from dantetw.observe.formats.addresses import arrival, far, near, place
from dantetw.observe.formats.tcpinfo import block
from dantetw.observe.status import (
    Active,
    Buffered,
    ChildReport,
    LatencyReport,
    Limit,
    Load,
    PredecessorReport,
    Status,
    WorkerReport,
)
from dantetw.values import LOG_TCPINFO, Severity, Work

_DAY: Final = 24 * 60 * 60
# Dante has a line for these, also without any figures.
_DANTES: Final = ("read-only", "i/o")


def status(event: Status) -> tuple[tuple[Severity, str], ...]:
    """The five lines of Dante's main process."""
    up = _up(event.up).rpartition(":")[0]  # no seconds here
    accepted = event.accepted
    return _info(
        # There is no comma before the last counter.
        f"dantetw v{event.version} up {up}, a: {accepted}, h: {accepted} c: {event.current}",
        _load("negotiators", event.negotiators, event),
        _load("requesters", event.requesters, event),
        _load("iorelayers", event.iorelayers, event),
        _limits(event),
    )


def worker(event: WorkerReport) -> tuple[tuple[Severity, str], ...]:
    """A line of ours: in Dante each process logs its own."""
    retired = ", retired" if event.retired else ""
    return _info(
        f"worker {event.place} (process {event.process}) up {_up(event.up)}, a: {event.accepted},"
        f" c: {event.current}, started: {event.started}{retired}"
    )


def predecessor(event: PredecessorReport) -> tuple[tuple[Severity, str], ...]:
    """A line of ours for a server that was replaced."""
    return _info(f"process {event.process}, replaced by this server, c: {event.current}")


def child(event: ChildReport) -> tuple[tuple[Severity, str], ...]:
    """The first lines of one of Dante's other processes."""
    return _info(f"{event.work.word}-child up {_up(event.up)}")


def latency(event: LatencyReport) -> tuple[tuple[Severity, str], ...]:
    """Dante's line, and two of ours if there are figures."""
    lines = []
    if event.kind in _DANTES:
        latest = event.latest
        line = f"no {event.kind} latency information available (yet)"
        if latest is not None:
            line = (
                f"{event.kind} latency statistics based on last {latest.count} packets:"
                f" min/max/median/average/last/stddev: {latest.minimum}/{latest.maximum}"
                f"/{latest.median}/{latest.average}/{latest.last}/{latest.deviation} (us)"
            )
        lines.append(line)
    if event.since_start.count:
        for name, figures in (
            ("since start", event.since_start),
            ("in the last minute", event.last_minute),
        ):
            lines.append(
                f"{event.kind} latency {name}: {figures.count} measured:"
                f" min/mean/max/stddev/p50/p95/p99: {figures.minimum}/{figures.mean:.0f}"
                f"/{figures.maximum}/{figures.deviation:.0f}"
                f"/{figures.p50}/{figures.p95}/{figures.p99} (us)"
            )
    return _info(*lines)


def active(event: Active) -> tuple[tuple[Severity, str], ...]:
    """The line of a session."""
    path, standing, rule = event.path, event.standing, event.client_rule
    if standing is not None:
        line = _standing(event)
    elif event.work is Work.NEGOTIATE:
        line = f"{arrival(path)}: negotiating for {_seconds(event, event.began)}s"
    else:
        command = "" if event.command is None else f"{event.command.word}-"
        line = f"{place(path.client)}: {event.protocol.word} {command}request in progress for"
        line = f"{line} {_seconds(event, event.began)}s"
    if event.choice:
        rules = f"client-rule #{rule.number}"
        if event.socks_rule is not None:
            rules = f"{rules}, socks-rule #{event.socks_rule.number}"
        line = f"{line} (session {event.session}, {rules})"
    info = ""
    if standing is None:
        if rule.log & LOG_TCPINFO and (info := block(event.tcpinfo[0])):
            info = f"\n   {info}"
    elif event.socks_rule is not None and event.socks_rule.log & LOG_TCPINFO:
        info = block(*event.tcpinfo)
        info = info and f"\n{info}"
    return _info(f"{line}{info}")


def _info(*lines: str) -> tuple[tuple[Severity, str], ...]:
    return tuple((Severity.INFO, line) for line in lines)


def _up(seconds: float) -> str:
    """``0 days, 0:00:04``: days, hours, minutes and seconds."""
    days, rest = divmod(int(seconds), _DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{days} {'day' if days == 1 else 'days'}, {hour}:{minute:02}:{second:02}"


def _load(name: str, load: Load, event: Status) -> str:
    return (
        f"{name} ({load.processes}): a: {load.accepted}, h: {load.handed}, c: {load.current},"
        f" f: {_free(load, event)}"
    )


def _free(load: Load, event: Status) -> str:
    if load.free is not None:
        return str(load.free)
    return "no limit" if event.files.limit is None else "?"


def _limits(event: Status) -> str:
    if event.processes.limit is None and event.files.limit is None:
        return "no applicable environment resource limits configured"
    kinds = zip(Work, (event.negotiators, event.requesters, event.iorelayers), strict=True)
    slots = ", ".join(f"{work.word}-child-slots: {_free(load, event)}" for work, load in kinds)
    line = (
        f"max limits: processes: {_limit(event.processes)}, files: {_limit(event.files)}, {slots}"
    )
    # Processes do not limit us: one serves all.
    if event.files.limit is not None:
        line = f"{line} (max clients limited by open file limit)"
    return line


def _limit(limit: Limit) -> str:
    if limit.limit is None:
        return "no limit"
    return f"{limit.limit} ({'?' if limit.free is None else limit.free} free)"


def _standing(event: Active) -> str:
    path, standing = event.path, event.standing
    assert standing is not None
    ways = near(path)
    if path.source is not None or path.target is not None:
        ways = f"{ways} <-> {far(path)}"
    waiting = " (waiting for connect to complete)" if standing.connecting else ""
    counts, packets = standing.counts, standing.packets
    age, idle = _seconds(event, standing.began), _seconds(event, standing.last_activity)
    line = (
        f"{event.protocol.word}: {ways}: age: {age}s, idle: {idle}s{waiting}, bytes transferred:"
        f" {counts.to_target}{_buffered(standing.to_target)} <->"
        f" {counts.to_client}{_buffered(standing.to_client)}"
    )
    if packets is not None:
        line = f"{line}, packets: {packets.to_target} <-> {packets.to_client}"
    return line


def _seconds(event: Active, since: float) -> int:
    # As at a session's end, Dante subtracts truncated clocks.
    return int(event.times.now) - int(since)


def _buffered(buffered: Buffered | None) -> str:
    """``(+ TOTAL buffered (unread + held + unsent))``, with a question mark for the unknown."""
    if buffered is None:
        return ""
    unread, held, unsent = buffered.unread, buffered.held, buffered.unsent
    total = (unread or 0) + held + (unsent or 0)
    return f" (+ {total} buffered ({_known(unread)} + {held} + {_known(unsent)}))"


def _known(count: int | None) -> int | str:
    return "?" if count is None else count
