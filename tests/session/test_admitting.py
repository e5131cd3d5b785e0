"""Tests of a session's first stages: the client rules and the negotiation."""

from __future__ import annotations

import errno
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from dantetw.escaping import escape
from dantetw.net.poller import FAILED
from dantetw.observe.events import Accepted, Ended
from dantetw.session import session as session_module
from dantetw.session.delayedclose import FAILED_LOGIN_DELAY_SECONDS
from dantetw.session.session import Session
from dantetw.values import (
    Cause,
    Command,
    Ending,
    Endpoint,
    Family,
    Method,
    Operation,
    Phase,
    Side,
    User,
)
from dantetw.wire import socks4, userpass
from tests.session.world import (
    CLIENT,
    GREETING,
    LOG,
    LOGIN,
    LOGINS,
    OPEN,
    RULES,
    TARGET,
    World,
    request,
)
from tests.wire.dialogues import BOTH, DIALOGUES, USERNAME, Dialogue

ARRIVED = "pass(1): tcp/accept [: 10.0.0.9.50000 127.0.0.1.1080"
LEFT = "block(1): tcp/accept ]: 10.0.0.9.50000 127.0.0.1.1080"

SOME = f"""
socksmethod: none
client block {{ from: 10.0.0.0/8 to: 0/0 log: connect error }}
client block {{ from: .example.org to: 0/0 {LOG} }}
client pass {{ from: 192.168.0.0/16 to: 0/0 {LOG} }}
client pass {{ from: ::/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 {LOG} }}
"""
STRANGER = Endpoint("172.16.0.1", 1, Family.IPV4)
FRIEND = Endpoint("192.168.1.1", 1, Family.IPV4)
SIX = Endpoint("2001:db8::1", 1, Family.IPV6)


def silent_about(text: str) -> str:
    """The same rules without ``log``."""
    return text.replace(LOG, "")


