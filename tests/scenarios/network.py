"""
A network of the tests' own, in which connections and look-ups really fail.

The server is started in namespaces (:manpage:`namespaces(7)`) that end with it; clients, targets
and the name server are sockets of the test that are made there.  Only root may go there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, TypeVar

from twisted.trial.unittest import SkipTest

from tests.scenarios.rights import DROP, RootScenario
from tests.scenarios.running import DEADLINE, Running

#: Where the server goes out from, and where targets are.
HERE = "192.0.2.1"
#: Its address on that link, where IPv6 can be had.
LINK_LOCAL = "fe80::77"
#: In a network that answers nothing: the kernel gives up after two packets or so.
SILENT = "192.0.2.7"
SILENT_TOO = "192.0.2.8"
#: A neighbour who is not there.
ABSENT = "198.51.100.9"
#: Nobody knows the way there.
NOWHERE = "203.0.113.5"

# Pairs of interfaces, the other ends of which are nobody: without ARP packets are lost, with it
# nobody answers the question for a neighbour.
_SETUP = """\
set -e
folder=$1
if [ "$2" -gt 0 ]; then
    ulimit -n "$2"
fi
shift 2
ip link set lo up
ip link add silent type veth peer name drain
ip link set silent arp off
ip address add 192.0.2.1/24 dev silent
ip link add absent type veth peer name nobody
ip -6 address add fe80::77/64 dev silent nodad || true
ip address add 198.51.100.1/24 dev absent
for name in silent drain absent nobody; do
    ip link set "$name" up
done
echo 1 > /proc/sys/net/ipv4/tcp_syn_retries
echo 1 > /proc/sys/net/ipv4/neigh/absent/mcast_solicit
echo 100 > /proc/sys/net/ipv4/neigh/absent/retrans_time_ms
mount --bind "$folder/resolv.conf" /etc/resolv.conf
mount --bind "$folder/nsswitch.conf" /etc/nsswitch.conf
mount --bind "$folder/hosts" /etc/hosts
if [ -e /etc/gai.conf ]; then
    mount --bind "$folder/gai.conf" /etc/gai.conf
fi
exec "$@"
"""
_RESOLV = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
_NSSWITCH = "hosts: files dns\n"
# Without it our own addresses would be preferred.
_GAI = f"precedence ::ffff:{SILENT}/128 90\nprecedence ::ffff:{ABSENT}/128 80\n"

# sched.h.  Python has os.setns from 3.12 on.
_CLONE_NEWNET = 0x40000000

_RESET = struct.pack("ii", 1, 0)
_Made = TypeVar("_Made")


def reset(sock: socket.socket) -> None:
    """Break a connection off."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


