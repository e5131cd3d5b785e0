"""Tests of :mod:`dantetw.process.descriptors`."""

from __future__ import annotations

import os
import subprocess

from twisted.trial.unittest import SynchronousTestCase

from dantetw.process.descriptors import Inherited
from tests.scenarios.running import DEADLINE, PYTHON, environment


class MissingTests(SynchronousTestCase):
    """Standard descriptors that are closed at the start."""

    def test_opened(self) -> None:
        """They are opened on the null device, whichever are closed, and Python's streams too."""
        code = """
import os, sys
from dantetw.process.descriptors import open_missing
open_missing()
null = os.stat(os.devnull)
for number in range(3):
    there = os.fstat(number)
    assert number not in closed or there.st_rdev == null.st_rdev, number
    assert os.get_inheritable(number)
assert None not in (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__)
print("text")
sys.stdin.read()
sys.stderr.write("text\\n")
reading, _ = os.pipe()
os._exit(reading)
"""
        for closed in ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), ()):
            with self.subTest(str(closed)):
                shut = " ".join(f"{number}>&-" for number in closed)
                done = subprocess.run(
                    ["sh", "-c", f'"$0" -c "$1" {shut}', PYTHON, f"closed = {closed}\n{code}"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    env=environment(),
                    timeout=DEADLINE,
                )
                self.assertGreater(done.returncode, 2, done.stderr)
                said = b"" if 2 in closed else b"text\n"
                self.assertEqual(done.stderr, said)


class InheritedTests(SynchronousTestCase):
    """Descriptors that were left open for us."""

    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close what is left of the pipe."""
        for number in (self.reading, self.writing):
            try:
                os.close(number)
            except OSError:
                pass

    def is_open(self, number: int) -> bool:
        """Whether there is such a descriptor."""
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    def test_closed(self) -> None:
        """What is not close-on-exec has been inherited, and is closed; our own is not."""
        before = Inherited()
        os.set_inheritable(self.reading, True)
        inherited = Inherited()
        inherited._found = {
            number: mark for number, mark in inherited._found.items() if number not in before._found
        }
        inherited.close()
        self.assertEqual((self.is_open(self.reading), self.is_open(self.writing)), (False, True))

    def test_taken(self) -> None:
        """One that somebody has taken since, as a socket of systemd's, or replaced, stays."""
        for replace in (False, True):
            with self.subTest(replace):
                os.set_inheritable(self.reading, True)
                inherited = Inherited()
                inherited._found = {self.reading: inherited._found[self.reading]}
                if replace:
                    with open(os.devnull) as other:
                        os.dup2(other.fileno(), self.reading)
                else:
                    os.set_inheritable(self.reading, False)
                inherited.close()
                self.assertTrue(self.is_open(self.reading))
