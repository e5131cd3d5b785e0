"""Tests of :mod:`dantetw.crew.scoreboard`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dantetw.catalogue import FORMATS
from dantetw.crew import scoreboard as scoreboards
from dantetw.crew.scoreboard import Scoreboard
from dantetw.observe.interfaces import IFormat
from dantetw.policy import Policy
from dantetw.values import Cause, Command, Endpoint, Family, Method, Phase, Side, User
from tests.session.world import GREETING, OPEN, TARGET, World, request


class ScoreboardCase(SynchronousTestCase):
    """A server with a scoreboard; what the supervisor reads is what it has written."""

    def setUp(self) -> None:
        self.world = World(self, OPEN)
        self.scoreboard = Scoreboard(2, 3)
        self.scoreboard.follow(self.world.factory)
        self.addCleanup(self.scoreboard.close)

    def crashed(self) -> list[scoreboards.Ended]:
        """The worker has died."""
        now = self.world.reactor.seconds()
        return [end for end, _ in self.scoreboard.crashed({0: self.world.policy}, now)]


class SessionTests(ScoreboardCase):
    """What the supervisor knows of the sessions of a worker that has died."""

    def test_numbers(self) -> None:
        """Sessions are numbered in steps, and the next number is known afterwards."""
        for _ in range(3):
            self.world.client()
        self.assertEqual(sorted(self.world.factory.sessions), [2, 5, 8])
        self.assertEqual(self.scoreboard.next_number, 11)

    def test_blocked(self) -> None:
        """A client that never had a place there has had its number, and is counted."""
        world = World(self, "socksmethod: none\nclient block { from: 0/0 to: 0/0 }\n")
        self.scoreboard.follow(world.factory)
        world.client()
        self.assertEqual(world.sessions, set())
        self.assertEqual(self.scoreboard.next_number, 5)

    def test_negotiating(self) -> None:
        """A client that negotiates has its end, under its client rule."""
        self.world.client()
        (ended,) = self.crashed()
        (session,) = self.world.factory.sessions.values()
        self.assertEqual((ended.session, ended.client_rule), (2, session.record.client_rule))
        self.assertEqual(
            (ended.path.client, ended.path.local), (session.record.client, session.record.local)
        )
        ending = ended.ending
        self.assertEqual(
            (ending.side, ending.phase, ending.cause), (Side.US, Phase.NEGOTIATE, Cause.CRASH)
        )
        self.assertIs(ended.socks_rule, None)

    def test_relayed(self) -> None:
        """A relay has its end with the bytes as they stood at the last look."""
        _, dial = self.world.connected()
        (session,) = self.world.factory.sessions.values()
        dial.far.send(b"answer")
        self.world.settle()
        self.scoreboard.update(self.world.reactor.seconds())
        (ended,) = self.crashed()
        self.assertEqual(ended.socks_rule, session.record.socks_rule)
        self.assertEqual(
            (ended.path.target, ended.path.source), (session.record.target, session.record.source)
        )
        self.assertEqual((ended.counts.from_target, ended.counts.to_client), (6, 6))

    def test_connecting(self) -> None:
        """Who waits for a connection has an end that says so, with rule, target and request."""
        self.world.client(GREETING + request(TARGET))
        (session,) = self.world.factory.sessions.values()
        self.scoreboard.update(self.world.reactor.seconds())
        (ended,) = self.crashed()
        self.assertEqual((ended.ending.phase, ended.ending.cause), (Phase.CONNECT, Cause.CRASH))
        self.assertEqual(ended.socks_rule, session.record.socks_rule)
        self.assertEqual((ended.path.target, ended.path.source), (TARGET, session.record.source))
        self.assertEqual(ended.command, Command.CONNECT)
        for make in FORMATS.values():
            lines = [line for _, line in make(False, "run").lines(ended)]
            self.assertIn(TARGET.host, "".join(lines))

    def test_ended(self) -> None:
        """Who has had an end gets no other, and the place is used again."""
        for _ in range(5):
            self.world.client()
            (session,) = self.world.factory.sessions.values()
            session.stop()
        self.assertEqual(self.crashed(), [])
        self.assertEqual(self.scoreboard._free, [scoreboards._HEAD_SIZE])

    def test_turn(self) -> None:
        """In a turn a session is forgotten at the end, behind all that is put off: its lines."""
        self.world.client()
        (session,) = self.world.factory.sessions.values()
        turn, known = self.scoreboard.turn, list[int]()
        turn.begin()
        session.stop()
        turn.put_off(lambda: known.append(len(self.crashed())))
        turn.end()
        self.assertEqual((known, self.crashed()), ([1], []))

    def test_full(self) -> None:
        """Sessions beyond its room are counted all the same."""
        self.scoreboard._end = scoreboards._HEAD_SIZE + scoreboards._SLOT
        for _ in range(3):
            self.world.client()
        for session in tuple(self.world.factory.sessions.values()):
            session.stop()
        self.world.client()
        self.assertEqual(len(self.crashed()), 1)

    def test_hostile(self) -> None:
        """Names that are long, or hold what separates fields, harm nobody."""
        for name in ("\0" * 9, "x" * 2000, "\udcff\udc80", "\u2603" * 300, "a\0b"):
            with self.subTest(name):
                self.world.client()
                (session,) = self.world.factory.sessions.values()
                session.record.user = User(Method.USERNAME, name)
                self.scoreboard.advanced(session)
                (ended,) = self.crashed()
                assert ended.path.user is not None
                told = ended.path.user.name
                self.assertEqual(told[:60], name[:60])
                session.stop()

    def test_long_target(self) -> None:
        """A target that does not fit is told as far as it does, and the session has its end."""
        self.world.client()
        (session,) = self.world.factory.sessions.values()
        session.record.target = Endpoint("n" * 255, 80, Family.NAME)
        session.record.client = session.record.local = Endpoint(
            "2001:db8:" + "1:" * 5 + "ffff", 1, Family.IPV6
        )
        self.scoreboard.advanced(session)
        (ended,) = self.crashed()
        assert ended.path.target is not None
        self.assertRegex(ended.path.target.host, "^n{100,255}$")
        self.assertEqual(ended.path.client, session.record.client)

    def test_generations(self) -> None:
        """The policies that sessions have begun with are known; without one there is no end."""
        self.world.client()
        self.assertEqual(self.scoreboard.generations(), {0})
        self.assertEqual(self.scoreboard.crashed({}, 0.0), [])


#: What is not to be found in a field, or in few.
WRONG = (
    *(b"", b"0", b"-1", b"-5", b"1_0", b"1" * 300, b"9" * 40, b"x", b"nan", b"inf", b"-inf"),
    *(b"1e999", b"\xff", b"x\ny 7", b"\x1b[2J 8", b"::1 5", b"10.0.0.1 99999999", b"\xc2\xb2 5"),
    *(b"connect", b"bind", b"udpassociate", b"relay", b"username", b"fe80::1%x 5"),
)


FLOATS = (0.0, -1.0, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))


class NonsenseTests(ScoreboardCase):
    """A worker may have written anything before it died."""

    @given(st.binary(max_size=600), st.binary(min_size=64, max_size=64))
    def test_random(self, slot: bytes, head: bytes) -> None:
        """Whatever stands there, the supervisor goes on."""
        scoreboard = Scoreboard(1, 1)
        place = scoreboards._HEAD_SIZE
        scoreboard._memory[place : place + len(slot)] = slot
        scoreboard._memory[:64] = head
        # An end that does not make the test take for ever.
        scoreboard._cells[scoreboards._UNUSED] = place + 4 * scoreboards._SLOT
        scoreboard.crashed({0: Policy("sockd.conf")}, 0.0)
        scoreboard.generations()
        scoreboard.close()

    def test_ends(self) -> None:
        """Whatever stands in the fields of a session, its end can be told, or there is none."""
        self.world.client(GREETING + request())
        place = scoreboards._HEAD_SIZE
        length, *story = scoreboards._STORY.unpack_from(self.scoreboard._memory, place)
        begin = place + scoreboards._TEXT_AT
        good = self.scoreboard._memory[begin : begin + length].split(b"\0")
        formats = [make(debug, "run") for make in FORMATS.values() for debug in (False, True)]
        told = 0
        for field in range(len(good)):
            for wrong in WRONG:
                text = b"\0".join((*good[:field], wrong, *good[field + 1 :]))
                self.scoreboard._memory[begin : begin + len(text)] = text
                scoreboards._LENGTH.pack_into(self.scoreboard._memory, place, len(text))
                told += self.tell(formats)
        self.assertGreater(told, len(good))
        text = b"\0".join(good)
        self.scoreboard._memory[begin : begin + len(text)] = text
        most = (*[255] * 3, *[2**32 - 1] * 3, 2**64 - 1)
        told = 0
        for field in range(len(story)):
            for wrong in (0, 1, 7, most[field]) if field < len(most) else FLOATS:
                each = (*story[:field], wrong, *story[field + 1 :])
                scoreboards._STORY.pack_into(self.scoreboard._memory, place, len(text), *each)
                told += self.tell(formats)
        self.assertGreater(told, len(story))

    def tell(self, formats: list[IFormat]) -> int:
        """Have the ends that there are told; how many."""
        ends = self.crashed()
        for ended in ends:
            for each in formats:
                for _, line in each.lines(ended):
                    self.assertTrue(line.isprintable(), line)
        return len(ends)

    def test_numbers(self) -> None:
        """Whoever comes next does not begin with a number that nobody can count from."""
        for number in (0, 3, 6, 2**64 - 1, 2**63):
            self.scoreboard._cells[scoreboards._NEXT] = number
            self.assertEqual(self.scoreboard.next_number, 2)

    def test_end(self) -> None:
        """An end beyond the memory is the memory's."""
        self.scoreboard._cells[scoreboards._UNUSED] = 2**64 - 1
        self.scoreboard._end = scoreboards._HEAD_SIZE + 4 * scoreboards._SLOT
        self.assertEqual(self.crashed(), [])
