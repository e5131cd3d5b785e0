"""Scenarios in which the interfaces that a configuration names come, go, and change."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.scenarios.network import HERE, NetworkScenario
from tests.scenarios.rights import DROP
from tests.scenarios.running import SOCKD, environment, free_port, wait_until

TUNNEL = "10.8.0.2"


class InterfaceScenario(NetworkScenario):
    """A server whose ``internal`` and ``external`` lines a test chooses."""

    internal = "127.0.0.1"
    external = HERE
    rules = (
        "client pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 log: connect error }\n"
    )
    #: More commands for the network before the server starts.
    prepare = ""

    def setUp(self) -> None:
        super().setUp()
        self.program("nsenter")

    def inside(self, command: list[str]) -> list[str]:  # type: ignore[override]
        """The same, with :attr:`prepare`."""
        return super().inside(["sh", "-ec", f'{self.prepare}\nexec "$@"', "sh", *command])

    def configure(
        self, port: int, method: str = "none", more: str = "", log: str | None = None
    ) -> Path:
        """A configuration with our addresses."""
        path = self.folder / "sockd.conf"
        internals = "".join(f"internal: {each} port = {port}\n" for each in self.internal.split())
        externals = "".join(f"external: {each}\n" for each in self.external.split())
        path.write_text(
            f"logoutput: {self.folder / 'sockd.log'}\n{internals}{externals}{DROP}\n"
            f"clientmethod: none\nsocksmethod: {method}\nworkers: {self.workers}\n"
            f"{more}\n{self.rules}"
        )
        return path

    def ip(self, *words: str) -> None:
        """Change the server's network."""
        namespace = f"--net=/proc/{self.server.pid}/ns/net"
        subprocess.run(["nsenter", namespace, "ip", *words], check=True, capture_output=True)

    def tunnel(self, address: str = TUNNEL, name: str = "tun0") -> None:
        """Let an interface come, with an address."""
        self.ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
        self.ip("link", "set", name, "addrgenmode", "none")
        self.ip("link", "set", name, "up")
        self.ip("link", "set", f"{name}p", "up")
        self.ip("address", "add", f"{address}/24", "dev", name)

    def until(self, come: Callable[[], bool]) -> None:
        """Wait until something is so."""
        try:
            wait_until(come, "the change")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.server.raw()}") from None

    def serves(self, host: str, expected: int = 0) -> bool:
        """Whether a client that comes in by an address gets this reply for our target."""
        client = self.socket()
        try:
            client.connect((host, self.server.port))
        except OSError:
            return False
        target = socket.inet_aton(HERE) + self.target.getsockname()[1].to_bytes(2, "big")
        client.sendall(b"\x05\x01\x00\x05\x01\x00\x01" + target)
        with client:
            return self.reply(client) == expected

    def listens(self, host: str) -> bool:
        """Whether clients can come in by an address."""
        return self.socket().connect_ex((host, self.server.port)) == 0

    def begin(self, more: str = "") -> None:
        """Start the server, and a target."""
        self.run_server(more)
        self.target = self.serving()

    def said(self, *words: str) -> list[str]:
        """Lines of the log with all of these words."""
        return [line for line in self.server.lines() if all(word in line for word in words)]


class AliasTests(InterfaceScenario):
    """Alias labels."""

    prepare = (
        "ip address add 192.0.2.11/32 dev silent label silent:1\n"
        "ip address add 192.0.2.12/32 dev silent label silent:pub\n"
        "ip address add 192.0.2.13/32 dev silent label silent:pub"
    )
    internal = "silent:pub 127.0.0.1"
    external = "silent:1"
    rules = (
        "client pass { from: 0/0 to: 0/0 }\n"
        "socks block { from: silent:pub to: 0/0 log: connect }\n"
        "socks pass { from: 0/0 to: silent log: connect }\n"
    )

    def test_labels(self) -> None:
        """A label names the addresses that have it, and no others of the interface."""
        self.begin()
        self.assertTrue(self.listens("192.0.2.12"))
        self.assertTrue(self.listens("192.0.2.13"))
        self.assertFalse(self.listens("192.0.2.11"))
        self.assertFalse(self.listens(HERE))
        self.assertTrue(self.serves("127.0.0.1"))
        _, (peer, _) = self.target.accept()
        self.assertEqual(peer, "192.0.2.11")
        # The kernel lets a client go from the address that it goes to.
        self.assertTrue(self.serves("192.0.2.12", 2))


