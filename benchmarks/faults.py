"""
What others notice of a fault: ``python -m benchmarks.faults`` from the root of the source.

Each fault has a server of its own: sessions come at a moderate rate, first with all well, then with
the fault; printed are the milliseconds within which half of them and 99 % were done, each time.

- ``descriptors``: clients take all the server may have open; those who come then wait until some go
- ``slow clients``: 2,000 of them say nothing, or a byte now and then, until ``timeout.negotiate``
- ``silent resolver``: clients ask for names that a name server never answers for, others connect to
  addresses; ``its clients``: the same, but the others ask for a name that is known here
- ``guessing …``: 1,000 connections of one client, or of 100, guess passwords: of a users file, of
  the system (by the privileged helper), of PAM; others log in, each for the first time
- ``dead names``: 500 connections of 8, 32 and 100 clients ask for names that nobody answers for;
  others ask for names that a name server knows
- ``blocked sink``: standard output is a full pipe, beside a log file that gets all lines

Exit status 1 if others had to wait :data:`MOST` milliseconds longer, or if one of the facts is not
so that each fault's function states.  Needs a C compiler and, for the resolver, root.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import crowds
from benchmarks.destinations import DEADLINE, Destination, Pipe, wait_until
from benchmarks.load import Load, Sessions, build
from benchmarks.server import DANTETW, Server
from benchmarks.setups import RATE, USUAL

#: Milliseconds that 99 % of others may be done later.
MOST: Final = 50.0
#: Descriptors the server may have in "descriptors", where half of them are sessions already.
FILES: Final = 200
#: Slow clients, and seconds they have to get through negotiation.
SLOW, PATIENCE = 2000, 5
#: Clients whose names are not answered for, each from an address of its own or all from one.
ASKERS: Final = 200
#: Nobody sends an answer from here; a port below 1024 takes root.
_NAME_SERVER: Final = ("127.9.9.9", 53)
#: Gives a command a ``/etc/resolv.conf`` and ``/etc/nsswitch.conf`` of its own.
_OWN_RESOLVER: Final = """\
sh -c 'mount --bind {0}/resolv.conf /etc/resolv.conf
mount --bind {0}/nsswitch.conf /etc/nsswitch.conf
exec "$@"' sh """

_GREETING: Final = b"\x05\x01\x00"


class Bench:
    """
    Puts servers to the test, and keeps what was wrong.

    :param seconds: of sessions at the moderate rate, each time.
    """

    def __init__(self, folder: Path, load: Load, seconds: float) -> None:
        self.folder = folder
        self.load = load
        self.seconds = seconds
        self.wrong: list[str] = []

    @contextmanager
    def server(
        self,
        rules: str = "",
        files: int | None = None,
        command: str = DANTETW,
        more: Sequence[Destination] = (),
    ) -> Iterator[tuple[Server, Destination]]:
        """A server and its log."""
        log = Destination(self.folder)
        server = Server(command, self.folder, [log, *more], USUAL, rules, files)
        try:
            # Whatever is made when first used; few at a time, since descriptors may be few.
            self.load.run(server.port, 200, concurrent=5)
            yield server, log
        finally:
            server.kill()
            log.out.unlink(missing_ok=True)

    def others(self, server: Server) -> Sessions:
        """Sessions that have nothing to do with the fault."""
        return self.load.run(server.port, int(RATE * self.seconds), RATE)

    def check(self, name: str, true: bool, fact: str) -> None:
        """State a fact."""
        if not true:
            self.wrong.append(f"{name}: not so: {fact}")

    def show(self, name: str, before: Sessions, during: Sessions, most: float = MOST) -> None:
        """Print a row; nobody may wait so many milliseconds longer."""
        figures = [each.quantile(part) for each in (before, during) for part in (0.5, 0.99)]
        print(f"{name:<24}" + "".join(f"{figure:9.2f}" for figure in figures), flush=True)
        for each in (before, during):
            lost = each.failed + each.hung
            self.check(name, not lost, f"no other session fails ({lost} did)")
        later = figures[3] - figures[1]
        self.check(name, later < most, f"nobody waits {most:g} ms longer ({later:.0f} ms)")


