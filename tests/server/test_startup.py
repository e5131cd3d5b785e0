"""Tests of :mod:`dantetw.server.startup`."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.server.startup import PidLock
from tests.scenarios.running import DEADLINE, PYTHON, environment

SCRIPT = """
import contextlib, os, signal, sys, time
from twisted.logger import Logger, globalLogPublisher
from dantetw.server.startup import StartFailedError, Startup

startup = Startup("proxy", {"pidfile": "/run/x.pid", "rundir": "/gone"})
"""
NO_WORDS = "proxy: error: the server has ended before it could serve; its log may say why\n"


class StartupTests(SynchronousTestCase):
    """Each runs in a process of its own, whose hooks these are."""

    def run_script(self, text: str, *descriptors: int) -> tuple[int, str]:
        """Run a script behind the beginning; its exit status, and what was on standard error."""
        done = subprocess.run(
            [PYTHON, "-c", SCRIPT + text],
            capture_output=True,
            check=False,
            env=environment(),
            pass_fds=descriptors,
            text=True,
            timeout=DEADLINE,
        )
        self.assertEqual(done.stdout, "")
        return done.returncode, done.stderr

    def test_foreground(self) -> None:
        """An uncaught error is one line, with twistd's flag if it comes of one, and status 1."""
        missing = "No such file or directory"
        for text, words in (
            ("os.chdir('/gone')", f"twistd's --rundir /gone: {missing}"),
            ("os.chdir('/nor/that')", f"/nor/that: {missing}"),
            ("raise OSError(1, os.strerror(1))", "Operation not permitted"),
            (
                "raise PermissionError(13, os.strerror(13), '/run/x.pid')",
                "twistd's --pidfile /run/x.pid: Permission denied; with --pidfile= there is none",
            ),
            ("raise KeyError('a\\nb')", r"KeyError: 'a\nb'"),
            ("raise ValueError('a\\nb')", r"ValueError: a\nb"),
            ("raise KeyboardInterrupt", "interrupted"),
        ):
            with self.subTest(text):
                status, said = self.run_script(text)
                self.assertEqual(said, self.line(words))
                # Python itself dies of the signal after an interruption.
                self.assertIn(status, (1, -2))

    def line(self, words: str) -> str:
        """How a start that fails is reported."""
        return f"proxy: error: could not start: {words}\n"

    def test_failure(self) -> None:
        """A failure that the service reports is reported once, unless its log goes there too."""
        raising = "startup.fail('no port'); raise StartFailedError('no port')"
        self.assertEqual(self.run_script(raising), (1, "proxy: error: no port\n"))
        self.assertEqual(self.run_script(f"startup.logged_here = True; {raising}"), (1, ""))

    def test_exit(self) -> None:
        """Where twistd logs why it ends the process, that is reported; its greetings are not."""
        logging = "Logger(source=None, namespace='{}').info('{}')\n"
        greeting = logging.format("x.AppLogger", "starting up")
        reason = logging.format("log_legacy", "failed to set uid")
        status = self.run_script(greeting + "sys.exit(1)")
        self.assertEqual(status, (1, ""))
        status = self.run_script(greeting + reason + greeting + "sys.exit(1)")
        self.assertEqual(status, (1, self.line("failed to set uid")))

    def test_background(self) -> None:
        """The process that was started reports what the other says, whole, and ends with 1."""
        long = "x" * 3000
        text = f"""
if os.fork():
    os._exit(7)
os.setsid()
for number in range(3):
    os.dup2(os.open(os.devnull, os.O_RDWR), number)
startup.begin()
startup.logged_here = True
startup.fail("{long}")
raise StartFailedError("{long}")
"""
        self.assertEqual(self.run_script(text), (1, f"proxy: error: {long}\n"))
        text = text.replace("startup.fail", "os.chdir('/gone')#")
        words = "twistd's --rundir /gone: No such file or directory"
        self.assertEqual(self.run_script(text), (1, self.line(words)))

    def test_killed(self) -> None:
        """If the process in the background ends without a word it is not waited for."""
        for end in ("os.kill(os.getpid(), 9)", "os._exit(0)"):
            with self.subTest(end):
                status = self.run_script(f"if os.fork():\n    os._exit(7)\n{end}")
                self.assertEqual(status, (1, NO_WORDS))

    def test_interrupted(self) -> None:
        """The process that waits ends without a word when it is interrupted."""
        text = """
# Behind a shell's "&" it would be ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
waiting = os.getpid()
if not os.fork():
    os.setsid()
    # An exception in what Python itself calls after a fork would be reported.
    while os.path.exists("/proc/self") and open(f"/proc/{waiting}/stat").read().split()[2] != "S":
        time.sleep(0.01)
    while os.getppid() == waiting:
        os.kill(waiting, signal.SIGINT)
        time.sleep(2)
    os._exit(0)
"""
        self.assertEqual(self.run_script(text), (1, ""))

    def test_runs(self) -> None:
        """When the server runs, both go on, and its hooks are gone."""
        text = """
reading, writing = os.pipe()
if os.fork():
    assert os.read(reading, 1) == b"x"
    os._exit(7)
startup.begin()
startup.close()
startup.close()
assert sys.excepthook is sys.__excepthook__
os.write(writing, b"x")
"""
        self.assertEqual(self.run_script(text), (7, ""))

    def test_forks_of_the_server(self) -> None:
        """What the server itself forks is not waited for, nor what comes after the start."""
        text = """
startup.begin()
if not os.fork():
    os._exit(0)
startup.close()
if not os.fork():
    os._exit(0)
os._exit(7)
"""
        self.assertEqual(self.run_script(text), (7, ""))

    def test_inherited(self) -> None:
        """In the background inherited descriptors are closed, with their locks; else they stay."""
        path = Path(self.mktemp())
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = file.fileno()
            for fork, kept in (("os.fork() and os._exit(7)", False), ("", True)):
                with self.subTest(fork):
                    text = f"""
{fork}
startup.begin()
startup.close()
try:
    os.fstat({number})
except OSError:
    sys.exit()
os.write(2, b"there")
"""
                    status, said = self.run_script(text, number)
                    self.assertEqual((status, said), (0, "there") if kept else (7, ""))


class PidLockTests(SynchronousTestCase):
    """The lock on twistd's pid file."""

    def test_held(self) -> None:
        """It is held from the start on."""
        path = Path(self.mktemp())
        path.touch()
        lock = PidLock(str(path))
        lock.privilegedStartService()
        self.addCleanup(os.close, lock._descriptor)
        with path.open() as file:
            self.assertRaises(BlockingIOError, fcntl.flock, file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def test_none(self) -> None:
        """One that cannot be locked is no reason not to start."""
        PidLock(self.mktemp()).privilegedStartService()
