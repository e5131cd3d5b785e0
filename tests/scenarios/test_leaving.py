"""Scenarios: addresses that a reload lets go while clients are in the midst of connecting there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.scenarios.rights import RootScenario
from tests.scenarios.running import DEADLINE, Running, environment

#: Reloads, each of which lets an address go.
RELOADS = 10
PORT = 21091

# A network of its own, in which nobody else needs ports.
_OWN = 'ip link set lo up; exec "$@"'

# Clients that connect all the time, until there is something to read.
_CHURN = """\
import asyncio, collections, json, socket, sys
outcomes, over = collections.Counter(), False

async def visit(host, port):
    sock = socket.socket()
    sock.setblocking(False)
    # The packet that completes the connection comes with the first data, or in a while.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_connection(sock=sock)
    except ConnectionRefusedError:
        sock.close()
        await asyncio.sleep(0.005)
        return "refused"
    except OSError as failed:
        return f"not connected: {failed}"
    try:
        writer.write(b"\\x05\\x01\\x00")
        await reader.readexactly(2)
        return "served"
    except (OSError, asyncio.IncompleteReadError) as failed:
        return f"lost: {failed!r}"
    finally:
        writer.close()

async def keep(host, port):
    while not over:
        outcomes[await visit(host, port)] += 1

async def main(host, port):
    global over
    visits = [asyncio.ensure_future(keep(host, port)) for _ in range(30)]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    over = True
    await asyncio.gather(*visits)
    print(json.dumps(outcomes))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


class LeavingScenario(RootScenario):
    """With one process."""

    workers = 1

    def setUp(self) -> None:
        super().setUp()
        for name in ("unshare", "nsenter", "ip"):
            self.program(name)
        tried = subprocess.run(self.inside(["true"]), capture_output=True, text=True, check=False)
        if tried.returncode:
            raise SkipTest(f"no network of our own can be had: {tried.stderr.strip()}")

    def inside(self, command: Sequence[str]) -> list[str]:
        """A command line that runs another in a network of its own."""
        return ["unshare", "--net", "sh", "-ec", _OWN, "sh", *command]

    def foreground(self, path: Path) -> Sequence[str]:
        """``sockd`` in a network of its own."""
        return self.inside(super().foreground(path))

    def churn(self, *lines: str) -> dict[str, int]:
        """Let each of these lines follow the other under load; what became of the clients."""
        server = self.start(more=f"user.unprivileged: nobody\n{lines[0]}")
        enter = ("nsenter", f"--net=/proc/{server.pid}/ns/net")
        process = subprocess.Popen(
            [*enter, sys.executable, "-c", _CHURN, "127.0.0.2", str(PORT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
        self.addCleanup(process.kill)
        for number in range(RELOADS):
            before, after = lines[number % len(lines)], lines[(number + 1) % len(lines)]
            self.reload(server, before, after, number + 1)
        output, _ = process.communicate(timeout=DEADLINE)
        outcomes: dict[str, int] = json.loads(output)
        self.assertGreater(outcomes["served"], 100)
        self.assertEqual(server.stop(), 0)
        return outcomes

    def reload(self, server: Running, before: str, after: str, number: int) -> None:
        """Put one line in the place of another."""
        path = self.folder / "sockd.conf"
        path.write_text(path.read_text().replace(before, after))
        server.send(signal.SIGHUP)
        server.wait_for(number, "SIGHUP ]: config reloaded")

    def test_moved(self) -> None:
        """Between an address and the wildcard no client is lost or refused."""
        lines = (f"internal: 127.0.0.2 port = {PORT}", f"internal: 0.0.0.0 port = {PORT}")
        self.assertEqual(set(self.churn(*lines)), {"served"})

    def test_gone(self) -> None:
        """At an address that is let go a client is served or refused, but never lost."""
        lines = (f"internal: 127.0.0.2 port = {PORT}", "# nothing")
        self.assertEqual(set(self.churn(*lines)), {"served", "refused"})


class WorkersLeavingScenario(LeavingScenario):
    """With two workers."""

    workers = 2
