"""Tests of :mod:`dantetw.observe.observer`."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from dantetw.net.batch import Batch
from dantetw.observe import observer as module
from dantetw.observe.events import Accepted, ConnectFailed, Event, Message
from dantetw.observe.formats.dante import Dante
from dantetw.observe.interfaces import IFormat, ISink, Said
from dantetw.observe.journal import Journal
from dantetw.observe.observer import COMPLAINT_INTERVAL, WATCH_INTERVAL, Observer
from dantetw.observe.repeats import INTERVAL
from dantetw.observe.sinks.opening import Outputs
from dantetw.policy import PLAIN_FORM, Edge, RuleKind
from dantetw.values import Severity
from tests.observe.making import CLIENT, endpoint, path, rule

S = Severity


@implementer(ISink)
class FakeSink:
    """A sink that keeps lines and fails on demand."""

    def __init__(self, name: str = "log", rank: int = 1, order: list[str] | None = None) -> None:
        self.name = name
        self.rank = rank
        self.error = 0
        self.lost = 0
        self.waiting = 0
        self.lines: list[tuple[Severity, str]] = []
        self.times: list[float] = []
        self.order = order
        self.fails_with = 0
        self.did: list[str] = []

    def write(self, severity: Severity, when: float, text: str) -> None:
        """Keep the line, or lose it."""
        self.error = self.fails_with
        if self.fails_with:
            self.lost += 1
            return
        self.lines.append((severity, text))
        self.times.append(when)
        if self.order is not None:
            self.order.append(self.name)

    def write_all(self, said: Sequence[Said]) -> None:
        """Each of several."""
        for severity, when, text in said:
            self.write(severity, when, text)

    def reopen(self) -> None:
        """Note it."""
        self.did.append("reopen")
        if self.fails_with:
            raise OSError(self.fails_with, os.strerror(self.fails_with))

    def flush(self, seconds: float) -> None:
        """Note it."""
        self.did.append("flush")

    def close(self) -> None:
        """Note it."""
        self.did.append("close")

    @property
    def texts(self) -> list[str]:
        """The lines without their severities."""
        return [text for _, text in self.lines]


@implementer(IFormat)
class BrokenFormat:
    """A format that raises."""

    def lines(self, event: Event) -> tuple[tuple[Severity, str], ...]:
        """Raise an error with a hostile text."""
        raise ValueError("a\nb")


class ObserverMixin:
    """An observer with a sink for each keyword."""

    def setUp(self) -> None:
        """Make it."""
        self.stderr = FakeSink("stderr")
        self.errors, self.all = FakeSink("errors"), FakeSink("all")
        self.handed: list[tuple[Any, ...]] = []
        self.observer = Observer(Dante(), self.stderr, lambda *call: self.handed.append(call))
        self.journal = Journal(self.observer)

    def configure(self, debug: int = 0) -> None:
        """Use the two sinks."""
        self.observer.configure(Outputs((self.errors,), (self.all,)), debug)

    def say(self, text: str, severity: Severity = S.INFO) -> None:
        """Log a message."""
        self.journal.message(severity, "test", text)


class BatchTests(ObserverMixin, SynchronousTestCase):
    """Events of sessions in a turn in which many things happen."""

    def setUp(self) -> None:
        super().setUp()
        self.batch = Batch()
        self.observer = Observer(Dante(), self.stderr, lambda *call: None, batch=self.batch)
        self.journal = Journal(self.observer)
        self.configure()

    def arrival(self, port: int) -> Accepted:
        """A client has come."""
        way = path(f"192.0.2.1.{port} 192.0.2.9.1080")
        return Accepted(port, rule(kind=RuleKind.CLIENT), way)

    def arrive(self, port: int) -> None:
        """The same is logged."""
        self.journal.record(self.arrival(port))

    def ports(self) -> list[str]:
        """What has been written: the ports of clients, and other lines."""
        return [text.split()[3].split(".")[4] if "[" in text else text for text in self.all.texts]

    def test_kept(self) -> None:
        """They are written at its end, in order, each with the time when it happened."""
        self.batch.begin()
        times = []
        for port in (1, 2, 3):
            self.patch(module.time, "time", lambda port=port: 1000.0 + port)
            times.append(1000.0 + port)
            self.arrive(port)
        self.assertEqual(self.all.texts, [])
        self.patch(module.time, "time", lambda: 2000.0)
        self.batch.end()
        self.assertEqual(self.ports(), ["1", "2", "3"])
        self.assertEqual(self.all.times, times)

    def test_behind(self) -> None:
        """Behind it events are written at once."""
        self.batch.begin()
        self.arrive(1)
        self.batch.end()
        self.arrive(2)
        self.assertEqual(self.ports(), ["1", "2"])

    def test_message(self) -> None:
        """Before a message all that happened before it is written; the rest follows at the end."""
        self.batch.begin()
        self.arrive(1)
        self.say("hello")
        self.arrive(2)
        self.assertEqual(self.ports(), ["1", "hello"])
        self.batch.end()
        self.assertEqual(self.ports(), ["1", "hello", "2"])

    def test_before_changes(self) -> None:
        """They are written before destinations are changed, opened anew or closed."""
        for change in (
            self.configure,
            self.observer.reopen,
            self.observer.conclude,
            partial(self.observer.close, 0.0),
        ):
            self.all.lines.clear()
            self.batch.begin()
            self.arrive(1)
            change()
            self.assertEqual(self.ports(), ["1"])
            self.batch.end()
            self.assertEqual(self.ports(), ["1"])

    def test_broken(self) -> None:
        """One that cannot be formatted is told as such in its place, and the others are written."""
        self.batch.begin()
        self.arrive(1)
        self.journal.record(Accepted(2, None, None))  # type: ignore[arg-type]
        self.arrive(3)
        self.batch.end()
        first, told, last = self.all.texts
        self.assertIn("192.0.2.1.1 ", first)
        self.assertIn("could not log an event (Accepted)", told)
        self.assertIn("192.0.2.1.3 ", last)

    def test_collector(self) -> None:
        """Where the collector runs a destructor that logs, no line is lost or comes twice."""
        once: list[str] = []

        def destroyed(phase: str, info: object) -> None:
            if once:
                self.say(once.pop())

        thresholds = gc.get_threshold()
        gc.callbacks.append(destroyed)
        self.addCleanup(gc.callbacks.remove, destroyed)
        self.addCleanup(gc.set_threshold, *thresholds)
        self.addCleanup(gc.enable)
        gc.set_threshold(1, 10**6, 10**6)

        def collecting(call: Callable[[], None]) -> None:
            """Call it with the collector about to run at the next thing that is made."""
            gc.disable()
            # All that the interpreter has at hand is in use.
            used = [[(number, 0.0) for number in range(5000)], [[] for _ in range(200)]]
            once[:] = ["by the way"]
            gc.enable()
            call()
            gc.disable()
            del used

        for port in range(0, 20, 2):
            self.batch.begin()
            self.arrive(port)
            collecting(partial(self.journal.record, self.arrival(port + 1)))
            collecting(self.observer._catch_up)
            self.batch.end()
        told = [int(port) for port in self.ports() if port.isdigit()]
        self.assertEqual(told, list(range(20)))

    def test_trouble(self) -> None:
        """A destination that would not take them is told of to the others, at once."""
        self.all.fails_with = errno.ENOSPC
        self.batch.begin()
        self.arrive(1)
        self.arrive(2)
        self.batch.end()
        self.assertEqual(
            self.errors.texts, ['could not write to logfile "all": No space left on device']
        )
        self.assertEqual(self.all.lost, 2)


class RoutingTests(ObserverMixin, SynchronousTestCase):
    """Which line goes where."""

    def test_provides(self) -> None:
        """It is a log observer."""
        verifyObject(ILogObserver, self.observer)
        verifyObject(ISink, self.all)

    def test_severities(self) -> None:
        """``errorlog`` takes warnings and worse, ``logoutput`` all, debug lines only if wanted."""
        for debug, plain in ((0, 7), (1, 8)):
            self.errors.lines.clear()
            self.all.lines.clear()
            self.configure(debug)
            for severity in S:
                self.say("x", severity)
            self.assertEqual(self.errors.lines, [(severity, "x") for severity in list(S)[:5]])
            self.assertEqual(self.all.lines, [(severity, "x") for severity in list(S)[:plain]])
        self.assertEqual(self.stderr.lines, [])

    def test_startup(self) -> None:
        """Until it is configured warnings and worse go to standard error."""
        for severity in S:
            self.say("x", severity)
        self.assertEqual(self.stderr.lines, [(severity, "x") for severity in list(S)[:5]])

    def test_no_destination(self) -> None:
        """With a configuration that names no destination nothing is logged."""
        self.observer.configure(Outputs())
        self.say("x", S.ALERT)
        self.assertEqual(self.stderr.lines, [])

    def test_no_destination_opened(self) -> None:
        """If none of the destinations could be opened, standard error tells that and goes on."""
        problem = Message(S.ALERT, "log.unopened", "could not")
        self.observer.configure(Outputs(problems=(problem,)))
        self.say("x", S.WARNING)
        self.say("x", S.INFO)
        self.assertEqual(self.stderr.lines, [(S.ALERT, "could not"), (S.WARNING, "x")])

    def test_problems(self) -> None:
        """Problems of some destinations are told to the others."""
        problem = Message(S.ALERT, "log.unopened", "could not")
        self.observer.configure(Outputs((self.errors,), (self.all,), (problem,)))
        self.assertEqual(self.errors.lines, [(S.ALERT, "could not")])
        self.assertEqual(self.all.lines, [(S.ALERT, "could not")])

    def test_order(self) -> None:
        """Syslog comes before files, and errorlog before logoutput."""
        order: list[str] = []
        sinks = {
            name: FakeSink(name, rank, order)
            for name, rank in (("ef", 1), ("es", 0), ("lf", 1), ("ls", 0))
        }
        self.observer.configure(Outputs((sinks["ef"], sinks["es"]), (sinks["lf"], sinks["ls"])))
        self.say("x", S.WARNING)
        self.assertEqual(order, ["es", "ls", "ef", "lf"])

    def test_twice(self) -> None:
        """A sink that is named twice gets each line twice."""
        self.observer.configure(Outputs((), (self.all, self.all)))
        self.say("x")
        self.assertEqual(self.all.texts, ["x", "x"])

    def test_event(self) -> None:
        """An event goes through the format, with its time."""
        self.configure()
        self.observer({"event": Accepted(1, rule(), path(CLIENT)), "log_time": 17.5})
        self.assertEqual(
            self.all.lines, [(S.INFO, "pass(1): tcp/accept [: 127.0.0.1.37098 127.0.0.1.12001")]
        )
        self.assertEqual(self.all.times, [17.5])

    def test_reload(self) -> None:
        """New sinks replace the old ones, which are flushed and closed."""
        self.configure()
        other = FakeSink()
        self.observer.configure(Outputs((), (other,)))
        self.say("x")
        self.assertEqual((self.all.texts, other.texts), ([], ["x"]))
        self.assertEqual(self.all.did, ["flush", "close"])

    def test_waiting(self) -> None:
        """It says how far the slowest of its sinks is behind."""
        self.assertEqual(self.observer.waiting, 0)
        self.configure()
        self.all.waiting, self.errors.waiting = 3, 7
        self.assertEqual(self.observer.waiting, 7)

    def test_reload_loses_nothing(self) -> None:
        """An old sink that still has messages to get out is closed at the next occasion."""
        self.configure()
        self.all.waiting = 1
        self.observer.configure(Outputs((), (FakeSink(),)))
        self.assertNotIn("close", self.all.did)
        self.all.waiting = 0
        self.observer.configure(Outputs((), (FakeSink(),)))
        self.assertEqual(self.all.did.count("close"), 1)
        self.observer.configure(Outputs((), (FakeSink(),)))
        self.assertEqual(self.all.did.count("close"), 1)

    def test_reload_keeps_order(self) -> None:
        """Where lines wait in an old sink, it is opened anew and takes the new ones behind them."""
        self.configure()
        self.all.waiting = 1
        new = FakeSink("all")
        self.observer.configure(Outputs((FakeSink("errors"),), (new,)))
        self.say("x")
        self.assertEqual((self.all.texts, new.texts), (["x"], []))
        self.assertEqual((self.all.did, new.did), (["reopen"], ["close"]))
        self.assertEqual(self.errors.did[-1], "close")

    def test_reload_from_pipe_to_file(self) -> None:
        """What waits for a pipe is not taken to a file of its name, which is another kind."""

        class OtherSink(FakeSink):
            pass

        self.configure()
        self.all.waiting = 1
        new = OtherSink("all")
        self.observer.configure(Outputs((), (new,)))
        self.say("x")
        self.assertEqual((self.all.texts, new.texts), ([], ["x"]))
        self.assertEqual(new.did, [])

    def test_reload_old_unopenable(self) -> None:
        """If it cannot be opened anew the new sink is used, and the old one gets out what waits."""
        self.configure()
        self.all.waiting = 1
        self.all.fails_with = errno.ENOENT
        new = FakeSink("all")
        self.observer.configure(Outputs((), (new,)))
        self.say("x")
        self.assertEqual((self.all.texts, new.texts), ([], ["x"]))
        self.assertNotIn("close", self.all.did)

    def test_reload_after_losses(self) -> None:
        """What an old sink lost is told to the new ones."""
        self.configure()
        self.all.lost = 2
        other = FakeSink()
        self.observer.configure(Outputs((), (other,)))
        self.assertEqual(
            other.lines, [(S.WARNING, 'could not write to logfile "all": 2 lines were lost')]
        )

    def test_failed_reload(self) -> None:
        """If new sinks could not be opened the old ones stay and tell so."""
        self.configure()
        problem = Message(S.ALERT, "log.unopened", "could not")
        self.observer.configure(Outputs(problems=(problem,), kept=True))
        self.say("x")
        self.assertEqual(self.all.texts, ["could not", "x"])
        self.assertEqual(self.all.did, [])

    def test_new_format(self) -> None:
        """A reload may change the format."""
        self.observer.configure(Outputs((), (self.all,)), 1, {PLAIN_FORM: BrokenFormat()})
        self.say("x")
        self.assertEqual(
            self.all.lines, [(S.ERROR, r"could not log an event (Message): ValueError: a\nb")]
        )

    def test_reopen(self) -> None:
        """All sinks are opened anew; one that fails is told of and stays."""
        self.configure()
        self.errors.fails_with = errno.ENOENT
        self.observer.reopen()
        self.assertEqual((self.all.did, self.errors.did), (["reopen"], ["reopen"]))
        self.assertIn(
            'could not (re)open logfile "errors": No such file or directory.  '
            "Will continue using old logfiles",
            self.all.texts,
        )

    def test_close(self) -> None:
        """At the end all sinks are flushed and closed, and what still waits is told as lost."""
        self.configure()
        self.errors.waiting = 3
        self.observer.close(1.0)
        self.assertEqual(
            self.all.lines, [(S.WARNING, 'could not write to logfile "errors": 3 lines were lost')]
        )
        for sink in (self.all, self.errors):
            self.assertIn("flush", sink.did)
            self.assertEqual(sink.did[-1], "close")
        self.say("late", S.ERROR)
        self.assertEqual(self.stderr.texts, ["late"])

    def test_close_several(self) -> None:
        """At the end losses are told to the sinks that work only: the others would lose them."""
        third = FakeSink("third")
        self.observer.configure(Outputs((self.errors,), (third, self.all)))
        self.errors.waiting = third.waiting = 3
        self.observer.close(1.0)
        text = 'could not write to logfile "{}": 3 lines were lost'
        self.assertEqual(self.all.texts, [text.format("errors"), text.format("third")])
        self.assertEqual((self.errors.texts, third.texts), ([], []))

    def test_close_none_works(self) -> None:
        """If none works at the end, standard error is told."""
        self.configure()
        self.errors.waiting = self.all.waiting = 1
        self.observer.close(1.0)
        self.assertEqual(len(self.stderr.texts), 2)

    def test_close_after_recovery(self) -> None:
        """A sink that recovered without a line to show it is told of its losses at the end."""
        self.configure()
        self.errors.lost = 1
        self.observer.close(1.0)
        told = (S.WARNING, 'could not write to logfile "errors": 1 line was lost')
        self.assertEqual((self.errors.lines, self.all.lines), ([told], [told]))


class TroubleTests(ObserverMixin, SynchronousTestCase):
    """Sinks that fail."""

    full = 'could not write to logfile "errors": No space left on device'

    def setUp(self) -> None:
        """Have the sink of ``errorlog`` fail later, at times we say."""
        super().setUp()
        self.now = 1000.0
        self.configure()

    def warn(self, text: str) -> None:
        """Log a warning, at the time that it is."""
        message = Message(S.WARNING, "test", text)
        self.observer({"event": message, "log_time": self.now})

    def test_told_once(self) -> None:
        """A sink's failure is told to the others once, and they miss nothing."""
        self.errors.fails_with = errno.ENOSPC
        for text in "abc":
            self.warn(text)
        self.assertEqual(sorted(self.all.texts), sorted(["a", "b", "c", self.full]))
        self.assertEqual([line for line in self.all.lines if line[0] == S.ALERT], [(1, self.full)])

    def test_recovery(self) -> None:
        """On recovery all are told exactly how many lines were lost."""
        self.errors.fails_with = errno.ENOSPC
        for text in "abc":
            self.warn(text)
        self.errors.fails_with = 0
        self.warn("d")
        again = 'can write again to logfile "errors": 3 lines were lost'
        self.assertEqual(self.errors.lines, [(S.WARNING, "d"), (S.WARNING, again)])
        self.assertIn((S.WARNING, again), self.all.lines)
        self.now += COMPLAINT_INTERVAL
        self.errors.fails_with = errno.ENOSPC
        self.warn("e")
        self.errors.fails_with = 0
        self.warn("f")
        self.assertEqual(
            self.errors.texts[-1], 'can write again to logfile "errors": 1 line was lost'
        )

    def test_flapping(self) -> None:
        """A sink that fails again and again is told of once per interval, its losses exactly."""
        for _ in range(50):
            self.errors.fails_with = errno.ENOSPC
            self.warn("lost")
            self.errors.fails_with = 0
            self.warn("kept")
        self.assertEqual(self.all.texts.count(self.full), 1)
        self.now += COMPLAINT_INTERVAL
        self.errors.fails_with = errno.ENOSPC
        self.warn("lost")
        self.errors.fails_with = 0
        self.warn("kept")
        self.assertEqual(self.all.texts.count(self.full), 2)
        self.assertEqual(
            self.errors.texts[-1], 'can write again to logfile "errors": 50 lines were lost'
        )

    def test_relapse(self) -> None:
        """If even the line about the recovery is lost, the count of the next one is still exact."""
        self.errors.fails_with = errno.ENOSPC
        self.warn("a")
        write, errors = self.errors.write, self.errors

        def relapsing(severity: Severity, when: float, text: str) -> None:
            errors.fails_with = errno.ENOSPC if text.startswith("can write again") else 0
            write(severity, when, text)

        self.errors.write = relapsing
        self.warn("b")
        self.errors.write = write
        self.warn("c")
        self.errors.fails_with = 0
        self.warn("d")
        again = 'can write again to logfile "errors": 2 lines were lost'
        self.assertEqual(self.errors.texts, ["b", "d", again])
        self.assertEqual(self.all.texts.count(again), 1)

    def test_recovery_in_silence(self) -> None:
        """A sink whose queue went out, with no line to show it, is told of within a second."""
        clock = Clock()
        errors, everything = FakeSink("errors"), FakeSink("all")
        observer = Observer(Dante(), self.stderr, lambda *call: None, clock.callLater)
        observer.configure(Outputs((errors,), (everything,)))
        errors.fails_with = errno.ENOSPC
        Journal(observer).message(S.WARNING, "test", "x")
        clock.pump([WATCH_INTERVAL] * 3)
        self.assertEqual(everything.texts, ["x", self.full])
        errors.error = errors.fails_with = 0
        clock.advance(WATCH_INTERVAL)
        again = 'can write again to logfile "errors": 1 line was lost'
        self.assertEqual(everything.texts, ["x", self.full, again])
        self.assertEqual(errors.texts, [again])
        clock.pump([WATCH_INTERVAL] * 3)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_watch_ends(self) -> None:
        """Nobody looks after sinks that are closed, or no longer used."""
        for end in (lambda o: o.close(0.0), lambda o: o.configure(Outputs((), (FakeSink(),)))):
            clock = Clock()
            errors = FakeSink("errors")
            observer = Observer(Dante(), self.stderr, lambda *call: None, clock.callLater)
            observer.configure(Outputs((errors,), (FakeSink("all"),)))
            errors.fails_with = errno.ENOSPC
            Journal(observer).message(S.WARNING, "test", "x")
            end(observer)
            clock.pump([WATCH_INTERVAL] * 3)
            self.assertEqual(clock.getDelayedCalls(), [])

    def test_no_other(self) -> None:
        """If there is no other sink, standard error is told."""
        self.observer.configure(Outputs((), (self.errors,)))
        self.errors.fails_with = errno.ENOSPC
        self.say("x")
        self.assertEqual(self.stderr.lines, [(S.ALERT, self.full)])

    def test_all_fail(self) -> None:
        """If all others fail too, as on one full disk, standard error is told at once, of each."""
        self.errors.fails_with = self.all.fails_with = errno.ENOSPC
        self.warn("x")
        self.warn("y")
        texts = [self.full, self.full.replace("errors", "all")]
        self.assertEqual(self.stderr.lines, [(S.ALERT, text) for text in texts])

    def test_all_recover(self) -> None:
        """When one of them works again standard error is told no more."""
        self.errors.fails_with = self.all.fails_with = errno.ENOSPC
        self.warn("x")
        self.errors.fails_with = self.all.fails_with = 0
        self.stderr.lines.clear()
        self.warn("y")
        self.assertEqual(self.stderr.lines, [])
        self.assertIn('can write again to logfile "all": 2 lines were lost', self.errors.texts)

    def test_raising(self) -> None:
        """A sink that raises, against its promise, does not silence the others."""

        def broken(severity: Severity, when: float, text: str) -> None:
            raise ValueError("x")

        self.errors.write = broken
        self.warn("a")
        self.warn("b")
        self.assertEqual(
            self.all.texts,
            ["a", 'could not write to logfile "errors": ValueError: x', "b"],
        )


