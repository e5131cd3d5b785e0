"""Tests of :mod:`dantetw.observe.formats.json` and of what stands in front of it."""

from __future__ import annotations

import errno
import json
from dataclasses import fields, make_dataclass, replace
from itertools import product
from pathlib import Path as File
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.observe.events import (
    Accepted,
    AcceptFailed,
    Attempt,
    Connected,
    ConnectFailed,
    Counts,
    Dropped,
    Ended,
    Event,
    Message,
    Parted,
    Repeated,
    ResolveFailed,
    Step,
    Traffic,
    TrafficFailed,
    Transferred,
)
from dantetw.observe.facts import Times
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.json import Json
from dantetw.observe.formats.tcpinfo import SIZE
from dantetw.observe.interfaces import IFormat
from dantetw.observe.prefix import JsonPrefix
from dantetw.policy import Edge, RuleKind, Where
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_TCPINFO,
    NOWHERE,
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
from tests.observe.formats.binds import BINDS, OURS
from tests.observe.formats.names import NAMES
from tests.observe.formats.refusals import REFUSALS
from tests.observe.formats.report import RELAYING, REPORT
from tests.observe.formats.traffic import TRAFFIC
from tests.observe.making import ALL, BLOCKED, CLIENT, RESET, TARGET, ended, endpoint, path, rule

DOCS = File(__file__).parents[3] / "docs"
SCHEMA = json.loads((DOCS / "session-events.schema.json").read_text("utf-8"))
WAY = path(CLIENT, TARGET)
INFO = bytes(SIZE)

# One event of each kind, whose rule wants it.
EVENTS: tuple[Event, ...] = (
    Accepted(1, rule(), path(CLIENT)),
    Connected(1, rule(), WAY),
    Transferred(1, rule(log=LOG_DATA), WAY, Side.CLIENT, 6, b"a\n\xff"),
    Dropped(1, rule(), WAY, Side.TARGET, Drop.BLOCKED, "why", 3, command=Command.UDPREPLY),
    next(event for _, event, _ in OURS),
    ended(),
    Step(1, endpoint("127.0.0.1.5"), "a step"),
    Message(Severity.WARNING, "x.y", "a warning"),
    Repeated(Severity.WARNING, 3, Message(Severity.WARNING, "x.y", "a warning")),
    ConnectFailed(
        Severity.WARNING,
        Edge.EXTERNAL,
        endpoint("10.0.0.1.80"),
        "ECONNREFUSED",
        errno.ECONNREFUSED,
    ),
    TrafficFailed(
        Severity.WARNING,
        Edge.INTERNAL,
        Operation.SEND,
        endpoint("10.0.0.1.80"),
        "EPIPE",
        errno.EPIPE,
        7,
    ),
    AcceptFailed(Severity.WARNING, Edge.INTERNAL, endpoint("10.0.0.1.80"), "EMFILE", errno.EMFILE),
    ResolveFailed(Severity.WARNING, Edge.EXTERNAL, "a.example", "EAI_NONAME", "not known"),
    *{type(event): event for _, event, _ in REPORT}.values(),
)


def written(event: Event, when: float = 1795405831.154986) -> list[dict[str, Any]]:
    """The objects an event makes, as they come out of the file; each on a line of its own."""
    prefix = JsonPrefix("sockd")
    objects = []
    for severity, text in Json("1a-2b-").lines(event):
        line = prefix.stamped(severity, when, text)
        assert line.endswith(b"\n") and len(line.decode("ascii").splitlines()) == 1, line
        assert line.decode("ascii")[:-1].isprintable(), line
        objects.append(json.loads(line))
    return objects


def one(event: Event) -> dict[str, Any]:
    """The only object of an event."""
    (told,) = written(event)
    return told


#: Kinds that a status report is made of.
REPORTED = ("status", "worker", "predecessor", "child", "latency", "active", "reported")


