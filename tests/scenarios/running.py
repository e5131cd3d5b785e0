"""
Servers as processes, targets for their clients, and programs.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import dantetw

#: Seconds after which something that has not happened is taken not to happen.
DEADLINE = 60.0
#: Seconds between two looks.
INTERVAL = 0.02

REQUIRED = "DANTETW_REQUIRE_PROGRAMS"
ROOT = Path(dantetw.__file__).resolve().parents[1]
BODY = b"hello from the target\n"

CONFIG = """\
logoutput: {log}
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: {method}
workers: {workers}
{more}
client pass {{ from: 127.0.0.0/8 to: 0/0
    log: connect disconnect error }}
socks pass {{ from: 127.0.0.0/8 to: 0/0
    log: connect disconnect error }}
"""


#: The interpreter of the servers.
PYTHON = os.environ.get("DANTETW_PYTHON") or sys.executable


def script(name: str, module: str, function: str) -> list[str]:
    """The command line of an installed script, or what it would do."""
    installed = Path(PYTHON).parent / name
    if installed.exists():
        return [str(installed)]
    code = f"import sys; sys.argv[0] = {name!r}; from {module} import {function}; {function}()"
    return [PYTHON, "-c", code]


TWISTD = script("twistd", "twisted.scripts.twistd", "run")
SOCKD = script("sockd", "dantetw.cli.main", "main")


def wait_until(condition: Callable[[], object], what: str) -> None:
    """
    Wait for something to become true.

    :raises AssertionError: if it does not, with what :param what: says.
    """
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {DEADLINE} seconds")
        time.sleep(INTERVAL)


def free_port() -> int:
    """
    A port that nobody had a moment ago, and that no connection gets by chance: the kernel chooses
    from 32768 on.
    """
    while True:
        port = random.randrange(10000, 32768)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment(**more: str) -> dict[str, str]:
    """The environment for our own programs: they find the plugin, whether installed or not."""
    # Trial's workers have their own interpreter's library in theirs.
    theirs = os.environ.get("PYTHONPATH") if sys.executable == PYTHON else None
    path = os.pathsep.join(filter(None, (str(ROOT), theirs)))
    return {**os.environ, "PYTHONPATH": path, "LC_ALL": "C.UTF-8", **more}


class Running:
    """
    A server's process.

    :ivar port: where it listens.
    :ivar log: its log file; ``output`` what it wrote to standard output and error.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path, output: Path):
        self.process = process
        self.pid = process.pid
        self.port = port
        self.log = log
        self.output = output

    def raw(self) -> str:
        """The log as it is, and what stands on the terminal."""
        parts = [path.read_text() for path in (self.log, self.output) if path.exists()]
        return "\n".join(parts)

    def lines(self) -> list[str]:
        """The log's messages, without what stands before them."""
        if not self.log.exists():
            return []
        return [message(line) for line in self.log.read_text().splitlines()]

    def ready(self) -> bool:
        """
        Whether it runs.

        :raises AssertionError: if it has ended instead.
        """
        if any(line.endswith(" running") for line in self.raw().splitlines()):
            return True
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}:\n{self.raw()}")
        return False

    def wait_for(self, count: int, part: str) -> list[str]:
        """Wait until so many messages have ``part``; all messages."""

        def enough() -> bool:
            return sum(part in line for line in self.lines()) >= count

        try:
            wait_until(enough, f"{count} lines with {part!r}")
        except AssertionError as late:
            raise AssertionError(f"{late}; there is\n{self.raw()}") from None
        return self.lines()

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        return self.process.wait(DEADLINE)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal that ends it; the exit status."""
        self.send(number)
        return self.wait()


def message(line: str) -> str:
    """A log line without date, program and process id."""
    return re.sub(r"^.*?\[\d+\]: ", "", line)


class _Answering(socketserver.BaseRequestHandler):
    """Reads one request, answers it, and waits for the client to close."""

    def handle(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.request.recv(4096)
            if not piece:
                return
            data += piece
        assert isinstance(self.server, Target)
        self.server.requests.append(data)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        self.request.sendall(head + BODY)
        while self.request.recv(4096):
            pass


class Target(socketserver.ThreadingTCPServer):
    """
    A web server that clients ask for :data:`BODY`.

    :ivar requests: what they sent.
    """

    daemon_threads = True
    request_queue_size = 20

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.requests: list[bytes] = []
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is nothing to tell."""