def _arrive(port: int, number: int = 0) -> socket.socket:
    source = (f"127.0.{4 + number // 250}.{number % 250 + 1}", 0)
    return socket.create_connection(("127.0.0.1", port), DEADLINE, source)


def _count(log: Destination, text: str) -> int:
    return len(re.findall(text, log.text()))


def descriptors(bench: Bench) -> None:
    """
    No descriptor is left: who comes then waits, and is served when there are some again; one line
    says so.  Those who are there go on meanwhile: theirs are the figures.
    """
    name = "descriptors"
    with ExitStack() as stack:
        server, log = stack.enter_context(bench.server(files=FILES))
        clients = [stack.enter_context(_arrive(server.port, number)) for number in range(20)]
        for client in clients:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(_GREETING)
            client.recv(2)
            target = bench.load.target.to_bytes(2, "big")
            client.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + target)
            client.recv(10)
        before = _trips(clients, bench.seconds)
        with ExitStack() as crowd:
            waiting = [crowd.enter_context(_arrive(server.port, 20 + n)) for n in range(FILES)]
            told = "could not accept a client"
            wait_until(lambda: _count(log, told), "a line that says so")
            cpu = server.cpu()
            during = _trips(clients, bench.seconds)
            bench.show(name, before, during)
            idle = server.cpu() - cpu < 0.5 * bench.seconds
            bench.check(name, idle, "the server does not spin")
            for client in waiting:
                client.sendall(_GREETING)
            heard = sum(bool(select.select([one], [], [], 0)[0]) for one in waiting)
            bench.check(name, heard < FILES, "not all are accepted")
        server.settle()  # those who leave are gone before others come
        begun = time.monotonic()
        after = bench.load.run(server.port, 200, concurrent=5)
        took = time.monotonic() - begun
        bench.check(name, len(after.seconds) == 200, "all who come later are served")
        bench.check(name, took < 5, f"they are soon ({took:.1f} s)")
        bench.check(name, _count(log, told) == 1, f"it is told once ({_count(log, told)} times)")


def _trips(clients: list[socket.socket], seconds: float) -> Sessions:
    """Round trips of 64 bytes, at the moderate rate, in sessions that stay."""
    done, due = Sessions(), time.monotonic()
    end, body = due + seconds, bytes(64)
    while due < end:
        for client in clients:
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            begun = time.monotonic()
            client.sendall(body)
            heard = 0
            while heard < len(body):
                got = len(client.recv(4096))
                if not got:
                    done.failed += 1
                    return done
                heard += got
            done.seconds.append(time.monotonic() - begun)
    return done


def slow_clients(bench: Bench) -> None:
    """
    Clients that never get through negotiation are sent away when their time is up, all of them,
    and their descriptors are free again.
    """
    name = "slow clients"
    with bench.server(f"timeout.negotiate: {PATIENCE}") as (server, log):
        before = bench.others(server)
        files = len(os.listdir(f"/proc/{server.pid}/fd"))
        with ExitStack() as stack:
            clients = [stack.enter_context(_arrive(server.port, n)) for n in range(SLOW)]
            begun, stopped = time.monotonic(), threading.Event()
            # Half of them say a byte now and then: a greeting of 200 methods.
            drip = threading.Thread(target=_drip, args=(clients[::2], stopped))
            drip.start()
            during = bench.others(server)
            bench.show(name, before, during)
            for client in clients:
                client.settimeout(PATIENCE + 5)
            gone = sum(map(_is_closed, clients))
            took = time.monotonic() - begun
            stopped.set()
            drip.join()
            bench.check(name, gone == SLOW, f"all are sent away ({gone} were)")
            bench.check(name, took < PATIENCE + bench.seconds + 5, f"in time ({took:.1f} s)")
        server.settle()
        left = len(os.listdir(f"/proc/{server.pid}/fd")) - files
        bench.check(name, left <= 0, f"no descriptor is left open ({left} are)")
        ends = _count(log, "negotiate timeout after")
        bench.check(name, ends >= SLOW, f"each is told ({ends} are)")


