"""
The messages of :mod:`.messages` as the frames of a channel, and back.

A frame's word is the name of the message's class.  Its value is a list: the number that links an
answer with its question (0: it is neither), then the fields.  :class:`Prepare`, which holds a whole
policy, is sent as bytes instead.

The supervisor process does not trust workers, which read clients' data: :func:`parse_said` checks
the type and range of each field and unpickles nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from dantetw.crew import latencies
from dantetw.crew.messages import (
    Abandon,
    Answer,
    Commit,
    Committed,
    Gather,
    Gathered,
    Latencies,
    Lend,
    Notice,
    Order,
    Prepare,
    Prepared,
    Release,
    Released,
    Reopen,
    ReportSessions,
    Retire,
    Retired,
    Running,
    SessionsReported,
    Stop,
    Stopping,
    TakeBack,
)
from dantetw.net.channel import Frame, is_count
from dantetw.session.totals import KINDS

#: Characters of a text; the rest is cut off.
MOST_CHARACTERS: Final = 1000


def _number(said: Any) -> int:
    if is_count(said):
        return said
    raise ValueError("not a count")


def _number_or_none(said: Any) -> int | None:
    return None if said is None else _number(said)


def _seconds(said: Any) -> float:
    if type(said) in (int, float) and math.isfinite(said):
        return float(said)
    raise ValueError("not a time")


def _truth(said: Any) -> bool:
    if type(said) is bool:
        return said
    raise ValueError("neither true nor false")


def _text(said: Any) -> str:
    if type(said) is str:
        return said[:MOST_CHARACTERS]
    raise ValueError("not a text")


def _names_or_none(said: Any) -> tuple[str, ...] | None:
    if said is None:
        return None
    if type(said) is list and all(type(each) is str for each in said):
        return tuple(said)
    raise ValueError("not names")


def _latencies(said: Any) -> dict[str, Any]:
    if type(said) is dict and all(kind in KINDS for kind in said):
        return {kind: latencies.parse(each) for kind, each in said.items()}
    raise ValueError("not latencies")


def _same(field: Any) -> Any:
    return field


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a field is: ``pack`` makes JSON of it, ``parse`` checks a received value."""

    parse: Callable[[Any], Any]
    pack: Callable[[Any], Any] = _same


_COUNT: Final = _Kind(_number)
_COUNT_OR_NONE: Final = _Kind(_number_or_none)
_SECONDS: Final = _Kind(_seconds)
_TRUTH: Final = _Kind(_truth)
_TEXT: Final = _Kind(_text, lambda text: text[:MOST_CHARACTERS])
_NAMES: Final = _Kind(_names_or_none)
_LATENCIES: Final = _Kind(
    _latencies, lambda kinds: {kind: latencies.pack(each) for kind, each in kinds.items()}
)

_ORDERS: Final[Mapping[type[Any], tuple[_Kind, ...]]] = {
    Stop: (),
    Retire: (),
    Commit: (_NAMES,),
    Abandon: (),
    Release: (_TRUTH,),
    Reopen: (_NAMES,),
    Gather: (),
    ReportSessions: (_COUNT, _SECONDS),
    Lend: (_COUNT,),
    TakeBack: (_COUNT,),
}
_SAID: Final[Mapping[type[Any], tuple[_Kind, ...]]] = {
    Prepared: (_TEXT,),
    Committed: (),
    Released: (),
    Gathered: (_COUNT_OR_NONE,),
    SessionsReported: (_COUNT, _COUNT),
    Running: (),
    Retired: (),
    Stopping: (),
    Latencies: (_LATENCIES,),
}
_KINDS: Final = {**_ORDERS, **_SAID}
_ORDERS_BY_WORD: Final = {each.__name__: each for each in _ORDERS}
_SAID_BY_WORD: Final = {each.__name__: each for each in _SAID}


def pack(message: Order | Answer | Notice, number: int = 0) -> Frame:
    """
    A message as it is sent.

    :param number: of the question, and of its answer.
    """
    made = type(message)
    said: list[Any] = [number]
    if isinstance(message, Prepare):
        return Frame(made.__name__, said, message.packed)
    for field, kind in zip(fields(message), _KINDS[made], strict=True):
        said.append(kind.pack(getattr(message, field.name)))
    return Frame(made.__name__, said)


def parse_said(frame: Frame) -> tuple[int, Answer | Notice]:
    """
    The message of a worker.

    :returns: also the number of the question that it answers.
    :raises ValueError: if it makes no sense.
    """
    number, message = _parse(frame, _SAID_BY_WORD)
    return number, message


def parse_order(frame: Frame) -> tuple[int, Order]:
    """
    The message of the supervisor process, which a worker trusts.

    :returns: also the number for the answer.
    :raises ValueError: if it makes no sense.
    """
    if frame.word == Prepare.__name__:
        match frame.said:
            case [number]:
                return _number(number), Prepare(frame.payload)
    number, message = _parse(frame, _ORDERS_BY_WORD)
    return number, message


def _parse(frame: Frame, known: Mapping[str, type[Any]]) -> tuple[int, Any]:
    made = known.get(frame.word)
    if made is None:
        raise ValueError("no such message")
    match frame.said:
        case [number, *said] if len(said) == len(_KINDS[made]):
            parsed = [kind.parse(each) for kind, each in zip(_KINDS[made], said, strict=True)]
            return _number(number), made(*parsed)
    raise ValueError("not the fields of the message")
