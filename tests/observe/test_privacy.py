"""Tests of :mod:`dantetw.observe.privacy`."""

from __future__ import annotations

import errno
import hashlib
import hmac
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.config.keywords.logging import FIELDS
from dantetw.escaping import escape
from dantetw.observe.events import (
    Accepted,
    AcceptFailed,
    Attempt,
    Connected,
    ConnectFailed,
    Dropped,
    Ended,
    Event,
    Message,
    Parted,
    Path,
    Repeated,
    ResolveFailed,
    Step,
    Traffic,
    TrafficFailed,
    Transferred,
)
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.json import Json
from dantetw.observe.interfaces import IFormat
from dantetw.observe.privacy import DIGITS, Private
from dantetw.observe.status import (
    Active,
    ChildReport,
    LatencyReport,
    PredecessorReport,
    Reported,
    Status,
    WorkerReport,
)
from dantetw.policy import Edge, Form, RuleKind
from dantetw.values import (
    LOG_DATA,
    Cause,
    Command,
    Drop,
    Ending,
    Endpoint,
    Family,
    Method,
    Operation,
    Outcome,
    Phase,
    Protocol,
    Severity,
    Side,
    User,
)
from dantetw.wire import socks5, userpass
from dantetw.wire.udp import build_header
from tests.observe.formats.report import RELAYING, REPORT
from tests.observe.making import ALL, ended, rule
from tests.session.datagrams import LOG, OPEN, AssociateCase, Visit, asking
from tests.session.world import LOGINS, World

FORMATS = (Dante(timing=True), Json("run-"))
EVERYTHING = frozenset(FIELDS)
KEY = b"a key"

CLIENT = "203.0.113.77"
TARGET = "198.51.100.88"
NAME = "www.secret.example"
USER = "goldenbob"
LOCAL, SOURCE = "192.0.2.1", "192.0.2.2"
LOUD = rule(log=ALL | LOG_DATA)


def at(host: str, port: int = 80) -> Endpoint:
    """An endpoint."""
    numeric = host.replace(".", "").isdigit()
    return Endpoint(host, port, Family.IPV4 if numeric else Family.NAME)