class DiagnosisTests(ObserverMixin, SynchronousTestCase):
    """What Twisted and libraries say."""

    def test_levels(self) -> None:
        """Information is for debugging; warnings and worse always show."""
        for debug, expected in (
            (0, [S.WARNING, S.ERROR, S.CRITICAL]),
            (1, [S.DEBUG, S.WARNING, S.ERROR, S.CRITICAL]),
            (2, [S.DEBUG, S.DEBUG, S.WARNING, S.ERROR, S.CRITICAL]),
        ):
            self.all.lines.clear()
            self.configure(debug)
            log = Logger("lib", observer=self.observer)
            for say in (log.debug, log.info, log.warn, log.error, log.critical):
                say("{what}", what="x\ny")
            self.assertEqual(self.all.lines, [(severity, r"x\ny") for severity in expected])

    def failing(self) -> Failure:
        """A failure with a hostile text."""
        try:
            raise ValueError("a\nb")
        except ValueError:
            return Failure()

    def test_failure(self) -> None:
        """A failure is one line."""
        self.configure()
        Logger("lib", observer=self.observer).failure("Unhandled {x}", self.failing(), x="error")
        self.assertEqual(self.all.lines, [(S.CRITICAL, r"Unhandled error: ValueError: a\nb")])

    def test_traceback(self) -> None:
        """At debug each line of the traceback is a line of the log."""
        self.configure(1)
        Logger("lib", observer=self.observer).failure("Oops", self.failing())
        self.assertEqual(self.all.lines[0], (S.CRITICAL, r"Oops: ValueError: a\nb"))
        self.assertGreater(len(self.all.lines), 3)
        for severity, text in self.all.lines[1:]:
            self.assertEqual(severity, S.DEBUG)
            self.assertNotIn("\n", text)

    def test_nothing_said(self) -> None:
        """An event without text makes no line."""
        self.configure(2)
        self.observer({"log_time": 1.0})
        self.assertEqual(self.all.lines, [])

    def test_foreign_event(self) -> None:
        """A library that uses our key is not mistaken for us."""
        self.configure()
        Logger("lib", observer=self.observer).warn("{event}", event="theirs")
        self.assertEqual(self.all.lines, [(S.WARNING, "theirs")])

    def test_never_raises(self) -> None:
        """Whatever is logged, nothing is raised."""

        class Hostile:
            def __str__(self) -> str:
                raise RuntimeError("no")

            __repr__ = __str__

        self.configure(2)
        for event in (
            {"log_format": "{x}", "x": Hostile(), "log_time": 1.0},
            {"log_format": 17, "log_time": 1.0},
            {"log_failure": "no failure", "log_time": 1.0},
            {"log_failure": Failure(ValueError(Hostile())), "log_time": 1.0},
            {"event": Message(S.INFO, "x", None), "log_time": 1.0},  # type: ignore[arg-type]
            {"log_level": None, "log_format": "x"},
        ):
            self.observer(event)
        for text in self.all.texts:
            self.assertTrue(text.isprintable())


