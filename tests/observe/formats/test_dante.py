"""Tests of :mod:`dantetw.observe.formats.dante` against lines that Dante 1.4.2 wrote."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.observe.events import (
    Accepted,
    Connected,
    ConnectFailed,
    Event,
    Message,
    ResolveFailed,
    Step,
    Transferred,
)
from dantetw.observe.facts import Times
from dantetw.observe.formats.dante import Dante
from dantetw.observe.interfaces import IFormat
from dantetw.policy import Edge, RuleKind
from dantetw.values import (
    LOG_CONNECT,
    LOG_DATA,
    LOG_DISCONNECT,
    LOG_ERROR,
    LOG_IOOP,
    LOG_TCPINFO,
    NOWHERE,
    Cause,
    Command,
    Ending,
    Method,
    Phase,
    Severity,
    Side,
    User,
)
from tests.observe.formats.binds import BINDS, OURS
from tests.observe.formats.names import NAMES
from tests.observe.formats.refusals import REFUSALS
from tests.observe.formats.report import REPORT
from tests.observe.formats.traffic import TRAFFIC
from tests.observe.making import (
    ALL,
    BLOCKED,
    CLIENT,
    IDLE,
    ORDERLY,
    RESET,
    TARGET,
    UNRESOLVED,
    early,
    ended,
    endpoint,
    negotiating,
    path,
    refused,
    rule,
)

STAGES = """\
accept to negotiate start       : 0.000078s
negotiate duration              : 0.000307s
negotiate finish to established : 0.001923s
session establish to first i/o  : 0.000083s
total session duration          : 0.004261s"""

UNREACHED = """\
accept to negotiate start       : 0.000078s
negotiate duration              : N/A
negotiate finish to established : N/A
session establish to first i/o  : N/A
total session duration          : 0.004261s"""


class DanteTests(SynchronousTestCase):
    """The format of Dante."""

    def test_provides(self) -> None:
        """It is a format."""
        verifyObject(IFormat, Dante())

    def test_golden(self) -> None:
        """Each event makes exactly the lines that Dante wrote."""
        for sample, event, expected in TRAFFIC + BINDS + OURS + NAMES + REFUSALS:
            with self.subTest(sample):
                self.assertEqual([text for _, text in Dante().lines(event)], expected, sample)

    def test_every_event(self) -> None:
        """There is a golden line for every type of event, but for debug, which is in our words."""
        self.assertEqual(
            {type(event) for _, event, _ in TRAFFIC + BINDS + NAMES + REFUSALS + REPORT} | {Step},
            set(get_args(Event)),
        )

    def test_severity(self) -> None:
        """Rules log information; messages and failures keep the severity they were given."""
        self.assertEqual({severity for severity, _ in Dante().lines(ended())}, {Severity.INFO})
        for severity in Severity:
            failed = ConnectFailed(severity, Edge.EXTERNAL, NOWHERE, "EPERM", errno.EPERM)
            unresolved = ResolveFailed(severity, Edge.EXTERNAL, "x", "EAI_FAIL", "no")
            for event in (Message(severity, "x", "y"), failed, unresolved):
                self.assertEqual([told for told, _ in Dante().lines(event)], [severity])

    def test_masks_of_ends(self) -> None:
        """Each form of an end is told for its own keywords of ``log``, and for no other."""
        blocks = {LOG_CONNECT, LOG_DISCONNECT, LOG_IOOP, LOG_DATA}
        errors = {LOG_ERROR, LOG_DISCONNECT}
        cases = [
            (refused(Side.RULE, Phase.ACCEPT, Cause.BLOCKED), None, blocks),
            (negotiating("", Cause.CLOSED), None, errors),
            (refused(Side.CLIENT, Phase.NEGOTIATE, Cause.TIMEOUT), None, errors),
            (BLOCKED, Command.CONNECT, blocks),
            (UNRESOLVED, Command.CONNECT, errors),
            (RESET[0], Command.CONNECT, errors),
            (ORDERLY[0], Command.CONNECT, {LOG_DISCONNECT}),
            (IDLE, Command.CONNECT, {LOG_DISCONNECT}),
            (Ending(Side.US, Phase.RELAY, Cause.SHUTDOWN), Command.CONNECT, {LOG_DISCONNECT}),
        ]
        keywords = (LOG_CONNECT, LOG_DISCONNECT, LOG_ERROR, LOG_IOOP, LOG_DATA, LOG_TCPINFO)
        for ending, command, wanted in cases:
            for log in keywords:
                with self.subTest(ending=ending, log=log):
                    silent, loud = rule(log=0), rule(log=log)
                    by_client = ended(ending, None, loud, silent, command=command)
                    by_socks = ended(ending, None, silent, loud, command=command)
                    self.assertEqual(len(Dante().lines(by_client)), log in wanted)
                    expected = command is not None and log in wanted
                    self.assertEqual(len(Dante().lines(by_socks)), expected)

    def test_masks_of_begins(self) -> None:
        """Begins need ``connect``, operations ``ioop`` or ``data``."""
        way = path(CLIENT, TARGET)
        for log in (LOG_DISCONNECT, LOG_ERROR, LOG_TCPINFO, 0):
            silent = rule(log=log)
            self.assertEqual(Dante().lines(Accepted(1, silent, way)), ())
            self.assertEqual(Dante().lines(Connected(1, silent, way)), ())
            self.assertEqual(Dante().lines(Transferred(1, silent, way, Side.CLIENT, 1)), ())
        for log in (LOG_IOOP, LOG_DATA):
            transferred = Transferred(1, rule(log=log), way, Side.CLIENT, 1)
            self.assertEqual(len(Dante().lines(transferred)), 1)

    def test_hostile_names(self) -> None:
        """User names and host names cannot break a line."""
        user = User(Method.PAM_USERNAME, "ev\nil \x1b[1m")
        way = replace(path(CLIENT, TARGET), user=user, target=endpoint("a\nb.80"))
        ((_, text),) = Dante().lines(Connected(1, rule(), way))
        self.assertEqual(
            text,
            r"pass(1): tcp/connect [: pam.username%ev\nil \033[1m@127.0.0.1.37098 "
            r"127.0.0.1.12001 -> 127.0.0.1.34019 a\nb.80",
        )

    def test_hostile_texts(self) -> None:
        """Texts cannot break a line, and what was escaped before is not escaped again."""
        event = early(CLIENT, negotiating("odd\nname \\n \x9b"))
        ((_, text),) = Dante().lines(event)
        self.assertTrue(text.endswith(r"in 0 seconds: odd\nname \n \302\233"), text)
        self.assertEqual(
            Dante().lines(Message(Severity.INFO, "x", "a\r\nb")), ((Severity.INFO, r"a\r\nb"),)
        )

    def test_duration(self) -> None:
        """The duration is the difference of whole seconds, as Dante computes it."""
        for accepted, finished, told in ((0.9, 1.1, 1), (1.0, 1.9, 0), (5.5, 9.4, 4)):
            event = ended(times=Times(accepted, finished))
            text = Dante().lines(event)[0][1]
            self.assertTrue(text.endswith(f"Session duration: {told}s"), text)

    def test_one_second(self) -> None:
        """One second is not "1 seconds"."""
        event = early(CLIENT, refused(Side.CLIENT, Phase.NEGOTIATE, Cause.TIMEOUT), seconds=1.0)
        self.assertTrue(Dante().lines(event)[0][1].endswith("timeout after 1 second"))

    def test_shutdown(self) -> None:
        """The server's stop is a reason of its own in every stage."""
        for phase, command in ((Phase.NEGOTIATE, None), (Phase.RELAY, Command.CONNECT)):
            event = ended(Ending(Side.US, phase, Cause.SHUTDOWN), command=command)
            for _, text in Dante().lines(event):
                self.assertIn(": administrative termination", text)

    def test_timing(self) -> None:
        """With timing the stages of an established session follow its end, else nothing does."""
        times = Times(1.0, 1.004261, 1.000078, 1.000385, 1.002308, 1.002391)
        lines = Dante(timing=True).lines(ended(times=times))
        self.assertEqual([text.partition("\n")[2] for _, text in lines], [STAGES, STAGES])
        lines = Dante(timing=True).lines(ended(times=Times(1.0, 1.004261, 1.000078)))
        self.assertEqual([text.partition("\n")[2] for _, text in lines], [UNREACHED, UNREACHED])
        self.assertNotIn("\n", Dante().lines(ended(times=times))[0][1])

    def test_client_rule_told_with_its_own_number(self) -> None:
        """Each line has the number of its own rule."""
        event = ended(client_rule=rule(3, kind=RuleKind.CLIENT), socks_rule=rule(7))
        heads = [text.partition(" ]")[0] for _, text in Dante().lines(event)]
        self.assertEqual(heads, ["pass(7): tcp/connect", "pass(3): tcp/accept"])