def events(user: str = USER, name: str = NAME) -> Iterator[Event]:
    """One event of each type at least, full of what may not be seen."""
    who = User(Method.PAM_USERNAME, user)
    here, target = at(CLIENT, 4711), at(TARGET)
    way = Path(here, at(LOCAL), who, at(SOURCE), target, who)
    named = (("client", CLIENT), ("user", user), ("target", name), ("target", TARGET))
    raw = f'{CLIENT} {CLIENT}.4711 "{user}" "{name}" {name}.80 ({TARGET}, {TARGET}.80)'
    told = f'{CLIENT} {CLIENT}.4711 "{escape(user)}" "{escape(name)}" {TARGET}.80: no'
    warning = Severity.WARNING
    yield Accepted(1, LOUD, way)
    yield Connected(1, LOUD, way)
    yield Connected(1, LOUD, replace(way, target=at(name)))
    yield Connected(1, LOUD, way, asked=at(name), by_name=True)
    yield Transferred(1, LOUD, way, Side.CLIENT, 9, f"{name} {user}".encode("utf-8", "replace"))
    unheard = Ending(Side.CLIENT, Phase.CONNECT, Cause.ERROR, errno.ECONNREFUSED, told)
    yield Parted(1, LOUD, way, unheard, 1.0, 2.0, named=named)
    yield Parted(1, LOUD, way, Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED), 1.0, 2.0)
    yield Dropped(1, LOUD, way, Side.CLIENT, Drop.ERROR, told, 1, named)
    yield Dropped(1, LOUD, replace(way, target=at(name)), Side.TARGET, Drop.BLOCKED)
    yield ended(
        way=replace(way, source=None, target=None),
        socks_rule=LOUD,
        asked=here,
        protocol=Protocol.UDP,
        command=Command.UDPASSOCIATE,
        traffic=(Traffic(way), Traffic(replace(way, target=None))),
        named=named,
    )
    for command in (None, ended().command):
        for ending in (
            Ending(Side.TARGET, Phase.CONNECT, Cause.ERROR, errno.ECONNREFUSED, told),
            Ending(Side.RULE, Phase.AUTHORISE, Cause.BLOCKED),
            Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED),
        ):
            yield ended(
                ending,
                way,
                rule(kind=RuleKind.CLIENT),
                LOUD,
                command=command,
                asked=at(name),
                claimed=user,
                addresses=(TARGET,),
                tried=(raw, raw),
                named=named,
                attempts=(Attempt(target, at(SOURCE), LOUD, Outcome.FAILED, 0.0, 1.0, 1),),
            )
    yield ConnectFailed(warning, Edge.EXTERNAL, target, "EPERM", errno.EPERM, 1)
    yield ConnectFailed(warning, Edge.EXTERNAL, target, "EPERM", errno.EPERM, 1, at(name))
    for edge, place in ((Edge.EXTERNAL, target), (Edge.INTERNAL, here)):
        yield TrafficFailed(warning, edge, Operation.SEND, place, "EPIPE", errno.EPIPE, 1)
        yield ResolveFailed(warning, edge, place.host, "EAI_AGAIN", "later", 1, True)
    yield AcceptFailed(warning, Edge.INTERNAL, at(LOCAL), "EMFILE", errno.EMFILE)
    yield ResolveFailed(warning, Edge.EXTERNAL, name, "EAI_NONAME", "no", 1)
    whose = {"client": here, "user": User(Method.USERNAME, user)}
    failed = ConnectFailed(warning, Edge.EXTERNAL, target, "EPERM", errno.EPERM, 1, **whose)
    yield from (failed, Repeated(warning, 3, failed))
    yield AcceptFailed(warning, Edge.EXTERNAL, at(LOCAL), "EMFILE", errno.EMFILE, 1, **whose)
    for edge, place in ((Edge.EXTERNAL, target), (Edge.INTERNAL, here)):
        yield TrafficFailed(warning, edge, Operation.SEND, place, "EIO", 5, 1, **whose)
    yield ResolveFailed(warning, Edge.EXTERNAL, name, "EAI_NONAME", "no", 1, **whose)
    yield Step(1, here, raw, named)
    yield replace(RELAYING, client_rule=LOUD, socks_rule=LOUD, path=way, asked=at(name))
    yield from {type(event): event for _, event, _ in REPORT if type(event) is not Active}.values()
    yield Message(warning, "a.code", told, named=named)
    yield Repeated(warning, 3, Message(warning, "a.code", told, named=named))
    yield Repeated(warning, 3, ConnectFailed(warning, Edge.EXTERNAL, target, "EPERM", 1, 1))


# Of nobody in particular.
NOBODYS = (Status, WorkerReport, PredecessorReport, ChildReport, LatencyReport, Reported)


def shown(event: Event, form: Form, key: bytes = KEY) -> list[str]:
    """An event's texts in every format."""
    return [text for plain in FORMATS for _, text in Private(plain, form, key).lines(event)]


def omitting(*fields: str) -> Form:
    """A form without these."""
    return Form("dante", frozenset(fields), frozenset())


def hashing(*fields: str) -> Form:
    """A form with pseudonyms for these."""
    return Form("dante", frozenset(), frozenset(fields))


def pseudonym(field: str, value: str, key: bytes = KEY) -> str:
    """What stands for a value."""
    return hmac.new(key, f"{field}\0{value}".encode(), hashlib.sha256).hexdigest()[:DIGITS]


SECRETS = {"client": (CLIENT,), "user": (USER,), "target": (TARGET, NAME)}