class RepeatsTests(ObserverMixin, SynchronousTestCase):
    """What comes again and again."""

    def setUp(self) -> None:
        """Make an observer that has a clock."""
        super().setUp()
        self.clock = Clock()
        self.observer = Observer(Dante(), self.stderr, lambda *call: None, self.clock.callLater)
        self.journal = Journal(self.observer)
        self.configure()

    def refused(self, severity: Severity, session: int, port: int = 80) -> None:
        """A target refuses a session."""
        place = endpoint(f"10.0.0.1.{port}")
        number = errno.ECONNREFUSED
        self.journal.record(
            ConnectFailed(severity, Edge.EXTERNAL, place, "ECONNREFUSED", number, session)
        )

    def test_failures(self) -> None:
        """Failures of many sessions that read alike are one, but only at the same severity."""
        for session in range(3):
            self.refused(S.WARNING, session)
        self.refused(S.ERROR, 4)
        self.refused(S.WARNING, 5, port=81)
        refused = "connect to host 10.0.0.1.80 failed: Connection refused"
        other = "connect to host 10.0.0.1.81 failed: Connection refused"
        first = [(S.WARNING, refused), (S.ERROR, refused), (S.WARNING, other)]
        self.assertEqual(self.all.lines, first)
        self.clock.advance(INTERVAL)
        summary = (S.WARNING, f"last message repeated 2 times: {refused}")
        self.assertEqual(self.all.lines, [*first, summary])
        self.assertEqual(self.errors.lines, [*first, summary])

    def test_severities(self) -> None:
        """Failures are summed up down to information, messages down to notices."""
        told = {severity: severity <= S.INFO for severity in S if severity != S.DEBUG}
        for severity in told:
            self.refused(severity, 1)
            self.refused(severity, 2)
            self.say("x", severity)
            self.say("x", severity)
        self.clock.advance(INTERVAL)
        for severity in told:
            mine = [text for found, text in self.all.lines if found == severity]
            self.assertEqual(sum("refused" in text for text in mine), 2, severity)
            self.assertEqual(sum("repeated 1 time: connect" in text for text in mine), 1, severity)
            self.assertEqual(mine.count("x"), 2 if severity == S.INFO else 1, severity)

    def test_answers(self) -> None:
        """What comes of what an operator does is written each time."""
        for code in ("server.reload", "config.problem", "log.unopened"):
            for _ in range(2):
                self.journal.message(S.ERROR, code, code)
            self.assertEqual(self.all.texts.count(code), 2)

    def test_sessions(self) -> None:
        """What sessions do is never summed up."""
        for number in (1, 2):
            self.journal.record(Accepted(number, rule(), path(CLIENT)))
        self.assertEqual(len(self.all.lines), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_conclude(self) -> None:
        """At the end what was counted is told before the last lines, which all are written."""
        self.say("x", S.WARNING)
        self.say("x", S.WARNING)
        self.observer.conclude()
        self.say("over", S.ALERT)
        self.say("over", S.ALERT)
        self.observer.close(0.0)
        self.assertEqual(self.all.texts, ["x", "last message repeated 1 time: x", "over", "over"])

    def test_reload(self) -> None:
        """New destinations get the whole warning, the old ones what was counted before."""
        self.say("x", S.WARNING)
        self.say("x", S.WARNING)
        new = FakeSink("new")
        self.observer.configure(Outputs((), (new,)))
        self.say("x", S.WARNING)
        self.assertEqual(self.all.texts, ["x", "last message repeated 1 time: x"])
        self.assertEqual(new.texts, ["x"])


class ReentranceTests(ObserverMixin, SynchronousTestCase):
    """Events that come at odd moments."""

    def test_while_writing(self) -> None:
        """What is logged while a line is written comes after it, once."""
        self.configure()
        write = self.all.write

        def chatty(severity: Severity, when: float, text: str) -> None:
            if text == "a":
                self.say("about a")
            write(severity, when, text)

        self.all.write = chatty
        self.say("a")
        self.assertEqual(self.all.texts, ["a", "about a"])

    def test_endless(self) -> None:
        """A sink that logs whenever it writes does not keep us busy for ever."""
        self.configure()

        def chatty(severity: Severity, when: float, text: str) -> None:
            self.all.lines.append((severity, text))
            self.say("again")

        self.all.write = chatty
        self.say("a")
        self.assertEqual(self.all.texts, ["a", "again"])

    def test_other_thread(self) -> None:
        """An event of another thread is handed to the reactor's, with its own time."""
        self.configure()
        mine = module.get_ident()
        self.patch(module, "get_ident", lambda: mine + 1)
        event = {"event": Message(S.INFO, "x", "from afar"), "log_time": 17.5}
        self.observer(event)
        self.assertEqual(self.all.lines, [])
        ((function, *arguments),) = self.handed
        function(*arguments)
        self.assertEqual((self.all.texts, self.all.times), (["from afar"], [17.5]))


class JournalTests(SynchronousTestCase):
    """What emitters write to."""

    def test_record(self) -> None:
        """Any observer gets the event under its key, with a time and a level."""
        seen: list[dict[str, Any]] = []

        @implementer(ILogObserver)
        def observer(event: dict[str, Any]) -> None:
            seen.append(event)

        journal = Journal(observer)
        event = Message(S.INFO, "x", "y")
        journal.record(event)
        journal.message(S.INFO, "x", "y")
        self.assertEqual([entry["event"] for entry in seen], [event, event])
        for entry in seen:
            self.assertIn("log_time", entry)
            self.assertIn("log_level", entry)
