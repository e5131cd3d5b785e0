"""Tests for :mod:`dantetw.net.resolving`."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from dantetw.net.resolving import (
    ADDRESSES,
    KEEP_ENTRIES,
    KEEP_SECONDS,
    Answers,
    ResolveError,
    Resolver,
)
from dantetw.rules.addresses import Known, Lookup, LookupKind
from dantetw.rules.deciding import Decision, decide_socks
from dantetw.values import Family, Verdict
from tests.held import ReportingClock, held
from tests.rules.building import policy, question, rule

IPV4 = frozenset((Family.IPV4,))
IPV6 = frozenset((Family.IPV6,))


class Names:
    """The network's knowledge: names, addresses, failures; and what was asked."""

    def __init__(self) -> None:
        self.forward: dict[str, list[str] | Exception] = {}
        self.backward: dict[str, str | Exception] = {}
        self.asked: list[Any] = []

    def getaddrinfo(self, host: bytes, port: int, family: int, kind: int) -> list[Any]:
        self.asked.append((host.decode(), family))
        assert kind == socket.SOCK_STREAM
        found = self.forward.get(
            host.decode().lower(), socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        )
        if isinstance(found, Exception):
            raise found
        return [
            (socket.AF_INET6, kind, 6, "", (text, 0, 0, 0))
            if ":" in text
            else (socket.AF_INET, kind, 6, "", (text, 0))
            for text in found
        ]

    def getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        self.asked.append((sockaddr[0], flags))
        found = self.backward.get(
            sockaddr[0], socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        )
        if isinstance(found, Exception):
            raise found
        return found, "0"


class ResolvingTestCase(SynchronousTestCase):
    """A resolver of which a test holds all ends."""

    def setUp(self) -> None:
        """Make one with two threads and room for two more look-ups."""
        self.names = Names()
        self.clock = ReportingClock()
        self.threads, self.pool = held(self.clock, size=2, limit=2)
        self.resolver = Resolver(
            self.clock, self.threads, self.names.getaddrinfo, self.names.getnameinfo
        )

    def answer(self, waited: Deferred[Any]) -> Any:
        """Run all look-ups and return the result."""
        self.pool.run_all()
        return self.successResultOf(waited)

    def error(self, waited: Deferred[Any]) -> tuple[str, str]:
        """Run all look-ups and return symbol and reason of the failure."""
        self.pool.run_all()
        error = self.failureResultOf(waited, ResolveError).value
        assert isinstance(error, ResolveError)
        return error.symbol, error.reason