class SchemaTests(SynchronousTestCase):
    """The schema and the lines."""

    validator = Draft202012Validator(SCHEMA)

    def check(self, event: Event) -> None:
        """Hold an event's object against the schema."""
        for told in written(event):
            self.validator.validate(told)

    def test_schema(self) -> None:
        """The schema is one."""
        Draft202012Validator.check_schema(SCHEMA)

    def test_every_event(self) -> None:
        """Every kind of event has a form, which fits the schema."""
        verifyObject(IFormat, Json())
        self.assertEqual({type(event) for event in EVENTS}, set(get_args(Event)))
        for event in EVENTS:
            self.assertEqual(len(written(event)), 1, event)
            self.check(event)

    def test_samples(self) -> None:
        """All sessions of which Dante's lines are known fit it."""
        for _, event, _ in (*TRAFFIC, *BINDS, *OURS, *REFUSALS, *NAMES, *REPORT):
            self.check(event)

    def test_strict(self) -> None:
        """A member that is missing or of another kind does not fit it."""
        told = one(ended())
        for wrong in (
            {**told, "asked": 1},
            {name: value for name, value in told.items() if name != "tried"},
            {**told, "ending": {**told["ending"], "side": "nobody"}},
            {**told, "schema": 2},
        ):
            self.assertFalse(self.validator.is_valid(wrong))

    def test_endings(self) -> None:
        """Every side, phase and cause fits it, and there is none in it that is not."""
        for side, phase, cause in product(Side, Phase, Cause):
            self.check(ended(Ending(side, phase, cause)))
        target = endpoint("10.0.0.1.80")
        for outcome in Outcome:
            for tried, number in ((None, 0), (rule(), errno.ECONNREFUSED)):
                attempt = Attempt(target, None, tried, outcome, 0.0, 1.0, number)
                self.check(ended(attempts=(attempt,)))
        (session,) = (
            part["then"]["properties"]
            for part in SCHEMA["allOf"]
            if part["if"]["properties"]["kind"]["const"] == "session"
        )
        words = session["ending"]["properties"]
        for name, kind in (("side", Side), ("phase", Phase), ("cause", Cause)):
            self.assertEqual(words[name]["enum"], [member.word for member in kind])
        self.assertEqual(list(session["drops"]["properties"]), [drop.word for drop in Drop])
        words = SCHEMA["$defs"]["attempt"]["properties"]
        self.assertEqual(words["outcome"]["enum"], [member.word for member in Outcome])

    def test_documented(self) -> None:
        """The documents list every side, phase and cause, every kind and every member."""
        told = (DOCS / "log-json.rst").read_text("utf-8")
        report = (DOCS / "status-report.rst").read_text("utf-8")
        for name, kind in (("side", Side), ("phase", Phase), ("cause", Cause)):
            sentence = told.split(f"``{name}`` is one of")[1].split(".\n")[0]
            found = sentence.split("``")[1::2]
            self.assertEqual(sorted(found), sorted(member.word for member in kind))
        for part in SCHEMA["allOf"]:
            kind_ = part["if"]["properties"]["kind"]["const"]
            where = report if kind_ in REPORTED else told
            for name in (kind_, *part["then"]["properties"]):
                self.assertIn(f"``{name}``", where)
        attempt = SCHEMA["$defs"]["attempt"]["properties"]
        for name in (*SCHEMA["properties"], *attempt, *attempt["outcome"]["enum"]):
            self.assertIn(f"``{name}``", told)


class MaskTests(SynchronousTestCase):
    """Which events are told."""

    def test_as_dante(self) -> None:
        """An event makes an object if, and only if, it makes a line of Dante's."""
        samples = [event for _, event, _ in (*TRAFFIC, *BINDS, *OURS, *REFUSALS, *NAMES)]
        for event in samples:
            for bits in range(64):
                if isinstance(event, Ended):
                    socks = event.socks_rule
                    reply = event.reply_rule
                    replies = (0,) if reply is None else (0, LOG_ERROR, LOG_DISCONNECT, ALL)
                    for other, third in product((bits, 0, ALL), replies):
                        changed: Event = replace(
                            event,
                            client_rule=replace(event.client_rule, log=bits),
                            socks_rule=None if socks is None else replace(socks, log=other),
                            reply_rule=None if reply is None else replace(reply, log=third),
                        )
                        self.compare(changed)
                elif isinstance(event, Accepted | Connected | Transferred | Parted | Dropped):
                    self.compare(replace(event, rule=replace(event.rule, log=bits)))

    def compare(self, event: Event) -> None:
        """Whether both formats tell it, or none."""
        self.assertEqual(bool(Json().lines(event)), bool(Dante().lines(event)), event)


