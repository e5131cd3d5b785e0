"""
What the privileged helper may do: what the configuration names, and nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from dantetw.auth.shadow import PASSWD, SHADOW
from dantetw.config.policy import Policy
from dantetw.config.vocabulary import PAM_METHODS
from dantetw.net.sockopts import FIRST_FREE
from dantetw.values import Endpoint, Method

# Words of ``logoutput`` that are no files.
_WORDS: Final = frozenset(("stdout", "stderr", "syslog"))


@dataclass(frozen=True, slots=True)
class Permitted:
    """
    What some configurations name together.

    :ivar logs: files to append to; ``files``: to read; ``looks``: to look at.
    :ivar listens: addresses to listen on.
    :ivar externals: addresses to go out from; ``interfaces``: whose addresses are such as well.
    :ivar same_port: ports below 1024 may be bound for connections on these, not for datagrams only.
    :ivar passwords: those of the system may be checked; ``pam``: PAM may be asked.
    """

    logs: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    looks: frozenset[str] = frozenset()
    listens: frozenset[Endpoint] = frozenset()
    externals: frozenset[str] = frozenset()
    interfaces: frozenset[str] = frozenset()
    same_port: bool = False
    passwords: bool = False
    pam: bool = False

    @classmethod
    def of(cls, policy: Policy) -> Permitted:
        """What one configuration names."""
        outputs = (*policy.logoutput, *policy.errorlog)
        users = policy.username_file
        files = frozenset(filter(None, (users, policy.hash_key_file)))
        passwords = Method.USERNAME in policy.methods and users is None
        return cls(
            frozenset(output.text for output in outputs) - _WORDS,
            files,
            files.union((PASSWD, SHADOW) if passwords else ()),
            frozenset(endpoint for line in policy.internal for endpoint in line.listens),
            frozenset(a for line in policy.external if not line.interface for a in line.addresses),
            frozenset(line.interface for line in policy.external if line.interface),
            policy.same_port,
            passwords,
            not PAM_METHODS.isdisjoint(policy.methods),
        )

    def __or__(self, other: Permitted) -> Permitted:
        """What one or the other names."""
        names = [field.name for field in fields(self)]
        return Permitted(*(getattr(self, name) | getattr(other, name) for name in names))

    def binding(
        self,
        sock: socket.socket,
        address: tuple[str | int, ...],
        addresses_of: Callable[[str], Sequence[str]],
    ) -> bool:
        """
        Whether a socket may be bound: to listen where clients come in, or to a client's own port
        below 1024 on the way out.

        :param addresses_of: the addresses that an interface has now.
        """
        stream = sock.type == socket.SOCK_STREAM
        if stream and any(_kernels(endpoint) == address for endpoint in self.listens):
            return True
        host, port, *_ = address
        if not 0 < int(port) < FIRST_FREE or (stream and not self.same_port):
            return False
        return host in self.externals or any(
            host in addresses_of(interface) for interface in self.interfaces
        )


def _kernels(endpoint: Endpoint) -> tuple[str | int, ...]:
    """An endpoint as the kernel has it: the scope, such as ``%eth0``, is a number."""
    found = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    address: tuple[Any, ...] = found[0][4]
    return address
