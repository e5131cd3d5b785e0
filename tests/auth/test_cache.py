"""Tests for :mod:`dantetw.auth.cache`."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from dantetw.auth.cache import CredentialsCache
from dantetw.auth.interfaces import AuthenticationFailed, IAuthenticator
from tests.held import ReportingClock


@implementer(IAuthenticator)
class HeldUsers:
    """An authenticator that answers when a test says so."""

    def __init__(self) -> None:
        self.revisions: dict[str, object] = {}
        self.checks: list[tuple[str, bytes, Deferred[None]]] = []

    def authenticate(self, name: str, password: bytes, client: str = "") -> Deferred[None]:
        """Wait to be told."""
        check: Deferred[None] = Deferred()
        self.checks.append((name, password, check))
        return check

    def revision(self, name: str) -> object:
        """What the test set."""
        return self.revisions.get(name)


class CredentialsCacheTests(SynchronousTestCase):
    """Tests for :class:`CredentialsCache`."""

    def setUp(self) -> None:
        """Make a cache of two entries before users that a test plays."""
        self.clock = ReportingClock()
        self.inner = HeldUsers()
        self.cache = CredentialsCache(self.inner, self.clock, seconds=60, entries=2)

    def login(self, name: str = "bob", password: bytes = b"secret") -> Deferred[None]:
        """Somebody logs in."""
        return self.cache.authenticate(name, password)

    def right(self, name: str = "bob", password: bytes = b"secret") -> None:
        """Somebody logs in, has to be checked, and is right."""
        before = len(self.inner.checks)
        waited = self.login(name, password)
        self.assertNoResult(waited)
        self.assertEqual(len(self.inner.checks), before + 1)
        self.inner.checks[-1][2].callback(None)
        self.successResultOf(waited)

    def remembered(self, name: str = "bob", password: bytes = b"secret") -> bool:
        """Whether somebody gets in without being checked."""
        before = len(self.inner.checks)
        waited = self.login(name, password)
        if len(self.inner.checks) == before:
            self.successResultOf(waited)
            return True
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
        return False

    def test_interface(self) -> None:
        """It is an authenticator, and its revisions are those of the one behind."""
        self.assertTrue(verifyObject(IAuthenticator, self.cache))
        self.inner.revisions["bob"] = "r1"
        self.assertEqual(self.cache.revision("bob"), "r1")

    def test_remembered_for_a_time(self) -> None:
        """A login that was right is right for sixty seconds, however often it comes."""
        self.right()
        for _ in range(59):
            self.clock.advance(1)
            self.assertTrue(self.remembered())
        self.clock.advance(1)
        self.assertFalse(self.remembered())

    def test_only_the_same(self) -> None:
        """Neither another password nor another name gets in, however they are put together."""
        self.right()
        for name, password in (
            ("bob", b"Secret"),
            ("bob", b"secret\x00"),
            ("eve", b"secret"),
            ("bobs", b"ecret"),
            ("bo", b"bsecret"),
            ("\ud800", b"secret"),
            ("", b"bobsecret"),
        ):
            self.assertFalse(self.remembered(name, password), (name, password))
        self.assertTrue(self.remembered())

    def test_wrong_is_not_remembered(self) -> None:
        """A wrong login is checked each time."""
        for _ in range(2):
            waited = self.login()
            self.inner.checks[-1][2].errback(AuthenticationFailed("no"))
            self.assertEqual(str(self.failureResultOf(waited, AuthenticationFailed).value), "no")
        self.assertEqual(len(self.inner.checks), 2)

    def test_revision(self) -> None:
        """A user who has changed is checked again."""
        self.right()
        self.inner.revisions["eve"] = "r1"
        self.assertTrue(self.remembered())
        self.inner.revisions["bob"] = "r1"
        self.assertFalse(self.remembered())

    def test_changed_meanwhile(self) -> None:
        """Who changes while being checked is checked again afterwards."""
        first = self.login()
        self.inner.revisions["bob"] = "r1"
        second = self.login()
        self.assertEqual(len(self.inner.checks), 2)
        self.inner.checks[0][2].callback(None)
        self.successResultOf(first)
        self.assertNoResult(second)
        self.inner.checks[1][2].errback(AuthenticationFailed("no"))
        self.failureResultOf(second, AuthenticationFailed)
        self.assertFalse(self.remembered())

    def test_bounded(self) -> None:
        """When there are too many, the least recently used is forgotten."""
        self.right("a")
        self.right("b")
        self.assertTrue(self.remembered("a"))
        self.right("c")
        self.assertTrue(self.remembered("a"))
        self.assertTrue(self.remembered("c"))
        self.assertFalse(self.remembered("b"))

    def test_together(self) -> None:
        """Equal logins that come at once are checked once, and all get the result."""
        waited = [self.login() for _ in range(5)]
        wrong = [self.login("eve") for _ in range(5)]
        self.assertEqual(len(self.inner.checks), 2)
        self.inner.checks[0][2].callback(None)
        self.inner.checks[1][2].errback(AuthenticationFailed("no"))
        for each in waited:
            self.assertIsNone(self.successResultOf(each))
        for each in wrong:
            self.failureResultOf(each, AuthenticationFailed)

    def test_cancel(self) -> None:
        """A check is given up when the last who waits for it gives up."""
        first, second = self.login(), self.login()
        check = self.inner.checks[0][2]
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertFalse(check.called)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertTrue(check.called)
        self.right()

    def test_forget(self) -> None:
        """What was to be forgotten is not remembered, nor what was under way."""
        self.right("a")
        waited = self.login("b")
        self.cache.forget()
        self.inner.checks[-1][2].callback(None)
        self.successResultOf(waited)
        self.assertFalse(self.remembered("a"))
        self.assertFalse(self.remembered("b"))

    def test_off(self) -> None:
        """With no seconds nothing is remembered."""
        self.cache = CredentialsCache(self.inner, self.clock, seconds=0)
        self.right()
        self.assertFalse(self.remembered())

    def test_no_password_inside(self) -> None:
        """What is remembered has neither name nor password in it."""
        self.right("somebody", b"a secret")
        memory = repr(vars(self.cache)["_right"])
        self.assertNotIn("somebody", memory)
        self.assertNotIn("a secret", memory)
        self.assertNotEqual(
            vars(self.cache)["_key"], vars(CredentialsCache(self.inner, self.clock))["_key"]
        )