class ClientRuleTests(SynchronousTestCase):
    """Who may talk to us at all."""

    def test_passed(self) -> None:
        """A client that a rule passes is told of with ``log: connect``, and hears nothing yet."""
        world = World(self)
        client = world.client()
        (event,) = world.events
        assert isinstance(event, Accepted)
        self.assertEqual((event.session, event.rule.number), (1, 1))
        self.assertEqual(world.lines(), [ARRIVED])
        self.assertEqual((client.hear(), client.closed), (b"", False))

    def test_blocked(self) -> None:
        """A client that a rule blocks is closed without a byte."""
        world = World(self, SOME)
        client = world.client(GREETING)
        self.assertEqual((client.hear(), client.closed), (b"", True))
        self.assertEqual(world.ending, Ending(Side.RULE, Phase.ACCEPT, Cause.BLOCKED))
        self.assertEqual(world.lines(), [LEFT])
        world.check_over()

    def test_blocked_by_none(self) -> None:
        """Without a rule that matches it is the built-in one, which says nothing."""
        world = World(
            self,
            "socksmethod: none\nclient pass { from: 10.1.0.0/16 to: 0/0 }\n"
            "socks pass { from: 0/0 to: 0/0 }",
        )
        client = world.client()
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(world.events, [])
        world.check_over()

    def test_blocked_by_none_with_debug(self) -> None:
        """With ``debug`` the built-in rule is told of."""
        world = World(self, f"debug: 1\n{SOME}")
        world.client(peer=STRANGER)
        world.look_up()
        self.assertEqual(
            world.lines()[-1],
            "block(0): tcp/accept ]: 172.16.0.1.1 127.0.0.1.1080: no rules matched; using default"
            " block rule",
        )

    def test_blocked_by_none_with_log(self) -> None:
        """With ``log.unmatched`` so are clients and requests that no rule matches."""
        unmatched = "no rules matched; using default block rule"
        world = World(self, f"log.unmatched: connect\n{SOME}")
        world.client(peer=STRANGER)
        world.look_up()
        self.assertEqual(
            world.lines(), [f"block(0): tcp/accept ]: 172.16.0.1.1 127.0.0.1.1080: {unmatched}"]
        )
        rules = "client pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 10.0.0.0/8 }"
        for words, logged in (("connect", True), ("disconnect", True), ("error", False)):
            world = World(self, f"log.unmatched: {words}\nsocksmethod: none\n{rules}")
            client = world.client(GREETING + request())
            world.look_up()
            self.assertEqual(client.hear()[:4], b"\x05\x00\x05\x02")
            line = (
                f"block(0): tcp/connect ]: {CLIENT} 127.0.0.1.1080 -> 0.0.0.0.0 {TARGET}:"
                f" {unmatched}"
            )
            self.assertEqual(world.lines(), [line] if logged else [], words)

    def test_name_awaited(self) -> None:
        """A client's bytes wait until the name its rule asks for is known; then they count."""
        world = World(self, SOME)
        client = world.client(GREETING + request(), peer=FRIEND)
        self.assertEqual((world.events, client.hear()), ([], b""))
        world.look_up()
        self.assertEqual(len(world.dials), 1)
        self.assertEqual(client.hear(), b"\x05\x00")

    def test_name_fits(self) -> None:
        """A client whose address has a blocked name is closed."""
        world = World(self, SOME)
        world.hosts["bad.example.org"] = [FRIEND.host]
        world.hosts["bad.example.org"].append(FRIEND.host)
        client = world.client(peer=FRIEND)
        world.look_up()
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(world.ended[0].client_rule.number, 2)
        world.check_over()

    def test_gone_meanwhile(self) -> None:
        """A client that leaves while its name is looked up ends as one that said nothing."""
        world = World(self, SOME)
        world.client(peer=FRIEND).close()
        world.look_up()
        self.assertEqual(
            [type(event) for event in world.events if not isinstance(event, Accepted)], [Ended]
        )
        world.check_over()

    def test_name_never_known(self) -> None:
        """A look-up that takes for ever costs the client its session, by the negotiation limit."""
        world = World(self, f"timeout.negotiate: 5\ndebug: 1\n{SOME}")
        client = world.client(peer=FRIEND)
        world.wait(5)
        self.assertEqual(len(world.sessions), 1)
        world.wait(1)
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.ACCEPT, Cause.TIMEOUT))
        world.look_up()
        world.check_over()

    def test_unlogged(self) -> None:
        """A session under rules without ``log`` leaves no event at all."""
        world = World(self, silent_about(OPEN))
        client, dial = world.connected()
        client.close()
        dial.far.close()
        world.settle()
        self.assertEqual(world.events, [])
        world.check_over()


