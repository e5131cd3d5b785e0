"""Tests of the forms of :mod:`dantetw.config.keywords.logging`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dantetw.config import Parsed
from dantetw.config.keywords.logging import FIELDS
from dantetw.config.problems import Problem
from dantetw.policy import PLAIN_FORM, Form
from tests.config.fakes import policy_of, read

ADDRESSES = "internal: 127.0.0.1 port = 1080\nexternal: lo\n"


def parsed(*lines: str) -> Parsed:
    """What becomes of a file with these lines."""
    return read("\n".join(lines) + "\n" + ADDRESSES)


def mistake(*lines: str) -> Problem:
    """The only error in a file with these lines."""
    (found,) = (problem for problem in parsed(*lines).problems if problem.is_error)
    return found


def forms(*lines: str) -> dict[str, Form]:
    """The forms of all destinations, by their names."""
    policy = policy_of(parsed(*lines))
    return {
        output.text: output.form for output in (*policy.logging.outputs, *policy.logging.errors)
    }


class FormsTests(SynchronousTestCase):
    """How destinations are told."""

    def test_plain(self) -> None:
        """Without a word every destination is told as Dante tells it, with everything."""
        self.assertEqual(
            forms("logoutput: a stderr", "errorlog: b"),
            dict.fromkeys(("a", "stderr", "b"), PLAIN_FORM),
        )
        self.assertEqual(PLAIN_FORM, Form("dante", frozenset(), frozenset()))

    def test_chosen(self) -> None:
        """Each destination has what is said of it, wherever in the file that stands."""
        found = forms(
            "log.format.json: b",
            "log.omit.user: a b",
            "logoutput: a b",
            "errorlog: c syslog/local0",
            "log.omit.client: a",
            "log.hash.target: a syslog/local0",
            "log.format.dante: c",
        )
        self.assertEqual(
            found,
            {
                "a": Form("dante", frozenset(("client", "user")), frozenset(("target",))),
                "b": Form("json", frozenset(("user",))),
                "c": PLAIN_FORM,
                "syslog/local0": Form(hash=frozenset(("target",))),
            },
        )

    def test_every_field(self) -> None:
        """Each field can be left out or have pseudonyms."""
        for field in FIELDS:
            self.assertEqual(
                forms("logoutput: a b", f"log.omit.{field}: a", f"log.hash.{field}: b"),
                {"a": Form(omit=frozenset((field,))), "b": Form(hash=frozenset((field,)))},
            )

    def test_twice(self) -> None:
        """A destination of both keywords is one, and the same said twice does no harm."""
        found = forms("logoutput: a", "errorlog: a", "log.format.json: a a", "log.format.json: a")
        self.assertEqual(found, {"a": Form("json")})

    def test_no_destination(self) -> None:
        """What is no destination is a mistake, with the nearest that is one."""
        problem = mistake("logoutput: sockd.log", "log.format.json: sokd.log")
        self.assertEqual(problem.text, '"sokd.log" is not a destination of logoutput or errorlog')
        self.assertIn("sockd.log", problem.render())
        problem = mistake("log.omit.user: a")
        self.assertIn("logoutput or errorlog to name one", problem.render())

    def test_unknown(self) -> None:
        """A format or a field that there is not is a mistake, with the nearest."""
        for line, wanted in (
            ("log.format.jsno: a", 'unknown log format "jsno"'),
            ("log.omit.users: a", 'unknown log field "users"'),
            ("log.hash.: a", 'unknown log field ""'),
        ):
            problem = mistake("logoutput: a", line)
            self.assertEqual(problem.text, wanted)
        near = mistake("logoutput: a", "log.format.jsno: a").render()
        self.assertIn('did you mean "log.format.json"', near)

    def test_contradictions(self) -> None:
        """Nobody can be told in two formats, or have a field both left out and hashed."""
        for first, second in (
            ("log.format.json", "log.format.dante"),
            ("log.omit.user", "log.hash.user"),
            ("log.hash.target", "log.omit.target"),
        ):
            problem = mistake("logoutput: a b", f"{first}: a b", f"{second}: b")
            self.assertEqual(problem.text, f'"b" has {first} already')
