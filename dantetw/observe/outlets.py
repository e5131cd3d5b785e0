"""
Sinks as the observer sees them: what has been reported of each, and which share a format.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from dantetw.observe.events import Message
from dantetw.observe.interfaces import IFormat, ISink
from dantetw.policy import Form
from dantetw.values import Severity


class Outlet:
    """
    A sink and what has been reported of it.

    :ivar format: makes its lines; ``form`` says how.
    :ivar error: the sink's error at the last check.
    :ivar reported: it is logged to the others; ``reported_at``: when, seconds since the epoch.
    :ivar accounted: of the messages it lost, how many have been reported.
    """

    __slots__ = (
        "accounted",
        "error",
        "form",
        "format",
        "reported",
        "reported_at",
        "sink",
        "write_all",
    )

    def __init__(self, sink: ISink, form: Form, format: IFormat) -> None:
        self.sink = sink
        self.write_all = sink.write_all
        self.form = form
        self.format = format
        self.error = 0
        self.reported = False
        self.reported_at = float("-inf")
        self.accounted = 0

    def log(self, when: float, message: Message) -> None:
        """Write a message of the observer."""
        self.write_all(
            tuple((severity, when, text) for severity, text in self.format.lines(message))
        )


class Group:
    """
    Outlets that share a format.

    :ivar lines: makes their lines.
    :ivar outlets: each takes warnings and worse, and all else too if it comes with True.
    """

    __slots__ = ("lines", "outlets")

    def __init__(self, format: IFormat, outlets: tuple[tuple[Outlet, bool], ...]) -> None:
        self.lines = format.lines
        self.outlets = outlets


def only(groups: Iterable[Group], sinks: Container[ISink]) -> tuple[Group, ...]:
    """The groups with those outlets whose sinks are among some."""
    chosen: list[Group] = []
    for group in groups:
        outlets = tuple(each for each in group.outlets if each[0].sink in sinks)
        if outlets:
            chosen.append(Group(outlets[0][0].format, outlets))
    return tuple(chosen)


def losses(outlet: Outlet, lost: int) -> Message:
    """How many messages were lost and not reported yet."""
    text = f'could not write to logfile "{outlet.sink.name}": {_lines(outlet, lost)}'
    return Message(Severity.WARNING, "log.lost", text)


def recovery(outlet: Outlet, lost: int) -> Message:
    """The same for a sink that works again."""
    text = f'can write again to logfile "{outlet.sink.name}": {_lines(outlet, lost)}'
    return Message(Severity.WARNING, "log.writable", text)


def _lines(outlet: Outlet, lost: int) -> str:
    number = lost - outlet.accounted
    return "1 line was lost" if number == 1 else f"{number} lines were lost"


def succeed(new: Outlet, old: list[Outlet]) -> Outlet:
    """
    Where the lines for a new outlet go.

    :param old: those it replaces; one that stays is removed.
    """
    sink = new.sink
    for outlet in old:
        before, alike = outlet.sink, outlet.form.format == new.form.format
        if before.waiting and alike and before.name == sink.name and type(before) is type(sink):
            try:
                before.reopen()
            except OSError:
                # The new sink could open it a moment ago; leave the old one where it was.
                continue
            old.remove(outlet)
            sink.close()
            outlet.form, outlet.format = new.form, new.format
            return outlet
    return new


def grouped(
    errors: tuple[Outlet, ...], others: tuple[Outlet, ...]
) -> tuple[tuple[Outlet, ...], tuple[Group, ...]]:
    """
    All outlets, syslog before files, within each as given; and those of each format together.

    :param errors: of ``errorlog``, ``others`` of ``logoutput``.
    """
    outlets = tuple(sorted(errors + others, key=lambda outlet: outlet.sink.rank))
    groups: dict[IFormat, list[tuple[Outlet, bool]]] = {}
    for outlet in outlets:
        groups.setdefault(outlet.format, []).append((outlet, outlet in others))
    return outlets, tuple(Group(format, tuple(members)) for format, members in groups.items())
