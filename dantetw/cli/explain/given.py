"""
The inputs of an explanation: a client, names, a machine, and the authentication that the client is
assumed to have.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from dantetw.addresses import number_of
from dantetw.config.machine import Machine, Transport
from dantetw.net.lookups import ResolveError, look_up, look_up_back
from dantetw.rules.addresses import Lookup, LookupKind
from dantetw.rules.authentication import AuthCheck, AuthResult
from dantetw.values import (
    AF_OF,
    FAMILIES,
    NOWHERE,
    PAM_METHODS,
    Command,
    Endpoint,
    Family,
    Method,
    ProxyProtocol,
    value,
)
from dantetw.wire import socks4, socks5, userpass

#: Methods for which a client gives a name and a password.
_LOGINS: Final = frozenset((Method.USERNAME, Method.PAM_USERNAME))
_PASSWORD: Final = b"x"  # is assumed to be right


@value
class Client:
    """
    A client and its request.

    :ivar source: its end of the connection; ``local``: the server's end.
    :ivar target: what it asks for, a numeric address or a name; of UDP ASSOCIATE where its first
        datagram goes.
    :ivar method: how it authenticates; ``client_method``: how when it is accepted.  Both are
        assumed to succeed.
    :ivar user: its name, empty if it has none.
    """

    source: Endpoint
    local: Endpoint
    target: Endpoint
    command: Command = Command.CONNECT
    proxy_protocol: ProxyProtocol = ProxyProtocol.SOCKS_V5
    method: Method = Method.NONE
    client_method: Method = Method.NONE
    user: str = ""

    def bytes_sent(self) -> bytes:
        """
        All that it sends: greeting, login and request.

        :raises ValueError: if its protocol cannot express that; the message says what.
        """
        user = self.user.encode("utf-8", "surrogateescape")
        if self.proxy_protocol is ProxyProtocol.SOCKS_V4:
            if self.command not in socks4.COMMAND_CODES:
                raise ValueError(f"SOCKS 4 has no command {self.command.word}")
            return socks4.build_request(self.command, self.target, user)
        # Each datagram names its target; the request may name their source.
        target = NOWHERE if self.command is Command.UDPASSOCIATE else self.target
        request = socks5.build_request(self.command, target)
        # Some of PAM's methods take a name and do without.
        if self.method in _LOGINS or (self.user and self.method in PAM_METHODS):
            login = userpass.build_login(user, _PASSWORD)
            return socks5.build_greeting([socks5.LOGIN]) + login + request
        return socks5.build_greeting([socks5.NO_LOGIN]) + request


@value
class NameAnswer:
    """
    The result of one look-up.

    :ivar found: addresses, or a name; ``error``: why there is none.
    :ivar given: it was not looked up.
    """

    name: str
    found: tuple[str, ...] = ()
    error: str = ""
    given: bool = False


class GivenNames:
    """
    Names and addresses: those that are given, and the system's for all others.

    :param forward: names in lower case without a last dot, and their addresses.
    :param backward: addresses and their names.
    :ivar answers: all that was looked up, in order.
    """

    def __init__(
        self,
        forward: Mapping[str, Sequence[str]],
        backward: Mapping[str, str],
        getaddrinfo: Callable[..., Any] = socket.getaddrinfo,
        getnameinfo: Callable[..., tuple[str, str]] = socket.getnameinfo,
    ) -> None:
        self.answers: list[NameAnswer] = []
        self._forward = forward
        self._backward = {number_of(address): name for address, name in backward.items()}
        self._getaddrinfo = getaddrinfo
        self._getnameinfo = getnameinfo
        self._known: dict[tuple[Any, ...], Any] = {}

    def addresses_of(self, name: str, families: frozenset[Family] = FAMILIES) -> tuple[str, ...]:
        """
        The addresses of a name.

        :raises ResolveError: if it has none.
        """
        return look_up(name, families, self.getaddrinfo)

    def name_of(self, address: str) -> str | None:
        """
        The name of an address; None: it has none.

        :raises ResolveError: if no server could say.
        """
        return look_up_back(address, self.getnameinfo)

    def getaddrinfo(self, host: str | bytes, *rest: Any) -> Any:
        """As :func:`socket.getaddrinfo`."""
        name = host if isinstance(host, str) else host.decode("ascii")
        given = self._forward.get(name.lower().removesuffix("."))

        def ask() -> Any:
            if given is None:
                return self._getaddrinfo(host, *rest)
            return _entries(given, rest[1])

        return self._once((name.lower(), *rest), ask, _hosts, name, given is not None)

    def getnameinfo(self, sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
        """As :func:`socket.getnameinfo`."""
        address = sockaddr[0]
        given = self._backward.get(number_of(address))

        def ask() -> tuple[str, str]:
            return self._getnameinfo(sockaddr, flags) if given is None else (given, "")

        found: tuple[str, str] = self._once(
            (address,), ask, lambda found: found[:1], address, given is not None
        )
        return found

    def resolve(self, name: str) -> Sequence[str]:
        """See :meth:`dantetw.config.machine.Machine.resolve`."""
        try:
            return _hosts(self.getaddrinfo(name, None, 0, socket.SOCK_STREAM))
        except (OSError, ValueError):
            return ()

    def _once(
        self,
        key: tuple[Any, ...],
        ask: Callable[[], Any],
        words: Callable[[Any], tuple[str, ...]],
        name: str,
        given: bool,
    ) -> Any:
        """Ask, and keep the answer, failures too: all parts of one explanation must agree."""
        if key not in self._known:
            try:
                found = self._known[key] = ask()
                answer = NameAnswer(name, words(found), given=given)
            except OSError as error:
                self._known[key] = error
                answer = NameAnswer(name, (), error.strerror or str(error), given)
            if answer not in self.answers:
                self.answers.append(answer)
        found = self._known[key]
        if isinstance(found, OSError):
            raise found
        return found


def _entries(addresses: Sequence[str], family: int) -> list[tuple[Any, ...]]:
    """Addresses in the form in which ``getaddrinfo`` returns them."""
    found = [(AF_OF[number_of(address)[0]], address) for address in addresses]
    entries = [(af, 0, 0, "", (address, 0)) for af, address in found if family in (0, af)]
    if not entries:
        raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
    return entries


def _hosts(found: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class GivenMachine:
    """
    The machine that a configuration is explained for: this one, with the given changes.

    It is taken to have the users, libraries and addresses that the file names.

    :param interfaces: names and addresses of interfaces that this machine may lack.
    """

    effective_root = True

    def __init__(
        self, host: Machine, names: GivenNames, interfaces: Mapping[str, Sequence[str]]
    ) -> None:
        self._host = host
        self._names = names
        self._interfaces = interfaces

    @property
    def interfaces(self) -> Mapping[str, Sequence[str]]:
        """See :class:`dantetw.config.machine.Machine`."""
        return {**self._host.interfaces, **self._interfaces}

    def addresses_of(self, interface: str) -> Sequence[str]:
        """See :class:`dantetw.config.machine.Machine`."""
        given = self._interfaces.get(interface)
        return self._host.addresses_of(interface) if given is None else given

    def all_addresses(self) -> Sequence[str]:
        """See :class:`dantetw.config.machine.Machine`."""
        given = [address for addresses in self._interfaces.values() for address in addresses]
        return [*self._host.all_addresses(), *given]

    def can_bind(self, address: str) -> bool:
        """See :class:`dantetw.config.machine.Machine`."""
        return True

    def service_port(self, name: str, protocol: Transport) -> int | None:
        """See :class:`dantetw.config.machine.Machine`."""
        return self._host.service_port(name, protocol)

    def user_exists(self, name: str) -> bool:
        """See :class:`dantetw.config.machine.Machine`."""
        return True

    def has_pam(self) -> bool:
        """See :class:`dantetw.config.machine.Machine`."""
        return True

    def resolve(self, name: str) -> Sequence[str]:
        """See :class:`dantetw.config.machine.Machine`."""
        return self._names.resolve(name)


class Facts:
    """
    All that rules may look up (a :class:`~dantetw.rules.addresses.Known`), at once.

    As in the server, a failed look-up counts as an empty answer.
    """

    def __init__(self, names: GivenNames, machine: Machine) -> None:
        self._names = names
        self._machine = machine

    def get(self, lookup: Lookup, /) -> tuple[str, ...]:
        """See :meth:`dantetw.rules.addresses.Known.get`."""
        try:
            if lookup.kind is LookupKind.FORWARD:
                return self._names.addresses_of(lookup.name)
            if lookup.kind is LookupKind.REVERSE:
                name = self._names.name_of(lookup.name)
                return () if name is None else (name,)
        except ResolveError:
            return ()
        return tuple(self._machine.addresses_of(lookup.name))


class AssumedResults(Mapping[AuthCheck, AuthResult]):
    """
    The results of all checks that a rule may need of a client, as if they had been made.

    :ivar used: those that a rule did need.
    """

    def __init__(self, client: Client) -> None:
        self.used: dict[AuthCheck, AuthResult] = {}
        self._named = Method.RFC931 in (client.method, client.client_method)
        self._user = client.user

    def __getitem__(self, check: AuthCheck) -> AuthResult:
        name = self._user if check.method is Method.RFC931 and self._named else None
        return self.used.setdefault(check, AuthResult(name))

    def __iter__(self) -> Iterator[AuthCheck]:
        return iter(self.used)

    def __len__(self) -> int:
        return len(self.used)
