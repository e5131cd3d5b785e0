"""Tests for :mod:`dantetw.auth.pam`."""

from __future__ import annotations

import os
import select
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from dantetw.auth.interfaces import IProver, Visitor
from dantetw.auth.pam import IDLE, LAST_WORDS, LONGEST, PROCESSES, WAITING, Pam
from dantetw.auth.pamprocess import PamProcess
from dantetw.rules.authentication import AuthCheck, AuthResult
from dantetw.values import Endpoint, Family, Method
from dantetw.wire.messages import Credentials

CLIENT = Endpoint("192.0.2.7", 6193, Family.IPV4)
HERE = Endpoint("192.0.2.1", 23, Family.IPV4)
NAMED = AuthCheck(Method.PAM_USERNAME, "sockd", named=True)
NAMELESS = AuthCheck(Method.PAM_USERNAME, "sockd")


def client(number: int) -> Endpoint:
    """Another client each time."""
    return Endpoint(f"198.51.{number // 250}.{number % 250 + 1}", 6193, Family.IPV4)


def fields(*parts: bytes) -> bytes:
    """Fields as they go to a process and come back."""
    return b"".join(len(part).to_bytes(2, "big") + part for part in parts)


class Process:
    """A process that a test plays."""

    def __init__(self, leash: int) -> None:
        self.leash = leash
        self.protocols: list[Any] = []
        self.heard = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.heard += data

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.closed = True

    @property
    def killed(self) -> bool:
        """Whether its leash was let go."""
        return os.read(self.leash, 1) == b"" if select.select([self.leash], [], [], 0)[0] else False

    def hear(self, data: bytes) -> None:
        """Bytes of an answer."""
        self.protocols[0].dataReceived(data)

    def say(self, *parts: bytes) -> None:
        """Answer."""
        self.hear(fields(*parts))

    def hang_up(self, number: int) -> None:
        """End a conversation: 0, the answers; 1, the complaints."""
        self.protocols[number].connectionLost(Failure(error.ConnectionDone()))

    def end(self, complaint: bytes = b"") -> None:
        """End, with something on standard error that comes last."""
        self.hang_up(0)
        self.protocols[1].dataReceived(complaint)
        self.hang_up(1)


class Spawner(Clock):
    """
    A reactor, and processes that a test plays.

    :ivar refuse: processes cannot be started.
    """

    def __init__(self, case: SynchronousTestCase) -> None:
        super().__init__()
        self.case = case
        self.processes: list[Process] = []
        self.refuse = False

    def start(self) -> PamProcess:
        """Start one."""
        if self.refuse:
            raise OSError(11, "Resource temporarily unavailable")
        ours, theirs = os.pipe()
        self.case.addCleanup(os.close, ours)
        self.processes.append(Process(ours))
        return PamProcess(os.dup(ours), os.dup(ours), theirs)

    def adoptStreamConnection(  # noqa: N802 - Twisted's name
        self, descriptor: int, family: int, factory: Any
    ) -> None:
        os.fstat(descriptor)
        process = self.processes[-1]
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(process)
        process.protocols.append(protocol)


