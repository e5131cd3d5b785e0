"""
One server and its clients, in namespaces of their own: run by :mod:`.running`, not by hand.

::

    python -m tests.differential.inside FOLDER PATIENCE COMMAND...

``PATIENCE`` is how many seconds to wait for what may come or not.  ``FOLDER`` has ``plan.json``,
the requests; ``result.json`` is written there.  The command is a server's that stays in the
foreground and logs to ``FOLDER/log``.
"""

from __future__ import annotations

import json
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.differential.requests import ASSOCIATE, BIND, PEER_BASE, TCP_BASE, Asking
from tests.differential.world import ASIDE, CHOSEN, PORT, PORTS, STRAY, TARGETS

#: Seconds for what must come, and between two looks.
DEADLINE, LOOK = 30.0, 0.002


@dataclass(slots=True)
class Seen:
    """
    What a client saw.

    :ivar replies: of the server, in hexadecimal, with bound addresses; how the connection ended.
    :ivar bound: of a granted BIND or association.
    :ivar answers: for each datagram, what came back: from where, and the text.
    """

    number: int
    replies: list[str] = field(default_factory=list)
    bound: str = ""
    answers: list[list[str]] = field(default_factory=list)


class Targets(threading.Thread):
    """Take connections, and send datagrams back."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        for host in TARGETS:
            family = _family(host)
            aside = socket.socket(family, socket.SOCK_DGRAM)
            aside.bind((host, ASIDE))
            for port in PORTS:
                listening = socket.create_server((host, port), family=family, backlog=100)
                self._selector.register(listening, selectors.EVENT_READ, None)
            for port in (*PORTS, STRAY):
                echo = socket.socket(family, socket.SOCK_DGRAM)
                echo.bind((host, port))
                self._selector.register(echo, selectors.EVENT_READ, (port, aside))

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock: Any = key.fileobj
                if key.data is None:
                    accepted, _address = sock.accept()
                    self._selector.register(accepted, selectors.EVENT_READ, "peer")
                elif key.data == "peer":
                    try:
                        data = sock.recv(4096)
                        sock.sendall(data)
                    except OSError:
                        data = b""
                    if not data:
                        self._selector.unregister(sock)
                        sock.close()
                else:
                    port, aside = key.data
                    data, sender = sock.recvfrom(4096)
                    sock.sendto(data, sender)
                    if port == STRAY:
                        aside.sendto(b"stray " + data, sender)


class Log:
    """A log file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.text = ""

    def look(self) -> str:
        """All there is by now."""
        if self._path.exists():
            with self._path.open() as file:
                file.seek(len(self.text))
                self.text += file.read()
        return self.text

    def wait_for(self, start: int, parts: tuple[str, ...], seconds: float) -> bool:
        """Wait for a line that has all ``parts``, from offset ``start`` on."""
        end = time.monotonic() + seconds
        while True:
            for line in self.look()[start:].splitlines():
                if all(part in line for part in parts):
                    return True
            if time.monotonic() > end:
                return False
            time.sleep(LOOK)


