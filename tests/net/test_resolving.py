"""Tests for :mod:`dantetw.net.resolving`."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError

from dantetw.net.deadnames import (
    DEAD_ENTRIES,
    DEAD_KNOWN_SECONDS,
    DEAD_SECONDS,
    DEAD_WAIT_SECONDS,
    SLOW_SECONDS,
)
from dantetw.net.lookups import ADDRESSES, ResolveError
from dantetw.net.resolving import (
    BUSY_SECONDS,
    KEEP_ENTRIES,
    KEEP_SECONDS,
    LONG_LOOKUP_SECONDS,
    SHARE,
    THREADS,
    WAITING,
    Resolver,
)
from dantetw.values import Family
from tests.held import ReportingClock, held
from tests.net.names import ResolvingTestCase

IPV4 = frozenset((Family.IPV4,))
IPV6 = frozenset((Family.IPV6,))


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

    def test_zones(self) -> None:
        """A link-local address keeps the zone it was asked for with."""

        def getaddrinfo(*args: object) -> list[Any]:
            return [
                (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, 0, 0, 999999))
                for host in ("fe80::1", "::1")
            ]

        resolver = Resolver(self.clock, self.threads, getaddrinfo, self.names.getnameinfo)
        found = self.answer(resolver.resolve("fe80::1%999999"))
        self.assertEqual(found, ("fe80::1%999999", "::1"))

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
        """Beyond the limit a look-up fails soon, for the time being."""
        waited = [self.resolver.resolve(f"h{number}.test") for number in range(4)]
        late = self.resolver.resolve("late.test")
        self.assertNoResult(late)
        self.clock.advance(2 * BUSY_SECONDS)
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
        self.clock.advance(2 * BUSY_SECONDS)
        for each in greedy:
            self.failureResultOf(each, ResolveError)

    def test_same_network(self) -> None:
        """The addresses of an IPv6 /64 are one client, and have its share."""
        for number in range(3):
            self.resolver.resolve(f"h{number}.test", owner=f"2001:db8::{number}").addErrback(id)
        self.assertEqual(len(self.pool.jobs), 1)
        self.resolver.resolve("host.test", owner="2001:db8:0:1::1").addErrback(id)
        self.assertEqual(len(self.pool.jobs), 2)

    def late(self, name: str, seconds: float, **more: Any) -> tuple[str, str]:
        """Look a name up whose failure takes some seconds."""
        waited = self.resolver.resolve(name, **more)
        self.clock.advance(seconds)
        return self.error(waited)

    def test_dead_names(self) -> None:
        """A failure that took long is given at once for a while, and its words are kept."""
        again = socket.gaierror(socket.EAI_AGAIN, "try again")
        self.names.forward["dead.test"] = again
        self.assertEqual(self.late("dead.test", 8), ("EAI_AGAIN", "try again"))
        for _ in range(2):
            self.clock.advance(DEAD_SECONDS / 4)
            error = self.failureResultOf(self.resolver.resolve("DEAD.test"), ResolveError).value
            assert isinstance(error, ResolveError)
            self.assertEqual(
                (error.symbol, error.reason, error.name), ("EAI_AGAIN", "try again", "DEAD.test")
            )
        self.assertEqual(len(self.names.asked), 1)
        self.assertNoResult(self.resolver.resolve("dead.test", IPV4).addErrback(id))

    def test_quick_failures_are_not_kept(self) -> None:
        """A failure that came soon is no reason not to ask again."""
        self.late("host.test", SLOW_SECONDS / 2)
        self.assertEqual(len(self.resolver._dead), 0)

    def test_dead_name_is_tried_again(self) -> None:
        """After a while it is looked up again, for which nobody waits long."""
        self.late("dead.test", 8)
        self.clock.advance(DEAD_SECONDS)
        waited = self.resolver.resolve("dead.test")
        self.assertEqual(len(self.pool.jobs), 1)
        self.clock.advance(DEAD_WAIT_SECONDS / 2)
        other = self.resolver.resolve("dead.test")
        self.assertNoResult(waited)
        self.names.forward["dead.test"] = ["192.0.2.1"]
        self.assertEqual(self.answer(other), ("192.0.2.1",))
        self.assertEqual(self.successResultOf(waited), ("192.0.2.1",))
        self.assertEqual(self.answer(self.resolver.resolve("dead.test")), ("192.0.2.1",))
        self.assertEqual(len(self.resolver._dead), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dead_name_under_way(self) -> None:
        """While it is looked up again, nobody waits longer than the first who asked for that."""
        self.late("dead.test", 8)
        self.clock.advance(DEAD_SECONDS)
        waited = self.resolver.resolve("dead.test")
        self.clock.advance(DEAD_WAIT_SECONDS)
        self.failureResultOf(waited, ResolveError)
        self.failureResultOf(self.resolver.resolve("dead.test"), ResolveError)
        self.assertEqual((len(self.pool.jobs), len(self.names.asked)), (1, 1))

    def test_dead_names_are_forgotten(self) -> None:
        """Nothing is known of a dead name after minutes."""
        self.late("dead.test", 8)
        self.clock.advance(DEAD_KNOWN_SECONDS)
        waited = self.resolver.resolve("dead.test")
        self.clock.advance(DEAD_WAIT_SECONDS)
        self.assertNoResult(waited)
        self.error(waited)

    def test_dead_names_after_a_reload(self) -> None:
        """After a reload a dead name is tried again, for which nobody waits long."""
        self.late("dead.test", 8)
        self.resolver.forget()
        waited = self.resolver.resolve("dead.test")
        self.assertNoResult(waited)
        self.clock.advance(DEAD_WAIT_SECONDS)
        self.failureResultOf(waited, ResolveError)
        self.resolver.forget()
        self.names.forward["dead.test"] = ["192.0.2.1"]
        self.assertEqual(self.answer(self.resolver.resolve("dead.test")), ("192.0.2.1",))

    def test_dead_names_are_bounded(self) -> None:
        """So many dead names are remembered; those nobody asks for are forgotten first."""
        for number in range(DEAD_ENTRIES + 2):
            self.late(f"h{number}.test", SLOW_SECONDS)
            self.failureResultOf(self.resolver.resolve("h0.test"), ResolveError)
            self.clock.advance(-SLOW_SECONDS)
        self.assertEqual(len(self.resolver._dead), DEAD_ENTRIES)
        self.assertIsNotNone(self.resolver._dead.get((0, "h0.test")))

    def test_dead_address(self) -> None:
        """What holds for names holds for the names of addresses."""
        self.names.backward["192.0.2.1"] = socket.gaierror(socket.EAI_AGAIN, "try again")
        waited = self.resolver.reverse("192.0.2.1")
        self.clock.advance(8)
        self.assertEqual(self.error(waited), ("EAI_AGAIN", "try again"))
        self.failureResultOf(self.resolver.reverse("192.0.2.1"), ResolveError)
        self.assertEqual(len(self.names.asked), 1)

    def test_better_owner(self) -> None:
        """A name that waits on behalf of a bad client begins sooner when a good one asks."""
        for number in range(2):
            self.resolver.resolve(f"h{number}.test").addErrback(id)
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.threads._queue.blame("192.0.2.66")
        self.resolver.resolve("host.test", owner="192.0.2.66").addErrback(id)
        search = self.resolver._searches[0, "host.test"]
        assert search.job is not None
        waited = self.resolver.resolve("host.test", owner="192.0.2.1")
        self.assertEqual(search.job.owner, "192.0.2.1")
        self.assertEqual(self.answer(waited), ("192.0.2.1",))

    def test_no_thread(self) -> None:
        """Where the system allows no thread, a look-up fails, and is begun by the next."""
        self.pool.full = True
        waited = self.resolver.resolve("host.test")
        self.clock.advance(2 * BUSY_SECONDS)
        self.assertEqual(self.error(waited)[0], "EAI_AGAIN")
        self.pool.full = False
        self.names.forward["host.test"] = ["192.0.2.1"]
        self.assertEqual(self.answer(self.resolver.resolve("host.test")), ("192.0.2.1",))

    def test_dead_names_leave_room(self) -> None:
        """A hundred clients, each with twenty names that nobody answers for, leave room."""
        threads, pool = held(self.clock, THREADS, WAITING, share=SHARE, slow=LONG_LOOKUP_SECONDS)
        resolver = Resolver(self.clock, threads, self.names.getaddrinfo, self.names.getnameinfo)
        self.names.forward["host.test"] = ["192.0.2.1"]
        for round_ in range(20):
            for client in range(100):
                name = f"h{round_}-{client}.dead.test"
                resolver.resolve(name, owner=f"10.0.0.{client}").addErrback(lambda _: None)
            self.clock.advance(LONG_LOOKUP_SECONDS / 10)
            resolver.forget()
            before = len(pool.jobs)
            waited = resolver.resolve("host.test", owner=f"192.0.2.{round_}")
            self.assertEqual(len(pool.jobs), before + 1, round_)
            pool.run(before)
            self.assertEqual(self.successResultOf(waited), ("192.0.2.1",))

    def test_descriptors(self) -> None:
        """Look-ups take a quarter of the descriptors that a process may have, and not too many."""
        for files, size in ((None, THREADS), (256, 64), (1, 1), (100_000, THREADS)):
            threads, _ = held(self.clock, THREADS, WAITING, share=SHARE)
            Resolver(self.clock, threads).fit(files)
            self.assertEqual(threads._queue.slots, size)

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
