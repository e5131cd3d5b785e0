"""Scenarios: SIGUSR1, the status report, in every way the server is run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from dantetw import __version__
from tests.scenarios.running import (
    ROOT,
    SOCKD,
    TWISTD,
    Scenario,
    free_port,
    mask,
    message,
    wait_until,
)
from tests.scenarios.test_starting import alive

#: The last line of a report that is about nobody, and the first of a report.
LAST = "info: no i/o latency information available (yet)"
FIRST = f"info: dantetw v{__version__} up 0 days, 0:00, a: "
NO_BYTES = "bytes transferred: 0 (+ N buffered (0 + 0 + N)) <-> 0 (+ N buffered (0 + 0 + N))"


def settled(lines: Sequence[str]) -> list[str]:
    """Lines with what changes from run to run, and machine to machine, put out of sight."""
    text = "\n".join(lines)
    for pattern, by in (
        (r"up 0 days, 0:00:\d\d", "up 0 days, 0:00:SS"),
        (r"(age|idle|for):? \d+s", r"\1 Ns"),
        (r"f: \d+", "f: N"),
        (r"(processes|files): (no limit|\d+ \(\d+ free\))", r"\1: N"),
        (r"slots: \d+", "slots: N"),
        # The other end may take its time to acknowledge.
        (r"\(\+ \d+ buffered \(0 \+ 0 \+ \d+\)\)", "(+ N buffered (0 + 0 + N))"),
    ):
        text = re.sub(pattern, by, text)
    return text.split("\n")


class ReportScenarios(Scenario):
    """What a report says."""

    workers = 1

    def test_states(self) -> None:
        """Sessions in each state are told, with what has been moved and what waits."""
        server = self.start()
        target = self.listening()
        port = target.getsockname()[1]
        relayed = self.live(server, target)
        far, _ = target.accept()
        self.addCleanup(far.close)
        relayed.sendall(b"question")
        self.assertEqual(far.recv(100), b"question")
        far.sendall(b"answer")
        self.assertEqual(relayed.recv(100), b"answer")
        with socket.create_connection(("127.0.0.1", server.port), 60) as negotiating:
            negotiating.sendall(b"\x05")
            server.wait_for(2, "tcp/accept [")
            server.send(signal.SIGUSR1)
            lines = server.wait_for(1, "info: tcp: ")
        start = next(n for n, line in enumerate(lines) if line.startswith(FIRST))
        self.assertEqual(
            # How long it took, and how many turns, is the machine's business.
            [line for line in settled(mask(server, port, lines[start:])) if "tcp i/o" not in line],
            [
                f"{FIRST}2, h: 2 c: 2",
                "info: negotiators (1): a: 2, h: 1, c: 1, f: N",
                "info: requesters (1): a: 1, h: 1, c: 0, f: N",
                "info: iorelayers (1): a: 1, h: 0, c: 1, f: N",
                "info: max limits: processes: N, files: N, negotiate-child-slots: N,"
                " request-child-slots: N, io-child-slots: N (max clients limited by open file"
                " limit)",
                "info: negotiate-child up 0 days, 0:00:SS",
                "info: PEER SERVER: negotiating for Ns",
                "info: request-child up 0 days, 0:00:SS",
                "info: io-child up 0 days, 0:00:SS",
                "info: no read-only latency information available (yet)",
                LAST,
                "info: tcp: PEER SERVER <-> PEER TARGET: age Ns, idle Ns, bytes transferred:"
                " 8 (+ N buffered (0 + 0 + N)) <-> 6 (+ N buffered (0 + 0 + N))",
            ],
        )
        self.assertEqual(server.stop(), 0)

    def test_connecting(self) -> None:
        """A connection that is being made says so."""
        server = self.start()
        target = socket.socket()
        self.addCleanup(target.close)
        target.bind(("127.0.0.1", 0))
        target.listen(0)
        port = target.getsockname()[1]
        self.live(server, target)  # with that its backlog is full
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            client.sendall(
                b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big")
            )
            self.assertEqual(client.recv(2), b"\x05\x00")
            server.wait_for(2, "tcp/accept [")
            server.send(signal.SIGUSR1)
            lines = server.wait_for(2, "info: tcp: ")
        self.assertEqual(
            settled(mask(server, port, lines))[-1],
            "info: tcp: PEER SERVER <-> PEER TARGET: age Ns, idle Ns (waiting for connect to"
            f" complete), {NO_BYTES}",
        )
        self.assertEqual(server.stop(), 0)

    def test_tcpinfo(self) -> None:
        """``log: tcpinfo`` has a block follow the session's line."""
        rules = "client pass { from: 0/0 to: 0/0 log: tcpinfo }"
        rules = f"{rules}\nsocks pass {{ from: 0/0 to: 0/0 log: tcpinfo }}"
        server = self.start(more=rules)
        self.live(server, self.listening())
        server.send(signal.SIGUSR1)
        lines = server.wait_for(1, "tcpi_total_retrans")
        start = next(n for n, line in enumerate(lines) if line.startswith("info: tcp: "))
        # Two rules of each kind: which it is stands in the line.
        self.assertTrue(lines[start].endswith(" (session 1, client-rule #1, socks-rule #1)"))
        self.assertEqual(lines[start + 1], "TCP_INFO:")
        self.assertEqual(lines[start + 2].split()[2:5], ["1", "(ESTABLISHED)", "<->"])
        self.assertEqual(server.stop(), 0)

    def test_json(self) -> None:
        """In JSON a report is objects with its number, from ``status`` to ``reported``."""
        log = self.folder / "json.log"
        server = self.start(log=f"{self.folder / 'sockd.log'} {log}\nlog.format.json: {log}")
        self.live(server, self.listening())
        server.send(signal.SIGUSR1)
        wait_until(lambda: '"reported"' in log.read_text(), "a report")
        told = [json.loads(line) for line in log.read_text().splitlines()]
        told = [each for each in told if "report" in each]
        latencies = [each for each in told if each["kind"] == "latency"]
        self.assertEqual(
            [each["what"] for each in latencies],
            ["read-only", "i/o", "i/o to target", "i/o to client", "tcp i/o"],
        )
        self.assertGreater(latencies[-1]["since_start"]["count"], 0)
        told = [each for each in told if each["kind"] != "latency"]
        self.assertEqual(
            [each["kind"] for each in told],
            ["status", "child", "child", "child", "active", "reported"],
        )
        self.assertEqual({each["report"] for each in told}, {1})
        rule = told[4]["socks_rule"]
        self.assertEqual((rule["number"], rule["file"]), (1, str(self.folder / "sockd.conf")))
        self.assertEqual((told[5]["told"], told[5]["gone"]), (1, 0))
        self.assertEqual(server.stop(), 0)

    def test_many_signals(self) -> None:
        """Signals in a row end in a report, and in no harm."""
        server = self.start()
        self.live(server, self.listening())
        for _ in range(50):
            server.send(signal.SIGUSR1)
        server.wait_for(1, "info: tcp: ")
        self.live(server, self.listening())
        server.send(signal.SIGUSR1)
        lines = server.wait_for(1, f"{FIRST}2")
        self.assertEqual(server.stop(), 0)
        self.assertNotIn("Traceback", "\n".join(lines))