class PamTests(SynchronousTestCase):
    """Processes that ask PAM."""

    def setUp(self) -> None:
        """A prover without processes."""
        self.reactor = Spawner(self)
        self.pam = Pam(self.reactor, self.reactor.start)
        self.addCleanup(self.let_go)
        self.results: list[Any] = []
        self.told: list[str] = []
        globalLogPublisher.addObserver(self.tell)
        self.addCleanup(globalLogPublisher.removeObserver, self.tell)

    def let_go(self) -> None:
        """End the processes that are left."""
        for worker in tuple(self.pam._alive):
            worker._let_go()

    def tell(self, event: LogEvent) -> None:
        """Something was logged."""
        self.told.append(formatEvent(event))

    def ask(
        self, name: str = "joe", check: AuthCheck = NAMED, client: Endpoint = CLIENT
    ) -> Deferred[AuthResult]:
        """Ask about a login with the password ``secret``."""
        visitor = Visitor(client, HERE, Credentials(name, b"secret"))
        asked = self.pam.prove(check, visitor)
        asked.addBoth(self.results.append)
        return asked

    def test_interface(self) -> None:
        """It is a prover."""
        self.assertTrue(verifyObject(IProver, self.pam))

    def test_start(self) -> None:
        """No process before the first login; then one, whose descriptors the reactor has."""
        self.assertEqual(self.reactor.processes, [])
        self.ask()
        (process,) = self.reactor.processes
        self.assertEqual(len(process.protocols), 2)
        self.assertFalse(process.killed)

    def test_request(self) -> None:
        """The process is told who wants in, and from where."""
        self.ask("j\udcffe")
        (process,) = self.reactor.processes
        wanted = fields(b"sockd", b"192.0.2.7", b"1", b"j\xffe", b"secret")
        self.assertEqual(process.heard, wanted)

    def test_nameless(self) -> None:
        """What is asked about an address has no name and no password in it."""
        self.ask(check=NAMELESS)
        wanted = fields(b"sockd", b"192.0.2.7", b"", b"", b"")
        self.assertEqual(self.reactor.processes[0].heard, wanted)

    def test_answers(self) -> None:
        """Answers, whole or in pieces, are told in Dante's words, with names escaped."""
        no = 'pam_authenticate() for user "{}" failed: Authentication failure'
        for name, check, answer, refusal in (
            ("joe", NAMED, b"", ""),
            ("joe", NAMED, b"pam_authenticate\0Authentication failure", no.format("joe")),
            ("e\nf", NAMED, b"pam_authenticate\0Authentication failure", no.format("e\\nf")),
            (
                "joe",
                NAMELESS,
                b"pam_authenticate\0Authentication failure",
                no.format("<no user specified>"),
            ),
            ("joe", NAMED, b"pam_acct_mgmt\0Expired", "pam_acct_mgmt(): Expired"),
            ("joe", NAMED, b"pam_start\0Memory", "pam_start() failed: Memory"),
        ):
            for size in (1, 1000):
                self.results.clear()
                self.ask(name, check)
                data = fields(answer)
                for at in range(0, len(data), size):
                    self.assertEqual(self.results, [])
                    self.reactor.processes[-1].hear(data[at : at + size])
                self.assertEqual(self.results, [AuthResult(refusal=refusal)])
        self.assertEqual(len(self.reactor.processes), 1)

    def test_limits(self) -> None:
        """So many processes, so many logins that wait for one, and no more."""
        for number in range(PROCESSES + WAITING):
            self.ask(client=client(number))
        self.assertEqual((len(self.reactor.processes), self.results), (PROCESSES, []))
        self.ask(client=client(0))
        (refused,) = self.results
        self.assertEqual(refused.refusal, "too many logins are waiting to be checked")
        process = self.reactor.processes[0]
        process.heard = b""
        process.say(b"")
        self.assertEqual(self.results[1:], [AuthResult()])
        self.assertIn(b"secret", process.heard)

    def test_fair(self) -> None:
        """A client has half of the processes, and another's login is the next one checked."""
        for _ in range(10):
            self.ask("guessed")
        self.assertEqual(len(self.reactor.processes), PROCESSES // 2)
        for number in range(3):
            self.ask("other", client=client(number))
        self.assertEqual(len(self.reactor.processes), PROCESSES)
        process = self.reactor.processes[0]
        process.heard = b""
        process.say(b"pam_authenticate\0Authentication failure")
        self.assertIn(b"other", process.heard)

    def test_refusals_count(self) -> None:
        """A refusal leaves its client fewer places, an error of ours does not."""
        self.ask()
        self.reactor.processes[0].say(b"")
        self.assertEqual(self.pam._queue.faults(CLIENT.host), 0)
        self.ask()
        self.reactor.processes[0].say(b"pam_authenticate\0Authentication failure")
        self.assertEqual(self.pam._queue.faults(CLIENT.host), 1)

    def test_cancelled_while_waiting(self) -> None:
        """A login that nobody waits for any more is not begun."""
        for number in range(PROCESSES):
            self.ask(client=client(number))
        self.ask("gone").cancel()
        self.ask("next")
        process = self.reactor.processes[0]
        process.say(b"")
        self.assertIn(b"next", process.heard)
        self.assertNotIn(b"gone", process.heard)

    def test_cancelled_while_asked(self) -> None:
        """A process goes on with what nobody waits for, and its answer is nobody else's."""
        self.ask("gone").cancel()
        self.results.clear()
        process = self.reactor.processes[0]
        process.say(b"")
        self.ask("next")
        self.assertEqual((len(self.reactor.processes), self.results), (1, []))
        process.say(b"pam_acct_mgmt\0Expired")
        self.assertEqual(self.results, [AuthResult(refusal="pam_acct_mgmt(): Expired")])

    def test_hung(self) -> None:
        """A process that does not answer is killed; the login is refused, the next goes on."""
        self.ask()
        process = self.reactor.processes[0]
        self.reactor.advance(LONGEST - 1)
        self.assertFalse(process.killed)
        self.reactor.advance(1)
        self.assertTrue(process.killed)
        process.end()
        text = 'pam_authenticate() for user "joe" failed: System error'
        self.assertEqual(self.results, [AuthResult(refusal=text)])
        self.assertEqual(len(self.told), 1)
        self.ask()
        self.assertEqual(len(self.reactor.processes), 2)

    def test_crash(self) -> None:
        """A process that ends refuses its login, and makes room for one that waits."""
        for number in range(PROCESSES + 1):
            self.ask(f"joe{number}", client=client(number))
        self.reactor.processes[0].end(b"Segmentation fault\n")
        (refused,) = self.results
        self.assertIn('user "joe0" failed', refused.refusal)
        self.assertEqual(len(self.reactor.processes), PROCESSES + 1)
        self.assertIn(b"joe4", self.reactor.processes[-1].heard)
        (told,) = self.told
        self.assertIn("Segmentation fault\\n", told)

    def test_last_words(self) -> None:
        """Who has hung up is not waited for, though a program it started keeps the line."""
        self.ask()
        process = self.reactor.processes[0]
        process.hang_up(0)
        self.assertEqual(self.results, [])
        self.assertTrue(process.killed)
        self.reactor.advance(LAST_WORDS)
        self.assertEqual(len(self.results), 1)
        process.hang_up(1)
        self.assertEqual((len(self.results), self.pam._alive), (1, set()))

    def test_not_started(self) -> None:
        """If no process can be started, the login is refused, and the log says why."""
        self.reactor.refuse = True
        self.ask()
        text = "pam_start() failed: Resource temporarily unavailable"
        self.assertEqual(self.results, [AuthResult(refusal=text)])
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_idle(self) -> None:
        """A process without work is let go after a while, and not sooner for having had some."""
        self.ask()
        process = self.reactor.processes[0]
        process.say(b"")
        self.reactor.advance(IDLE - 1)
        self.ask()
        process.say(b"")
        self.reactor.advance(IDLE - 1)
        self.assertFalse(process.closed)
        self.reactor.advance(1)
        self.assertTrue(process.closed)
        self.ask()
        self.assertEqual(len(self.reactor.processes), 2)
        process.end()
        self.assertEqual(len(self.results), 2)

    def test_secret(self) -> None:
        """The password is not kept once a process has it, and stands in no ``repr``."""
        self.ask()
        (worker,) = self.pam._alive
        self.assertNotIn("secret", repr(vars(worker)))
        assert worker._job is not None
        self.assertEqual(worker._job.request, b"")
