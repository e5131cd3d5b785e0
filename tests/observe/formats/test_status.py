"""Tests of :mod:`dantetw.observe.formats.status` against lines that Dante 1.4.2 wrote."""

from __future__ import annotations

import json
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Event
from dantetw.observe.facts import Times
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.json import Json
from dantetw.observe.formats.tcpinfo import SIZE, block
from dantetw.observe.privacy import Private
from dantetw.observe.status import Buffered, ChildReport, Limit
from dantetw.policy import Form
from dantetw.values import LOG_TCPINFO, Endpoint, Family, Method, Severity, User, Work
from tests.observe.formats.report import NEGOTIATING, RELAYING, REPORT, STATUS, WAITING
from tests.observe.making import BOB, rule

INFO = bytes(SIZE)


def texts(event: Event) -> list[str]:
    """An event's lines, which must be of severity info."""
    lines = Dante().lines(event)
    assert all(severity is Severity.INFO for severity, _ in lines)
    return [text for _, text in lines]


class GoldenTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """The lines are Dante's, byte for byte."""
        for name, event, expected in REPORT:
            with self.subTest(name):
                self.assertEqual(texts(event), expected)

    def test_up(self) -> None:
        """Days, hours, minutes and seconds since the start; one day is a day."""
        for seconds, told in (
            (59.99, "0 days, 0:00:59"),
            (3600 * 13 + 61, "0 days, 13:01:01"),
            (86400, "1 day, 0:00:00"),
            (86400 * 12 + 86399, "12 days, 23:59:59"),
        ):
            (line,) = texts(ChildReport(1, Work.REQUEST, seconds))
            self.assertEqual(line, f"request-child up {told}")
            first = texts(replace(STATUS, up=seconds))[0]
            self.assertIn(f" up {told[:-3]}, a: ", first)

    def test_seconds(self) -> None:
        """Seconds are the difference of truncated clocks, as at a session's end."""
        (line,) = texts(replace(NEGOTIATING, times=Times(999.9, 1001.0)))
        self.assertTrue(line.endswith("negotiating for 2s"))

    def test_unknown_buffers(self) -> None:
        """What the system cannot tell of a buffer is a question mark, and not in the sum."""
        assert RELAYING.standing is not None
        standing = replace(
            RELAYING.standing, to_target=Buffered(None, 5, 7), to_client=Buffered(1, 2, None)
        )
        (line,) = texts(replace(RELAYING, standing=standing))
        self.assertIn("6 (+ 12 buffered (? + 5 + 7)) <-> 6 (+ 3 buffered (1 + 2 + ?))", line)

    def test_limits(self) -> None:
        """What is not limited or not known is said to be so."""
        boundless = replace(
            STATUS,
            **{
                name: replace(getattr(STATUS, name), free=None)
                for name in ("negotiators", "requesters", "iorelayers")
            },
            files=Limit(None, None),
        )
        slots = ", ".join(f"{kind}-child-slots: {{0}}" for kind in ("negotiate", "request", "io"))
        lines = texts(boundless)
        self.assertEqual(lines[1], "negotiators (1): a: 8, h: 7, c: 1, f: no limit")
        processes = "max limits: processes: 96365 (96342 free)"
        self.assertEqual(lines[4], f"{processes}, files: no limit, {slots.format('no limit')}")
        lines = texts(replace(boundless, files=Limit(1024, None)))
        self.assertEqual(
            lines[4],
            f"{processes}, files: 1024 (? free), {slots.format('?')}"
            " (max clients limited by open file limit)",
        )
        lines = texts(replace(boundless, processes=Limit(None, None)))
        self.assertEqual(lines[4], "no applicable environment resource limits configured")


class RuleTests(SynchronousTestCase):
    """Which rule a session is under."""

    def test_choice(self) -> None:
        """It stands at the end of the line if there is more than one it could be."""
        for event, rules in (
            (NEGOTIATING, "client-rule #1"),
            (WAITING, "client-rule #1, socks-rule #1"),
            (RELAYING, "client-rule #1, socks-rule #1"),
        ):
            (plain,) = texts(event)
            (told,) = texts(replace(event, choice=True))
            self.assertEqual(told, f"{plain} (session 7, {rules})")

    def test_before_tcpinfo(self) -> None:
        """It comes before the block of ``log: tcpinfo``."""
        chatty = replace(
            RELAYING, socks_rule=rule(3, LOG_TCPINFO), choice=True, tcpinfo=(INFO, INFO)
        )
        (told,) = texts(chatty)
        first, _, rest = told.partition("\n")
        self.assertTrue(first.endswith(" (session 7, client-rule #1, socks-rule #3)"))
        self.assertEqual(rest, block(INFO, INFO))


