"""
The sessions of a worker, in memory that it shares with the supervisor process.

When the worker dies, for any reason, the supervisor logs the end of each session.  It allocates the
memory before the fork, and does not trust its content, from which it reads numbers and text only.
(Counts are kept elsewhere: :mod:`dantetw.accounts`.)
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dantetw.catalogue import DIALECTS
from dantetw.crew.writes import Writes, Written
from dantetw.net.batch import Batch
from dantetw.observe.events import Ended, Traffic
from dantetw.observe.interfaces import ISink
from dantetw.policy import Policy, Rule, RuleKind
from dantetw.rules.decision import block_rule
from dantetw.session.record import SessionRecord
from dantetw.session.subscribers import IFollowed
from dantetw.values import (
    NOWHERE,
    Cause,
    Command,
    Counts,
    Ending,
    Endpoint,
    Family,
    Method,
    Phase,
    ProxyProtocol,
    Side,
    User,
)
from dantetw.wire.dialects import Request

if TYPE_CHECKING:
    from dantetw.session.protocol import SocksFactory

#: Number of slots for sessions; the ends of further sessions are not logged if the worker dies.
SLOTS: Final = 32768

#: Seconds between two heartbeats.
BEAT: Final = 0.2

_SLOT: Final = 384
# At the beginning, in words of 8 bytes: the number of the next session, where slots that were never
# used begin, and the heartbeats so far.
_NEXT, _UNUSED, _BEATS = range(3)
_HEAD_SIZE: Final = 2 * 4096
# Behind that, notes of what is written to logs.
_WRITES_AT: Final = 4096
# Of a slot: how long its text is (0: free); phase; command and protocol, from 1 (0: none); the
# policy's generation; the client rule, and the socks rule from 1 (0: none); the session's number;
# when it was accepted, and connected.
_STORY: Final = struct.Struct("=H3B3I Q2d")
_LENGTH: Final = struct.Struct("=H")
_PHASE_AT: Final = _LENGTH.size
# Then the bytes moved, and the text.
_COUNTS: Final = struct.Struct("=4Q")
_COUNTS_AT: Final = 48
# Then, of a session that has ended, its place among those (:mod:`.writes`); 0: it has not.
_ENDED: Final = struct.Struct("=Q")
_ENDED_AT: Final = _COUNTS_AT + _COUNTS.size
_TEXT_AT: Final = _ENDED_AT + _ENDED.size
_LONGEST: Final = _SLOT - _TEXT_AT
_METHODS: Final = frozenset(method.value for method in Method)
# Fields of the text: where client, ours, source and target are; method and name of the user.
_FIELDS: Final = 6
_PHASES: Final = tuple(Phase)
_COMMANDS: Final = (None, *Command)
_PROTOCOLS: Final = (None, *ProxyProtocol)
_PHASE_CODES: Final = {phase: code for code, phase in enumerate(_PHASES)}
_COMMAND_CODES: Final = {command: code for code, command in enumerate(_COMMANDS)}
_DIALECTS: Final = {dialect.proxy_protocol: dialect for dialect in DIALECTS}
_PROTOCOL_CODES: Final = {protocol: code for code, protocol in enumerate(_PROTOCOLS)}
# More sessions than there can be: what claims to be a number beyond is none.
_MOST: Final = 2**60


class Scoreboard:
    """
    The sessions of one worker.

    :param first: number of its first session.  Numbers of all workers differ: each counts in steps
        of ``step``.
    :ivar turn: at the end of a batch the slots of ended sessions are freed, and so not before the
        lines of their ends are written.
    :ivar writes: notes what is written to the log's files.
    """

    def __init__(self, first: int, step: int) -> None:
        self._memory = mmap.mmap(-1, _HEAD_SIZE + SLOTS * _SLOT)
        self._bytes = memoryview(self._memory)
        self._cells = self._bytes.cast("Q")
        self._first = self._number = first
        self._step = step
        # Slots that were never used take no memory: most never are.
        self._unused = _HEAD_SIZE
        self._end = _HEAD_SIZE + SLOTS * _SLOT
        self._free: list[int] = []
        self._slots: dict[IFollowed, int] = {}
        self.turn = Batch()
        self.writes = Writes(self._memory, _WRITES_AT)
        self._over: list[IFollowed] = []
        self._looked = 0.0
        self._cells[_NEXT] = first
        self._cells[_UNUSED] = self._unused

    # For the worker.

    def follow(self, server: SocksFactory) -> None:
        """Number the sessions of the worker from now on, and record their progress."""
        server.next_number = self.number
        server.subscribers.add(self)

    def number(self) -> int:
        """The number of the next session."""
        number = self._number
        self._number = self._cells[_NEXT] = number + self._step
        return number

    # The subscriber: see :class:`~dantetw.session.subscribers.ISubscriber`.

    def began(self, session: IFollowed) -> None:
        """A session has begun."""
        self._note(session)

    def advanced(self, session: IFollowed) -> None:
        """A major phase of a session begins."""
        self._note(session)

    def recording(self, session: IFollowed) -> None:
        """The end of a session is about to be recorded."""
        self.writes.ended += 1
        place = self._slots.get(session)
        if place is not None:
            _ENDED.pack_into(self._memory, place + _ENDED_AT, self.writes.ended)

    def ended(self, session: IFollowed, ending: Ending) -> None:
        """A session has ended, and its end has been recorded."""
        self._over.append(session)
        if len(self._over) == 1:
            self.turn.put_last(self._forget)

    def _note(self, session: IFollowed) -> None:
        """Record the progress of a session."""
        record = session.record
        place = self._slots.get(session)
        if place is None:
            if self._free:
                place = self._free.pop()
            elif self._unused < self._end:
                place = self._unused
                self._unused += _SLOT
                self._cells[_UNUSED] = self._unused
            else:
                return
            self._slots[session] = place
            _COUNTS.pack_into(self._memory, place + _COUNTS_AT, 0, 0, 0, 0)
            _ENDED.pack_into(self._memory, place + _ENDED_AT, 0)
        client, local, request, user = record.client, record.local, record.request, record.user
        source, target, rule = record.source, record.target, record.socks_rule
        # Long or hostile text comes last, since it is cut.
        where = f"{client.host} {client.port}\0{local.host} {local.port}\0"
        if source is not None:
            where = f"{where}{source.host} {source.port}"
        if target is not None or user is not None:
            there = "" if target is None else f"{target.host} {target.port}"
            where = f"{where}\0{there}"
            if user is not None:
                where = f"{where}\0{user.method.word}\0{user.name}"
        text = where.encode("utf-8", "surrogateescape")[:_LONGEST]
        memory, begin = self._memory, place + _TEXT_AT
        memory[begin : begin + len(text)] = text
        _STORY.pack_into(
            memory,
            place,
            len(text),
            _PHASE_CODES[record.phase],
            0 if request is None else _COMMAND_CODES[request.command],
            0 if request is None else _PROTOCOL_CODES[request.proxy_protocol],
            record.policy.generation,
            record.client_rule.number,
            0 if rule is None else rule.number + 1,
            record.number,
            record.accepted_at,
            record.connected_at,
        )

    def _forget(self) -> None:
        over, self._over = self._over, []
        for session in over:
            place = self._slots.pop(session, 0)
            if place:
                _LENGTH.pack_into(self._memory, place, 0)
                self._free.append(place)

    @property
    def place(self) -> int:
        """The worker's place, from 0."""
        return (self._first - 1) % self._step

    @property
    def share(self) -> float:
        """The worker's place as a fraction: 0 for the first, below 1 for the last."""
        return self.place / self._step

    def beat(self) -> None:
        """Show that the worker responds: every :data:`BEAT` seconds."""
        self._cells[_BEATS] += 1

    def update(self, now: float) -> None:
        """
        Record the bytes that sessions have moved, and the progress of those that are not relayed
        yet.  This happens about once a second; later changes are lost if the worker dies.

        :param now: monotonic seconds.
        """
        for session, place in self._slots.items():
            activity = session.activity
            if not session.record.connected_at and not session.ended:
                # Most sessions get there sooner, and need no note of what lies between.
                phase = self._memory[place + _PHASE_AT]
                if phase != _PHASE_CODES[session.record.phase]:
                    self._note(session)
            if activity is not None and activity.last_activity >= self._looked:
                counts = activity.counts
                _COUNTS.pack_into(
                    self._memory,
                    place + _COUNTS_AT,
                    counts.to_client,
                    counts.from_client,
                    counts.to_target,
                    counts.from_target,
                )
        self._looked = now

    # For the supervisor process.

    @property
    def beats(self) -> int:
        """Heartbeats so far."""
        return self._cells[_BEATS]

    @property
    def next_number(self) -> int:
        """The number of the session after the last; that of the first, if it makes no sense."""
        number = self._cells[_NEXT]
        sound = self._first <= number < _MOST and (number - self._first) % self._step == 0
        return number if sound else self._first

    def generations(self) -> set[int]:
        """The policies that its sessions have begun with."""
        return {story[4] for _, story, _ in self._entries()}

    def _entries(self) -> Iterator[tuple[int, tuple[Any, ...], list[str]]]:
        """The slots in use: the position, the numbers and the text fields of each."""
        end = min(self._cells[_UNUSED], self._end)
        for place in range(_HEAD_SIZE, end, _SLOT):
            story = _STORY.unpack_from(self._memory, place)
            if length := story[0]:
                begin = place + _TEXT_AT
                text = self._memory[begin : begin + min(length, _LONGEST)]
                yield place, story, text.decode("utf-8", "surrogateescape").split("\0", _FIELDS - 1)

    def crashed(
        self, policies: Mapping[int, Policy], now: float, sinks: Sequence[ISink] = ()
    ) -> list[tuple[Ended, Sequence[ISink]]]:
        """
        Build the events of the ends of a dead worker's sessions.

        :param policies: all policies so far, by generation.
        :param now: monotonic seconds.
        :param sinks: the destinations of the log, in the order in which it writes to them.
        :returns: with each end the destinations that lack it.  Ends that none lacks are left out.
        """
        ends: list[tuple[Ended, Sequence[ISink]]] = []
        written = Written(self._memory, _WRITES_AT, sinks)
        for place, story, fields in self._entries():
            ended = _ENDED.unpack_from(self._memory, place + _ENDED_AT)[0]
            lacking = written.lacking(ended)
            if ended and sinks and not lacking:
                continue
            counts = Counts(*_COUNTS.unpack_from(self._memory, place + _COUNTS_AT))
            with suppress(ValueError, LookupError):  # what it wrote makes no sense
                ends.append((_end_of(story, fields, counts, policies, now), lacking))
        return ends

    def close(self) -> None:
        """Unmap the memory.  May be called twice."""
        self._cells.release()
        self._bytes.release()
        self._memory.close()


