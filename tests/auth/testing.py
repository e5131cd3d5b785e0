"""Hashes, and what all authenticators must do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from dantetw.auth.verifying import is_refusal
from tests.held import ReportingClock, held

# The password "secret", by each method.
YESCRYPT = b"$y$j75$saltsaltsalt$jyf/lxrpdyAIshWRo1x5DRC6KIE7sNRRtjcomR3PgHA"
SHA512 = (
    b"$6$rounds=1000$saltsalt$LAV5VE5Y7w1d73x1mFNspYWUpazfmwv2SoepNXNKJ/"
    b"otop/Zok96Hr8Q13LEv0DRY/x8v0/crpIjl8NJSAqXV/"
)
SHA256 = b"$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"
MD5 = b"$1$saltsalt$9xy1btjgzLYfb7hivXtC//"
BCRYPT = b"$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
BCRYPT_HTPASSWD = BCRYPT.replace(b"$2b$", b"$2y$")


if TYPE_CHECKING:
    _Case = SynchronousTestCase
else:
    _Case = object  # so that the tests run only in those who mix them in


class AuthenticatorTestsMixin(_Case):
    """
    What every authenticator does.  A test case makes one with the users ``bob`` and ``eve``, both
    with the password ``secret``.
    """

    def make(self) -> IAuthenticator:
        """The authenticator."""
        raise NotImplementedError

    def setUp(self) -> None:
        """Make one whose threads the test drives."""
        self.clock = ReportingClock()
        self.threads, self.pool = held(self.clock, size=1, limit=1)
        self.users = self.make()

    def text_of(self, waited: Deferred[None]) -> str:
        """Why it was refused; empty if it was not."""
        self.pool.run_all()
        results: list[Any] = []
        waited.addBoth(results.append)
        if results == [None]:
            return ""
        (failure,) = results
        failure.trap(AuthenticationFailed)
        return str(failure.value)

    def test_interface(self) -> None:
        """It is an authenticator."""
        self.assertTrue(verifyObject(IAuthenticator, self.users))

    def test_right(self) -> None:
        """The right password is right, for each user."""
        for name in ("bob", "eve"):
            self.assertEqual(self.text_of(self.users.authenticate(name, b"secret")), "")

    def test_wrong(self) -> None:
        """A wrong password is refused in Dante's words."""
        for password in (b"Secret", b"", b"secret\x00", b"\x00secret", b"secre", b"x" * 255):
            self.assertEqual(
                self.text_of(self.users.authenticate("bob", password)),
                'system password authentication failed for user "bob"',
                password,
            )

    def test_unknown(self) -> None:
        """An unknown user is refused in Dante's words, whatever the name is made of."""
        for name, shown in (
            ("nosuchuser", "nosuchuser"),
            ("", ""),
            ("Bob", "Bob"),
            ("bob ", "bob "),
            ("bob\n", "bob\\n"),
            ("bob\x00", "bob\\0"),
            ("bob:x", "bob:x"),
            ("\udcff", "\\377"),
            ("\ud800", "\\\\ud800"),
            ("ev\x1b[1m", "ev\\033[1m"),
        ):
            self.assertEqual(
                self.text_of(self.users.authenticate(name, b"secret")),
                f'could not access user "{shown}"\'s records in the system password file: '
                "no system error",
            )

    def test_everybody_costs_a_hash(self) -> None:
        """Unknown users are refused after a thread has worked, as others are."""
        for name in ("bob", "nosuchuser"):
            waited = self.users.authenticate(name, b"wrong")
            self.assertNoResult(waited)
            self.assertEqual(len(self.pool.jobs), 1)
            self.assertNotEqual(self.text_of(waited), "")

    def test_too_many(self) -> None:
        """Who comes when too many wait is refused at once, and not for the password."""
        waited = [self.users.authenticate("bob", bytes([n])) for n in range(1, 3)]
        late = self.users.authenticate("bob", b"secret")
        failure = self.failureResultOf(late, AuthenticationFailed)
        self.assertEqual(str(failure.value), "too many logins are waiting to be checked")
        for each in waited:
            self.assertIn("failed", self.text_of(each))

    def test_guessing_leaves_room(self) -> None:
        """A client that guesses has neither all threads nor all places, and others go first."""
        self.threads, self.pool = held(self.clock, size=2, limit=8, fault=is_refusal)
        users = self.make()
        guesses = [users.authenticate("bob", b"%d" % n, "192.0.2.66") for n in range(20)]
        self.assertEqual(len(self.pool.jobs), 1)
        busy = [each for each in guesses if each.called]
        self.assertEqual(len(busy), 20 - 3)
        for each in busy:
            failure = self.failureResultOf(each, AuthenticationFailed)
            self.assertEqual(str(failure.value), "too many logins are waiting to be checked")
        self.pool.run()
        rightful = [users.authenticate("bob", b"secret", f"192.0.2.{n}") for n in range(1, 3)]
        self.assertEqual(len(self.pool.jobs), 2)
        self.pool.run(1)
        self.assertIsNone(self.successResultOf(rightful[0]))
        self.pool.run(1)
        self.assertIsNone(self.successResultOf(rightful[1]))
        self.pool.run_all()
        for each in guesses:
            if each not in busy:
                self.failureResultOf(each, AuthenticationFailed)

    def test_same_network(self) -> None:
        """The addresses of an IPv6 /64 are one client."""
        self.threads, self.pool = held(self.clock, size=2, limit=8, fault=is_refusal)
        users = self.make()
        for number in range(3):
            users.authenticate("bob", b"%d" % number, f"2001:db8::{number}").addErrback(id)
        self.assertEqual(len(self.pool.jobs), 1)

    def test_cancel(self) -> None:
        """A login can be given up, waiting or under way, and makes room for others."""
        waited = [self.users.authenticate("bob", bytes([n])) for n in range(1, 3)]
        for each in reversed(waited):
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.assertEqual(self.text_of(self.users.authenticate("bob", b"secret")), "")

    def test_revision(self) -> None:
        """As long as nothing changes, neither does the revision."""
        for name in ("bob", "nobody", "\ud800", ""):
            self.assertEqual(self.users.revision(name), self.users.revision(name))
