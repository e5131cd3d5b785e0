"""Tests of :mod:`dantetw.privileged.helper`, and of whoever asks it for what it does not do."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

from twisted.internet.task import Clock

from dantetw.auth import pamprocess
from dantetw.privileged import helper, peers, remote, requests
from dantetw.privileged.paths import Untrusted
from dantetw.privileged.peers import Bucket
from dantetw.privileged.remote import ByHelper, LostError, RefusedError
from dantetw.privileged.requests import HelperRequest, HelperTask
from tests.privileged.helping import PATIENCE, HelperCase


class RefusalTests(HelperCase):
    """What is not named in the configuration."""

    METHOD = "none"
    SETTINGS = ""

    def refused(self, what: Callable[[], object], why: str) -> None:
        """It is refused, and the helper reports it."""
        error = self.assertRaises(RefusedError, what)
        self.assertIn(why, error.strerror)
        self.assertEqual(self.reports, [f"{error.strerror} (process {os.getpid()})"])

    def test_log_refused(self) -> None:
        """No file becomes a log that is none."""
        for path in ("/etc/passwd", str(self.log), "", "\0", "../" * 9):
            self.reports.clear()
            self.refused(partial(self.rights.open_log, path), "is no log of the configuration")
        self.assertFalse(self.log.exists())

    def test_file_refused(self) -> None:
        """Nor is one read, or looked at, that is none of ours; an equal name counts, no other."""
        for path in ("/etc/shadow", f"{self.folder}/./users"):
            for do in (self.rights.open_file, self.rights.look):
                self.reports.clear()
                self.refused(partial(do, path), "is no file of the configuration")

    def test_bind_refused(self) -> None:
        """An address that is not in the configuration is not bound."""
        for address in (("127.0.0.1", 1), ("0.0.0.0", self.port), ("127.0.0.1", 1 << 70)):
            self.reports.clear()
            with socket.socket() as sock:
                self.refused(partial(self.rights.bind, sock, address), "is no address")
                self.assertEqual(sock.getsockname(), ("0.0.0.0", 0))

    def test_no_internet(self) -> None:
        """Sockets of other kinds, and descriptors that are none, are not bound at all."""
        order = HelperRequest(HelperTask.BIND, ("127.0.0.1", self.port, 0))
        channel = self.channel()
        with socket.socket(socket.AF_UNIX) as sock, open(os.devnull) as file:
            for descriptor in (sock.fileno(), file.fileno()):
                requests.send(channel, requests.pack_request(order), [descriptor])
                answer = requests.parse_answer(requests.receive(channel)[0])
                self.assertIsNot(answer.outcome, requests.HelperOutcome.DONE)

    def test_password_refused(self) -> None:
        """No password is checked where the configuration needs none of the system's."""
        self.refused(lambda: self.rights.check_password("root", b"x"), "none of the system's")
        self.assertEqual(self.passwords.asked, [])

    def test_pam_refused(self) -> None:
        """No process is started where PAM is not asked."""
        self.refused(self.rights.start_pam, "no method that asks PAM")

    def test_no_configuration(self) -> None:
        """The built-in configuration has no file."""
        self.patch(self.helper, "_reread", lambda opener: self.parsed)
        self.refused(lambda: self.rights.open_config("/etc/shadow"), "no configuration file")

    def test_own_mistake(self) -> None:
        """A mistake of ours refuses an order, and does not end the helper."""
        self.patch(helper, "_complain", lambda error: None)
        self.patch(self.helper._direct, "empty_pidfile", lambda: 1 // 0)
        self.refused(self.rights.empty_pidfile, "internal error: ZeroDivisionError")
        self.serve()

    def test_links(self) -> None:
        """A link that the server's user made is not followed."""
        self.patch(self.helper._direct, "_untrusted", Untrusted(os.getuid()))
        secret = self.folder / "secret"
        secret.write_text("secret\n")
        for path, do in (
            (self.users, partial(self.rights.open_file, str(self.users))),
            (self.users, partial(self.rights.look, str(self.users))),
            (self.config, partial(self.rights.open_config, "")),
            (self.pidfile, self.rights.empty_pidfile),
        ):
            path.unlink(missing_ok=True)
            path.symlink_to(secret)
            error = self.assertRaises(OSError, do)
            self.assertEqual(error.errno, errno.ELOOP)
        self.assertEqual(secret.read_text(), "secret\n")


class HostileTests(HelperCase):
    """Who talks nonsense."""

    def test_malformed(self) -> None:
        """Nonsense ends its channel, and nothing else."""
        for data in (b"\xff", b"[]", b"[" * 9999, b"x" * (requests.LARGEST + 1)):
            channel = self.channel()
            requests.send(channel, data, [channel.fileno()])
            self.assertEqual(requests.receive(channel), (b"", []))
        self.serve()

    def test_channel_by_a_channel(self) -> None:
        """There is no other way in than the door."""
        channel = self.channel()
        requests.send(
            channel, requests.pack_request(HelperRequest(HelperTask.CHANNEL)), [channel.fileno()]
        )
        answer = requests.parse_answer(requests.receive(channel)[0])
        self.assertIs(answer.outcome, requests.HelperOutcome.REFUSED)

    def test_door(self) -> None:
        """Nonsense by the door, nothing at all by it, and descriptors that are no sockets."""
        for data, descriptors in (
            (b"", []),
            (b"", [0]),
            (b"x" * (requests.LARGEST + 1), []),
            (requests.pack_request(HelperRequest(HelperTask.CHANNEL)), []),
            (requests.pack_request(HelperRequest(HelperTask.CHANNEL)), [0, 0]),
            (requests.pack_request(HelperRequest(HelperTask.EMPTY_PIDFILE)), []),
        ):
            with open(os.devnull) as file:
                requests.send(self.door, data, [file.fileno() for _ in descriptors])
        with open(os.devnull) as file:
            requests.send(
                self.door, requests.pack_request(HelperRequest(HelperTask.CHANNEL)), [file.fileno()]
            )
        self.serve()

    def test_too_many(self) -> None:
        """There are so many channels and no more; one that is closed makes room."""
        self.helper._places = threading.BoundedSemaphore(1)
        first = self.channel()
        second = self.channel()
        self.assertEqual(requests.receive(second), (b"", []))
        requests.send(
            first, requests.pack_request(HelperRequest(HelperTask.OPEN_LOG, ("/etc/passwd",)))
        )
        self.assertNotEqual(requests.receive(first)[0], b"")

    def test_nobody_hears(self) -> None:
        """Who goes away before the answer harms nobody."""
        for _ in range(5):
            channel = self.channel()
            requests.send(
                channel, requests.pack_request(HelperRequest(HelperTask.STAMP, (str(self.users),)))
            )
            channel.close()
        self.serve()

    def test_shut(self) -> None:
        """If one process shuts the door for all, those who are in are still served."""
        self.rights.look(str(self.users))
        self.door.shutdown(socket.SHUT_RDWR)
        self.serve()
        channel = self.remote._free.pop()
        self.assertRaises(LostError, self.rights.look, str(self.users))
        channel.close()


class ShareTests(HelperCase):
    """What a worker gets that an attacker has taken over."""

    def as_worker(self) -> ByHelper:
        """A worker that gives requests."""
        worker = ByHelper(self.open_door())
        self.addCleanup(worker.close)
        return worker

    def test_supervisors(self) -> None:
        """It neither empties the pid file, nor reads the configuration, nor binds to listen."""
        worker = self.as_worker()
        self.pidfile.write_text(f"{os.getpid()}\n")
        with socket.socket() as sock:
            for order in (
                worker.empty_pidfile,
                lambda: worker.open_config(str(self.config)),
                lambda: worker.bind(sock, ("127.0.0.1", self.port)),
            ):
                self.reports.clear()
                error = self.assertRaises(RefusedError, order)
                self.assertEqual(self.reports, [f"{error.strerror} (process {os.getpid()})"])
        self.assertNotEqual(self.pidfile.read_text(), "")
        self.assertEqual(worker.look(str(self.users)), self.rights.look(str(self.users)))

    def test_no_doors(self) -> None:
        """A worker makes no doors, each with a share; nor does a server that has no workers."""
        door = self.open_door()
        for by in (door, self.door):
            ours, theirs = requests.pair()
            self.addCleanup(ours.close)
            ours.settimeout(PATIENCE)
            with theirs:
                requests.send(
                    by, requests.pack_request(HelperRequest(HelperTask.DOOR)), [theirs.fileno()]
                )
            self.assertEqual(requests.receive(ours), (b"", []))
            # The same for the supervisor, now that there can be no further one.
            self.helper._doors = threading.BoundedSemaphore(1)
            self.helper._doors.acquire()
        self.assertEqual(len(self.reports), 1)
        self.serve()

    def test_door_closed(self) -> None:
        """A worker that shuts or closes its door harms no other."""
        first, second = self.as_worker(), self.as_worker()
        second.look(str(self.users))
        first._door.shutdown(socket.SHUT_RDWR)
        self.assertRaises(LostError, first.look, str(self.users))
        second._door.send(b"")
        second.look(str(self.users))
        self.as_worker().look(str(self.users))
        self.serve()

    def test_channels(self) -> None:
        """It has so many channels, and others' are left; closed ones do not count."""
        self.serve()
        door = self.open_door()
        channels = [self.channel(door) for _ in range(peers.MOST_CHANNELS + 1)]
        self.assertEqual(requests.receive(channels[-1]), (b"", []))
        self.assertIn("it has 16", self.reports[0])
        self.serve()

    def test_guessing(self) -> None:
        """After so many wrong passwords each has to wait, which is reported; right ones do not."""
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(seconds)

        clock = Clock()
        self.patch(helper.time, "sleep", sleep)
        self.helper._supervisor.wrong = Bucket(
            peers.WRONG_BURST, peers.WRONG_PER_SECOND, clock.seconds
        )
        for _ in range(peers.WRONG_BURST):
            self.rights.check_password("jo\udcff", b"jo\xff\0")
            self.rights.check_password("joe", b"x")
        self.assertEqual((pauses, self.reports), ([], []))
        for _ in range(5):
            self.rights.check_password("joe", b"x")
        self.assertAlmostEqual(sum(pauses), 5 / peers.WRONG_PER_SECOND, 3)
        self.assertIn("has had more than 200 wrong passwords checked", self.reports[0])

    def test_pam(self) -> None:
        """It has so many processes for PAM at a time, and so many within a while."""
        processes = []
        for _ in range(pamprocess.MOST_FOR_ONE):
            processes.append(self.rights.start_pam())
        error = self.assertRaises(OSError, self.rights.start_pam)
        self.assertEqual(error.errno, errno.EAGAIN)
        for process in processes:
            for descriptor in process.descriptors:
                os.close(descriptor)
        self.patch(peers, "PAM_BURST", 0)
        error = self.assertRaises(RefusedError, self.as_worker().start_pam)
        self.assertIn("too many within short time", error.strerror)

    def test_services(self) -> None:
        """PAM is asked about the services of the configuration only."""
        started: list[object] = []

        def start(asking: int, services: object) -> object:
            started.append(services)
            raise OSError

        self.patch(self.helper._direct._pam, "start", start)
        self.assertRaises(OSError, self.rights.start_pam)
        self.assertEqual(started, [frozenset(["sockd"])])

    def test_nonsense_is_reported(self) -> None:
        """Who sends what is no order is reported."""
        channel = self.channel()
        requests.send(channel, b"[]")
        self.assertEqual(requests.receive(channel), (b"", []))
        self.assertEqual(
            self.reports,
            [
                f"the privileged helper has closed a channel of process {os.getpid()}:"
                " no such request"
            ],
        )


class LostTests(HelperCase):
    """When the helper has ended."""

    def setUp(self) -> None:
        super().setUp()
        self.rights.look(str(self.users))
        channel, theirs = requests.pair()
        self.remote.close()
        self.remote._free.append(channel)
        theirs.close()

    def test_words(self) -> None:
        """What needs it fails, and says what to do."""
        error = self.assertRaises(LostError, self.rights.check_password, "joe", b"x")
        self.assertEqual(error.strerror, remote.LOST)
        self.assertEqual(error.errno, errno.EPERM)

    def test_ourselves(self) -> None:
        """What we may do ourselves we do."""
        self.door.shutdown(socket.SHUT_RDWR)
        self.patch(remote, "open_appending", lambda path: 7)
        self.patch(remote, "open_regular", lambda path, flags: 8)
        self.assertEqual(self.rights.open_log(str(self.log)), 7)
        self.assertEqual(self.rights.open_config(str(self.config), 0), 8)

    def test_late(self) -> None:
        """Who gets no answer in time does not wait on, and never takes it for the next one's."""
        self.remote.close()
        self.passwords.go_on.clear()
        self.patch(remote, "SLOW", 0.01)
        error = self.assertRaises(LostError, self.rights.check_password, "joe", b"x")
        self.assertEqual(error.strerror, remote.LATE)
        self.passwords.go_on.set()
        self.assertEqual(self.remote._free, [])
        self.serve()
