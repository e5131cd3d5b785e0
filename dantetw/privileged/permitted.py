"""
What the privileged helper may do: what the configuration names, and nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields

from dantetw.auth.shadow import PASSWD, SHADOW
from dantetw.net.sockopts import FIRST_FREE
from dantetw.policy import Policy
from dantetw.values import PAM_METHODS, Endpoint, Family, Method


@dataclass(frozen=True, slots=True)
class Permitted:
    """
    What some configurations name together.

    :ivar logs: files to append to; ``files``: to read; ``looks``: to look at.
    :ivar listens: addresses to listen on.
    :ivar followed: interfaces whose addresses of a family may be listened on at a port, whichever
        they have at the time.
    :ivar externals: addresses to go out from; ``interfaces``: whose addresses are such as well.
    :ivar same_port: ports below 1024 may be bound for connections on these, not for datagrams only.
    :ivar passwords: those of the system may be checked; ``pam``: PAM may be asked, about
        ``pam_services``.
    """

    logs: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    looks: frozenset[str] = frozenset()
    listens: frozenset[Endpoint] = frozenset()
    externals: frozenset[str] = frozenset()
    interfaces: frozenset[str] = frozenset()
    followed: frozenset[tuple[str, int, Family]] = frozenset()
    same_port: bool = False
    passwords: bool = False
    pam: bool = False
    pam_services: frozenset[str] = frozenset()

    @classmethod
    def of(cls, policy: Policy) -> Permitted:
        """What one configuration names."""
        outputs = (*policy.logging.outputs, *policy.logging.errors)
        users = policy.authentication.username_file
        files = frozenset(filter(None, (users, policy.logging.hash_key_file)))
        pam = not PAM_METHODS.isdisjoint(policy.methods)
        rules = (*policy.client_rules, *policy.socks_rules)
        passwords = Method.USERNAME in policy.methods and users is None
        return cls(
            frozenset(output.text for output in outputs if output.is_file),
            files,
            files.union((PASSWD, SHADOW) if passwords else ()),
            frozenset(e for line in policy.internal if not line.interface for e in line.listens),
            frozenset(a for line in policy.external if not line.interface for a in line.addresses),
            frozenset(line.interface for line in policy.external if line.interface),
            frozenset(
                (line.interface, line.port, family)
                for line in policy.internal
                if line.interface
                for family in line.families
            ),
            policy.compatibility.same_port,
            passwords,
            pam,
            frozenset(rule.pam_service for rule in rules) if pam else frozenset(),
        )

    def __or__(self, other: Permitted) -> Permitted:
        """What one or the other names."""
        names = [field.name for field in fields(self)]
        return Permitted(*(getattr(self, name) | getattr(other, name) for name in names))

    def _listens(
        self,
        sock: socket.socket,
        address: tuple[str | int, ...],
        addresses_of: Callable[[str], Sequence[str]],
    ) -> bool:
        """Whether clients come in by an address."""
        return any(
            endpoint in self.listens
            or any(
                endpoint.port == port
                and endpoint.family is family
                and endpoint.host in addresses_of(interface)
                for interface, port, family in self.followed
            )
            for endpoint in _written(sock, address)
        )

    def binding(
        self,
        sock: socket.socket,
        address: tuple[str | int, ...],
        addresses_of: Callable[[str], Sequence[str]],
        listening: bool = True,
    ) -> bool:
        """
        Whether a socket may be bound: to listen where clients come in, or to a client's own port
        below 1024 for an outgoing connection.

        :param addresses_of: the addresses that an interface has now.
        :param listening: to listen may be the purpose.
        """
        stream = sock.type == socket.SOCK_STREAM
        if listening and stream and self._listens(sock, address, addresses_of):
            return True
        host, port, *_ = address
        if not 0 < int(port) < FIRST_FREE or (stream and not self.same_port):
            return False
        return host in self.externals or any(
            host in addresses_of(interface) for interface in self.interfaces
        )


def _written(sock: socket.socket, address: tuple[str | int, ...]) -> tuple[Endpoint, ...]:
    """An address of the kernel as configurations may have it: with its scope's name or number."""
    host, port = str(address[0]), int(address[1])
    if sock.family != socket.AF_INET6:
        return (Endpoint(host, port, Family.IPV4),)
    scope = int(address[3]) if len(address) > 3 else 0
    if not scope:
        return (Endpoint(host, port, Family.IPV6),)
    words = [str(scope)]
    with suppress(OSError, OverflowError):
        words.append(socket.if_indextoname(scope))
    return tuple(Endpoint(f"{host}%{word}", port, Family.IPV6) for word in words)
