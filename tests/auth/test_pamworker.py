"""Tests for :mod:`dantetw.auth.pamworker`."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.auth.test_pam import fields

try:
    import pamela

    from dantetw.auth import pamworker
except (ImportError, OSError, AttributeError) as missing:
    raise SkipTest(f"no PAM: {missing}") from None

_LIBC = ctypes.CDLL(None)


def answers(
    styles: Sequence[int], name: bytes = b"joe", password: bytes = b"s\xffcret"
) -> list[Any]:
    """What a module gets that asks questions of these kinds, all at once."""
    converse = pamworker.conversation(name, password)
    messages = [pamela.PamMessage(style) for style in styles]
    asked = (ctypes.POINTER(pamela.PamMessage) * len(styles))(*map(ctypes.pointer, messages))
    replies = ctypes.POINTER(pamela.PamResponse)()
    status = converse(len(styles), asked, ctypes.pointer(replies), None)
    assert status == 0
    found = []
    for number in range(len(styles)):
        text = ctypes.cast(replies[number].resp, ctypes.c_char_p)
        found.append(text.value)
        _LIBC.free(text)
    _LIBC.free(replies)
    return found


class ConversationTests(SynchronousTestCase):
    """What modules hear."""

    def test_answers(self) -> None:
        """The password where nothing must be shown, the name elsewhere, nothing to mere news."""
        styles = (
            pamela.PAM_PROMPT_ECHO_OFF,
            pamela.PAM_TEXT_INFO,
            pamela.PAM_PROMPT_ECHO_ON,
            pamela.PAM_ERROR_MSG,
        )
        self.assertEqual(answers(styles), [b"s\xffcret", None, b"joe", None])


class AskTests(SynchronousTestCase):
    """Calls of the library, which is played by the test."""

    def setUp(self) -> None:
        """A library that says yes to everything."""
        self.calls: list[tuple[Any, ...]] = []
        self.statuses: dict[str, int] = {}
        self.patch(pamela, "pam_start", self.start)
        for name in ("PAM_SET_ITEM", "PAM_AUTHENTICATE", "PAM_ACCT_MGMT", "PAM_END"):
            self.patch(pamela, name, self.function(name))

    def start(self, service: bytes, user: bytes, conversation: Any) -> Any:
        """``pam_start``."""
        if "pam_start" in self.statuses:
            raise pamela.PAMError(errno=self.statuses["pam_start"])
        self.calls.append(("pam_start", service, user))
        return pamela.PamHandle()

    def function(self, name: str) -> Any:
        """Any other function."""

        def call(handle: Any, *arguments: Any) -> int:
            self.calls.append((name, *arguments))
            return self.statuses.get(name, 0)

        return call

    def ask(self, named: bool = True, name: bytes = b"joe") -> bytes:
        """Ask about a login."""
        return pamworker.ask(b"sockd", b"192.0.2.7", named, name, b"secret")

    def test_right(self) -> None:
        """Both the password and the account are asked about, on behalf of the client's address."""
        self.assertEqual(self.ask(), b"")
        names = [call[0] for call in self.calls]
        self.assertEqual(
            names,
            ["pam_start", *["PAM_SET_ITEM"] * 3, "PAM_AUTHENTICATE", "PAM_ACCT_MGMT", "PAM_END"],
        )
        self.assertEqual(self.calls[0], ("pam_start", b"sockd", b"joe"))
        self.assertIn(("PAM_SET_ITEM", pamela.PAM_RHOST, b"192.0.2.7"), self.calls)
        self.assertIn(("PAM_SET_ITEM", pamela.PAM_RUSER, b"rhostusr"), self.calls)

    def test_nameless(self) -> None:
        """Who gave no name is ``rhostusr``, as in Dante."""
        self.ask(named=False, name=b"")
        self.assertEqual(self.calls[0], ("pam_start", b"sockd", b"rhostusr"))

    def test_wrong(self) -> None:
        """The first function that refuses is told, in the library's words."""
        words = pamela.pam_strerror(pamela.PamHandle(), 7).encode()
        for name, what in (
            ("PAM_AUTHENTICATE", b"pam_authenticate"),
            ("PAM_ACCT_MGMT", b"pam_acct_mgmt"),
            ("PAM_SET_ITEM", b"pam_start"),
        ):
            self.calls.clear()
            self.statuses = {name: 7}
            self.assertEqual(self.ask(), what + b"\0" + words)
            self.assertEqual([self.calls[-2][0], self.calls[-1]], [name, ("PAM_END", 7)])

    def test_not_started(self) -> None:
        """Nothing is asked where the library cannot begin."""
        self.statuses = {"pam_start": 5}
        self.assertTrue(self.ask().startswith(b"pam_start\0"))
        self.assertEqual(self.calls, [])

    def test_nul(self) -> None:
        """A name or password with a NUL is wrong: the library would see a part of it only."""
        self.assertTrue(self.ask(name=b"ro\0ot").startswith(b"pam_authenticate\0"))
        self.assertEqual(self.calls, [])


class PaceTests(SynchronousTestCase):
    """How fast refusals come."""

    def test_pace(self) -> None:
        """So many at once, and then at a steady pace; who is let in does not count."""
        clock = Clock()
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(seconds)

        pace = pamworker.Pace(clock.seconds, sleep)
        for _ in range(pamworker.REFUSED_BURST):
            for _ in range(100):
                pace.wait()
            pace.refused()
        self.assertEqual(pauses, [])
        for _ in range(10):
            pace.wait()
            pace.refused()
        self.assertAlmostEqual(sum(pauses), 10 / pamworker.REFUSED_PER_SECOND, 3)


class ProgramTests(SynchronousTestCase):
    """The program as a process."""

    def run_program(self, data: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-P", str(pamworker.__file__), *arguments]
        return subprocess.run(
            command, input=data, capture_output=True, timeout=60, env=environment, check=False
        )

    def test_requests(self) -> None:
        """It answers each request, and ends with its input, were it in the midst of one."""
        # Refused before any module is asked.
        request = fields(b"sockd", b"192.0.2.7", b"1", b"jo\0e", b"secret")
        ran = self.run_program(request * 2 + request[:9])
        answer = fields(b"pam_authenticate\0Authentication failure")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, answer * 2, b""))

    def test_only(self) -> None:
        """It does not ask about services that it was not started for."""
        request = fields(b"su", b"192.0.2.7", b"1", b"joe", b"secret")
        ran = self.run_program(request, "--only", "sockd", "other")
        answer = fields(b"pam_start\0this service is not one of the configuration")
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (0, answer, b""))