class Client:
    """One request."""

    def __init__(self, asking: Asking, log: Log, patience: float) -> None:
        self.asking = asking
        self.patience = patience
        self.log = log
        self.seen = Seen(asking.number)

    def run(self) -> Seen:
        """Do all of it."""
        asking, start = self.asking, len(self.log.look())
        port = TCP_BASE + asking.number
        with socket.socket(_family(asking.client), socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.settimeout(DEADLINE)
            sock.bind((asking.client, port))
            try:
                sock.connect((asking.local, PORT))
                self._ask(sock)
            except EOFError:
                self.seen.replies.append("eof")
            except OSError as failed:
                self.seen.replies.append(type(failed).__name__)
        self.log.wait_for(start, ("tcp/accept ]: ", f"{asking.client}.{port} "), self.patience / 2)
        return self.seen

    def _ask(self, sock: socket.socket) -> None:
        asking = self.asking
        if asking.version == 4:
            sock.sendall(
                struct.pack("!BBH", 4, asking.command, asking.port)
                + socket.inet_aton(asking.host)
                + asking.user_id.encode()
                + b"\0"
            )
            code, host, port = self._reply_4(sock)
            granted = code == 90
        else:
            sock.sendall(bytes((5, len(asking.methods), *asking.methods)))
            chosen = _read(sock, 2)
            self.seen.replies.append(f"method {chosen[1]}")
            if chosen[1] == 255:
                _read(sock, 1)
            if chosen[1] == 2:
                user, password = asking.user.encode(), asking.password.encode()
                sock.sendall(
                    b"\x01" + bytes((len(user),)) + user + bytes((len(password),)) + password
                )
                status = _read(sock, 2)
                self.seen.replies.append(f"login {status[1]}")
                if status[1]:
                    _read(sock, 1)
            sock.sendall(bytes((5, asking.command, 0)) + self._target())
            code, host, port = self._reply_5(sock)
            granted = code == 0
        if not granted:
            self.seen.replies.append("eof" if not sock.recv(1) else "more")
            return
        if asking.command == BIND:
            self._peer(sock, host, port)
        elif asking.command == ASSOCIATE:
            self._send(host, port)
        else:
            sock.sendall(b"ping")
            self.seen.replies.append(_read(sock, 4).decode())

    def _target(self) -> bytes:
        asking = self.asking
        if asking.named:
            name = asking.host.encode()
            address = bytes((3, len(name))) + name
        else:
            address = _atyp(asking.host)
        return address + asking.port.to_bytes(2, "big")

    def _reply_4(self, sock: socket.socket) -> tuple[int, str, int]:
        data = _read(sock, 8)
        host, port = socket.inet_ntoa(data[4:]), int.from_bytes(data[2:4], "big")
        self.seen.replies.append(f"reply {data[0]} {data[1]} {host} {_shown(port)}")
        return data[1], host, port

    def _reply_5(self, sock: socket.socket) -> tuple[int, str, int]:
        head = _read(sock, 4)
        if head[3] == 3:
            length = _read(sock, 1)[0]
            host = _read(sock, length).decode()
        else:
            family, size = (socket.AF_INET6, 16) if head[3] == 4 else (socket.AF_INET, 4)
            host = socket.inet_ntop(family, _read(sock, size))
        port = int.from_bytes(_read(sock, 2), "big")
        shown = f"{head[3]} {host} {_shown(port)}" if head[1] == 0 else "refused"
        self.seen.replies.append(f"reply {head[1]} {shown}")
        return head[1], host, port

    def _peer(self, sock: socket.socket, host: str, port: int) -> None:
        asking = self.asking
        self.seen.bound = f"{host}.{port}"
        if _family(asking.peer) is not _family(host):
            return
        with socket.socket(_family(host)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            peer.settimeout(DEADLINE)
            peer.bind((asking.peer, PEER_BASE + asking.number))
            peer.connect((host, port))
            if asking.version == 4:
                self._reply_4(sock)
            else:
                self._reply_5(sock)
            # Who has been refused is told before we close.
            sock.settimeout(0.02)
            try:
                self.seen.replies.append("eof" if not sock.recv(1) else "more")
            except TimeoutError:
                sock.close()
                peer.settimeout(DEADLINE)
                _drain(peer)

    def _send(self, host: str, port: int) -> None:
        asking, log = self.asking, self.log
        self.seen.bound = f"{host}.{port}"
        if _family(host) is not _family(asking.sender):
            return
        with socket.socket(_family(host), socket.SOCK_DGRAM) as sock:
            sock.bind((asking.sender, asking.sender_port))
            sock.setblocking(False)
            for number, (target, target_port) in enumerate(asking.datagrams):
                start = len(log.look())
                text = f"d{asking.number}.{number}".encode()
                header = b"\0\0\0" + _named_or_address(target) + target_port.to_bytes(2, "big")
                sock.sendto(header + text, (host, port))
                self.seen.answers.append(self._answers(sock, start, target_port, f".{port} "))

    def _answers(self, sock: socket.socket, start: int, target_port: int, ours: str) -> list[str]:
        """What comes back until it is known that no more does."""
        expected = 2 if target_port == STRAY else 1
        end, heard, told = time.monotonic() + self.patience, list[str](), 0
        while time.monotonic() < end and len(heard) + told < expected:
            try:
                data = sock.recv(4096)
            except (BlockingIOError, ConnectionError):
                # A line that says that it, or its answer, was blocked ends the wait.
                lines = [line for line in self.log.look()[start:].splitlines() if ours in line]
                told = sum("block(" in line and "udp/udpreply -: " in line for line in lines)
                if any("block(" in line and "udp/udpassociate -: " in line for line in lines):
                    told = expected
                time.sleep(LOOK)
            else:
                heard.append(_datagram(data))
        return sorted(heard)


def _datagram(data: bytes) -> str:
    """An answer with its header, in words."""
    family, size = (socket.AF_INET6, 16) if data[3] == 4 else (socket.AF_INET, 4)
    host = socket.inet_ntop(family, data[4 : 4 + size])
    port = int.from_bytes(data[4 + size : 6 + size], "big")
    return f"{host}.{port} {data[6 + size :].decode()}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _atyp(host: str) -> bytes:
    if ":" in host:
        return b"\x04" + socket.inet_pton(socket.AF_INET6, host)
    return b"\x01" + socket.inet_aton(host)


def _named_or_address(host: str) -> bytes:
    try:
        return _atyp(host)
    except OSError:
        return bytes((3, len(host))) + host.encode()


def _shown(port: int) -> str:
    """A port, unless the kernel has chosen it."""
    return "some port" if port >= CHOSEN else str(port)


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass


def main(folder: Path, patience: float, command: list[str]) -> None:
    """Run the server, be its clients, write what came of it."""
    plan = [Asking.of(each) for each in json.loads((folder / "plan.json").read_text())]
    Targets().start()
    log = Log(folder / "log")
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    started = time.monotonic()
    while " running\n" not in log.look():
        if server.poll() is not None or time.monotonic() > started + 3 * DEADLINE:
            raise SystemExit(f"does not run: {(folder / 'output').read_text()}{log.text}")
        time.sleep(LOOK)
    seen = [asdict(Client(asking, log, patience).run()) for asking in plan]
    size = -1
    while size != len(log.look()):
        size = len(log.text)
        time.sleep(max(patience, 0.3))
    (folder / "result.json").write_text(json.dumps({"seen": seen, "log": log.text}))
    server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