class WayScenarios(Scenario):
    """Twistd takes SIGUSR1 to rotate its log file; the report comes before that."""

    def check(
        self, command: Callable[[Path, Path], Sequence[str]], daemon: bool, **variables: str
    ) -> None:
        """
        Whether SIGUSR1 makes a report each time it comes, and nothing else.

        :param command: gets the configuration and the pid file.
        :param daemon: it returns and leaves a server behind.
        """
        pidfile = self.folder / "a.pid"
        port = free_port()
        path = self.configure(port)
        log = self.folder / "sockd.log"
        line = command(path, pidfile)
        if daemon:
            done = self.run_program(line, **variables)
            self.assertEqual(done.returncode, 0, done.stderr)
        else:
            self.spawn(line, port, **variables)
        wait_until(lambda: log.exists() and " running\n" in log.read_text(), "running")
        wait_until(lambda: pidfile.exists() and pidfile.read_text().strip(), "a pid file")
        pid = int(pidfile.read_text())
        self.addCleanup(self.end, pid)
        for number in (1, 2, 3):
            os.kill(pid, signal.SIGUSR1)
            wait_until(lambda number=number: log.read_text().count(LAST) == number, "a report")
        lines = [message(each) for each in log.read_text().splitlines()]
        self.assertEqual(sum(each.startswith(FIRST) for each in lines), 3)
        # It lives on.
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(b"\x05\x01\x00")
            self.assertEqual(client.recv(2), b"\x05\x00")
        others = {each.name for each in self.folder.iterdir()}
        self.assertEqual(others & {"twistd.log", "a.log.1", "sockd.log.1"}, set())
        rotated = [name for name in others if re.fullmatch(r".*\.log\..+", name)]
        self.assertEqual(rotated, [])
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the server's end")
        self.assertTrue(log.read_text().endswith("alert: mother[1/1]: shutting down\n"))

    def end(self, pid: int) -> None:
        """Kill a daemon of ours that is still there."""
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().find(str(self.folder).encode()) >= 0:
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

    def options(self, pidfile: Path) -> list[str]:
        """The beginning of a command line of twistd's."""
        return [*TWISTD, f"--pidfile={pidfile}"]

    def logfile(self) -> str:
        """The option for twistd's own log file."""
        return f"--logfile={self.folder / 'a.log'}"

    def test_twistd(self) -> None:
        """``twistd sockd``, in the background."""
        self.check(
            lambda path, pidfile: [*self.options(pidfile), "sockd", "--config", str(path)], True
        )

    def test_twistd_logfile(self) -> None:
        """``twistd --logfile FILE sockd``, in the background."""
        self.check(
            lambda path, pidfile: [
                *self.options(pidfile),
                self.logfile(),
                "sockd",
                "--config",
                str(path),
            ],
            True,
        )

    def test_twistd_nodaemon(self) -> None:
        """``twistd --nodaemon sockd``."""
        self.check(
            lambda path, pidfile: [
                *self.options(pidfile),
                "--nodaemon",
                "sockd",
                "--config",
                str(path),
            ],
            False,
        )

    def test_twistd_nodaemon_logfile(self) -> None:
        """``twistd --nodaemon --logfile FILE sockd``."""
        self.check(
            lambda path, pidfile: [
                *self.options(pidfile),
                "--nodaemon",
                self.logfile(),
                "sockd",
                "--config",
                str(path),
            ],
            False,
        )

    def test_tac(self) -> None:
        """``twistd -y sockd.tac``, in the background, with a log file for twistd."""
        self.check(
            lambda path, pidfile: [
                *self.options(pidfile),
                self.logfile(),
                f"--rundir={self.folder}",
                "-oy",
                str(ROOT / "sockd.tac"),
            ],
            True,
            SOCKD_CONFIG=str(self.folder / "sockd.conf"),
        )

    def test_foreground(self) -> None:
        """``sockd`` in the foreground."""
        self.check(lambda path, pidfile: [*SOCKD, "-f", str(path), "-p", str(pidfile)], False)

    def test_daemon(self) -> None:
        """``sockd -D``."""
        self.check(lambda path, pidfile: [*SOCKD, "-D", "-f", str(path), "-p", str(pidfile)], True)