def _drip(clients: list[socket.socket], stopped: threading.Event) -> None:
    said = iter(b"\x05\xc8" + bytes(200))
    while not stopped.wait(0.5):
        byte = bytes((next(said),))
        for client in clients:
            try:
                client.send(byte)
            except OSError:
                continue


def _is_closed(client: socket.socket) -> bool:
    try:
        return not client.recv(512)
    except TimeoutError:
        return False
    except OSError:
        return True


def silent_resolver(bench: Bench) -> None:
    """
    Clients that ask for names wait, as long as they may (``timeout.connect``), and are refused;
    others notice nothing, whether they ask for addresses or for names that can be had here.
    """
    folder = bench.folder
    (folder / "resolv.conf").write_text(f"nameserver {_NAME_SERVER[0]}\noptions attempts:1\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    command = f"unshare --mount {_OWN_RESOLVER.format(folder)}{DANTETW}"
    for name, each in (("silent resolver", True), ("its clients", False)):
        with ExitStack() as stack:
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind(_NAME_SERVER)
            server, _ = stack.enter_context(
                bench.server(f"timeout.connect: {PATIENCE}", command=command)
            )
            others = bench.others if each else partial(_named, bench)
            before = others(server)
            askers = []
            for number in range(ASKERS):
                client = stack.enter_context(_arrive(server.port, number if each else 0))
                client.sendall(_GREETING)
                client.recv(2)
                host = b"host%d.example.org" % number
                client.sendall(b"\x05\x01\x00\x03" + bytes((len(host),)) + host + b"\x00\x50")
                askers.append(client)
            begun = time.monotonic()
            during = others(server)
            bench.show(name, before, during)
            answers = []
            for client in askers:
                client.settimeout(PATIENCE + 10)
                try:
                    answers.append(client.recv(512)[1:2])
                except TimeoutError:
                    answers.append(b"none")
            took = time.monotonic() - begun
            refused = sum(answer not in (b"", b"\x00", b"none") for answer in answers)
            bench.check(name, refused == ASKERS, f"each is refused ({refused} were)")
            bench.check(name, took < PATIENCE + bench.seconds + 5, f"in time ({took:.1f} s)")
            bench.check(name, bool(select.select([silent], [], [], 0)[0]), "it was asked")


def _named(bench: Bench, server: Server) -> Sessions:
    """Sessions of one client, which asks for a name that the server has in a file of its own."""
    done, target = Sessions(), bench.load.target.to_bytes(2, "big")
    end = time.monotonic() + bench.seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        with _arrive(server.port, 249) as client:
            client.settimeout(DEADLINE)
            client.sendall(_GREETING)
            client.recv(2)
            client.sendall(b"\x05\x01\x00\x03\x09localhost" + target)
            if client.recv(10)[1:2] != b"\x00":
                done.failed += 1
                continue
            client.sendall(bytes(64))
            client.recv(64)
        done.seconds.append(time.monotonic() - begun)
        time.sleep(1 / RATE)
    return done


def guessing(bench: Bench) -> None:
    """Whoever logs in from elsewhere does so in three seconds, whoever guesses."""
    for method, how, workers in _LOGINS:
        command = DANTETW
        users = crowds.users_file(bench.folder)
        if how != "file":
            users = "user.privileged: root\nuser.unprivileged: nobody"
            command = crowds.system_users(bench.folder) + DANTETW
        users += f"\nworkers: {workers}"
        for clients in (1, 100):
            server = Server(command, bench.folder, method=method, users=users)
            name = f"guessing {how} {workers}/{clients}"

            async def visit(number: int, address: str, port: int = server.port) -> bool:
                user = crowds.user(number)
                return await crowds.log_in(port, address, user, crowds.PASSWORD) == b"\0"

            try:
                before = crowds.measure(bench.seconds, _LOGIN_RATE, visit)
                with crowds.crowd("guess", server.port, 1000, clients):
                    during = crowds.measure(4 * bench.seconds, _LOGIN_RATE, visit)
                bench.show(name, before, during, 3000)
            finally:
                server.kill()


#: Logins and look-ups of others in a second: with a hash each the former take CPU by themselves.
_LOGIN_RATE, _NAME_RATE = 2.0, 20.0
#: Method, whose passwords, and workers.
_LOGINS: Final = (
    ("username", "file", 1),
    ("username", "file", 2),
    ("username", "system", 1),
    ("username", "system", 2),
    ("pam.username", "pam", 1),
)


def dead_names(bench: Bench) -> None:
    """Whoever asks for names that can be had has them at once."""
    folder = bench.folder
    (folder / "resolv.conf").write_text(f"nameserver {_NAME_SERVER[0]}\n")
    (folder / "nsswitch.conf").write_text("hosts: files dns\n")
    command = f"unshare --mount {_OWN_RESOLVER.format(folder)}{DANTETW}"
    for clients in (8, 32, 100):
        with crowds.name_server(_NAME_SERVER), bench.server(command=command) as (server, _):

            async def visit(number: int, address: str, port: int = server.port) -> bool:
                name = b"n%d.good.test" % number
                return await crowds.ask(port, address, name, bench.load.target) == b"\0"

            before = crowds.measure(bench.seconds, _NAME_RATE, visit)
            with crowds.crowd("names", server.port, 500, clients):
                during = crowds.measure(4 * bench.seconds, _NAME_RATE, visit)
            bench.show(f"dead names {clients}", before, during, 100)


def blocked_sink(bench: Bench) -> None:
    """
    A sink that takes no lines holds nobody up, and none is missing in the other one.  How many
    lines are lost, and that this is told, shows :mod:`benchmarks.logging`.
    """
    name = "blocked sink"
    with bench.server() as (server, _):
        before = bench.others(server)
    pipe = Pipe(bench.folder, blocked=True, label="stdout.log")
    with bench.server(more=[pipe]) as (server, log):
        # More than a pipe has room for, and what we keep for it.
        flood = bench.load.run(server.port, 5000)
        during = bench.others(server)
        bench.show(name, before, during)
        server.settle()
        ends = _count(log, r"tcp/accept \]:")
        count = 200 + len(flood.seconds) + len(during.seconds)
        bench.check(name, ends == count, f"the file has {count} sessions ({ends})")
        bench.check(name, _count(log, "could not write to logfile") == 1, "it is told once")
        pipe.free()


FAULTS: Final[tuple[Callable[[Bench], None], ...]] = (
    descriptors,
    slow_clients,
    silent_resolver,
    guessing,
    dead_names,
    blocked_sink,
)


_FOR_ROOT: Final = (silent_resolver, guessing, dead_names)


def main() -> int:
    """Try all faults; the exit status."""
    assert __doc__ is not None
    names = [fault.__name__ for fault in FAULTS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a second of each instead of five")
    parser.add_argument("--only", choices=names, action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        load = Load(build(folder))
        bench = Bench(folder, load, 1.0 if options.quick else 5.0)
        print(f"{'':<24}{'all well':>18}{'with the fault':>18}")
        print(f"{'':<24}" + 2 * f"{'p50 ms':>9}{'p99 ms':>9}")
        try:
            for fault in FAULTS:
                if options.only and fault.__name__ not in options.only:
                    continue
                if fault in _FOR_ROOT and os.geteuid():
                    print(f"{fault.__name__}: needs root")
                    continue
                fault(bench)
        finally:
            load.stop()
    print("\n" + ("\n".join(f"wrong: {text}" for text in bench.wrong) or "nothing is wrong"))
    return bool(bench.wrong)


if __name__ == "__main__":
    raise SystemExit(main())