class TcpinfoTests(SynchronousTestCase):
    """Where the block of ``log: tcpinfo`` stands."""

    client = bytes([1]) + bytes(103)
    target = bytes([7]) + bytes(103)

    def state(self, event: Event, timing: bool = False) -> list[str]:
        """From each line what follows the first newline, up to the first row."""
        lines = Dante(timing).lines(event)
        return ["\n".join(text.split("\n")[1:3]) for _, text in lines]

    def test_columns(self) -> None:
        """One socket makes one column, two make two in the direction of the data."""
        log = rule(log=ALL | LOG_TCPINFO)
        way, both = path(CLIENT, TARGET), (self.client, self.target)
        one = "TCP_INFO:\ntcpi_state           : 1 (ESTABLISHED)"
        outward = f"{one} <-> 7 (CLOSE)"
        inward = "TCP_INFO:\ntcpi_state           : 7 (CLOSE) <-> 1 (ESTABLISHED)"
        cases: list[tuple[Event, list[str]]] = [
            (Accepted(1, log, way, self.client), [one]),
            (Connected(1, log, way, tcpinfo=both), [outward]),
            (Transferred(1, log, way, Side.CLIENT, 1, tcpinfo=both), [outward]),
            (Transferred(1, log, way, Side.TARGET, 1, tcpinfo=both), [inward]),
            (ended(client_rule=log, socks_rule=log, tcpinfo=both), [outward, outward]),
            # The peer that came to a BIND is on the left.
            (Connected(1, log, way, command=Command.BINDREPLY, tcpinfo=both), [inward]),
            (
                ended(
                    client_rule=log,
                    socks_rule=log,
                    reply_rule=log,
                    asked=NOWHERE,
                    command=Command.BIND,
                    tcpinfo=both,
                ),
                [inward, inward, inward],
            ),
            (early(CLIENT, IDLE, client_rule=log, tcpinfo=both), [one]),
        ]
        for event, expected in cases:
            with self.subTest(event=type(event)):
                self.assertEqual(self.state(event), expected)

    def test_not_wanted(self) -> None:
        """Without the keyword, or without information, there is no block."""
        way = path(CLIENT, TARGET)
        log = rule(log=ALL | LOG_TCPINFO)
        both = (self.client, self.target)
        events = [
            Accepted(1, rule(), way, self.client),
            Accepted(1, log, way),
            ended(BLOCKED, path(CLIENT), log, log, tcpinfo=both),
            ended(UNRESOLVED, path(CLIENT), log, log, tcpinfo=both),
        ]
        for event in events:
            self.assertNotIn("\n", Dante().lines(event)[0][1])

    def test_after_timing(self) -> None:
        """After the stages stands an empty line, then the block."""
        log = rule(log=ALL | LOG_TCPINFO)
        event = ended(client_rule=rule(log=0), socks_rule=log, tcpinfo=(self.client, b""))
        ((_, text),) = Dante(timing=True).lines(event)
        self.assertIn("s\n\nTCP_INFO:\ntcpi_state           : 1 (ESTABLISHED) <-> N/A\n", text)
