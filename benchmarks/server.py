"""A server's processes, and the CPU time they use."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.destinations import DEADLINE, ROOT, Destination, namespace, wait_until

_TICK: Final = os.sysconf("SC_CLK_TCK")
#: Seconds without CPU time after which a server is taken to have done all it had to.
_QUIET: Final = 0.3

#: Each server goes out from an address of its own, where ports have not run out.
_NUMBERS: Final = itertools.count()

_CONFIG: Final = """\
{outputs}
internal: 127.0.0.1 port = {port}
external: {external}
clientmethod: none
socksmethod: {method}
{users}
{rules}
client pass {{ from: 127.0.0.0/8 to: 0/0
    {log} }}
socks pass {{ from: 127.0.0.0/8 to: 0/0
    {log} }}
"""

#: As the developer has it installed.
DANTETW: Final = f"{Path(sys.executable).parent}/twistd -n --pidfile= sockd --config {{config}}"
#: The other one; forks, and cannot do without users.
DANTED: Final = "danted -f {config} -p {config}.pid"
# What a line costs, and that none is lost, is the business of each process by itself.
_ONE_PROCESS: Final = "workers: 1"
#: A small one, which has a thread for each session, and no rules, log or datagrams.
MICROSOCKS: Final = "microsocks -i 127.0.0.1 -p {port}"
_DANTED_USERS: Final = "user.privileged: root\nuser.unprivileged: nobody"


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as sock:
        # Ports of sessions that are over are free to listen on.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Server:
    """
    A server that runs.

    :param command: a command line that stays in the foreground; ``{config}`` in it is the
        configuration's name, ``{port}`` where it is to listen.
    :param words: of ``log:``, empty: nothing is logged.
    :param rules: those that stand before the ones that let everybody in.
    :param files: how many it may have open; None: as many as we.
    :param method: how clients log in; ``users``: settings in place of ``workers: 1``.
    :ivar port: where it listens.
    """

    def __init__(
        self,
        command: str,
        folder: Path,
        destinations: Sequence[Destination] = (),
        words: str = "",
        rules: str = "",
        files: int | None = None,
        method: str = "none",
        users: str = "",
    ) -> None:
        self.port = free_port()
        self._destinations = list(destinations)
        config = folder / "sockd.conf"
        config.write_text(
            _CONFIG.format(
                outputs="\n".join(f"logoutput: {one.word}" for one in destinations),
                port=self.port,
                external=f"127.0.2.{next(_NUMBERS) % 250 + 1}",
                users=users or (_DANTED_USERS if command == DANTED else _ONE_PROCESS),
                method=method,
                rules=rules,
                log=f"log: {words}" if words else "",
            )
        )
        arguments = [word.format(config=config, port=self.port) for word in shlex.split(command)]
        if files is not None:
            arguments = ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *arguments]
        if any(one.private for one in destinations):
            arguments = namespace(folder) + arguments
        stdout = next((one.stdout for one in destinations if one.stdout is not None), None)
        self._errors = folder / "errors"
        environment = dict(os.environ)
        if DANTETW in command:
            # It finds the plugin, whether installed or not.
            paths = (str(ROOT), os.environ.get("PYTHONPATH"))
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            # As it is where it was installed: not compiled anew at each start.
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                arguments,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=errors if stdout is None else stdout,
                stderr=errors,
                env=environment,
            )
        self.pid = self._process.pid
        try:
            wait_until(self._listens, "a server that listens")
            for one in destinations:
                one.started(self.pid)
        except BaseException:
            self.kill()
            raise

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the server ended: {self._errors.read_text()}")
        # Whoever asks by connecting makes a line.
        with open("/proc/net/tcp") as table:
            return any(f":{self.port:04X} 00000000:0000 0A" in row for row in table)

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it, and wait until all that came out of it is where it goes."""
        self.send(signal.SIGTERM)
        try:
            self._process.wait(DEADLINE)
        finally:
            self.kill()

    def kill(self) -> None:
        """The same at once, whatever it does; nothing if it has been ended."""
        for pid in reversed(self._tree()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(DEADLINE)
        while self._destinations:
            self._destinations.pop().ended()

    def _tree(self) -> list[int]:
        """Its processes, parents before children; empty once it has been waited for."""
        if self._process.returncode is not None:
            return []
        children: dict[int, list[int]] = {}
        for entry in filter(str.isdigit, os.listdir("/proc")):
            if fields := _fields(int(entry)):
                children.setdefault(int(fields[1]), []).append(int(entry))
        found = [self.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu(self) -> float:
        """Seconds of CPU time that its processes used, those that ended included."""
        ticks = 0
        for pid in self._tree():
            if fields := _fields(pid):
                ticks += sum(map(int, fields[11:15]))
        return ticks / _TICK

    def memory(self, field: str = "Pss") -> int:
        """
        Kilobytes of memory that its processes have.

        :param field: of ``smaps_rollup``: ``Pss`` has of what processes share, strangers too, their
            part; ``Anonymous`` what they have made, a process's share in others' counted twice.
        """
        return sum(_kilobytes(pid, field) for pid in self._tree())

    def settle(self) -> float:
        """Wait until it has nothing more to do; its CPU time."""
        used, since = self.cpu(), time.monotonic()
        end = since + DEADLINE
        while time.monotonic() - since < _QUIET and time.monotonic() < end:
            time.sleep(0.05)
            if (now := self.cpu()) != used:
                used, since = now, time.monotonic()
        return used


def _fields(pid: int) -> list[str]:
    """What ``/proc/PID/stat`` has behind the program's name: state, parent, …; empty if gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return stat[stat.rindex(")") + 2 :].split()


def _kilobytes(pid: int, field: str) -> int:
    """Of a process; 0 if it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    rows = (row.split() for row in rollup.splitlines())
    return next((int(row[1]) for row in rows if row[0] == f"{field}:"), 0)