class ResolverTests(ResolvingTestCase):
    """Tests for :class:`Resolver`."""

    def test_addresses(self) -> None:
        """The addresses come in the system's order, each once, of the families asked for."""
        self.names.forward["host.test"] = ["2001:db8::1", "192.0.2.1", "192.0.2.1", "192.0.2.2"]
        for families, af, expected in (
            (IPV4 | IPV6, socket.AF_UNSPEC, ("2001:db8::1", "192.0.2.1", "192.0.2.2")),
            (IPV4, socket.AF_INET, ("192.0.2.1", "192.0.2.2")),
            (IPV6, socket.AF_INET6, ("2001:db8::1",)),
        ):
            self.assertEqual(self.answer(self.resolver.resolve("host.test", families)), expected)
            self.assertEqual(self.names.asked[-1], ("host.test", af))

    def test_mapped(self) -> None:
        """An IPv4 address that came as an IPv6 one is given as IPv4, or not at all."""
        self.names.forward["host.test"] = ["::ffff:127.0.0.1"]
        self.assertEqual(self.answer(self.resolver.resolve("host.test")), ("127.0.0.1",))
        self.assertEqual(
            self.error(self.resolver.resolve("host.test", IPV6)),
            ("EAI_NODATA", "No address associated with hostname"),
        )

    def test_too_many_addresses(self) -> None:
        """Of an answer with thousands of addresses a few are kept."""
        self.names.forward["host.test"] = [f"10.0.{i // 256}.{i % 256}" for i in range(5000)]
        self.assertEqual(len(self.answer(self.resolver.resolve("host.test"))), ADDRESSES)

    def test_errors(self) -> None:
        """Errors keep their ``EAI_`` name and the system's words; the errno's for EAI_SYSTEM."""
        cases: list[tuple[Exception, str, str]] = [
            (socket.gaierror(socket.EAI_NONAME, "not known"), "EAI_NONAME", "not known"),
            (socket.gaierror(socket.EAI_AGAIN, "try again"), "EAI_AGAIN", "try again"),
            (OSError(errno.EMFILE, "x"), "EAI_SYSTEM", os.strerror(errno.EMFILE)),
            (UnicodeError("label too long"), "EAI_NONAME", "Name or service not known"),
            (ValueError("embedded null"), "EAI_NONAME", "Name or service not known"),
        ]
        for raised, symbol, reason in cases:
            self.names.forward["bad.test"] = raised
            self.assertEqual(self.error(self.resolver.resolve("bad.test")), (symbol, reason))

    def test_own_mistake(self) -> None:
        """An error that is ours is logged, and the name has no address."""
        self.names.forward["bad.test"] = ZeroDivisionError()
        self.assertEqual(self.error(self.resolver.resolve("bad.test"))[0], "EAI_FAIL")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_error_text(self) -> None:
        """The text is Dante's, with the name escaped."""
        error = ResolveError("EAI_NONAME", "Name or service not known", 'a b\x07"')
        self.assertEqual(
            str(error), 'could not resolve hostname "a b\\a"": Name or service not known'
        )

    def test_hostile_names(self) -> None:
        """Names that no host can have fail without the system being asked."""
        names = ["", ".", "..", ".a", "a..b", "a\x00b", "é", "\udcff", "\ud800", "１２７.0.0.1"]
        # The C library would take this one for www.example.org.
        names += ["www.example.or\\103"]
        names += ["x" * 64 + ".test", "a." * 128 + "test"]
        for name in names:
            self.assertEqual(
                self.error(self.resolver.resolve(name)),
                ("EAI_NONAME", "Name or service not known"),
            )
        self.assertEqual(self.names.asked, [])

    def test_last_dot(self) -> None:
        """A name may end with a dot, which keeps the system from adding a search domain."""
        self.names.forward["host.test."] = ["192.0.2.1"]
        self.assertEqual(self.answer(self.resolver.resolve("host.test.")), ("192.0.2.1",))

    def test_numbers_in_disguise(self) -> None:
        """A name that the C library reads as a number is that address, without being asked for."""
        for name, address in (
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("::1", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
        ):
            self.assertEqual(self.answer(self.resolver.resolve(name)), (address,))
            self.assertEqual(self.resolver.cached(name), (address,))
        self.assertEqual(
            self.error(self.resolver.resolve("0x7f.1", IPV6)),
            ("EAI_ADDRFAMILY", "Address family for hostname not supported"),
        )
        self.assertEqual(self.names.asked, [])

    def test_cache(self) -> None:
        """An answer is kept for 300 seconds, whatever the case of the name."""
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.assertIsNone(self.resolver.cached("host.test"))
        self.answer(self.resolver.resolve("host.test"))
        self.clock.advance(KEEP_SECONDS - 1)
        self.assertEqual(self.resolver.cached("HOST.test"), ("192.0.2.1",))
        self.assertIsNone(self.resolver.cached("host.test", IPV4))
        self.successResultOf(self.resolver.resolve("host.test"))
        self.clock.advance(1)
        self.assertIsNone(self.resolver.cached("host.test"))
        self.assertEqual(len(self.names.asked), 1)

    def test_failures_are_not_cached(self) -> None:
        """A name that had no address is asked for again."""
        self.error(self.resolver.resolve("host.test"))
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.assertEqual(self.answer(self.resolver.resolve("host.test")), ("192.0.2.1",))

    def test_least_recently_used_goes_first(self) -> None:
        """A full cache forgets what was not used for the longest time."""
        for number in range(KEEP_ENTRIES):
            self.names.forward[f"h{number}.test"] = ["192.0.2.1"]
            self.answer(self.resolver.resolve(f"h{number}.test"))
        self.assertIsNotNone(self.resolver.cached("h0.test"))
        self.names.forward["more.test"] = ["192.0.2.1"]
        self.answer(self.resolver.resolve("more.test"))
        self.assertIsNotNone(self.resolver.cached("h0.test"))
        self.assertIsNone(self.resolver.cached("h1.test"))

    def test_forget(self) -> None:
        """Forgetting empties the cache, and keeps out answers to questions asked before."""
        self.names.forward["old.test"] = ["192.0.2.1"]
        self.names.forward["host.test"] = ["192.0.2.2"]
        self.answer(self.resolver.resolve("old.test"))
        waited = self.resolver.resolve("host.test")
        self.resolver.forget()
        self.assertEqual(self.answer(waited), ("192.0.2.2",))
        self.assertIsNone(self.resolver.cached("host.test"))
        self.assertIsNone(self.resolver.cached("old.test"))

    def test_same_question_once(self) -> None:
        """What is under way is not asked again; all who wait get the answer."""
        self.names.forward["host.test"] = ["192.0.2.1"]
        waited = [self.resolver.resolve(name) for name in ("host.test", "HOST.TEST", "host.test")]
        other = self.resolver.resolve("host.test", IPV4)
        self.pool.run_all()
        for each in (*waited, other):
            self.assertEqual(self.successResultOf(each), ("192.0.2.1",))
        self.assertEqual(len(self.names.asked), 2)

    def test_same_failure_for_all(self) -> None:
        """All who wait for a look-up that fails are told."""
        waited = [self.resolver.resolve("host.test") for _ in range(2)]
        for each in waited:
            self.assertEqual(self.error(each)[0], "EAI_NONAME")

    def test_cancel_one(self) -> None:
        """Giving up does not disturb others who wait for the same."""
        self.names.forward["host.test"] = ["192.0.2.1"]
        first, second = self.resolver.resolve("host.test"), self.resolver.resolve("host.test")
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.answer(second), ("192.0.2.1",))

    def test_cancel_under_way(self) -> None:
        """An answer that nobody waits for any more disturbs nobody, and is kept."""
        self.names.forward["host.test"] = ["192.0.2.1"]
        waited = self.resolver.resolve("host.test")
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
        self.pool.run_all()
        self.assertEqual(self.resolver.cached("host.test"), ("192.0.2.1",))

    def test_cancel_by_another(self) -> None:
        """Who gets an answer may cancel others who were to get it."""
        self.names.forward["host.test"] = ["192.0.2.1"]
        first, second = self.resolver.resolve("host.test"), self.resolver.resolve("host.test")
        first.addCallback(lambda _: second.cancel())
        self.pool.run_all()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)

    def test_cancel_while_waiting(self) -> None:
        """A look-up that no thread has yet is dropped when nobody waits for it."""
        waited = [self.resolver.resolve(f"h{number}.test") for number in range(3)]
        waited[2].cancel()
        self.failureResultOf(waited[2], CancelledError)
        self.pool.run_all()
        self.assertEqual([name for name, _ in self.names.asked], ["h0.test", "h1.test"])
        for each in waited[:2]:
            self.failureResultOf(each, ResolveError)
        again = self.resolver.resolve("h2.test")
        self.assertEqual(self.error(again)[0], "EAI_NONAME")

    def test_too_many_waiting(self) -> None:
        """Beyond the limit a look-up fails at once, for the time being."""
        waited = [self.resolver.resolve(f"h{number}.test") for number in range(4)]
        late = self.resolver.resolve("late.test")
        error = self.failureResultOf(late, ResolveError).value
        assert isinstance(error, ResolveError)
        self.assertEqual(
            (error.symbol, error.reason), ("EAI_AGAIN", "Temporary failure in name resolution")
        )
        self.pool.run_all()
        self.assertEqual(self.error(self.resolver.resolve("late.test"))[0], "EAI_NONAME")
        for each in waited:
            self.failureResultOf(each, ResolveError)

    def test_greedy(self) -> None:
        """A client whose names nobody answers leaves threads to others."""
        names = [f"h{number}.test" for number in range(3)]
        greedy = [self.resolver.resolve(name, owner="192.0.2.66") for name in names]
        self.names.forward["host.test"] = ["192.0.2.1"]
        modest = self.resolver.resolve("host.test", owner="192.0.2.1")
        self.pool.run(1)
        self.assertEqual(self.successResultOf(modest), ("192.0.2.1",))
        self.pool.run_all()
        for each in greedy:
            self.failureResultOf(each, ResolveError)

    def test_stop(self) -> None:
        """After a stop nothing is delivered."""
        waited = self.resolver.resolve("host.test")
        self.resolver.stop()
        self.pool.run_all()
        self.assertNoResult(waited)

    def test_reverse(self) -> None:
        """An address gives its name, None if it has none, and both are kept."""
        self.names.backward["192.0.2.1"] = "host.test"
        for address, name in (("192.0.2.1", "host.test"), ("2001:db8::1", None)):
            self.assertIsNone(self.resolver.cached_reverse(address))
            self.assertEqual(self.answer(self.resolver.reverse(address)), name)
            self.assertEqual(self.resolver.cached_reverse(address), () if name is None else (name,))
            self.assertEqual(self.successResultOf(self.resolver.reverse(address)), name)
        self.assertEqual(
            self.names.asked,
            [("192.0.2.1", socket.NI_NAMEREQD), ("2001:db8::1", socket.NI_NAMEREQD)],
        )

    def test_reverse_errors(self) -> None:
        """If nobody can say what an address is called, that is an error, and not kept."""
        self.names.backward["192.0.2.1"] = socket.gaierror(socket.EAI_AGAIN, "try again")
        self.assertEqual(self.error(self.resolver.reverse("192.0.2.1")), ("EAI_AGAIN", "try again"))
        self.assertIsNone(self.resolver.cached_reverse("192.0.2.1"))
        self.assertEqual(self.error(self.resolver.reverse("not an address"))[0], "EAI_NONAME")

    @given(st.text(max_size=80) | st.from_regex(r"[0-9a-fx.:%]*", fullmatch=True))
    def test_any_name(self, name: str) -> None:
        """Whatever a name is made of, the real resolver's numeric part never raises otherwise."""

        def numeric_only(host: bytes, port: int, family: int, kind: int) -> Any:
            return socket.getaddrinfo(host, port, family, kind, flags=socket.AI_NUMERICHOST)

        clock = ReportingClock()
        threads, pool = held(clock)
        waited = Resolver(clock, threads, numeric_only).resolve(name)
        pool.run_all()
        outcome: list[Any] = []
        waited.addBoth(outcome.append)
        if not isinstance(outcome[0], tuple):
            outcome[0].trap(ResolveError)