class TcpInfoTests(SynchronousTestCase):
    """``log: tcpinfo``."""

    def test_negotiating(self) -> None:
        """Without a relay the client rule decides; one column, with an indented title."""
        for event in (NEGOTIATING, WAITING):
            (plain,) = texts(event)
            (told,) = texts(replace(event, client_rule=rule(1, LOG_TCPINFO), tcpinfo=(INFO, b"")))
            self.assertEqual(told, f"{plain}\n   {block(INFO)}")

    def test_relaying(self) -> None:
        """With one the socks rule does, and there are two columns."""
        (plain,) = texts(RELAYING)
        wanted = replace(RELAYING, socks_rule=rule(1, LOG_TCPINFO), tcpinfo=(INFO, b""))
        self.assertEqual(texts(wanted), [f"{plain}\n{block(INFO, b'')}"])
        self.assertEqual(texts(replace(wanted, tcpinfo=(b"", b""))), [plain])
        unwanted = replace(RELAYING, client_rule=rule(1, LOG_TCPINFO), tcpinfo=(INFO, INFO))
        self.assertEqual(texts(unwanted), [plain])


class HostileTests(SynchronousTestCase):
    def test_escaped(self) -> None:
        """A name that a client gave cannot make a line of its own."""
        user = User(Method.USERNAME, "a\nb\x1b")
        (told,) = texts(replace(RELAYING, path=replace(RELAYING.path, user=user)))
        self.assertTrue(told.isprintable())


class PrivacyTests(SynchronousTestCase):
    """What is left out elsewhere is left out here."""

    event = replace(
        RELAYING,
        path=replace(RELAYING.path, user=BOB),
        asked=Endpoint("secret.example", 80, Family.NAME),
    )
    secrets = ("127.0.0.1.50172", "goldenbob", "127.0.0.1.12101", "secret.example")

    def test_omitted(self) -> None:
        """Client, user and target are in neither format if they are to be omitted."""
        form = Form(omit=frozenset(("client", "user", "target")))
        ((_, line),) = Private(Dante(), form, b"").lines(self.event)
        for secret in self.secrets:
            self.assertNotIn(secret, line)
        ((_, text),) = Private(Json(), form, b"").lines(self.event)
        told = json.loads("{" + text)
        self.assertEqual((told["client"], told["target"], told["asked"]), (None, None, None))
        self.assertNotIn("goldenbob", text)
        self.assertEqual(told["source"], {"host": "127.0.0.1", "port": 54157})

    def test_hashed(self) -> None:
        """They have pseudonyms if they are to be hashed."""
        form = Form(hash=frozenset(("client", "user", "target")))
        ((_, text),) = Private(Json(), form, b"key").lines(self.event)
        told = json.loads("{" + text)
        for name in ("client", "target", "asked"):
            self.assertEqual(len(told[name]["host"]), 16)
        self.assertEqual(len(told["user"]), 16)
        self.assertEqual(told["client"]["port"], 50172)


class JsonTests(SynchronousTestCase):
    def told(self, event: Event) -> dict[str, object]:
        """The object of an event, without its beginning."""
        ((_, text),) = Json("1a-").lines(event)
        told: dict[str, object] = json.loads("{" + text)
        return told

    def test_active(self) -> None:
        """A session has its id, its rules with their places, its ends and its traffic."""
        told = self.told(RELAYING)
        self.assertEqual((told["kind"], told["id"], told["report"]), ("active", "1a-7", 1))
        self.assertEqual((told["work"], told["phase"]), ("io", "relay"))
        self.assertEqual((told["age"], told["lasting"]), (3.0, 3.0))
        for kind in ("client_rule", "socks_rule"):
            self.assertEqual(told[kind]["number"], 1)  # type: ignore[index]
        self.assertEqual(
            told["standing"],
            {
                "age": 3.0,
                "idle": 3.0,
                "connecting": False,
                "bytes": {"to_client": 6, "from_client": 6, "to_target": 6, "from_target": 6},
                "packets": None,
                "buffered": {
                    "to_target": {"unread": 0, "held": 0, "unsent": 0},
                    "to_client": {"unread": 0, "held": 0, "unsent": 0},
                },
            },
        )
        self.assertIsNone(self.told(NEGOTIATING)["standing"])

    def test_whole(self) -> None:
        """Totals, kinds of work and the end have all that the events have."""
        told = self.told(STATUS)
        self.assertEqual(
            told["negotiators"],
            {"processes": 1, "accepted": 8, "handed": 7, "current": 1, "free": 19979},
        )
        self.assertEqual(
            told["limits"],
            {
                "processes": {"limit": 96365, "free": 96342},
                "files": {"limit": 20000, "free": 19979},
            },
        )
        self.assertEqual(
            self.told(ChildReport(1, Work.IO, 1.5)),
            {"kind": "child", "report": 1, "work": "io", "up": 1.5},
        )
        self.assertEqual(
            self.told(REPORT[-1][1]),
            {"kind": "reported", "report": 1, "told": 8, "gone": 0, "seconds": 0.25},
        )
