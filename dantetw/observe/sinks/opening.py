"""
From the keywords ``logoutput`` and ``errorlog`` to sinks.

A destination that cannot be opened is an alert, never the end.  At a reload it is all or nothing:
unless every destination can be opened, the old ones stay in use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dantetw.net.errors import words_of_error
from dantetw.observe.events import Message
from dantetw.observe.interfaces import ISink
from dantetw.observe.sinks import inherited
from dantetw.observe.sinks.kind import MisnamedError, SinkKind, Surroundings
from dantetw.observe.sinks.syslog import Syslog
from dantetw.policy import PLAIN_FORM, Form, Output, Policy
from dantetw.values import Severity


@dataclass(frozen=True, slots=True)
class Outputs:
    """
    The sinks of a policy.

    :ivar errorlog: take severities from emergency to warning; ``logoutput``: all severities.
    :ivar problems: what could not be opened, to be logged, unless it is ``known``: another process
        has logged it.
    :ivar forms: the forms of those that do not get Dante's lines.
    :ivar kept: at a reload, that something could not be opened, hence the old sinks stay and there
        are none here.
    """

    errorlog: tuple[ISink, ...] = ()
    logoutput: tuple[ISink, ...] = ()
    problems: tuple[Message, ...] = ()
    known: tuple[Message, ...] = ()
    kept: bool = False
    forms: Mapping[ISink, Form] = field(default_factory=dict)


def open_sink(text: str, surroundings: Surroundings, kinds: Sequence[SinkKind]) -> ISink:
    """
    Open one destination, named as in ``sockd.conf``.

    :param kinds: all kinds of sinks there are; the first that claims a word opens it.
    :raises OSError: it cannot be opened.
    :raises MisnamedError: it cannot be meant, such as ``syslog/kern``.
    """
    sink = inherited.opened(text, surroundings)
    if sink is not None:
        return sink
    for kind in kinds:
        if kind.claims(text):
            wrong = kind.check(text)
            if wrong is not None:
                raise MisnamedError(wrong.text)
            return kind.open(text, surroundings)
    raise MisnamedError("not a destination for logs")


def build_sinks(
    policy: Policy,
    surroundings: Surroundings,
    kinds: Sequence[SinkKind],
    reload: bool = False,
) -> Outputs:
    """
    Open all destinations of a policy.  The same one named twice is opened, and logs, twice.

    :param kinds: see :func:`open_sink`.
    :param reload: there are old sinks that can stay in use.
    """
    problems: list[Message] = []
    # Dante reads logoutput's and errorlog's files in the order of the configuration.
    places = [(output, False) for output in policy.logging.outputs]
    places += [(output, True) for output in policy.logging.errors]
    places.sort(key=lambda place: (place[0].where.line, place[0].where.column))
    opened: dict[bool, list[ISink]] = {False: [], True: []}
    forms: dict[ISink, Form] = {}
    for output, errors in places:
        if reload and problems:
            problems.append(_not_tried(output))
            continue
        try:
            sink = open_sink(output.text, surroundings.for_format(output.form.format), kinds)
        except OSError as error:
            problems += _unopenable(output, words_of_error(error), reload)
        except MisnamedError:
            # What is wrong with it is among the warnings of the configuration.
            problems.append(_alert(output, "no system error", reload))
        else:
            opened[errors].append(sink)
            if output.form != PLAIN_FORM:
                forms[sink] = output.form
    if reload and problems:
        for sink in (*opened[True], *opened[False]):
            sink.close()
        return Outputs(problems=tuple(problems), kept=True)
    errorlog, logoutput = _one_daemon(opened[True]), _one_daemon(opened[False])
    return Outputs(errorlog, logoutput, tuple(problems), forms=forms)


def _one_daemon(sinks: Iterable[ISink]) -> tuple[ISink, ...]:
    """Each keyword has one facility: the last one named.  So ``syslog syslog/local2`` logs once."""
    sinks = tuple(sinks)
    daemons = [sink for sink in sinks if isinstance(sink, Syslog)]
    for sink in daemons[:-1]:
        sink.close()
    return tuple(sink for sink in sinks if sink not in daemons[:-1])


def _alert(output: Output, reason: str, reload: bool) -> Message:
    # Dante's own blanks: it has a full stop and more to say at a reload only.
    tail = ".  Will continue using old logfiles" if reload else "  "
    text = f'configparsing(): could not (re)open logfile "{output.text}": {reason}{tail}'
    return Message(Severity.ALERT, "log.unopened", text)


def _unopenable(output: Output, reason: str, reload: bool) -> list[Message]:
    alert = _alert(output, reason, reload)
    if reload:
        return [alert]
    text = f'openlogfile(): could not open or create logfile "{output.text}" for writing: {reason}'
    return [Message(Severity.WARNING, "log.unopenable", text), alert]


def _not_tried(output: Output) -> Message:
    text = (
        f'configparsing(): not trying to add logfile "{output.text}" due to having already failed '
        "adding logfiles during this SIGHUP.  Only if all logfiles specified in the config can be "
        "added will we switch to using the new logfiles.  Until then, we will continue using only "
        "the old logfiles"
    )
    return Message(Severity.ALERT, "log.untried", text)