class TunnelTests(InterfaceScenario):
    """A server that starts before the interface it listens on and goes out by."""

    internal = "tun0"
    external = "tun0"

    def test_waits(self) -> None:
        """The server waits for it, and serves as it comes, goes and changes."""
        self.begin()
        (line,) = self.said("not there yet")
        self.assertIn('"tun0" (internal, line 2), "tun0" (external, line 3)', line)
        self.assertFalse(self.listens("127.0.0.1"))
        self.tunnel()
        self.until(lambda: self.serves(TUNNEL))
        self.assertEqual(self.target.accept()[1][0], TUNNEL)
        self.server.wait_for(1, f"interface tun0 (internal, external) is there: {TUNNEL}")

        self.ip("address", "add", "10.8.0.3/24", "dev", "tun0")
        self.until(lambda: self.serves("10.8.0.3"))
        self.ip("address", "del", f"{TUNNEL}/24", "dev", "tun0")
        self.until(lambda: not self.listens(TUNNEL))

        self.ip("link", "del", "tun0")
        self.until(lambda: bool(self.said("warning", "tun0", "is gone or has no address")))
        self.tunnel("10.8.0.9")
        self.until(lambda: self.serves("10.8.0.9"))
        self.assertEqual(len(self.said("interface tun0 (internal, external) is there")), 2)
        self.assertEqual(self.server.stop(), 0)
        self.assertNotIn("Traceback", self.server.raw())

    def test_reload(self) -> None:
        """A reload neither loses what has come nor stops the waiting."""
        self.begin()
        self.server.send(signal.SIGHUP)
        self.until(lambda: bool(self.said("SIGHUP ]: config reloaded")))
        self.tunnel()
        self.until(lambda: self.serves(TUNNEL))
        self.server.send(signal.SIGHUP)
        self.until(lambda: len(self.said("SIGHUP ]: config reloaded")) == 2)
        self.assertTrue(self.serves(TUNNEL))
        self.ip("link", "del", "tun0")
        self.until(lambda: bool(self.said("is gone or has no address")))
        self.tunnel("10.8.0.9")
        self.until(lambda: self.serves("10.8.0.9"))


class TunnelWorkersTests(TunnelTests):
    """The same with two workers."""

    workers = 2


class ExternalTests(InterfaceScenario):
    """A server whose way out is missing."""

    external = "wg0"
    rules = (
        "client pass { from: 0/0 to: 0/0 }\n"
        "socks block { from: wg0 to: 0/0 log: connect }\n"
        "socks pass { from: 0/0 to: 0/0 log: connect error }\n"
    )

    def test_refused(self) -> None:
        """Requests are refused as unreachable while it is missing; then it is used."""
        self.begin()
        self.assertTrue(self.serves("127.0.0.1", 3))
        self.server.wait_for(1, "is missing or without an address")
        (line,) = self.said("block", "tcp/connect ]")
        self.assertIn("wg0 is missing or without an address", line)
        self.tunnel(name="wg0")
        self.until(lambda: self.serves("127.0.0.1"))
        self.assertEqual(self.target.accept()[1][0], TUNNEL)
        self.server.wait_for(1, "interface wg0 (external, from) is there: ")


class AddressTests(InterfaceScenario):
    """A server that listens on an address which comes later."""

    internal = f"127.0.0.1 {TUNNEL}"

    def test_comes(self) -> None:
        """It serves where it can, and at the address once it is there."""
        self.begin()
        (line,) = self.said("not there yet")
        self.assertIn(f'"{TUNNEL}" (internal, line 3)', line)
        self.assertTrue(self.serves("127.0.0.1"))
        self.tunnel()
        self.until(lambda: self.serves(TUNNEL))
        self.until(lambda: bool(self.said("listening on", TUNNEL)))


