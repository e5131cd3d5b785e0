"""Tests of :mod:`dantetw.observe.outlets`."""

from __future__ import annotations

import errno

from twisted.trial.unittest import SynchronousTestCase

from dantetw.observe.events import Message
from dantetw.observe.formats.dante import Dante
from dantetw.observe.formats.json import Json
from dantetw.observe.interfaces import ISink
from dantetw.observe.outlets import Outlet, grouped, losses, recovery, succeed
from dantetw.policy import PLAIN_FORM, Form
from dantetw.values import Severity
from tests.observe.test_observer import FakeSink

DANTE, JSON = Dante(), Json()


class OtherSink(FakeSink):
    """A sink of another kind."""


def outlet(sink: ISink, form: Form = PLAIN_FORM) -> Outlet:
    """An outlet for a sink."""
    return Outlet(sink, form, DANTE if form.format == "dante" else JSON)


class WordsTests(SynchronousTestCase):
    """What is said of a sink."""

    def test_tell(self) -> None:
        """A message goes out in the sink's own form."""
        sink = FakeSink()
        outlet(sink, Form("json")).log(1.0, Message(Severity.ALERT, "a.b", "text"))
        self.assertEqual(
            sink.lines, [(Severity.ALERT, '"kind":"message","code":"a.b","text":"text"}')]
        )

    def test_losses(self) -> None:
        """Of the lines that were lost those are told that have not been told yet."""
        lossy = outlet(FakeSink("a.log"))
        for accounted, lost, number in ((0, 1, "1 line was"), (3, 5, "2 lines were")):
            lossy.accounted = accounted
            for message, words in (
                (losses(lossy, lost), "could not write to"),
                (recovery(lossy, lost), "can write again to"),
            ):
                self.assertIs(message.severity, Severity.WARNING)
                self.assertEqual(message.text, f'{words} logfile "a.log": {number} lost')


class OrderTests(SynchronousTestCase):
    """Who is told first."""

    def test_ordered(self) -> None:
        """By rank; those of the same stay in the order they were given."""
        sinks = [FakeSink(name, rank) for name, rank in (("a", 1), ("b", 0), ("c", 1), ("d", 0))]
        outlets = [outlet(sink) for sink in sinks]
        found, (group,) = grouped(tuple(outlets[:2]), tuple(outlets[2:]))
        self.assertEqual([each.sink.name for each in found], ["b", "d", "a", "c"])
        self.assertEqual(
            [(each.sink.name, takes_all) for each, takes_all in group.outlets],
            [("b", False), ("d", True), ("a", False), ("c", True)],
        )


class SuccessionTests(SynchronousTestCase):
    """Where lines go after a reload."""

    def setUp(self) -> None:
        """Have an old sink in which lines wait, and another."""
        self.sink = FakeSink("a.log")
        self.sink.waiting = 3
        self.old = outlet(self.sink, Form(omit=frozenset(("user",))))
        self.others = [outlet(FakeSink("b.log")), self.old]

    def test_stays(self) -> None:
        """The old one goes on, in the new one's form, opened anew; the new one is closed."""
        new = outlet(FakeSink("a.log"))
        self.assertIs(succeed(new, self.others), self.old)
        self.assertEqual(self.sink.did, ["reopen"])
        self.assertEqual(self.old.form, PLAIN_FORM)
        self.assertIs(self.old.format, new.format)
        assert isinstance(new.sink, FakeSink)
        self.assertEqual(new.sink.did, ["close"])
        self.assertEqual([each.sink.name for each in self.others], ["b.log"])

    def test_replaced(self) -> None:
        """
        The new one takes over if nothing waits, if the old one is of another name or kind, or if it
        cannot be opened anew, or if what waits there has another format.
        """
        for new in (
            outlet(FakeSink("c.log")),
            outlet(OtherSink("a.log")),
            outlet(FakeSink("a.log"), Form("json")),
        ):
            self.assertIs(succeed(new, self.others), new)
        self.sink.fails_with = errno.EACCES
        new = outlet(FakeSink("a.log"))
        self.assertIs(succeed(new, self.others), new)
        self.sink.fails_with = self.sink.waiting = 0
        self.assertIs(succeed(new, self.others), new)
        self.assertEqual(len(self.others), 2)
        assert isinstance(new.sink, FakeSink)
        self.assertEqual(new.sink.did, [])
