"""Tests of :mod:`dantetw.crew.forking`."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from typing import Any, NoReturn

from twisted.trial.unittest import SynchronousTestCase

from dantetw.crew import forking
from dantetw.process.signals import STOPPING
from tests.descriptors import descriptors


class ForkTests(SynchronousTestCase):
    """A process that was forked."""

    def born(self, child: Any) -> dict[str, Any]:
        """What a child says before it ends."""

        def live(sock: socket.socket) -> NoReturn:
            sock.sendall(json.dumps(child(sock)).encode())
            os._exit(7)

        pid, ours = forking.fork(live)
        self.addCleanup(ours.close)
        heard = b""
        while piece := ours.recv(65536):
            heard += piece
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)
        said = json.loads(heard)
        assert isinstance(said, dict)
        return said

    def test_signals(self) -> None:
        """It does not receive the supervisor's signals, nor wakes it; SIGTERM waits."""
        heard: list[int] = []
        for number in (*forking.SUPERVISOR_SIGNALS, *STOPPING):
            before = signal.signal(number, lambda number, frame: heard.append(number))
            self.addCleanup(signal.signal, number, before)
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.set_blocking(write, False)
        self.addCleanup(signal.set_wakeup_fd, signal.set_wakeup_fd(write))

        def child(sock: socket.socket) -> dict[str, Any]:
            for number in (*forking.SUPERVISOR_SIGNALS, *STOPPING):
                os.kill(os.getpid(), number)
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            return {"heard": heard, "blocked": sorted(blocked), "wakes": signal.set_wakeup_fd(-1)}

        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        said = self.born(child)
        self.assertEqual(said, {"heard": [], "blocked": sorted(STOPPING), "wakes": -1})
        self.assertEqual(signal.pthread_sigmask(signal.SIG_BLOCK, ()), mask)

    def test_descriptors(self) -> None:
        """It keeps the descriptors it is told to, and the standard ones."""
        kept = os.open("/dev/null", os.O_RDONLY)
        self.addCleanup(os.close, kept)

        def child(sock: socket.socket) -> dict[str, Any]:
            high = os.dup2(0, 900)
            forking.keep_only((sock.fileno(), kept, high), None)
            there = [number for number in range(1000) if self.is_open(number)]
            return {"there": there, "sock": sock.fileno()}

        said = self.born(child)
        self.assertEqual(set(said["there"]) - {0, 1, 2}, {said["sock"], kept, 900})

    def test_garbage(self) -> None:
        """What is garbage there is collected, or left alone for good, before numbers are freed."""
        order: list[str] = []
        self.patch(forking.garbage, "leave_alone", lambda: order.append("garbage"))
        self.patch(forking, "close_all_but", lambda kept: order.append("close"))

        def child(sock: socket.socket) -> dict[str, Any]:
            forking.keep_only((), None)
            return {"order": order}

        self.assertEqual(self.born(child), {"order": ["garbage", "garbage", "close"]})

    def is_open(self, number: int) -> bool:
        """Whether there is such a descriptor."""
        try:
            os.fstat(number)
        except OSError:
            return False
        return True

    def test_never_back(self) -> None:
        """A child that fails ends, and does not go on as the supervisor."""

        def child(sock: socket.socket) -> NoReturn:
            os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
            raise SystemExit(0)

        pid, ours = forking.fork(child)
        self.addCleanup(ours.close)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), forking.UNABLE)

    def test_none(self) -> None:
        """If there can be no process nothing is left of it; a closed stdout keeps none away."""

        def none() -> int:
            raise OSError(errno.EAGAIN, "none")

        self.patch(os, "fork", none)
        self.patch(sys, "stdout", None)
        before = descriptors()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self.assertRaises(OSError, forking.fork, lambda sock: os._exit(0))
        self.assertEqual(descriptors() - before, set())
        self.assertEqual(signal.pthread_sigmask(signal.SIG_BLOCK, ()), mask)
