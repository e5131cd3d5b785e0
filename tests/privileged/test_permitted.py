"""Tests of :mod:`dantetw.privileged.permitted`."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from dantetw.policy import External, Where
from dantetw.privileged.permitted import Permitted
from dantetw.values import Endpoint, Family
from tests.privileged.policies import datagrams, policy, stream

RULE = "client pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 socksmethod: username }\n"


class NamesTests(SynchronousTestCase):
    """What a configuration names."""

    def test_nothing(self) -> None:
        """What is not named is not permitted."""
        permitted = Permitted.of(policy())
        addresses = replace(permitted, listens=frozenset(), externals=frozenset())
        self.assertEqual(addresses, Permitted())

    def test_logs(self) -> None:
        """Files of both keywords, but no words for anything else."""
        text = "logoutput: stdout syslog /var/log/a\nerrorlog: stderr b.log\n"
        permitted = Permitted.of(policy(text))
        self.assertEqual(permitted.logs, {"/var/log/a", "b.log"})
        self.assertEqual(permitted.files, frozenset())

    def test_users_file(self) -> None:
        """A users file may be read, and the system's passwords are out of reach then."""
        permitted = Permitted.of(policy("username.file: /etc/users", method="username"))
        self.assertEqual((permitted.files, permitted.looks), ({"/etc/users"}, {"/etc/users"}))
        self.assertFalse(permitted.passwords)

    def test_passwords(self) -> None:
        """The system's passwords take the method, in whatever rule."""
        for text in (policy(method="username"), policy(method="username none", rules=RULE)):
            permitted = Permitted.of(text)
            self.assertTrue(permitted.passwords)
            self.assertEqual(permitted.files, frozenset())
            self.assertEqual(permitted.looks, {"/etc/passwd", "/etc/shadow"})

    def test_pam(self) -> None:
        """PAM takes one of its methods."""
        permitted = Permitted.of(policy(method="pam.username"))
        self.assertEqual((permitted.pam, permitted.passwords), (True, False))

    def test_together(self) -> None:
        """What one or the other names."""
        one = Permitted(logs=frozenset("a"), pam=True)
        two = Permitted(logs=frozenset("b"), files=frozenset("c"))
        both = Permitted(logs=frozenset("ab"), files=frozenset("c"), pam=True)
        self.assertEqual(one | two, both)


class BindingTests(SynchronousTestCase):
    """What may be bound."""

    def fits(
        self,
        make: Callable[[], socket.socket],
        host: str,
        port: int,
        permitted: Permitted | None = None,
    ) -> bool:
        """Whether a new socket may be bound to an address."""

        def addresses_of(interface: str) -> Sequence[str]:
            self.assertEqual(interface, "eth0")
            return ["192.0.2.20"]

        with make() as sock:
            wanted = permitted or self.permitted
            return wanted.binding(sock, (host, port), addresses_of)

    def setUp(self) -> None:
        """What a configuration with one address each permits."""
        self.permitted = Permitted.of(policy(addresses=ADDRESSES))
        self.same = Permitted.of(policy("compatibility: sameport", ADDRESSES))

    def test_listening(self) -> None:
        """Clients come in where the configuration says, and there only, by connections only."""
        self.assertTrue(self.fits(stream, "192.0.2.1", 80))
        for make, host, port in (
            (stream, "192.0.2.1", 81),
            (stream, "192.0.2.2", 80),
            (stream, "0.0.0.0", 80),
            (datagrams, "192.0.2.1", 80),
        ):
            self.assertFalse(self.fits(make, host, port), (make, host, port))

    def test_not_to_listen(self) -> None:
        """Only the supervisor process binds what is listened on."""
        with stream() as sock:
            address = ("192.0.2.1", 80)
            self.assertTrue(self.permitted.binding(sock, address, lambda _: ()))
            self.assertFalse(self.permitted.binding(sock, address, lambda _: (), False))

    def test_going_out(self) -> None:
        """Datagrams go out from ports below 1024, connections if ports are to stay the same."""
        for host, port, fits in (
            ("192.0.2.9", 1, True),
            ("192.0.2.9", 1023, True),
            ("192.0.2.9", 0, False),
            ("192.0.2.9", -1, False),
            ("192.0.2.9", 1024, False),
            ("192.0.2.1", 22, False),
            ("0.0.0.0", 22, False),
        ):
            self.assertEqual(self.fits(datagrams, host, port), fits, (host, port))
            self.assertEqual(self.fits(stream, host, port, self.same), fits, (host, port))
            self.assertFalse(self.fits(stream, host, port), (host, port))

    def test_interface(self) -> None:
        """An interface's addresses are those it has now."""
        line = External("eth0", "eth0", ("192.0.2.19",), Where("", 0, 0))
        permitted = Permitted.of(replace(policy(), external=(line,)))
        self.assertTrue(self.fits(datagrams, "192.0.2.20", 53, permitted))
        self.assertFalse(self.fits(datagrams, "192.0.2.21", 53, permitted))

    def test_followed(self) -> None:
        """Clients come in by what an interface has now, at the port and in the families named."""
        text = "internal.protocol: ipv4\ninternal: eth0 port = 80\nexternal: 192.0.2.9\n"
        permitted = Permitted.of(policy(addresses=text))
        self.assertEqual(permitted.listens, frozenset())
        self.assertTrue(self.fits(stream, "192.0.2.20", 80, permitted))
        for make, host, port in (
            (stream, "192.0.2.20", 81),
            (stream, "192.0.2.21", 80),
            (stream, "192.0.2.1", 80),  # it had that when the configuration was read
            (stream, "0.0.0.0", 80),
            (datagrams, "192.0.2.20", 80),
        ):
            self.assertFalse(self.fits(make, host, port, permitted), (make, host, port))
        with socket.socket(socket.AF_INET6) as sock:
            address = ("2001:db8::1", 80, 0, 0)
            self.assertFalse(permitted.binding(sock, address, lambda _: ("2001:db8::1",)))

    def test_many(self) -> None:
        """Of thousands of addresses none is looked at but the one that is asked for."""
        listens = frozenset(Endpoint(f"192.0.2.{n}", 80, Family.IPV4) for n in range(250))
        self.patch(socket, "getaddrinfo", None)
        self.assertTrue(self.fits(stream, "192.0.2.200", 80, Permitted(listens=listens)))

    def test_scope(self) -> None:
        """An address with a scope is the kernel's, with a number for it."""
        endpoint = Endpoint("fe80::1%1", 80, Family.IPV6)
        permitted = Permitted(listens=frozenset((endpoint,)))
        with socket.socket(socket.AF_INET6) as sock:
            for scope, fits in ((1, True), (2, False)):
                address = ("fe80::1", 80, 0, scope)
                self.assertEqual(permitted.binding(sock, address, lambda _: ()), fits)


ADDRESSES = "internal: 192.0.2.1 port = 80\nexternal: 192.0.2.9\n"
