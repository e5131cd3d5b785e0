"""Tests of :mod:`dantetw.observe.sinks.opening`."""

from __future__ import annotations

import os
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.catalogue import SINKS
from dantetw.observe.interfaces import ISink
from dantetw.observe.prefix import Prefix
from dantetw.observe.sinks.kind import MisnamedError, Surroundings
from dantetw.observe.sinks.opening import Outputs, build_sinks, open_sink
from dantetw.policy import LoggingPolicy, Output, Policy, Where
from dantetw.values import Severity
from tests.descriptors import descriptors
from tests.observe.sinks.fakes import FakeReactor


def outputs(line: int, *texts: str) -> tuple[Output, ...]:
    """Destinations on one line of the configuration."""
    return tuple(
        Output(text, Where("sockd.conf", line, column)) for column, text in enumerate(texts, 1)
    )


class BuildTests(SynchronousTestCase):
    """From a policy to sinks."""

    def setUp(self) -> None:
        """Have an empty directory and no log daemon."""
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.good = os.path.join(self.directory, "log")
        self.bad = os.path.join(self.directory, "no", "log")
        self.surroundings = Surroundings(
            Prefix("sockd"),
            FakeReactor(),
            standard={},
            device=os.path.relpath(os.path.join(self.directory, "dev")),
        )

    def build(
        self, logoutput: tuple[str, ...], errorlog: tuple[str, ...] = (), reload: bool = False
    ) -> Outputs:
        """Open destinations; those of ``errorlog`` stand on the first line."""
        logging = LoggingPolicy(errors=outputs(1, *errorlog), outputs=outputs(2, *logoutput))
        policy = Policy("sockd.conf", logging=logging)
        built = build_sinks(policy, self.surroundings, SINKS, reload)
        for sink in built.errorlog + built.logoutput:
            self.addCleanup(sink.close)
        return built

    def names(self, sinks: tuple[ISink, ...]) -> list[str]:
        """How the sinks were named."""
        for sink in sinks:
            verifyObject(ISink, sink)
        return [sink.name for sink in sinks]

    def told(self, built: Outputs) -> list[tuple[Severity, str]]:
        """The problems."""
        return [(problem.severity, problem.text) for problem in built.problems]

    def test_all(self) -> None:
        """Each keyword gets its destinations, in order, one twice if it is named twice."""
        built = self.build((self.good, self.good), ("syslog/local3", self.good))
        self.assertEqual(self.names(built.logoutput), [self.good, self.good])
        self.assertEqual(self.names(built.errorlog), ["syslog/local3", self.good])
        self.assertEqual((built.problems, built.kept), ((), False))

    def test_none(self) -> None:
        """Without destinations there are no sinks, and that is no problem."""
        self.assertEqual(self.build(()), Outputs())

    def test_one_facility(self) -> None:
        """Of several facilities of one keyword the last one counts."""
        built = self.build(("syslog", self.good, "syslog/local2"), ("syslog",))
        self.assertEqual(self.names(built.logoutput), [self.good, "syslog/local2"])
        self.assertEqual(self.names(built.errorlog), ["syslog"])

    def test_unopenable(self) -> None:
        """What cannot be opened is told in Dante's words; the rest is opened."""
        built = self.build((self.bad, self.good))
        self.assertEqual(self.names(built.logoutput), [self.good])
        self.assertEqual(
            self.told(built),
            [
                (
                    Severity.WARNING,
                    f'openlogfile(): could not open or create logfile "{self.bad}" for writing: '
                    "No such file or directory",
                ),
                (
                    Severity.ALERT,
                    f'configparsing(): could not (re)open logfile "{self.bad}": '
                    "No such file or directory  ",
                ),
            ],
        )

    def test_unknown_facility(self) -> None:
        """An unknown facility is an alert; the configuration has given the warning."""
        built = self.build(("syslog/kern", self.good))
        self.assertEqual(self.names(built.logoutput), [self.good])
        self.assertEqual(
            self.told(built),
            [
                (
                    Severity.ALERT,
                    'configparsing(): could not (re)open logfile "syslog/kern": no system error  ',
                ),
            ],
        )

    def test_unknown_facility_at_reload(self) -> None:
        """An unknown facility keeps all old destinations in use, as a file does."""
        built = self.build((self.good, "syslog/kern"), reload=True)
        self.assertEqual((built.logoutput, built.kept), ((), True))
        ((severity, text),) = self.told(built)
        self.assertEqual(severity, Severity.ALERT)
        self.assertTrue(text.endswith("no system error.  Will continue using old logfiles"), text)

    def test_remote(self) -> None:
        """Daemons elsewhere add up with everything else, and one named twice gets lines twice."""
        names = ("syslog", "syslog+udp://127.0.0.1", "syslog+udp://127.0.0.1", "syslog/user")
        built = self.build(names)
        self.assertEqual(self.names(built.logoutput), list(names[1:]))
        self.assertEqual(built.problems, ())

    def test_reload(self) -> None:
        """At a reload one unopenable destination keeps all old ones in use, in Dante's words."""
        built = self.build((self.good, self.bad, self.good), reload=True)
        self.assertEqual((built.logoutput, built.errorlog, built.kept), ((), (), True))
        first, second = self.told(built)
        self.assertEqual(
            first,
            (
                Severity.ALERT,
                f'configparsing(): could not (re)open logfile "{self.bad}": '
                "No such file or directory.  Will continue using old logfiles",
            ),
        )
        self.assertEqual(second[0], Severity.ALERT)
        self.assertTrue(
            second[1].startswith(
                f'configparsing(): not trying to add logfile "{self.good}" due to having already '
                "failed adding logfiles during this SIGHUP.  Only if all "
            )
        )

    def test_reload_closes(self) -> None:
        """What was opened before a reload failed is closed again."""
        before = descriptors()
        self.build((self.good, self.bad), reload=True)
        self.assertEqual(descriptors() - before, set())

    def test_good_reload(self) -> None:
        """A reload without problems opens everything anew."""
        built = self.build((self.good,), reload=True)
        self.assertEqual((self.names(built.logoutput), built.kept), ([self.good], False))

    def test_other_kinds(self) -> None:
        """Kinds are asked in turn; without one that knows the name there is no sink."""
        self.assertRaises(MisnamedError, open_sink, "x", self.surroundings, ())
        asked: list[str] = []

        def claims(word: str) -> bool:
            asked.append(word)
            return False

        other = replace(SINKS[0], claims=claims)
        self.assertRaises(MisnamedError, open_sink, "x", self.surroundings, (other, other))
        self.assertEqual(asked, ["x", "x"])