class NetworkScenario(RootScenario):
    """
    A server in a network of its own.

    :ivar server: the one that was started; sockets are made where it is.
    :ivar hosts: addresses of names.  Of one name, :data:`SILENT` comes first, then what is
        :data:`ABSENT`.
    :ivar ulimit: how many descriptors it may have; 0: as many as we.
    """

    server: Running
    hosts: ClassVar[dict[str, list[str]]] = {}
    ulimit = 0

    def setUp(self) -> None:
        super().setUp()
        for name in ("unshare", "ip", "mount"):
            self.program(name)
        (self.folder / "resolv.conf").write_text(_RESOLV)
        (self.folder / "nsswitch.conf").write_text(_NSSWITCH)
        (self.folder / "gai.conf").write_text(_GAI)
        lines = [f"{host} {name}" for name, hosts in self.hosts.items() for host in hosts]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        tried = subprocess.run(self.inside(["true"]), capture_output=True, text=True, check=False)
        if tried.returncode:
            raise SkipTest(f"no network of our own can be had: {tried.stderr.strip()}")

    def inside(self, command: Sequence[str]) -> list[str]:
        """A command line that runs another in a network of its own."""
        unshare = ["unshare", "--net", "--mount", "sh", "-c", _SETUP, "sh"]
        return [*unshare, str(self.folder), str(self.ulimit), *command]

    def foreground(self, path: Path) -> Sequence[str]:
        """``sockd`` in the foreground, in a network of its own."""
        return self.inside(super().foreground(path))

    def configure(
        self, port: int, method: str = "none", more: str = "", log: str | None = None
    ) -> Path:
        """A configuration that logs nothing but what ``more`` asks for."""
        path = self.folder / "sockd.conf"
        path.write_text(
            f"logoutput: {self.folder / 'sockd.log'}\n"
            f"internal: 127.0.0.1 port = {port}\n"
            f"external: {HERE}\n{DROP}\n"
            f"clientmethod: none\nsocksmethod: {method}\nworkers: {self.workers}\n"
            f"{more}\n"
            "client pass { from: 0/0 to: 0/0 }\n"
            "socks pass { from: 0/0 to: 0/0 }\n"
        )
        return path

    def run_server(self, text: str, **variables: str) -> None:
        """Start a server with ``text`` in its configuration, before the rules that pass all."""
        self.server = self.start(more=text, **variables)

    def failures(self) -> list[str]:
        """The log between the server's first line and its last ones, in order of the alphabet."""
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.raw())
        lines = self.server.lines()
        ours = [
            line
            for line in lines[:-1]
            if not line.endswith(" running") and "exiting on signal" not in line
        ]
        return sorted(ours)

    # Sockets

    def socket(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_INET) -> socket.socket:
        """A socket in the server's network, closed at the end of the test."""

        def thd_make() -> socket.socket:
            namespace = os.open(f"/proc/{self.server.pid}/ns/net", os.O_RDONLY)
            try:
                # Of this thread only, which ends with it.
                if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
                return socket.socket(family, kind)
            finally:
                os.close(namespace)

        sock = _elsewhere(thd_make)
        self.addCleanup(sock.close)
        sock.settimeout(DEADLINE)
        return sock

    def serving(self) -> socket.socket:
        """A target that listens."""
        sock = self.socket()
        sock.bind((HERE, 0))
        sock.listen()
        return sock

    def client(self) -> socket.socket:
        """A client that has just come in."""
        sock = self.socket()
        sock.connect(("127.0.0.1", self.server.port))
        return sock

    def asking(self, host: str, port: int = 80) -> socket.socket:
        """A client that has asked for a connection, by SOCKS 5."""
        sock = self.client()
        sock.sendall(b"\x05\x01\x00\x05\x01\x00" + _address(host) + port.to_bytes(2, "big"))
        return sock

    def reply(self, client: socket.socket) -> int:
        """What the server answers."""
        heard = b""
        while len(heard) < 12:
            piece = client.recv(300)
            if not piece:
                raise AssertionError(f"closed after {heard!r}:\n{self.server.raw()}")
            heard += piece
        self.assertEqual(heard[:3], b"\x05\x00\x05")
        return heard[3]

    def session(self, target: socket.socket) -> tuple[socket.socket, socket.socket]:
        """A client and its target, connected through the server."""
        client = self.asking(*target.getsockname())
        far, _ = target.accept()
        self.addCleanup(far.close)
        far.settimeout(DEADLINE)
        self.assertEqual(self.reply(client), 0)
        return client, far

    # Names

    def name_server(self) -> None:
        """
        Serve names, whose first part says how it fails.

        ``rcodeN``: with that code of :rfc:`1035`; ``empty``: the name has no address;
        ``silent``: without an answer.
        """
        sock = self.socket(socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 53))
        sock.settimeout(None)
        thread = threading.Thread(target=_serve_names, args=(sock,), daemon=True)
        thread.start()
        self.addCleanup(thread.join, DEADLINE)
        self.addCleanup(_wake, sock)


def _elsewhere(thd_make: Callable[[], _Made]) -> _Made:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(thd_make).result()


def _wake(sock: socket.socket) -> None:
    """End a thread's wait for datagrams."""
    with contextlib.suppress(OSError):  # that it has no peer; it does what it should all the same
        sock.shutdown(socket.SHUT_RDWR)


def _address(host: str) -> bytes:
    try:
        return b"\x01" + socket.inet_aton(host)
    except OSError:
        return b"\x03" + bytes([len(host)]) + host.encode()


def _serve_names(sock: socket.socket) -> None:
    while True:
        try:
            query, asker = sock.recvfrom(512)
        except OSError:
            return
        if not query:
            return
        label = query[13 : 13 + query[12]].decode()
        if label == "silent":
            continue
        rcode = 0 if label == "empty" else int(label.removeprefix("rcode"))
        # RFC 1035, 4.1.1: a response, recursion desired and available; one question, no answer.
        flags = 0x8180 | rcode
        head = query[:2] + struct.pack("!5H", flags, 1, 0, 0, 0)
        end = query.index(b"\0", 12) + 5
        sock.sendto(head + query[12:end], asker)
