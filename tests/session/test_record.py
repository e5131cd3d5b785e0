"""Tests of the facts of a session, and of what is made from them."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path as FilePath

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import dantetw
from dantetw.catalogue import DIALECTS
from dantetw.observe.events import Ended
from dantetw.observe.facts import SessionFacts, Times
from dantetw.observe.status import Active
from dantetw.policy import Policy, RuleKind
from dantetw.rules.authentication import Identity
from dantetw.session.record import SessionRecord
from dantetw.values import (
    LOG_CONNECT,
    LOG_ERROR,
    LOG_IOOP,
    PROTOCOL_OF,
    Command,
    Endpoint,
    Method,
    Path,
    Phase,
    Protocol,
    User,
    Work,
)
from dantetw.wire.dialects import Request
from tests.observe.making import BOB, CLOSED, endpoint, rule

PACKAGE = FilePath(dantetw.__file__).parent
CLIENT, LOCAL = endpoint("10.0.0.9.50000"), endpoint("10.0.0.1.1080")
ENDPOINTS = st.builds(
    Endpoint.of, st.tuples(st.sampled_from(("192.0.2.1", "2001:db8::1")), st.integers(0, 65535))
)
SECONDS = st.floats(0, 1e9)
REQUESTS = st.builds(
    Request,
    st.sampled_from(tuple(PROTOCOL_OF)),
    ENDPOINTS,
    st.sampled_from(DIALECTS),
    st.sampled_from(Method),
)


def record() -> SessionRecord:
    """The record of a client that has just been accepted."""
    return SessionRecord(
        7, Policy("sockd.conf"), CLIENT, LOCAL, rule(0, kind=RuleKind.CLIENT), 100.0
    )


class SnapshotTests(SynchronousTestCase):
    """The facts at one moment."""

    def test_first(self) -> None:
        """A session begins with its client, and nothing else."""
        facts = record().snapshot(SessionFacts, 101.5)
        self.assertEqual((facts.session, facts.phase), (7, Phase.ACCEPT))
        self.assertEqual(facts.path, Path(CLIENT, LOCAL))
        self.assertEqual(facts.times, Times(100.0, 101.5))
        self.assertEqual((facts.command, facts.protocol), (None, Protocol.TCP))

    @given(st.none() | REQUESTS, st.none() | st.just(BOB), ENDPOINTS, st.tuples(*[SECONDS] * 9))
    def test_everything(
        self, request: Request | None, user: User | None, target: Endpoint, times: tuple[float, ...]
    ) -> None:
        """A snapshot says what the record says, whatever event it is for."""
        made = record()
        made.request, made.user, made.target, made.asked = request, user, target, target
        made.method, made.claimed, made.phase = Method.NONE, "joe", Phase.RELAY
        made.negotiating_at, made.requested_at, made.connected_at, first_io = times[:4]
        made.logging_in_at, made.logged_in_at, made.resolved_at, made.connecting_at, now = times[4:]
        facts = made.snapshot(SessionFacts, now, first_io=first_io)
        self.assertEqual(facts.path, Path(CLIENT, LOCAL, user, None, target))
        ended = (100.0, now, *times[:3], first_io, *times[4:8])
        self.assertEqual(facts.times, Times(*ended))
        self.assertEqual(facts.command, None if request is None else request.command)
        udp = request is not None and request.command is Command.UDPASSOCIATE
        self.assertEqual(facts.protocol, Protocol.UDP if udp else Protocol.TCP)
        self.assertEqual(facts.method, Method.NONE if user is None else user.method)
        self.assertEqual((facts.asked, facts.claimed), (target, "joe"))
        over = made.snapshot(Ended, now, first_io=first_io, ending=CLOSED)
        active = made.snapshot(Active, now, first_io=first_io, report=1, work=Work.IO)
        for field in fields(facts):
            for event in (over, active):
                self.assertEqual(getattr(event, field.name), getattr(facts, field.name))

    def test_frozen(self) -> None:
        """What happens afterwards does not change a snapshot."""
        made = record()
        facts = made.snapshot(SessionFacts, 101.0)
        made.target, made.phase = LOCAL, Phase.CONNECT
        self.assertEqual((facts.path.target, facts.phase), (None, Phase.ACCEPT))

    def test_other_path(self) -> None:
        """The facts may be about the path of an association's datagrams."""
        path = Path(LOCAL, CLIENT)
        self.assertIs(record().snapshot(SessionFacts, 101.0, path).path, path)


class RuleTests(SynchronousTestCase):
    """What is made of the rules a session has come under."""

    def test_log(self) -> None:
        """What one of the rules logs is logged."""
        made = record()
        made.client_rule = rule(1, LOG_CONNECT)
        self.assertEqual(made.log, LOG_CONNECT)
        made.socks_rule = rule(1, LOG_ERROR)
        made.reply_rule = rule(2, LOG_IOOP)
        self.assertEqual(made.log, LOG_CONNECT | LOG_ERROR | LOG_IOOP)

    def test_identity(self) -> None:
        """The user that the client rule was shown stands in the path beside the session's."""
        made = record()
        made.identity = Identity(Method.RFC931, BOB)
        self.assertEqual(made.path, Path(CLIENT, LOCAL, None, None, None, BOB))


class WriterTests(SynchronousTestCase):
    """Who writes a record."""

    def test_progress(self) -> None:
        """The phase and the times are set by methods of the record, which name what happened."""
        owned = {"phase", *(name for name in SessionRecord.__slots__ if name.endswith("_at"))}
        wrong = []
        for path in sorted(PACKAGE.rglob("*.py")):
            if path == PACKAGE / "session" / "record.py":
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    of_record = ast.unparse(node.value).split(".")[-1] in ("record", "_record")
                    if of_record and node.attr in owned:
                        wrong.append(f"{path}:{node.lineno}: {ast.unparse(node)}")
        self.assertEqual(wrong, [])

    def test_login(self) -> None:
        """A login is a phase of the negotiation."""
        made = record()
        made.enter(Phase.NEGOTIATE)
        made.begin_login("joe", 101.0)
        self.assertEqual((made.phase, made.claimed), (Phase.AUTHENTICATE, "joe"))
        made.end_login(102.0)
        times = made.snapshot(SessionFacts, 103.0).times
        self.assertEqual(
            (made.phase, times.logging_in, times.logged_in), (Phase.NEGOTIATE, 101.0, 102.0)
        )
