"""
Crowds of clients that mean harm: those that guess passwords, and those that ask for dead names.

A crowd is a process of its own, so that it does not slow down the clients that are measured:
``python -m benchmarks.crowds guess PORT CONNECTIONS CLIENTS`` and ``names PORT EACH CLIENTS``.  It
goes on until its standard input ends.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.load import Sessions
from dantetw.auth.crypting import Libcrypt

#: Users that there are, each with the password :data:`PASSWORD`.
USERS: Final = 400
PASSWORD: Final = b"secret"

#: Seconds that a client waits for an answer.
PATIENCE: Final = 60.0

_GREETING: Final = b"\x05\x01\x00"


def user(number: int) -> str:
    """A user's name."""
    return f"dtw{number % USERS}"


async def _connect(port: int, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def log_in(port: int, address: str, name: str, password: bytes) -> bytes:
    """Log in; the last byte of the answer, empty if there was none."""
    reader, writer = await _connect(port, address)
    try:
        given = bytes((len(name),)) + name.encode() + bytes((len(password),)) + password
        writer.write(b"\x05\x01\x02\x01" + given)
        return (await reader.readexactly(4))[3:]
    except (OSError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


async def ask(port: int, address: str, name: bytes, target: int) -> bytes:
    """Ask for a connection to a name; the reply's code, empty if there was none."""
    reader, writer = await _connect(port, address)
    try:
        request = b"\x05\x01\x00\x03" + bytes((len(name),)) + name + target.to_bytes(2, "big")
        writer.write(_GREETING + request)
        return (await reader.readexactly(4))[3:]
    except (OSError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


async def _guess(port: int, number: int, clients: int) -> None:
    """Guess a password for a user, or for nobody, again and again."""
    address = f"127.3.{number % clients // 250}.{number % clients % 250 + 1}"
    for attempt in itertools.count():
        name = user(number + attempt) if attempt % 2 else f"nobody{number}"
        try:
            await log_in(port, address, name, b"%d-%d" % (number, attempt))
        except OSError:
            await asyncio.sleep(0.5)


async def _name(port: int, number: int, clients: int) -> None:
    """Ask for names that nobody answers for, again and again."""
    address = f"127.3.{number % clients // 250}.{number % clients % 250 + 1}"
    for attempt in itertools.count():
        try:
            await ask(port, address, b"n%d-%d.dead.test" % (number, attempt), 80)
        except OSError:
            await asyncio.sleep(0.5)


@contextmanager
def crowd(what: str, port: int, number: int, clients: int) -> Iterator[None]:
    """
    A crowd, for as long as the context lasts.

    :param what: ``guess`` or ``names``.
    :param number: connections at a time, from so many ``clients``.
    """
    command = [sys.executable, "-m", "benchmarks.crowds", what, str(port), str(number)]
    running = subprocess.Popen([*command, str(clients)], stdin=subprocess.PIPE)
    try:
        time.sleep(2)  # let it fill all queues
        yield
    finally:
        assert running.stdin is not None
        running.stdin.close()
        running.wait(PATIENCE)


def measure(seconds: float, rate: float, visit: Callable[[int, str], Awaitable[bool]]) -> Sessions:
    """
    Clients that come one after the other, each from an address of its own.

    :param rate: how many come in a second.
    :param visit: what one does: whether it was served.
    """
    sessions = Sessions()

    async def one(number: int) -> None:
        begun = time.monotonic()
        try:
            served = await asyncio.wait_for(
                visit(number, f"127.5.{number // 250 % 250}.{number % 250 + 1}"), PATIENCE
            )
        except TimeoutError:
            sessions.hung += 1
            return
        if served:
            sessions.seconds.append(time.monotonic() - begun)
        else:
            sessions.failed += 1

    async def come() -> None:
        end, visits = time.monotonic() + seconds, []
        while time.monotonic() < end:
            visits.append(asyncio.create_task(one(next(_NUMBERS))))
            await asyncio.sleep(1 / rate)
        await asyncio.gather(*visits)

    asyncio.run(come())
    return sessions


# Never the same client or user twice within a minute, in which a login is remembered.
_NUMBERS: Final = itertools.count()


def users_file(folder: Path) -> str:
    """A users file; its settings."""
    import bcrypt

    stored = bcrypt.hashpw(PASSWORD, bcrypt.gensalt(10)).decode()
    path = folder / "users"
    path.write_text("".join(f"{user(number)}:{stored}\n" for number in range(USERS)))
    path.chmod(0o640)
    return f"username.file: {path}"


def system_users(folder: Path) -> str:
    """
    The users of a system, with yescrypt as in Debian; a command before another that has them.

    Also a service for PAM that asks for their passwords.
    """
    stored = Libcrypt().thd_hash(PASSWORD, b"$y$j9T$saltsaltsaltsalt$").decode()
    # A copy of all of it: a file that is replaced meanwhile would no longer be covered by another.
    etc = folder / "etc"
    if not etc.exists():
        shutil.copytree("/etc", etc, symlinks=True)
        for name, line in (
            ("passwd", "{0}:x:{1}:65534::/:/bin/false\n"),
            ("shadow", "{0}:{2}:19000:0:99999:7:::\n"),
        ):
            with (etc / name).open("a") as file:
                file.writelines(line.format(user(n), 40000 + n, stored) for n in range(USERS))
        services = etc / "pam.d"
        (services / "sockd").write_text("auth required pam_unix.so\naccount required pam_unix.so\n")
    return f"unshare --mount sh -c 'mount --bind {etc} /etc\nexec \"$@\"' sh "


@contextmanager
def name_server(address: tuple[str, int]) -> Iterator[None]:
    """A name server: every name is an address here, but of those in ``dead.test`` nobody hears."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(0.1)
        stopped = threading.Event()
        serving = threading.Thread(target=_thd_answer, args=(sock, stopped), daemon=True)
        serving.start()
        try:
            yield
        finally:
            stopped.set()
            serving.join()


def _thd_answer(sock: socket.socket, stopped: threading.Event) -> None:
    while not stopped.is_set():
        try:
            query, client = sock.recvfrom(512)
        except TimeoutError:
            continue
        end = query.index(b"\0", 12) + 5
        question, kind = query[12:end], query[end - 4 : end - 2]
        if b"\x04dead\x04test" in question.lower():
            continue
        found = kind == b"\x00\x01"
        header = query[:2] + b"\x81\x80\x00\x01" + (b"\x00\x01" if found else b"\x00\x00")
        answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"
        sock.sendto(header + bytes(4) + question + (answer if found else b""), client)


async def _go_on(what: str, port: int, number: int, clients: int) -> None:
    act = {"guess": _guess, "names": _name}[what]
    tasks = [asyncio.create_task(act(port, each, clients)) for each in range(number)]
    await asyncio.to_thread(sys.stdin.read)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_go_on(sys.argv[1], *map(int, sys.argv[2:])))