class ContentTests(SynchronousTestCase):
    """What an object says."""

    def test_parted(self) -> None:
        """One of many peers has its ends, bytes, seconds and ending."""
        told = one(next(event for _, event, _ in OURS))
        self.assertEqual((told["kind"], told["command"]), ("parted", "bindreply"))
        self.assertEqual(told["local"]["port"], 43289)
        self.assertEqual(told["bytes"]["to_client"], 3)
        self.assertEqual(told["seconds"], {"total": 0.9})
        self.assertEqual((told["ending"]["side"], told["ending"]["cause"]), ("target", "closed"))

    def test_beginning(self) -> None:
        """Each begins with schema, time in UTC and as a number, program, process, severity."""
        told = one(Message(Severity.ERROR, "a.b", "c"))
        del told["pid"]
        self.assertEqual(
            told,
            {
                "schema": 1,
                "time": "2026-11-23T03:50:31.154986Z",
                "epoch": 1795405831.154986,
                "program": "sockd",
                "severity": "error",
                "kind": "message",
                "code": "a.b",
                "text": "c",
            },
        )

    def test_daemon(self) -> None:
        """Log daemons get their header, and behind it the object."""
        ((severity, text),) = Json().lines(Message(Severity.INFO, "a", "b"))
        prefix = JsonPrefix("sockd")
        for message in (
            prefix.datagram(3, severity, 1.5, text),
            prefix.rfc5424(3, severity, 1.5, text),
        ):
            header, _, rest = message.decode().partition("{")
            self.assertTrue(header.startswith("<30>"))
            self.assertNotIn("info", header)
            self.assertEqual(json.loads("{" + rest)["epoch"], 1.5)

    def test_session(self) -> None:
        """The record of a session has rules, ends, target, bytes and how it ended."""
        event = ended(
            RESET[1],
            replace(WAY, user=User(Method.USERNAME, "bob")),
            socks_rule=replace(rule(7), where=Where("f.conf", 9, 1)),
            asked=endpoint("a.example.12101"),
            addresses=("127.0.0.1", "::1"),
            method=Method.USERNAME,
            claimed="bob",
        )
        told = one(event)
        self.assertEqual(told["id"], "1a-2b-1")
        self.assertEqual(
            told["socks_rule"],
            {"kind": "socks", "number": 7, "verdict": "pass", "file": "f.conf", "line": 9},
        )
        self.assertEqual(
            (told["user"], told["method"], told["claimed"]), ("bob", "username", "bob")
        )
        self.assertEqual(told["asked"], {"host": "a.example", "port": 12101})
        self.assertEqual(told["target"], {"host": "127.0.0.1", "port": 12101})
        self.assertEqual(told["addresses"], ["127.0.0.1", "::1"])
        self.assertEqual(set(told["bytes"].values()), {6})
        self.assertEqual(
            told["ending"],
            {
                "side": "target",
                "phase": "relay",
                "cause": "error",
                "errno": "ECONNRESET",
                "text": "remote peer error (Connection reset by peer)",
            },
        )

    def test_bind(self) -> None:
        """A BIND is one object with both its rules, and its ending says who the client is."""
        told = {sample: event for sample, event, _ in BINDS}
        session = one(told["20 the peer has closed"])
        self.assertEqual(
            [session[name]["number"] for name in ("client_rule", "socks_rule", "reply_rule")],
            [1, 1, 2],
        )
        self.assertEqual(session["command"], "bind")
        self.assertEqual(session["target"], {"host": "127.0.0.1", "port": 49654})
        self.assertEqual(
            (session["ending"]["side"], session["ending"]["text"]),
            ("target", "remote peer closed"),
        )
        session = one(told["20 the client gives up"])
        self.assertIsNone(session["reply_rule"])
        self.assertEqual(session["ending"]["text"], "eof from client")
        session = one(told["no rule matches the peer, with debug"])
        text = "no rules matched; using default block rule"
        self.assertEqual(session["ending"]["text"], text)

    def test_tried(self) -> None:
        """A blocked session's record says how the rules fared."""
        told = one(ended(BLOCKED, path(CLIENT), tried=("rule #1 does not match",)))
        self.assertEqual(told["tried"], ["rule #1 does not match"])

    def test_no_rule(self) -> None:
        """Where no rule matched that is the text."""
        block = rule(0)
        told = one(ended(BLOCKED, path(CLIENT), socks_rule=block))
        self.assertEqual(told["ending"]["text"], "no rules matched; using default block rule")

    def test_blocking_rule(self) -> None:
        """A plain block's text says which rule it was: the client's, the socks rule, the peer's."""
        client = rule(2, kind=RuleKind.CLIENT)
        turned = Ending(Side.RULE, Phase.ACCEPT, Cause.BLOCKED)
        told = one(replace(ended(turned, path(CLIENT), client), socks_rule=None, command=None))
        self.assertEqual(told["ending"]["text"], "blocked by client-rule #2")
        told = one(ended(BLOCKED, path(CLIENT), client, rule(3)))
        self.assertEqual(told["ending"]["text"], "blocked by socks-rule #3")
        told = one(ended(BLOCKED, path(CLIENT), client, rule(3), reply_rule=rule(4)))
        self.assertEqual(told["ending"]["text"], "blocked by socks-rule #4")
        drop = Dropped(1, rule(5), WAY, Side.CLIENT, Drop.BLOCKED)
        self.assertEqual(one(drop)["text"], "blocked by socks-rule #5")
        away = Parted(1, rule(6), WAY, BLOCKED, 1.0, 2.0)
        self.assertEqual(one(away)["ending"]["text"], "blocked by socks-rule #6")
        # What Dante has words for keeps them.
        told = one(ended(replace(BLOCKED, text="it lied"), path(CLIENT), client, rule(3)))
        self.assertEqual(told["ending"]["text"], "it lied")

    def test_no_rule_asked(self) -> None:
        """
        A request that comes to nothing before a socks rule is asked says so; Dante's line has the
        client rule's number.
        """
        for cause, text in (
            (Cause.UNRESOLVED, 'could not resolve hostname "x": no'),
            (Cause.UNUSABLE, "unbound port (10.0.0.1.0) in request"),
        ):
            event = replace(
                ended(Ending(Side.TARGET, Phase.RESOLVE, cause, text=text), path(CLIENT)),
                socks_rule=None,
            )
            told = one(event)
            self.assertIsNone(told["socks_rule"])
            self.assertEqual(told["ending"]["text"], f"{text}; no socks rule was asked")
            line = Dante().lines(event)[0][1]
            self.assertTrue(line.endswith(text), line)
        # One that leaves before has nothing to do with rules.
        leaving = Ending(Side.CLIENT, Phase.RESOLVE, Cause.CLOSED)
        told = one(replace(ended(leaving, path(CLIENT)), socks_rule=None))
        self.assertEqual(told["ending"]["text"], "eof from local client")

    def test_seconds(self) -> None:
        """Each phase is told with what it took, the last one up to the end."""
        whole = Times(100.0, 107.5, 100.5, 103.0, 106.0, 106.25, 101.0, 102.0, 104.0, 105.0)
        names = ("negotiate", "authenticate", "resolve", "authorise", "connect", "first_byte")
        resolving = Ending(Side.TARGET, Phase.RESOLVE, Cause.UNRESOLVED)
        for times, ending, expected in (
            (whole, RESET[0], (2.0, 1.0, 1.0, 1.0, 1.0, 0.25)),
            (replace(whole, first_io=0.0), RESET[0], (2.0, 1.0, 1.0, 1.0, 1.0, None)),
            (replace(whole, resolved=0.0), RESET[0], (2.0, 1.0, None, 2.0, 1.0, 0.25)),
            (Times(100.0, 107.5), RESET[0], (7.5, None, None, None, None, None)),
            (
                Times(100.0, 107.5, 100.5, logging_in=101.0),
                RESET[0],
                (1.0, 6.5, None, None, None, None),
            ),
            (Times(100.0, 107.5, 100.5, 101.0), resolving, (1.0, None, 6.5, None, None, None)),
        ):
            event = ended(ending, asked=endpoint("a.example.1"), times=times)
            told = one(event)["seconds"]
            self.assertEqual(told.pop("total"), 7.5)
            self.assertEqual(told, dict(zip(names, expected, strict=True)))

    def test_data(self) -> None:
        """What is relayed is escaped as Dante escapes it."""
        self.assertEqual(one(EVENTS[2])["data"], r"a\n\377")

    def test_tcpinfo(self) -> None:
        """``tcpinfo`` has the rows of Dante's block, by their names."""
        log = LOG_CONNECT | LOG_TCPINFO
        told = one(Connected(1, rule(log=log), WAY, tcpinfo=(INFO, b"")))
        self.assertEqual(told["tcpinfo"]["client"]["tcpi_rtt"], "0")
        self.assertIsNone(told["tcpinfo"]["target"])

    def test_failure(self) -> None:
        """A failure has its symbol, its session and Dante's words."""
        told = one(ConnectFailed(Severity.ERROR, Edge.EXTERNAL, endpoint("::1.80"), "EIO", 5, 10))
        self.assertEqual((told["symbol"], told["id"]), ("EIO", "1a-2b-a"))
        self.assertEqual(told["endpoint"], {"host": "::1", "port": 80})
        self.assertEqual(told["text"], "connect to host ::1.80 failed: Input/output error")

    def test_failure_of(self) -> None:
        """It names the client and the user, if there are any."""
        failed = ConnectFailed(Severity.ERROR, Edge.EXTERNAL, endpoint("::1.80"), "EIO", 5, 10)
        told = one(failed)
        self.assertEqual((told["client"], told["user"]), (None, None))
        user = User(Method.USERNAME, "joe")
        told = one(replace(failed, client=endpoint("10.0.0.9.5"), user=user))
        self.assertEqual(told["client"], {"host": "10.0.0.9", "port": 5})
        self.assertEqual(told["user"], "joe")

    def test_nowhere(self) -> None:
        """An address that there is not is null."""
        self.assertIsNone(one(Step(1, NOWHERE, "x"))["client"])

    def test_packets(self) -> None:
        """Only UDP has packets."""
        self.assertIsNone(one(ended())["packets"])
        told = one(ended(protocol=Protocol.UDP, command=Command.UDPASSOCIATE))
        self.assertEqual(told["packets"]["to_client"], 0)

    def test_datagrams(self) -> None:
        """The record of an association has each way out, and what was not relayed."""
        told = one(
            ended(
                protocol=Protocol.UDP,
                command=Command.UDPASSOCIATE,
                traffic=(Traffic(WAY, Counts(1, 2, 3, 4), Counts(5, 6, 7, 8)), Traffic(WAY)),
                drops=((Drop.OVERFLOW, 9), (Drop.STRANGER, 1)),
            )
        )
        first, second = told["traffic"]
        self.assertEqual(first["bytes"]["from_target"], 4)
        self.assertEqual(first["packets"]["to_client"], 5)
        self.assertEqual(first["target"], {"host": "127.0.0.1", "port": 12101})
        self.assertEqual(set(second["packets"].values()), {0})
        self.assertEqual(told["drops"], {"overflow": 9, "stranger": 1})

    def test_dropped(self) -> None:
        """A datagram that was not relayed has its origin and cause, and how many more are meant."""
        told = one(EVENTS[3])
        self.assertEqual(
            [told[name] for name in ("origin", "cause", "text", "more", "command", "protocol")],
            ["target", "blocked", "why", 3, "udpreply", "udp"],
        )

    def test_place(self) -> None:
        """A message about the configuration has file, line and column."""
        told = one(Message(Severity.WARNING, "x", "y", Where("f", 3, 4)))
        self.assertEqual((told["file"], told["line"], told["column"]), ("f", 3, 4))

    def test_repeated(self) -> None:
        """A summary is what was repeated, with the number of times."""
        message = Message(Severity.WARNING, "x", "y")
        self.assertEqual(
            one(Repeated(Severity.WARNING, 3, message)), {**one(message), "repeated": 3}
        )

    def test_repeated_unwanted(self) -> None:
        """A summary of what its rule does not want is not wanted either."""
        unwanted = Connected(1, rule(log=0), WAY)
        self.assertEqual(written(Repeated(Severity.WARNING, 3, unwanted)), [])

    def test_delete(self) -> None:
        """DEL is escaped, as all control characters are: terminals act on it."""
        ((_, text),) = Json().lines(Message(Severity.WARNING, "x", "a\x7fb"))
        self.assertNotIn("\x7f", text)
        self.assertEqual(one(Message(Severity.WARNING, "x", "a\x7fb"))["text"], "a\x7fb")

    def test_active_tcpinfo(self) -> None:
        """With ``log: tcpinfo`` a session of a status report has what the kernel says."""
        told = one(replace(RELAYING, client_rule=rule(1, LOG_TCPINFO), tcpinfo=(INFO, b"")))
        self.assertIn("tcpinfo", told)
        self.assertNotIn("tcpinfo", one(RELAYING))

    def test_unknown_event(self) -> None:
        """An event that nobody has taught it is told with its fields."""
        kind = make_dataclass(
            "ReadFailed", [("severity", Any), ("symbol", str), ("what_for", Any), ("rest", Any)]
        )
        event = kind(Severity.NOTICE, "EIO", Operation.SEND, (rule(), {1}, b"\0", WAY, None, 1.5))
        self.patch(Dante, "lines", lambda self, event: ((Severity.NOTICE, "words"),))
        ((severity, text),) = Json().lines(event)
        told = json.loads("{" + text)
        self.assertEqual(severity, Severity.NOTICE)
        self.assertEqual(
            (told["kind"], told["what"], told["symbol"], told["what_for"], told["text"]),
            ("failure", "ReadFailed", "EIO", "send", "words"),
        )
        self.assertEqual(told["rest"][1:3], [[1], r"\0"])
        self.assertEqual(told["rest"][3]["client"]["port"], 37098)
        self.assertEqual(set(told["rest"][3]), {field.name for field in fields(WAY)})

    def test_unknown_kind(self) -> None:
        """One that is no failure has no text of its own, and its name is its kind."""
        (line,) = Json().lines(make_dataclass("Odd", [("what_for", str)])("x"))
        self.assertEqual(json.loads("{" + line[1]), {"kind": "odd", "what": "Odd", "what_for": "x"})


class HostileTests(SynchronousTestCase):
    """Whatever a client sends."""

    @given(st.binary(max_size=300), st.binary(max_size=300))
    def test_bytes(self, name: bytes, host: bytes) -> None:
        """Any bytes come back as they were, from one line of printable ASCII."""
        user, target = (raw.decode("utf-8", "surrogateescape") for raw in (name, host))
        way = replace(WAY, user=User(Method.USERNAME, user))
        told = one(ended(way=way, asked=Endpoint(target, 80, Family.NAME), claimed=user))
        self.assertEqual((told["user"], told["asked"]["host"]), (user, target))
        self.assertEqual(told["user"].encode("utf-8", "surrogateescape"), name)

    @given(st.text(st.characters(exclude_categories=())))
    def test_texts(self, text: str) -> None:
        """Any text comes back as it was, in every place there is one."""
        for event in (
            Step(1, endpoint("127.0.0.1.5"), text),
            Message(Severity.INFO, "x", text),
        ):
            self.assertEqual(one(event)["text"], text)
        event = ended(replace(BLOCKED, text=text or "x"), path(CLIENT), tried=(text,))
        self.assertEqual(one(event)["tried"], [text])