def _end_of(
    story: tuple[Any, ...],
    fields: list[str],
    counts: Counts,
    policies: Mapping[int, Policy],
    now: float,
) -> Ended:
    """
    The end of a session whose worker has died.

    :param story: the numbers in its slot; ``fields``: its text fields.
    :raises ValueError: if they make no sense; likewise :exc:`LookupError`.
    """
    record = _record_of(story, fields, policies)
    associates = record.request is not None and record.request.command is Command.UDPASSOCIATE
    return record.snapshot(
        Ended,
        now,
        ending=Ending(Side.US, record.phase, Cause.CRASH),
        counts=counts,
        traffic=(Traffic(record.path, counts),) if associates else (),
    )


def _record_of(
    story: tuple[Any, ...], fields: list[str], policies: Mapping[int, Policy]
) -> SessionRecord:
    """The facts in a slot; raises as :func:`_end_of`."""
    # What did not fit is missing at the end.
    fields = fields + [""] * (_FIELDS - len(fields))
    _, phase, command, protocol, generation, client_rule, socks_rule, number, *times = story
    client, local, source, target, method, name = fields
    accepted, connected = map(_finite, times)
    policy = policies[generation]
    here, there = _endpoint(client), _endpoint(local)
    if here is None or there is None:
        raise ValueError("no client")
    rule = _rule(policy, RuleKind.CLIENT, client_rule)
    record = SessionRecord(number, policy, here, there, rule, accepted)
    record.restore(_PHASES[phase], connected)
    if socks_rule:
        record.socks_rule = _rule(policy, RuleKind.SOCKS, socks_rule - 1)
    if method in _METHODS:
        record.user = User(Method(method), name)
    record.source = _endpoint(source)
    record.target = record.asked = far = _endpoint(target)
    asked, spoken = _COMMANDS[command], _PROTOCOLS[protocol]
    if asked is not None and spoken is not None:
        used = Method.NONE if record.user is None else record.user.method
        record.request = Request(asked, far or NOWHERE, _DIALECTS[spoken], used)
    return record


def _finite(seconds: float) -> float:
    if not math.isfinite(seconds):
        raise ValueError("not a time")
    return seconds


def _rule(policy: Policy, kind: RuleKind, number: int) -> Rule:
    rules = policy.client_rules if kind is RuleKind.CLIENT else policy.socks_rules
    return rules[number - 1] if number else block_rule(kind, policy.default_log)


def _endpoint(text: str) -> Endpoint | None:
    if not text:
        return None
    host, _, port = text.partition(" ")
    if ":" in host or host.replace(".", "").isdigit():
        return Endpoint.of((host, int(port or 0)))
    return Endpoint(host, int(port or 0), Family.NAME)
