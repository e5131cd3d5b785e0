"""Scenarios: SIGHUP, while clients come and go."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.quiet import quiet_port
from tests.scenarios import running
from tests.scenarios.load import Load
from tests.scenarios.running import ROOT, SOCKD, TWISTD, Running, Scenario, message, wait_until

BEGUN = "info: SIGHUP [: reloading config"
DONE = "info: SIGHUP ]: config reloaded.  Broadcasting to children to do the same"
NOT_USED = "warning: SIGHUP ]: the new config cannot be used; the old one stays in force"

#: Put into the server's interpreter: a resolver that answers when a file is there.
SLOW = """
import os, socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host == "slow.example":
        open({asked!r}, "w").close()
        while not os.path.exists({answer!r}):
            time.sleep(0.02)
        host = "127.0.0.1"
    return real(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
"""


class ReloadScenario(Scenario):
    """What the scenarios share."""

    def rewrite(self, *changes: tuple[str, str]) -> None:
        """Change the configuration."""
        path = self.folder / "sockd.conf"
        text = path.read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path.write_text(text)

    def reload(self, server: Running, log: Path | None = None, end: str = DONE) -> None:
        """
        Send SIGHUP and wait until it has been dealt with.

        :param log: where the word of that comes, if the log is another one now.
        """
        if log is not None:
            server.log = log
        before = server.lines().count(end)
        server.send(signal.SIGHUP)
        wait_until(lambda: server.lines().count(end) > before, f"{end!r}\n{server.raw()}")

    def session(self, server: Running, target: socket.socket) -> Callable[[], None]:
        """A session that is under way; what ends it."""
        client = self.live(server, target)
        far, _ = target.accept()
        self.addCleanup(far.close)

        def end() -> None:
            client.close()
            far.close()

        return end


class SlowScenarios(ReloadScenario):
    """What a reload waits for."""

    def slow(self) -> tuple[Running, Path]:
        """A server that reloads, and waits for an answer; the file that is the answer."""
        asked, answer = self.folder / "asked", self.folder / "answer"
        code = SLOW.format(asked=str(asked), answer=str(answer))
        (self.folder / "sitecustomize.py").write_text(code)
        server = self.start(PYTHONPATH=os.pathsep.join((str(self.folder), str(ROOT))))
        self.rewrite(("external: 127.0.0.1", "external: slow.example"))
        server.send(signal.SIGHUP)
        wait_until(asked.exists, "the question")
        return server, answer

    def test_name(self) -> None:
        """While a name in the new configuration is looked up, clients are served."""
        server, answer = self.slow()
        target = self.listening()
        self.live(server, target)
        server.wait_for(1, "tcp/connect [")
        self.assertNotIn(DONE, server.lines())
        # Only the last of these configurations is of interest, and it is read once.
        for _ in range(3):
            server.send(signal.SIGHUP)
        self.live(server, target)
        answer.touch()
        server.wait_for(2, DONE)
        self.live(server, target)
        self.assertEqual(server.stop(), 0)
        said = [line for line in server.lines() if "SIGHUP" in line]
        self.assertEqual(said, [BEGUN, DONE] * 2)

    def test_stop(self) -> None:
        """A server that waits so can be stopped."""
        server, _ = self.slow()
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.lines()[-1], "alert: mother[1/1]: shutting down")
        self.assertNotIn("Traceback", server.raw())

    def test_fifo(self) -> None:
        """A FIFO in the configuration's place is an error, and nobody waits for its writer."""
        server = self.start()
        path = self.folder / "sockd.conf"
        path.unlink()
        os.mkfifo(path)
        self.reload(server, end=NOT_USED)
        self.assertIn(f"could not open config file {path}: not a regular file", server.raw())
        self.live(server, self.listening())
        self.assertEqual(server.stop(), 0)

    def test_pipe_at_the_start(self) -> None:
        """At a start a FIFO is waited for and read, and so is a pipe as standard input."""
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        for path, shell in (
            (str(fifo), 'cat sockd.conf > fifo & exec "$@"'),
            ("/dev/stdin", 'exec "$@" <<end\n$(cat sockd.conf)\nend\n'),
        ):
            with self.subTest(path):
                (self.folder / "sockd.log").unlink(missing_ok=True)
                command = ["sh", "-c", shell, "sh", *SOCKD, "-f", path, "-p", ""]
                server = self.start(lambda _: command)  # noqa: B023
                self.live(server, self.listening())
                self.assertEqual(server.stop(), 0)


class AddressScenarios(ReloadScenario):
    """Other addresses."""

    def test_wildcard(self) -> None:
        """Listening moves to the wildcard and back; who is there goes on, who waits is served."""
        self.patch(running, "free_port", quiet_port)
        server = self.start()
        target = self.listening()
        clients = [self.live(server, target)]
        specific, wildcard = (f"internal: {host} port" for host in ("127.0.0.1", "0.0.0.0"))
        for change in ((specific, wildcard), (wildcard, specific)):
            self.rewrite(change)
            server.send(signal.SIGSTOP)
            waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
            server.send(signal.SIGCONT)
            self.reload(server)
            clients += [self.live(server, target), *waiting]
            for client in waiting:
                self.addCleanup(client.close)
                client.settimeout(60)
                client.sendall(b"\x05\x01\x00")
                self.assertEqual(client.recv(2), b"\x05\x00")
        far, _ = target.accept()
        self.addCleanup(far.close)
        clients[0].sendall(b"still here")
        self.assertEqual(far.recv(10), b"still here")
        for client in clients:
            client.close()
        self.assertEqual(server.stop(), 0)


class LogScenarios(ReloadScenario):
    """The log across reloads."""

    def test_rotation(self) -> None:
        """When files are renamed under load, each session's lines stand there once, in order."""
        server = self.start()
        load = Load(self, server)
        files = [server.log]
        for number in range(1, 6):
            before = load.count()
            wait_until(lambda: load.count() >= before + 50, "sessions")  # noqa: B023
            files.insert(-1, server.log.rename(self.folder / f"sockd.log.{number}"))
            self.reload(server)
        load.end()
        self.assertEqual(server.stop(), 0)
        self.assertEqual(load.failures, [])
        self.check(server, load, files)

    def check(self, server: Running, load: Load, files: Iterable[Path]) -> None:
        """Compare the sessions that there were with the lines of all files together."""
        found: dict[int, list[str]] = defaultdict(list)
        seen = {}
        pattern = re.compile(rf"(tcp/\w+ .):.*?127\.0\.0\.1\.(\d+) 127\.0\.0\.1\.{server.port}\b")
        for path in files:
            seen[path.name] = 0
            for line in path.read_text().splitlines():
                if part := pattern.search(message(line)):
                    seen[path.name] += 1
                    found[int(part[2])].append(part[1])
        story = ["tcp/accept [", "tcp/connect [", "tcp/connect ]", "tcp/accept ]"]
        self.assertEqual(found, {port: story * times for port, times in load.ports.items()})
        self.assertNotIn(0, seen.values())

    def test_outputs(self) -> None:
        """Destinations change and sessions go on: each line stands where its time says."""
        server = self.start(more="external.log.warning.error: ECONNREFUSED")
        first, second = server.log, self.folder / "second.log"
        errors = self.folder / "errors.log"
        end = self.session(server, self.listening())
        # The client hears before the log does, and another process writes the next line.
        server.wait_for(1, "tcp/connect [")
        self.rewrite((f"logoutput: {first}", f"logoutput: {second}\nerrorlog: {errors}"))
        self.reload(server, second)
        end()
        server.wait_for(1, "tcp/accept ]")
        self.refused(server)
        server.wait_for(1, "warning: connect to host")
        self.rewrite((f"errorlog: {errors}\n", ""))
        self.reload(server)
        self.refused(server)
        server.wait_for(2, "warning: connect to host")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(errors.read_text().count("warning: connect to host"), 1)
        server.log = first
        # Root is told something in between.
        lines = [line for line in server.lines() if "checkconfig()" not in line]
        self.assertEqual(lines[-1], BEGUN)
        self.assertIn("tcp/connect [", lines[-2])

    def refused(self, server: Running) -> None:
        """A session whose target refuses the connection."""
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            self.assertRaisesRegex(AssertionError, "x05", self.live, server, closed)

    def test_debug(self) -> None:
        """Debug lines come with ``debug: 1``, and go with it."""
        server = self.start()
        target = self.listening()
        counts = []
        for change in (("clientmethod", "debug: 1\nclientmethod"), ("debug: 1", "debug: 0")):
            self.rewrite(change)
            self.reload(server)
            before = len(server.lines())
            self.session(server, target)()
            lines = server.wait_for(len(counts) + 1, "tcp/accept ]")
            counts.append(sum(line.startswith("debug: ") for line in lines[before:]))
        self.assertEqual(server.stop(), 0)
        self.assertGreater(counts[0], 0)
        self.assertEqual(counts[1], 0)

    def test_words(self) -> None:
        """A rule's ``log`` counts for new sessions; old ones end with the lines they began with."""
        server = self.start()
        target = self.listening()
        end_old = self.session(server, target)
        server.wait_for(1, "tcp/connect [")
        self.rewrite(("log: connect disconnect error", "log: disconnect"))
        self.reload(server)
        end_new = self.session(server, target)
        self.rewrite(("    log: disconnect", ""))
        self.reload(server)
        self.session(server, target)()
        end_old()
        server.wait_for(1, "tcp/accept ]")
        end_new()
        server.wait_for(2, "tcp/accept ]")
        self.assertEqual(server.stop(), 0)
        words = [part[0] for line in server.lines() if (part := re.search(r"tcp/\w+ .", line))]
        ending = ["tcp/connect ]", "tcp/accept ]"]
        self.assertEqual(words, ["tcp/accept [", "tcp/connect [", *ending, *ending])


class ManyScenarios(ReloadScenario):
    """Reload after reload."""

    def test_fifty(self) -> None:
        """Fifty reloads under load cost no session, no descriptor and no memory."""
        server = self.start()
        rules = "".join(
            f"socks block {{ from: 127.0.0.0/8 to: 10.{n >> 8}.{n & 255}.0/24 }}\n"
            for n in range(300)
        )
        self.rewrite(("socks pass", f"{rules}socks pass"))
        load = Load(self, server)
        self.reload(server)
        memory = 0
        for number in range(50):
            self.reload(server)
            if number == 9:
                memory = self.memory(server)
        grown = self.memory(server) - memory
        load.end()
        self.assertEqual(load.failures, [])
        server.wait_for(load.count(), "tcp/accept ]")
        self.assertEqual(server.lines().count(DONE), 51)
        open_files = len(os.listdir(f"/proc/{server.pid}/fd"))
        self.reload(server)
        self.assertEqual(len(os.listdir(f"/proc/{server.pid}/fd")), open_files)
        self.assertEqual(server.stop(), 0)
        # A policy of so many rules takes half a megabyte: forty of them would show.
        self.assertLess(grown, 10 << 20)

    def memory(self, server: Running) -> int:
        """Bytes that the server has in memory."""
        status = Path(f"/proc/{server.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) << 10


class SignalScenarios(ReloadScenario):
    """Signals that are none of SIGHUP's business."""

    def test_ours_alone(self) -> None:
        """However it is started, SIGUSR1 does not do what it does in twistd: rotate its log."""
        tac = str(ROOT / "sockd.tac")
        twistd = [*TWISTD, "--pidfile=", "-no"]
        config = str(self.folder / "sockd.conf")
        for command in (
            [*twistd, "sockd", "--config", config],
            [*twistd, "-l", "x", "sockd", "--config", config],
            [*twistd, "-l", "x", "-y", tac],
            [*SOCKD, "-f", config, "-p", ""],
        ):
            with self.subTest(command):
                (self.folder / "sockd.log").unlink(missing_ok=True)
                server = self.start(lambda _: command, SOCKD_CONFIG=config)  # noqa: B023
                server.send(signal.SIGUSR1)
                self.live(server, self.listening())
                server.wait_for(1, "tcp/connect [")
                self.assertEqual(server.stop(), 0)
                self.assertEqual(list(self.folder.glob("x.*")), [])

    def test_ours_in_the_background(self) -> None:
        """Nor does it in the background."""
        config = self.folder / "sockd.conf"
        pidfile = self.folder / "pid"
        for command in (
            [*SOCKD, "-D", "-f", str(config), "-p", str(pidfile)],
            [*TWISTD, f"--pidfile={pidfile}", "-ol", "x", "sockd", "--config", str(config)],
        ):
            with self.subTest(command):
                for path in (self.folder / "sockd.log", pidfile):
                    path.unlink(missing_ok=True)
                server = self.start(lambda _: command)  # noqa: B023
                self.assertEqual(server.wait(), 0)
                server.pid = int(pidfile.read_text())
                server.send(signal.SIGUSR1)
                self.live(server, self.listening())
                server.wait_for(1, "tcp/connect [")
                server.send(signal.SIGTERM)
                server.wait_for(1, "shutting down")
                self.assertEqual(list(self.folder.glob("x.*")), [])

    def test_outlived(self) -> None:
        """What Dante outlives, we do; SIGUSR2 ends either."""
        server = self.start()
        for name in ("SIGALRM", "SIGPIPE", "SIGCHLD", "SIGWINCH", "SIGURG", "SIGCONT", "SIGUSR1"):
            server.send(getattr(signal, name))
        self.live(server, self.listening())
        self.assertEqual(server.stop(signal.SIGUSR2), -signal.SIGUSR2)