class AnswersTests(ResolvingTestCase):
    """Tests for :class:`Answers`."""

    def setUp(self) -> None:
        """Make answers over the resolver."""
        super().setUp()
        self.answers = Answers(self.resolver, {"eth0": ("10.0.0.1",)}.__getitem__)
        self.failures: list[ResolveError] = []

    def test_known(self) -> None:
        """Interfaces and literal names are known at once, others when they are in the cache."""
        forward = Lookup(LookupKind.FORWARD, "host.test")
        reverse = Lookup(LookupKind.REVERSE, "192.0.2.1")
        self.assertEqual(self.answers.get(Lookup(LookupKind.INTERFACE, "eth0")), ("10.0.0.1",))
        self.assertEqual(self.answers.get(Lookup(LookupKind.FORWARD, "127.1")), ("127.0.0.1",))
        self.assertIsNone(self.answers.get(forward))
        self.assertIsNone(self.answers.get(reverse))
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.answer(self.resolver.resolve("host.test"))
        self.answer(self.resolver.reverse("192.0.2.1"))
        self.assertEqual(self.answers.get(forward), ("192.0.2.1",))
        self.assertEqual(self.answers.get(reverse), ())

    def decide(self, known: Known) -> Decision | Lookup:
        """Take a decision that hangs on two forward look-ups and one reverse one."""
        rules = (
            rule(1, Verdict.BLOCK, target="one.test"),
            rule(2, Verdict.BLOCK, source=".evil.test"),
            rule(3, Verdict.BLOCK, target="two.test"),
            rule(4),
        )
        return decide_socks(policy(*rules), question("192.0.2.1"), known)

    def decided(self) -> int:
        """The number of the rule that decides in the end."""
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        self.pool.run_all()
        decision = self.successResultOf(waited)
        assert isinstance(decision, Decision)
        return decision.rule.number

    def test_decide_waiting(self) -> None:
        """Look-ups are made until the rules decide, and no more than that."""
        self.names.forward["one.test"] = ["192.0.2.7"]
        self.names.backward["127.0.0.1"] = "client.evil.test"
        self.assertEqual(self.decided(), 2)
        self.assertEqual([asked for asked, _ in self.names.asked], ["one.test", "127.0.0.1"])
        self.assertEqual(self.failures, [])
        decision = self.decide(self.answers)
        assert isinstance(decision, Decision)
        self.assertEqual(decision.rule.number, 2)

    def test_failures_do_not_match(self) -> None:
        """A look-up that fails is told, and its rule does not match."""
        self.names.backward["127.0.0.1"] = socket.gaierror(socket.EAI_AGAIN, "try again")
        self.names.forward["two.test"] = ["192.0.2.1"]
        self.assertEqual(self.decided(), 3)
        self.assertEqual(
            [(error.name, error.symbol) for error in self.failures],
            [("one.test", "EAI_NONAME"), ("127.0.0.1", "EAI_AGAIN")],
        )

    def test_survives_a_full_cache(self) -> None:
        """A decision does not start over because an answer has left the cache."""
        self.names.forward["one.test"] = ["192.0.2.7"]
        self.names.forward["two.test"] = ["192.0.2.8"]
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        while self.pool.jobs:
            self.pool.run()
            self.resolver.forget()
        self.assertIsInstance(self.successResultOf(waited), Decision)

    def test_cancel(self) -> None:
        """Cancelling a decision gives up its look-up."""
        waited = ensureDeferred(self.answers.decide_waiting(self.decide, self.failures.append))
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
        self.pool.run_all()
        self.assertEqual(len(self.names.asked), 1)
        self.assertEqual(self.failures, [])