class NegotiationTests(SynchronousTestCase):
    """What clients say before they ask for something."""

    def converse(self, dialogue: Dialogue, pieces: list[bytes]) -> None:
        """Hold a dialogue of :mod:`tests.wire.dialogues` with a whole server."""
        text = {USERNAME: LOGINS, BOTH: f"socksmethod: none username\n{RULES}"}
        world = World(self, text.get(dialogue.methods, OPEN), commands={})
        client = world.client(*pieces)
        if world.doorkeeper.asked:
            world.doorkeeper.answer(dialogue.good)
            world.settle()
            world.wait(FAILED_LOGIN_DELAY_SECONDS)
        outcome = dialogue.outcome
        if outcome.credentials is not None:
            asked = [(name, password) for name, password, _ in world.doorkeeper.asked]
            wanted = (outcome.credentials.name, outcome.credentials.password)
            self.assertEqual(asked, [wanted])
        if outcome.request is not None:
            # There are no commands here, so a request that passes is a request refused.
            world.look_up()
            self.assertEqual(len(world.ended), 1, world.events)
            self.assertTrue(client.hear().startswith(outcome.sent))
            self.assertIs(world.ended[0].command, outcome.request.command)
        elif outcome.error is not None:
            text_, reply, cause = outcome.error
            self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.NEGOTIATE, cause, text=text_))
            self.assertEqual(client.hear(), outcome.sent + reply)
            self.assertEqual(world.ended[0].read, outcome.read)
        elif outcome.credentials is not None:
            self.assertIs(world.ending.cause, Cause.CREDENTIALS)
            self.assertEqual(client.hear(), outcome.sent)
            self.assertEqual(world.ended[0].read, outcome.read)
        else:
            self.assertEqual(client.hear(), outcome.sent)
            self.assertFalse(client.closed)
            client.close()
            text_ = "eof from local client"
            self.assertEqual(
                world.ending, Ending(Side.CLIENT, Phase.NEGOTIATE, Cause.CLOSED, text=text_)
            )
            self.assertEqual(world.ended[0].read, outcome.read)
        client.hear()
        self.assertTrue(client.closed or client.sock.fileno() < 0)
        world.check_over()

    def test_whole(self) -> None:
        """Each dialogue comes to its end when all of it arrives at once."""
        for dialogue in DIALOGUES:
            with self.subTest(dialogue.name):
                self.converse(dialogue, [dialogue.data])

    def test_byte_by_byte(self) -> None:
        """Each dialogue comes to the same end when each byte arrives alone."""
        for dialogue in DIALOGUES:
            if len(dialogue.data) < 600:
                with self.subTest(dialogue.name):
                    self.converse(dialogue, [bytes([byte]) for byte in dialogue.data])

    @given(st.data())
    def test_split_anywhere(self, data: Any) -> None:
        """Each dialogue comes to the same end however its bytes are split."""
        dialogue = data.draw(st.sampled_from(DIALOGUES))
        bytes_ = dialogue.data
        cuts = sorted(data.draw(st.lists(st.integers(0, len(bytes_)), max_size=5)))
        edges = [0, *cuts, len(bytes_)]
        self.converse(
            dialogue,
            [bytes_[a:b] for a, b in pairwise(edges) if a < b],
        )

    def test_line(self) -> None:
        """What went wrong is told in Dante's line, with the bytes read and the seconds it took."""
        world = World(self)
        client = world.client(b"\x05")
        world.wait(3)
        client.send(b"\x01\x01")
        self.assertEqual(
            world.lines()[1:],
            [
                f"{LEFT}: error after reading 3 bytes in 3 seconds: client offered no acceptable"
                " authentication method"
            ],
        )

    def test_reset(self) -> None:
        """A client that resets the connection is an error, with the system's words for it."""
        world = World(self)
        client = world.client(GREETING)
        # Closing with bytes unread is a reset, with local sockets as with TCP.
        client.close()
        self.assertEqual(
            world.ending,
            Ending(
                Side.CLIENT,
                Phase.NEGOTIATE,
                Cause.ERROR,
                errno.ECONNRESET,
                "Connection reset by peer",
                Operation.RECEIVE,
            ),
        )
        self.assertEqual(world.ended[0].read, 3)
        world.check_over()


