"""
Where a server's lines go: files, pipes, a log daemon, a small disk.

Each has what its name is in ``sockd.conf``, may be blocked from the start, and can be freed, after
which what waited and what comes goes through.  :meth:`Destination.text` is what came out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

#: The root of the source.
ROOT: Final = Path(__file__).parents[1]
#: Seconds after which something that has not happened is taken not to happen.
DEADLINE: Final = 60.0

#: Gives a command a /dev and a disk of its own: what is in /dev stays, with our log daemon added;
#: devtmpfs itself is one for all, so that a socket made there would be everybody's.
_NAMESPACE: Final = """\
set -e
folder=$1 size=$2
shift 2
mkdir -p "$folder/dev" "$folder/small"
mount --rbind /dev "$folder/dev"
mount -t tmpfs -o mode=755 tmpfs /dev
for entry in "$folder"/dev/*; do
    case ${entry##*/} in log) ;; *) ln -s "$entry" "/dev/${entry##*/}" ;; esac
done
ln -s "$folder/syslog" /dev/log
mount -t tmpfs -o mode=777,size="$size" tmpfs "$folder/small"
exec "$@"
"""
#: Bytes of the small disk, and of them how many are taken while it is full.
_DISK: Final = 16 << 20
_FREE: Final = 16 << 10


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """
    Wait for something to become true.

    :raises TimeoutError: if it does not; says what.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} seconds")
        time.sleep(0.02)


def namespace(folder: Path) -> list[str]:
    """
    What to put before a command so that it has a ``/dev/log`` and a small disk in ``folder``.

    Root needs nothing; others need a kernel that lets them have namespaces.
    """
    flags = "-m" if os.geteuid() == 0 else "-rm"
    program = ["unshare", flags, "sh", "-c", _NAMESPACE, "sh"]
    return [*program, str(folder), str(_DISK)]


def why_no_namespace(folder: Path) -> str | None:
    """Why :func:`namespace` cannot be used, None if it can."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run(
        [*namespace(folder), "true"], capture_output=True, text=True, check=False
    )
    return tried.stderr.strip() or "no mount namespace" if tried.returncode else None


class Destination:
    """
    A file.

    :ivar word: its name in ``sockd.conf``; ``name``: in our tables.
    :ivar stdout: what the server gets as its standard output, if that matters.
    :ivar private: whether the server needs :func:`namespace`.
    """

    name = "file"
    private = False
    stdout: int | None = None

    def __init__(self, folder: Path, blocked: bool = False, label: str = "log") -> None:
        self.folder = folder
        self.blocked = blocked
        self.out = folder / label
        self.word = str(self.out)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.prepare()

    def prepare(self) -> None:
        """What must be there before the server is."""

    def started(self, pid: int) -> None:
        """The server runs, as this process."""

    def free(self) -> None:
        """Let through what waits."""
        self.blocked = False

    def ended(self) -> None:
        """The server has ended: wait for the last of it, and clean up."""
        for process in self._processes:
            process.kill()
            process.wait()

    def text(self) -> str:
        """What came out."""
        return self.out.read_text(encoding="utf-8") if self.out.exists() else ""

    def run(self, *command: str, stdin: int | None = None, out: IO[bytes] | None = None) -> None:
        """Start a process that is ours to end."""
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=out, cwd=ROOT
        )
        self._processes.append(process)


class Rotated(Destination):
    """A file that can be rotated, as logrotate does it but for the signal."""

    name = "rotated file"

    def prepare(self) -> None:
        """See :meth:`Destination.prepare`."""
        self._old: list[Path] = []

    def rotate(self) -> None:
        """Give it another name; the server does not know yet."""
        old = self.out.with_name(f"{self.out.name}.{len(self._old) + 1}")
        self.out.rename(old)
        self._old.append(old)

    def text(self) -> str:
        """All of it, from the oldest on."""
        return "".join(path.read_text(encoding="utf-8") for path in self._old) + super().text()


class Pipe(Destination):
    """Standard output, a pipe that a process reads."""

    name = "stdout"

    def prepare(self) -> None:
        """See :meth:`Destination.prepare`."""
        self.word = "stdout"
        self._reader, self.stdout = os.pipe()
        if not self.blocked:
            self._read()

    def _read(self) -> None:
        with self.out.open("wb") as out:
            self.run("cat", stdin=self._reader, out=out)

    def started(self, pid: int) -> None:
        """See :meth:`Destination.started`."""
        assert self.stdout is not None
        os.close(self.stdout)

    def free(self) -> None:
        """Begin to read."""
        super().free()
        self._read()

    def ended(self) -> None:
        """Wait for the reader to find the end."""
        os.close(self._reader)
        self.read_out()

    def read_out(self) -> None:
        """Wait for those who read."""
        try:
            for process in self._processes:
                process.wait(DEADLINE)
        finally:
            super().ended()


class Fifo(Pipe):
    """A FIFO."""

    name = "fifo"
    stdout = None

    def prepare(self) -> None:
        """See :meth:`Destination.prepare`."""
        path = self.folder / "fifo"
        os.mkfifo(path)
        self.word = str(path)
        if not self.blocked:
            self._read()

    def _read(self) -> None:
        with self.out.open("wb") as out:
            self.run("cat", self.word, out=out)

    def started(self, pid: int) -> None:
        """See :meth:`Destination.started`."""

    def ended(self) -> None:
        """See :meth:`Pipe.ended`."""
        self.read_out()


class Syslog(Destination):
    """A log daemon."""

    name = "syslog"
    private = True

    def prepare(self) -> None:
        """See :meth:`Destination.prepare`."""
        self.word = "syslog"
        path = self.folder / "syslog"
        self.run(sys.executable, "-m", "benchmarks.daemon", str(path), str(self.out))
        wait_until(path.exists, "the log daemon")
        if self.blocked:
            self._processes[0].send_signal(signal.SIGSTOP)

    def free(self) -> None:
        """Let the daemon go on."""
        super().free()
        self._processes[0].send_signal(signal.SIGCONT)

    def ended(self) -> None:
        """Wait until the daemon has received all there is."""
        last = -1

        def quiet() -> bool:
            nonlocal last
            before, last = last, self.out.stat().st_size
            return before == last

        wait_until(quiet, "silence")
        super().ended()


class Disk(Destination):
    """A file on a small disk, which is full."""

    name = "full disk"
    private = True

    def prepare(self) -> None:
        """See :meth:`Destination.prepare`."""
        self.word = str(self.folder / "small" / "log")

    def started(self, pid: int) -> None:
        """Fill it up, as far as the server's own view of the files goes."""
        self.disk = Path(f"/proc/{pid}/root{self.folder}/small")
        # Kept open: the disk is gone from sight when the server ends, but not from us.
        self._log = (self.disk / "log").open(encoding="utf-8")
        if self.blocked:
            self.fill()

    def fill(self) -> None:
        """Leave little room."""
        self.blocked = True
        room = os.statvfs(self.disk)
        with (self.disk / "other").open("wb") as other:
            os.posix_fallocate(other.fileno(), 0, room.f_bavail * room.f_bsize - _FREE)

    def free(self) -> None:
        """Remove what it is full of."""
        super().free()
        (self.disk / "other").unlink()

    def ended(self) -> None:
        """Keep what is on the disk."""
        with self._log:
            self.out.write_text(self._log.read(), encoding="utf-8")