class OmissionTests(SynchronousTestCase):
    """What is left out."""

    def test_provides(self) -> None:
        """It is a format."""
        verifyObject(IFormat, Private(Dante(), omitting(), KEY))

    def test_every_event(self) -> None:
        """There is an event of every type here."""
        self.assertEqual({type(event) for event in events()}, set(get_args(Event)))

    def test_nothing(self) -> None:
        """Without a field to hide all is shown, but for the data."""
        for event in events():
            plain = replace(event, data=None) if isinstance(event, Transferred) else event
            expected = [text for format in FORMATS for _, text in format.lines(plain)]
            self.assertEqual(shown(event, omitting()), expected)

    def test_each_field(self) -> None:
        """A field that is left out, or has pseudonyms, stands in no text; the others still do."""
        for field, secrets in SECRETS.items():
            for form in (omitting(field), hashing(field)):
                found: set[str] = set()
                for event in events():
                    for text in shown(event, form):
                        for secret in secrets:
                            self.assertNotIn(secret, text, event)
                        found |= {name for name, values in SECRETS.items() if values[0] in text}
                self.assertEqual(found, SECRETS.keys() - {field})

    def test_ours(self) -> None:
        """Our own ends of connections are always shown."""
        text = "".join(text for event in events() for text in shown(event, omitting(*FIELDS)))
        self.assertIn(LOCAL, text)
        self.assertIn(SOURCE, text)

    def test_lines_remain(self) -> None:
        """What is left makes as many lines as before, at the same severities."""
        for event in events():
            for plain in FORMATS:
                before, after = plain.lines(event), Private(plain, omitting(*FIELDS), KEY)
                self.assertEqual(
                    [severity for severity, _ in before],
                    [severity for severity, _ in after.lines(event)],
                )

    def test_event_unchanged(self) -> None:
        """Other destinations still see everything: the event is not touched."""
        for event, again in zip(events(), events(), strict=True):
            shown(event, omitting(*FIELDS))
            self.assertEqual(event, again)

    def test_longer_words(self) -> None:
        """Of a text only the value goes, not the same letters in a longer word."""
        message = Message(
            Severity.INFO, "x", f"user al of alabama on {CLIENT}7", None, (("user", "al"),)
        )
        texts = shown(message, omitting("user"))
        self.assertEqual(texts[0], f"user - of alabama on {CLIENT}7")

    @given(
        st.text(max_size=12),
        st.text(max_size=12),
        st.sampled_from([omitting(*FIELDS), hashing(*FIELDS)]),
    )
    @example("\n\x1b[1m", "\\", omitting(*FIELDS))
    @example(" client", "\udcff\ud800", hashing(*FIELDS))
    def test_hostile_names(self, user: str, name: str, form: Form) -> None:
        """Whatever characters they are made of, names are hidden."""
        for event in events(f"Mallory{user}yrollaM", f"Hidden{name}neddiH"):
            for text in shown(event, form):
                for part in ("Mallory", "yrollaM", "Hidden", "neddiH"):
                    self.assertNotIn(part, text, event)


class PseudonymTests(SynchronousTestCase):
    """What stands in place of a value."""

    def test_same(self) -> None:
        """The same value has the same pseudonym in every event, an HMAC of 16 digits."""
        wanted = {
            pseudonym("client", CLIENT),
            pseudonym("user", USER),
            pseudonym("target", TARGET),
            pseudonym("target", NAME),
        }
        text = "\n".join(text for event in events() for text in shown(event, hashing(*FIELDS)))
        for word in wanted:
            self.assertEqual(len(word), 16)
            self.assertIn(word, text)
        failed = ConnectFailed(Severity.INFO, Edge.EXTERNAL, at(TARGET), "EPERM", errno.EPERM)
        self.assertEqual(
            shown(failed, hashing("target"))[0],
            f"connect to host {pseudonym('target', TARGET)}.80 failed: Operation not permitted",
        )

    def test_keyed(self) -> None:
        """With another key it is another."""
        for event in events():
            one, two = (shown(event, hashing(*FIELDS), key) for key in (b"one", b"two"))
            if not isinstance(event, (AcceptFailed, *NOBODYS)):
                self.assertNotEqual(one, two, event)

    def test_fields(self) -> None:
        """An address has another as a client than as a target."""
        text = "".join(
            text
            for edge in Edge
            for text in shown(
                TrafficFailed(Severity.INFO, edge, Operation.SEND, at(CLIENT), "EPIPE", 32),
                hashing(*FIELDS),
            )
        )
        self.assertIn(pseudonym("client", CLIENT), text)
        self.assertIn(pseudonym("target", CLIENT), text)


