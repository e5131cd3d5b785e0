"""A privileged helper in a thread, and a system made for it."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dantetw.auth.pamprocess import PamProcesses
from dantetw.auth.privileges import Privileged
from dantetw.auth.shadow import PasswordVerdict
from dantetw.config import Parsed
from dantetw.privileged import remote, requests
from dantetw.privileged.direct import ByProcess
from dantetw.privileged.helper import Helper
from dantetw.privileged.paths import Untrusted
from dantetw.privileged.permitted import Permitted
from dantetw.privileged.remote import ByHelper
from dantetw.privileged.requests import HelperRequest, HelperTask
from dantetw.process.filewatch import look
from tests.privileged.policies import parsed, policy
from tests.quiet import quiet_port

#: Seconds after which a test gives up.
PATIENCE = 30


class Passwords:
    """Passwords of a system with one user, who is called as her password is."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def thd_check(self, name: str, password: bytes) -> PasswordVerdict:
        self.asked.append(password)
        assert self.go_on.wait(PATIENCE)
        if name != "jo\udcff":
            return PasswordVerdict.UNKNOWN
        return PasswordVerdict.RIGHT if password == b"jo\xff\0" else PasswordVerdict.WRONG


class RightsCase(SynchronousTestCase):
    """A folder, and somebody who does what takes privileges."""

    rights: Privileged

    def make_direct(self, untrusted: Untrusted | None = None) -> ByProcess:
        """Who does it here, with a folder and a system made for the test."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(0o700)
        self.log, self.users = self.folder / "log", self.folder / "users"
        self.config, self.pidfile = self.folder / "config", self.folder / "pidfile"
        self.port = quiet_port()
        self.users.write_text("joe:x\n")
        self.config.write_text("# configuration\n")
        direct = ByProcess(str(self.pidfile), None, untrusted)
        self.passwords = direct.__dict__["_passwords"] = Passwords()
        direct._pam = PamProcesses(["sh", "-c", "echo y >&2; exec cat"])
        self.addCleanup(direct.close)
        return direct


class HelperCase(RightsCase):
    """A helper in a thread, which everything is permitted that the tests do."""

    METHOD = "username pam.username"
    SETTINGS = "logoutput: {log}\n"

    def setUp(self) -> None:
        direct = self.make_direct(Untrusted(os.getuid() + 1))
        # The helper is asked also where we could do it ourselves.
        self.patch(remote, "open_regular", self.refuse)
        self.patch(remote, "open_appending", self.refuse)
        self.patch(remote, "look", self.refuse)
        self.door, self.theirs = requests.pair()
        self.doors: list[socket.socket] = []
        self.reports: list[str] = []
        self.parsed = self.configuration()
        permitted = Permitted.of(policy(*self.texts()))
        extra = Permitted(files=frozenset([str(self.users)]), looks=frozenset([str(self.users)]))
        self.helper = Helper(
            self.theirs,
            direct,
            permitted | extra,
            self.reread,
            True,
            self.reports.append,
        )
        self.thread = threading.Thread(target=self.helper.serve, daemon=True)
        self.thread.start()
        self.rights = self.remote = ByHelper(self.door)
        self.addCleanup(self.end)

    def end(self) -> None:
        """Let the helper end."""
        self.remote.close()
        self.door.close()
        for door in self.doors:
            door.close()
        self.thread.join(PATIENCE)
        self.assertFalse(self.thread.is_alive())
        self.theirs.close()

    def refuse(self, *_: object) -> int:
        """We may not."""
        raise PermissionError(errno.EACCES, "Permission denied")

    def texts(self) -> tuple[str, str, str]:
        """Settings, addresses and methods of the configuration."""
        addresses = f"internal: 127.0.0.1 port = {self.port}\nexternal: 127.0.0.1\n"
        return self.SETTINGS.format(log=self.log), addresses, self.METHOD

    def configuration(self) -> Parsed:
        """What the configuration comes to."""
        return parsed(*self.texts())

    def reread(self, opener: Callable[[str, int], int]) -> Parsed:
        """Read it again, as the server would."""
        try:
            with open(self.config, "rb", opener=opener) as file:
                file.read()
        except OSError:
            return Parsed(None, ())
        return self.parsed

    def serve(self) -> None:
        """The helper does its work."""
        self.assertEqual(self.rights.look(str(self.users)), look(str(self.users)))

    def open_door(self) -> socket.socket:
        """A worker's door."""
        ours, theirs = requests.pair()
        with theirs:
            requests.send(
                self.door, requests.pack_request(HelperRequest(HelperTask.DOOR)), [theirs.fileno()]
            )
        self.doors.append(ours)
        return ours

    def channel(self, door: socket.socket | None = None) -> socket.socket:
        """A channel to say anything by."""
        ours, theirs = requests.pair()
        with theirs:
            order = requests.pack_request(HelperRequest(HelperTask.CHANNEL))
            requests.send(door or self.door, order, [theirs.fileno()])
        self.addCleanup(ours.close)
        ours.settimeout(PATIENCE)
        return ours