class LinkLocalTests(InterfaceScenario):
    """A server that listens on the link-local address of a link which comes later."""

    internal = "127.0.0.1 fe80::99%tun0"

    def link(self) -> None:
        """Let the link come."""
        self.tunnel()
        self.ip("address", "add", "fe80::99/64", "dev", "tun0", "nodad")

    def reachable(self) -> bool:
        """Whether clients can come in by the link."""
        namespace = f"--net=/proc/{self.server.pid}/ns/net"
        code = f"import socket; socket.create_connection(('fe80::99%tun0', {self.server.port}))"
        command = ["nsenter", namespace, sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def test_again(self) -> None:
        """The link may go and come back, which to the kernel is another."""
        self.begin()
        self.link()
        self.until(self.reachable)
        self.ip("link", "del", "tun0")
        self.link()
        self.until(self.reachable)


class PrivilegedPortTests(InterfaceScenario):
    """A port below 1024 on an interface that comes when the privileges are gone."""

    internal = "tun0"

    def configure(
        self, port: int, method: str = "none", more: str = "", log: str | None = None
    ) -> Path:
        """The same, on port 443."""
        path = super().configure(port, method, more, log)
        path.write_text(path.read_text().replace(f"port = {port}", "port = 443"))
        return path

    def test_bound(self) -> None:
        """The helper binds it."""
        self.begin()
        self.server.port = 443
        self.tunnel()
        self.until(lambda: self.serves(TUNNEL))


class PrivilegedPortWorkersTests(PrivilegedPortTests):
    """The same with two workers."""

    workers = 2


class UpgradeTests(InterfaceScenario):
    """Another server takes over while an interface is missing."""

    internal = "127.0.0.1 tun0"
    external = "tun0"

    def test_upgrade(self) -> None:
        """The new server follows the interface, the old one no longer."""
        self.begin()
        self.tunnel()
        self.until(lambda: self.serves(TUNNEL))
        old, path = self.server, self.folder / "sockd.conf"
        pidfile = self.folder / "old.pid"
        pidfile.write_text(str(old.pid))
        enter = ["nsenter", f"--net=/proc/{old.pid}/ns/net"]
        command = [*enter, *SOCKD, "upgrade", "-f", str(path), "-p", str(pidfile)]
        self.server = self.spawn(command, old.port)
        old.wait_for(1, "has taken our place")
        self.assertTrue(self.serves(TUNNEL))
        self.ip("address", "add", "10.8.0.3/24", "dev", "tun0")
        self.until(lambda: self.serves("10.8.0.3"))
        self.server.wait_for(1, "gained 10.8.0.3")
        self.assertEqual(len(self.said("gained 10.8.0.3")), 1)


class CheckTests(InterfaceScenario):
    """``sockd check``."""

    internal = "silent:pub"
    external = "tun0"
    prepare = "ip address add 192.0.2.12/32 dev silent label silent:pub"

    def test_check(self) -> None:
        """It warns of what is missing now, and of nothing that is there."""
        path = self.configure(free_port())
        for options, status in (((), 0), (("--strict",), 1)):
            done = subprocess.run(
                self.inside([*SOCKD, "check", "-f", str(path), *options]),
                capture_output=True,
                text=True,
                check=False,
                env=environment(),
            )
            self.assertEqual(done.returncode, status, done.stdout + done.stderr)
            self.assertIn('not there yet: "tun0" (external, line 3)', done.stdout + done.stderr)
            self.assertNotIn('"silent:pub"', done.stdout + done.stderr)


class FailTests(InterfaceScenario):
    """``interface.missing: fail``."""

    internal = "tun0"

    def test_refuses(self) -> None:
        """The server does not start without the interface, as Dante."""
        path = self.configure(free_port(), more="interface.missing: fail")
        command = self.foreground(path)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment()
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn('could not resolve hostname "tun0"', done.stderr)