class Scenario(SynchronousTestCase):
    """
    What scenarios share.

    :ivar workers: processes that serve clients.
    """

    workers = 2

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        # So that a server that has become nobody can reach its files.
        self.folder.chmod(0o755)

    def program(self, name: str) -> str:
        """The path of a program; without it the test is skipped, or fails where it must not be."""
        path = shutil.which(name)
        if path is None:
            if os.environ.get(REQUIRED):
                self.fail(f"{name} is not installed, and {REQUIRED} is set")
            raise SkipTest(f"{name} is not installed")
        return path

    def needs_root(self) -> None:
        """Skip unless the tests are run by root."""
        if os.geteuid() != 0:
            raise SkipTest("only root can do this")

    def as_user(self, command: Sequence[str]) -> list[str]:
        """The command line that runs another one with no rights of root's."""
        if os.geteuid() != 0:
            return list(command)
        ways = (
            # Somebody else altogether, who may be unable to reach the interpreter or our files.
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            # A namespace in which nobody is anybody.
            ["unshare", "--user"],
        )
        probe = ["sh", "-c", 'test -w "$0" && exec "$@"', str(self.folder), *SOCKD, "-v"]
        for way in ways:
            if shutil.which(way[0]) is None:
                continue
            done = subprocess.run(
                [*way, *probe],
                capture_output=True,
                check=False,
                env=environment(),
                cwd=self.folder,
            )
            if done.returncode == 0:
                return [*way, *command]
        raise SkipTest("there is no way here to run it as anybody but root")

    def run_program(
        self, arguments: Sequence[str], input: bytes = b"", **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end."""
        return subprocess.run(
            arguments,
            input=input,
            capture_output=True,
            timeout=DEADLINE,
            env=environment(**more),
            cwd=self.folder,
            check=False,
        )

    def configure(
        self, port: int, method: str = "none", more: str = "", log: str | None = None
    ) -> Path:
        """Write a configuration; its path."""
        path = self.folder / "sockd.conf"
        log = log or str(self.folder / "sockd.log")
        text = CONFIG.format(log=log, port=port, method=method, workers=self.workers, more=more)
        path.write_text(text)
        return path

    def start(
        self,
        command: Callable[[Path], Sequence[str]] | None = None,
        method: str = "none",
        more: str = "",
        log: str | None = None,
        **variables: str,
    ) -> Running:
        """
        Start a server and wait until it runs.

        :param command: the command line, given the configuration; default: ``sockd -f``.
        """
        if command is None:
            command = self.foreground
        for _ in range(5):
            port = free_port()
            path = self.configure(port, method, more, log)
            server = self.spawn(command(path), port, **variables)
            try:
                wait_until(server.ready, "running")
            except AssertionError:
                # Somebody else may have been quicker.
                if "Address already in use" in server.raw():
                    continue
                raise
            return server
        raise AssertionError("no port can be had")

    def foreground(self, path: Path) -> Sequence[str]:
        """``sockd`` in the foreground."""
        return [*SOCKD, "-f", str(path), "-p", str(self.folder / "sockd.pid")]

    def spawn(self, command: Sequence[str], port: int = 0, **variables: str) -> Running:
        """Start a process; it is killed at the end of the test if it is still there."""
        output = self.folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment(**variables),
                cwd=self.folder,
            )
        self.addCleanup(_end, process)
        return Running(process, port, self.folder / "sockd.log", output)

    def target(self) -> Target:
        """A web server in a thread."""
        target = Target()
        thread = threading.Thread(target=target.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(target.server_close)
        self.addCleanup(target.shutdown)
        return target

    def listening(self) -> socket.socket:
        """A socket whose kernel takes connections that nobody answers."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        return sock

    def live(self, server: Running, target: socket.socket) -> socket.socket:
        """A client in the midst of a session."""
        client = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self.addCleanup(client.close)
        port = target.getsockname()[1].to_bytes(2, "big")
        client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + port)
        heard = b""
        while len(heard) < 12:
            piece = client.recv(12 - len(heard))
            if not piece:
                raise AssertionError(f"closed after {heard!r}:\n{server.raw()}")
            heard += piece
        self.assertEqual(heard[:4], b"\x05\x00\x05\x00")
        return client


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def mask(server: Running, target_port: int, lines: Sequence[str]) -> list[str]:
    """Messages with ports and durations that change from run to run put out of sight."""
    known = {server.port: "SERVER", target_port: "TARGET"}

    def name(found: re.Match[str]) -> str:
        return known.get(int(found[1]), "PEER")

    masked = [re.sub(r"127\.0\.0\.1\.(\d+)", name, line) for line in lines]
    return [re.sub(r"duration: \d+s", "duration: Ns", line) for line in masked]