class LoginTests(SynchronousTestCase):
    """User names and passwords."""

    def test_right(self) -> None:
        """A right password lets the request be heard, and the user stands in the log."""
        world = World(self, LOGINS)
        client = world.client(LOGIN)
        self.assertEqual(client.hear(), b"\x05\x02")
        world.doorkeeper.answer(True)
        world.settle()
        self.assertEqual(client.hear(), b"\x05\x02\x01\x00")
        client.send(request())
        world.dials[0].decide()
        world.settle()
        self.assertEqual(
            world.lines()[1],
            "pass(1): tcp/connect [: username%joe@10.0.0.9.50000 127.0.0.1.1080 ->"
            " 192.0.2.1.40000 198.51.100.7.80",
        )
        client.close()
        world.dials[0].far.close()
        world.settle()
        self.assertEqual(world.ended[0].path.user, User(Method.USERNAME, "joe"))
        world.check_over()

    def test_reload(self) -> None:
        """A login that began before a reload is checked as the policy of then says."""
        world = World(self, LOGINS)
        client = world.client(LOGIN[:3])
        world.factory.adopt(world.factory.policy, {})
        client.send(LOGIN[3:])
        self.assertEqual([name for name, *_ in world.doorkeeper.asked], ["joe"])
        world.doorkeeper.answer(True)
        world.settle()
        self.assertEqual(client.hear(), b"\x05\x02\x01\x00")

    def test_tcpinfo(self) -> None:
        """With ``log: tcpinfo`` a refused login is told with the client's connection."""
        self.patch(session_module, "read", lambda sock: b"info")
        world = World(self, LOGINS.replace("error", "error tcpinfo"))
        world.client(LOGIN)
        world.doorkeeper.answer(False)
        world.settle()
        self.assertEqual(world.ended[0].tcpinfo, (b"info", b""))

    def test_reset_while_checked(self) -> None:
        """A client that resets its connection while its password is checked is let go at once."""
        world = World(self, LOGINS)
        client = world.client(LOGIN)
        (session,) = world.sessions
        assert session.transport is not None
        session.transport._ready(FAILED)
        self.assertEqual(world.sessions, set())
        self.assertEqual(world.ended[0].ending.phase, Phase.AUTHENTICATE)
        client.close()
        world.check_over()

    def test_wrong(self) -> None:
        """A wrong one is told at once, but the client has to wait for its answer."""
        world = World(self, LOGINS)
        client = world.client(LOGIN + request())
        world.doorkeeper.answer(False)
        world.settle()
        self.assertEqual(
            world.lines()[1],
            f"{LEFT}: error after reading {len(LOGIN)} bytes in 0 seconds: system password"
            ' authentication failed for user "joe"',
        )
        self.assertEqual(world.sessions, set())
        world.wait(FAILED_LOGIN_DELAY_SECONDS - 0.5)
        self.assertEqual((client.hear(), client.closed), (b"\x05\x02", False))
        world.wait(0.5)
        self.assertEqual((client.hear(), client.closed), (b"\x05\x02\x01\x01", True))
        world.check_over()

    def test_wrong_after_a_while(self) -> None:
        """How long the check took cannot be seen from the answer: it comes at a fixed time."""
        for took, answered in (
            (0.0, FAILED_LOGIN_DELAY_SECONDS),
            (0.25, FAILED_LOGIN_DELAY_SECONDS),
            (1.5, FAILED_LOGIN_DELAY_SECONDS),
            (FAILED_LOGIN_DELAY_SECONDS, FAILED_LOGIN_DELAY_SECONDS),
            (2.25, 2 * FAILED_LOGIN_DELAY_SECONDS),
            (3.5, 2 * FAILED_LOGIN_DELAY_SECONDS),
        ):
            world = World(self, LOGINS)
            client = world.client(LOGIN)
            world.wait(took) if took else None
            world.doorkeeper.answer(False)
            world.settle()
            if took < answered:
                world.wait(answered - took - 0.125)
                self.assertEqual((client.hear(), client.closed), (b"\x05\x02", False))
            world.wait(0.125)
            self.assertEqual((client.hear(), client.closed), (b"\x05\x02\x01\x01", True))
            world.check_over()

    def test_client_is_named(self) -> None:
        """What checks passwords is told which client wants it."""
        world = World(self, LOGINS)
        world.client(LOGIN)
        self.assertEqual(world.doorkeeper.clients, [CLIENT.host])

    def test_gone_in_penalty(self) -> None:
        """A client that leaves or goes on sending while it is punished changes nothing."""
        for more in (b"", b"x" * 5000):
            with self.subTest(len(more)):
                world = World(self, LOGINS)
                client = world.client(LOGIN)
                world.doorkeeper.answer(False)
                world.settle()
                client.send(more)
                client.close()
                world.wait(FAILED_LOGIN_DELAY_SECONDS)
                self.assertEqual(len(world.ended), 1)
                world.check_over()

    def test_stop_in_penalty(self) -> None:
        """A client that is being punished does not hold up the server's stop."""
        world = World(self, LOGINS)
        client = world.client(LOGIN)
        world.doorkeeper.answer(False)
        world.factory.stop()
        client.hear()
        self.assertTrue(client.closed)
        world.wait(FAILED_LOGIN_DELAY_SECONDS)
        self.assertEqual(len(world.ended), 1)
        world.check_over()

    def test_slow(self) -> None:
        """A check that takes longer than ``timeout.negotiate`` is given up."""
        world = World(self, f"timeout.negotiate: 3\n{LOGINS}")
        client = world.client(LOGIN)
        world.wait(4)
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(world.ending, Ending(Side.CLIENT, Phase.AUTHENTICATE, Cause.TIMEOUT))
        self.assertEqual(world.doorkeeper.cancelled, 1)
        self.assertEqual(world.lines()[1:], [f"{LEFT}: negotiate timeout after 4 seconds"])
        world.check_over()

    def test_ahead(self) -> None:
        """What a client sends ahead of the answer stays in the kernel, and is not lost."""
        world = World(self, LOGINS)
        client = world.client(LOGIN)
        client.send(request(), b"hello ", b"world")
        world.doorkeeper.answer(True)
        world.settle()
        world.dials[0].decide()
        world.settle()
        self.assertEqual(world.dials[0].far.recv(100), b"hello world")

    def test_broken(self) -> None:
        """A mistake of ours while a password is checked refuses this login, not the server."""
        world = World(self, LOGINS)
        world.client(LOGIN)
        world.doorkeeper.asked[0][2].errback(RuntimeError("never to be seen"))
        world.wait(FAILED_LOGIN_DELAY_SECONDS)
        self.assertEqual(
            world.ending,
            Ending(Side.CLIENT, Phase.AUTHENTICATE, Cause.CREDENTIALS, text="internal error"),
        )
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        world.check_over()

    def test_hostile_name(self) -> None:
        """Whatever a user name is made of, the log has one printable line for it."""
        world = World(self, LOGINS)
        name = b"joe\n\x1b[2J\xff"
        world.client(b"\x05\x01\x02" + userpass.build_login(name, b"x"))
        world.doorkeeper.answer(False)
        self.assertIn(f'for user "{escape(name)}"', world.lines()[1])
        self.assertTrue(world.lines()[1].isprintable())

    def test_socks4(self) -> None:
        """SOCKS 4 has no login, so it is no way around one."""
        world = World(self, LOGINS)
        client = world.client(socks4.build_request(Command.CONNECT, TARGET, b"joe"))
        self.assertEqual(client.hear()[:2], b"\x00\x5b")
        self.assertEqual(world.dials, [])
        self.assertEqual(
            world.lines()[1:],
            [
                f"{LEFT}: blocked by higher-level socks-rule #0: no rules matched; using default"
                " block rule"
            ],
        )
        world.check_over()


class BrokenTests(SynchronousTestCase):
    """Mistakes of ours cost one session."""

    def test_end(self) -> None:
        """One in recording a session's end leaves nothing of it open."""

        def end_event(*_: object) -> None:
            raise RuntimeError("never to be seen")

        world = World(self)
        client, dial = world.connected()
        self.patch(Session, "_end_event", end_event)
        (session,) = world.sessions
        ending = Ending(Side.CLIENT, Phase.RELAY, Cause.CLOSED)
        self.assertRaises(RuntimeError, session.end, ending)
        self.assertEqual(world.sessions, set())
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(dial.far.recv(1), b"")

    def test_admission(self) -> None:
        """One behind a look-up for a client rule closes the client, which is not served."""
        rules = "client pass { from: pc.example.org to: 0/0 }\nclient pass { from: 0/0 to: 0/0 }\n"
        world = World(self, f"socksmethod: none\n{rules}socks pass {{ from: 0/0 to: 0/0 }}\n")
        world.factory.resolver.resolve = (  # type: ignore[method-assign]
            lambda *_, **__: fail(RuntimeError("never to be seen"))
        )
        client = world.client(GREETING)
        client.hear()
        self.assertTrue(client.closed)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        world.check_over()
