"""Log daemons, near and far, with the whole server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from tests.scenarios.running import DEADLINE, PYTHON, Running, Scenario, free_port, wait_until

_RSYSLOG = """\
global(workDirectory="{folder}")
module(load="{module}")
input(type="{module}" port="{port}" address="127.0.0.1")
template(name="lines" type="string" string="%pri% %app-name%[%procid%]:%msg%\\n")
action(type="omfile" file="{received}" template="lines")
"""

#: Clients are refused what :func:`target` makes.
BLOCK = "socks block { from: 0/0 to: 203.0.113.0/24 log: connect }"


class RsyslogTests(Scenario):
    """rsyslogd as the daemon elsewhere."""

    def setUp(self) -> None:
        """Have a port, and a place for what comes."""
        super().setUp()
        self.rsyslogd = self.program("rsyslogd")
        self.port = free_port()
        self.received = self.folder / "received"

    def start_daemon(self, module: str) -> subprocess.Popen[bytes]:
        """Start it and wait until it listens."""
        path = self.folder / "rsyslog.conf"
        path.write_text(
            _RSYSLOG.format(
                folder=self.folder, module=module, port=self.port, received=self.received
            )
        )
        pidfile = self.folder / "rsyslog.pid"
        command = [self.rsyslogd, "-n", "-f", str(path), "-i", str(pidfile)]
        with (self.folder / "rsyslog.output").open("ab") as output:
            daemon = subprocess.Popen(command, stdout=output, stderr=output)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        wait_until(lambda: listens(module.removeprefix("im"), self.port), "rsyslogd listens")
        return daemon

    def lines(self) -> list[str]:
        """What rsyslogd wrote."""
        return self.received.read_text().splitlines() if self.received.exists() else []

    def wait_for(self, part: str) -> None:
        """Wait until some line has this."""
        wait_until(lambda: any(part in line for line in self.lines()), f"a line with {part!r}")

    def scenario(self, transport: str) -> None:
        """Lines arrive, also after the daemon was away, up to the server's last one."""
        url = f"syslog+{transport}://localhost:{self.port}/local0"
        daemon = self.start_daemon(f"im{transport}")
        log = f"{self.folder / 'sockd.log'} {url}"
        rule = "socks pass { from: 0/0 to: 127.0.0.0/8 log: connect tcpinfo }"
        server = self.start(more=f"{BLOCK}\n{rule}", log=log)
        self.live(server, self.listening())
        visit(server, 1)
        self.wait_for(target(1))
        daemon.terminate()
        daemon.wait()
        # By UDP the first message after that is under way before anybody can know.
        visit(server, 2)
        visit(server, 3)
        server.wait_for(1, target(3))
        self.start_daemon(f"im{transport}")
        self.wait_for(target(3))
        self.assertEqual(server.stop(), 0)
        self.wait_for("shutting down")
        received = "\n".join(self.lines())
        for part in (" running", target(2), "exiting on signal 15"):
            self.assertIn(part, received)
        self.assertIn(f"134 sockd[{server.pid}]:info: ", received)
        # A message of several lines is one message: rsyslogd writes it on one line.
        (block,) = [line for line in self.lines() if "tcp/connect [" in line]
        self.assertIn("#012TCP_INFO:#012tcpi_state", block)

    def test_tcp(self) -> None:
        """By TCP nothing is missing when rsyslogd was stopped and started again."""
        self.scenario("tcp")

    def test_udp(self) -> None:
        """By UDP neither, on one machine, where each refusal is told."""
        self.scenario("udp")


class LocalTests(Scenario):
    """The daemon at ``/dev/log``, here at another place."""

    workers = 1

    def start_daemon(self) -> socket.socket:
        """A daemon that does not read."""
        daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(daemon.close)
        # The name of a socket is at most 107 bytes long, so it is relative.
        daemon.bind(os.path.relpath(self.folder / "dev"))
        daemon.settimeout(DEADLINE)
        return daemon

    def command(self, path: Path) -> list[str]:
        """The server, which looks for the daemon in its working directory."""
        code = (
            "import functools, sys; from dantetw.server import service; "
            "from dantetw.cli import main as cli; sys.argv[0] = 'sockd'; "
            "service.Surroundings = functools.partial(service.Surroundings, device='dev'); "
            "cli.main()"
        )
        return [PYTHON, "-c", code, "-f", str(path), "-p", str(self.folder / "pid")]

    def test_daemon_comes_and_goes(self) -> None:
        """
        Without a daemon, with one that does not read, and when it is replaced, clients are served
        and every line arrives in the end, in order.
        """
        log = f"syslog/local7 {self.folder / 'sockd.log'}"
        server = self.start(self.command, more=BLOCK, log=log)
        visit(server, 0)
        first = self.start_daemon()
        told = first.recv(8192).decode()
        self.assertRegex(told, rf"^<18\d>\w+ +\d+ [\d:]+ sockd\[{server.pid}\]: \w+: .*\n$")
        # Its queue holds ten messages or so; each visit makes three.
        for number in range(1, 20):
            visit(server, number)
        os.unlink(self.folder / "dev")
        second = self.start_daemon()
        received = [told]
        # What is sent between the last that is read and the end would be lost: let there be none.
        first.shutdown(socket.SHUT_RD)
        first.setblocking(False)
        while True:
            try:
                received.append(first.recv(8192).decode())
            except BlockingIOError:
                break
        first.close()
        while not any(target(19) in line for line in received):
            received.append(second.recv(8192).decode())
        numbers = [
            found[1] for line in received if (found := re.search(r"203\.0\.113\.(\d+)", line))
        ]
        self.assertEqual(numbers, [str(number) for number in range(20)])
        server.send(signal.SIGTERM)
        while "shutting down" not in received[-1]:
            received.append(second.recv(8192).decode())
        self.assertEqual(server.wait(), 0)


def target(number: int) -> str:
    """An address that rules block, as it stands in the log."""
    return f"203.0.113.{number}.80"


def visit(server: Running, number: int) -> None:
    """Ask for it, and be refused."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\xcb\x00\x71%c\x00\x50" % number)
        while client.recv(100):
            pass


def listens(transport: str, port: int) -> bool:
    """Whether somebody listens at a port of 127.0.0.1."""
    wanted = f" 0100007F:{port:04X} "
    return any(wanted in line for line in Path(f"/proc/net/{transport}").read_text().splitlines())