class SessionTests(SynchronousTestCase):
    """Whole sessions, with all that ``debug`` tells and with why rules blocked."""

    @settings(max_examples=40, deadline=None)
    @given(
        st.text(st.characters(min_codepoint=1, codec="utf-8"), max_size=10),
        st.text(st.characters(min_codepoint=1, codec="utf-8"), max_size=10),
        st.booleans(),
        st.booleans(),
    )
    def test_hostile(self, user: str, name: str, good: bool, resolves: bool) -> None:
        """No text that a session makes holds what is left out."""
        user, name = f"Mallory{user}yrollaM", f"Hidden{name}neddiH"
        text = LOGINS.replace("socks pass", "socks block { from: 0/0 to: .nowhere }\nsocks pass")
        world = World(self, f"external.log.warning.error: dns-any system-any\n{text}")
        world.factory.journal.debug = 2
        world.factory.journal.explains = True
        if resolves:
            world.hosts[name] = [TARGET]
        host = name.encode().decode("ascii", "surrogateescape")
        login = userpass.build_login(user.encode(), b"secret")
        peer = Endpoint(CLIENT, 4711, Family.IPV4)
        asking = socks5.build_request(
            ended().command,
            Endpoint(host, 80, Family.NAME),  # type: ignore[arg-type]
        )
        client = world.client(b"\x05\x01\x02" + login + asking, peer=peer)
        world.doorkeeper.answer(good)
        world.settle()
        world.look_up()
        if world.dials:
            world.dials[-1].decide(errno.ECONNREFUSED)
        world.wait(5)
        client.close()
        self.assertTrue(any(isinstance(event, Ended) for event in world.events))
        for event in world.events:
            for text in shown(event, omitting(*FIELDS)):
                for part in ("mallory", "yrollam", "hidden", "neddih", CLIENT, TARGET):
                    self.assertNotIn(part, text.lower(), event)
        world.close()


class AssociationTests(AssociateCase):
    """Whole associations, with all that ``debug`` tells."""

    CLIENT, TARGET, STRANGER, BLOCKED = "127.0.0.77", "127.0.0.88", "127.0.0.99", "127.0.0.66"
    RULES = f"socks block {{ from: 0/0 to: 127.0.0.64/30\n{LOG} }}\n"

    def sock_at(self, host: str) -> tuple[socket.socket, Endpoint]:
        """Somebody's socket."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.bind((host, 0))
        return sock, Endpoint.of(sock.getsockname())

    def test_hidden(self) -> None:
        """No text that an association makes holds an end of it, or a name of one."""
        for announced in (
            Endpoint("0.0.0.0", 0, Family.IPV4),
            Endpoint(self.CLIENT, 0, Family.IPV4),
            Endpoint("client.example", 0, Family.NAME),
            Endpoint("nowhere.example", 0, Family.NAME),
        ):
            with self.subTest(str(announced)):
                self.check(announced)

    def check(self, announced: Endpoint) -> None:
        """A client that does all that there is a text for."""
        world = self.world(
            "external.log.warning.error: dns-any system-any\n"
            + OPEN.replace("socks pass", f"{self.RULES}socks pass")
        )
        world.factory.journal.debug = 2
        world.factory.journal.explains = True
        world.hosts = {"client.example": [self.CLIENT], "target.example": [self.TARGET]}
        peer = Endpoint(self.CLIENT, 50000, Family.IPV4)
        control = world.client(asking(announced), peer=peer)
        world.look_up()
        control.hear()
        if announced.host != "nowhere.example":
            client, _ = self.sock_at(self.CLIENT)
            stranger, _ = self.sock_at(self.STRANGER)
            target, there = self.sock_at(self.TARGET)
            visit = Visit(world, control, client)
            for sock in (stranger, client, stranger):
                visit.send(build_header(there) + b"x", sock)
            target.sendto(b"y", target.recvfrom(9)[1])
            world.settle()
            self.assertEqual(len(visit.hear()), 1)
            for to in (
                Endpoint("target.example", there.port, Family.NAME),
                Endpoint("unknown.example", 9, Family.NAME),
                Endpoint(self.BLOCKED, 9, Family.IPV4),
                Endpoint(self.BLOCKED, 0, Family.IPV4),
                Endpoint(self.TARGET, 1, Family.IPV4),
                Endpoint("192.0.2.55", 9, Family.IPV4),
            ):
                visit.say(b"x", to)
                world.look_up()
            visit.send(b"\0\0\1" + build_header(there)[3:])
            visit.control.send(b"x")
            world.until(lambda: any(type(event) is TrafficFailed for event in world.events))
        control.close()
        world.look_up()
        self.assertEqual(len(world.ended), 1)
        secrets = (self.CLIENT, self.TARGET, self.STRANGER, self.BLOCKED, "192.0.2.55", ".example")
        for event in world.events:
            for text in shown(event, omitting(*FIELDS)):
                for secret in secrets:
                    self.assertNotIn(secret, text, event)
            for text in shown(event, omitting("client")):
                for secret in (self.CLIENT, self.STRANGER, "client.example"):
                    self.assertNotIn(secret, text, event)
