"""Servers that root starts and that become somebody else, and users of the system for them."""

from __future__ import annotations

import pwd
import secrets
import socket
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest

from dantetw.privileged.helper import NAME
from tests.scenarios.running import Running, Scenario

NOBODY = "nobody"
DROP = f"user.privileged: root\nuser.unprivileged: {NOBODY}"


def status(pid: int, key: str) -> list[str]:
    """What a process is, in words (``proc(5)``)."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name == key:
                return rest.split()
    raise SkipTest(f"this kernel does not tell {key}")


def children(pid: int) -> list[int]:
    """A process's children, whichever of its threads has made them."""
    files = list(Path(f"/proc/{pid}/task").glob("*/children"))
    if not files:
        raise SkipTest("this kernel does not tell a process's children")
    return [int(word) for file in files for word in file.read_text().split()]


def helper_of(pid: int) -> int:
    """The privileged helper of a server."""
    (helper,) = (child for child in children(pid) if name_of(child) == NAME)
    return helper


def name_of(pid: int) -> str:
    """What a process calls itself."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; whoever inherited it may not have buried it yet."""
    try:
        return status(pid, "State")[0] == "Z"
    except OSError:
        return True


def effective(pid: int) -> tuple[int, int, int, list[int]]:
    """A process's real and effective user, effective group, and further groups (``proc(5)``)."""
    fields: dict[str, list[int]] = {}
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            key, _, rest = line.partition(":")
            if key in ("Uid", "Gid", "Groups"):
                fields[key] = [int(word) for word in rest.split()]
    return fields["Uid"][0], fields["Uid"][1], fields["Gid"][1], fields["Groups"]


class RootScenario(Scenario):
    """What scenarios share that only root can run."""

    def setUp(self) -> None:
        super().setUp()
        self.needs_root()
        try:
            self.nobody = pwd.getpwnam(NOBODY)
        except KeyError:
            raise SkipTest(f"this system has no user {NOBODY}") from None

    def log_in(self, server: Running, name: str, password: str, target: int) -> bytes:
        """What a client hears that logs in and asks for a connection."""
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            who, what = name.encode(), password.encode()
            client.sendall(b"\x05\x01\x02")
            login = b"\x01" + bytes([len(who)]) + who + bytes([len(what)]) + what
            client.sendall(login + b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target.to_bytes(2, "big"))
            heard = b""
            while len(heard) < 14:
                piece = client.recv(14)
                if not piece:
                    break
                heard += piece
            return heard

    def system_user(self) -> tuple[str, str]:
        """A user of the system and its password, removed after the test."""
        for name in ("useradd", "userdel", "chpasswd"):
            self.program(name)
        name, password = f"dtw{secrets.token_hex(4)}", secrets.token_hex(8)
        subprocess.run(["useradd", "-M", "-N", name], check=True, capture_output=True)
        self.addCleanup(subprocess.run, ["userdel", name], check=False, capture_output=True)
        given = f"{name}:{password}\n".encode()
        subprocess.run(["chpasswd"], input=given, check=True, capture_output=True)
        return name, password
