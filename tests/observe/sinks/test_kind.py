"""A kind of log destination is one object: how it is written, checked, and opened."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dantetw.catalogue import FORMATS, SINKS
from dantetw.cli import check
from dantetw.config import Program, parse
from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import OneByOne, SinkKind, Surroundings
from dantetw.observe.sinks.opening import build_sinks
from dantetw.policy import Form, Misspelling
from dantetw.values import Severity
from tests.config.fakes import HEAD, SYSTEM, errors, policy_of
from tests.observe.sinks.fakes import FakeReactor


@implementer(ISink)
class Memory(OneByOne):
    """Keeps messages."""

    rank = 1
    trouble = lost = waiting = 0

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts: list[str] = []

    def write(self, severity: Severity, when: float, text: str) -> None:
        """See :meth:`ISink.write`."""
        self.texts.append(text)

    def reopen(self) -> None:
        """See :meth:`ISink.reopen`."""

    def flush(self, seconds: float) -> None:
        """See :meth:`ISink.flush`."""

    def close(self) -> None:
        """See :meth:`ISink.close`."""


def wrong(word: str) -> Misspelling | None:
    """A memory must have a name."""
    name = word.partition("://")[2]
    if name:
        return None
    return Misspelling("no name", len(word), 0, "a name for the memory")


TOY = SinkKind(
    "memory://NAME",
    lambda word: word.startswith("memory://"),
    lambda word, surroundings: Memory(word),
    wrong,
    ("memory",),
)

KINDS = (TOY, *SINKS)
PROGRAM = Program(KINDS, tuple(FORMATS))


class ToyTests(SynchronousTestCase):
    """A new kind, of which nothing but the list of kinds knows."""

    def test_used(self) -> None:
        """A configuration names it, with a form, and it is opened."""
        text = HEAD + "logoutput: memory://a\nerrorlog: memory://b\nlog.format.json: memory://b\n"
        policy = policy_of(parse(text.encode(), "sockd.conf", SYSTEM, PROGRAM))
        outputs = policy.logging.outputs[1], policy.logging.errors[0]
        self.assertEqual([output.text for output in outputs], ["memory://a", "memory://b"])
        self.assertEqual([output.is_file for output in outputs], [False, False])
        surroundings = Surroundings(Prefix("sockd"), FakeReactor(), standard={})
        built = build_sinks(policy, surroundings, KINDS)
        (sink,) = built.errorlog
        self.assertIsInstance(sink, Memory)
        self.assertEqual(built.forms, {sink: Form("json")})

    def test_misspelt(self) -> None:
        """Its errors are reported at their place, and it is among what is suggested."""
        parsed = parse((HEAD + "logoutput: memory://\n").encode(), "sockd.conf", SYSTEM, PROGRAM)
        self.assertEqual(errors(parsed), ["8:21 no name"])
        parsed = parse((HEAD + "logoutput: memroy://x\n").encode(), "sockd.conf", SYSTEM, PROGRAM)
        (problem,) = (each for each in parsed.problems if each.is_error)
        self.assertEqual(problem.hint, "memory")
        self.assertIn("memory://NAME | stdout | ", problem.expected)

    def test_checked(self) -> None:
        """``sockd check`` knows it too."""
        self.patch(check, "PROGRAM", PROGRAM)
        path = self.mktemp()
        for name, status in (("a", 0), ("", 2)):
            with open(path, "w", encoding="ascii") as file:
                file.write(HEAD + f"logoutput: memory://{name}\n")
            out = io.StringIO()
            self.assertEqual(check.main(["-f", path], SYSTEM, io.StringIO(), out, out), status)
        self.assertIn("expected a name for the memory", out.getvalue())

    def test_unknown(self) -> None:
        """Without it in the list its words are errors, with what there is."""
        program = Program(SINKS, tuple(FORMATS))
        parsed = parse((HEAD + "logoutput: memory://x\n").encode(), "sockd.conf", SYSTEM, program)
        self.assertEqual(errors(parsed), ['8:18 unexpected ":" in "memory://x"'])


class SpellingTests(SynchronousTestCase):
    """The kinds there are."""

    def test_first_claims(self) -> None:
        """Each word is claimed by the kind that it is meant for; what is left is a file."""
        forms = {
            "stdout": "stdout | stderr",
            "stderr": "stdout | stderr",
            "syslog": "syslog[/FACILITY]",
            "syslog/kern": "syslog[/FACILITY]",
            "syslog+tcp://h": "syslog+(udp|tcp)://HOST[:PORT][/FACILITY]",
            "syslogd": "FILE",
            "/var/log/sockd.log": "FILE",
        }
        program = Program(SINKS, ())
        for word, form in forms.items():
            spelling = program.spelling_of(word)
            assert spelling is not None
            self.assertEqual((spelling.form, spelling.is_file), (form, form == "FILE"), word)
