"""
``internal`` and ``external``: where the server listens, and where it connects from.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from dantetw.config.addresses import first_port, packed, single
from dantetw.config.arguments import AddressArgument, Words
from dantetw.config.draft import Context, Draft
from dantetw.config.interfaces import is_usual, may_be_interface
from dantetw.config.keyword import GLOBAL, AddressText, Keyword, Repeat, Statement
from dantetw.config.lexer import Token
from dantetw.config.report import ConfigError
from dantetw.policy import External, Internal, Rotation
from dantetw.values import AF_OF, FAMILIES, Endpoint, Family

#: The port of ``internal`` where neither the file nor the system names one.
SOCKS_PORT: Final = 1080

FAMILY_WORDS: Final = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}
ROTATIONS: Final = {rotation.value: rotation for rotation in Rotation}

_LATE_FAMILY: Final = (
    "protocols and address-families on the {} interface must be specified before addresses for "
    "the same interface are specified, so that we can know which addresses to ignore"
)
_SIDES: Final = {"internal": "internal/client-side", "external": "external/target-side"}
_FAMILY_NAMES: Final = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}
_WILDCARDS: Final = frozenset(("0.0.0.0", "::"))


class EdgesDraft(Draft):
    """The global settings."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.internal: list[Internal] = []
        self.external: list[External] = []
        self.rotation = Rotation.NONE
        self._families: dict[str, frozenset[Family]] = {}
        self._listens: set[Endpoint] = set()

    def families(self, side: str) -> frozenset[Family]:
        """``SIDE.protocol``: both families if there is no such line."""
        return self._families.get(side, FAMILIES)

    def add_internal(self, statement: Statement) -> None:
        """``internal``.  :raises ConfigError: there is no such address, interface, name or port."""
        text = _address(statement)
        port = self._port(text)
        listens = []
        accepted = self.families("internal")
        interface, addresses = self._addresses(statement)
        for address, family in addresses:
            endpoint = Endpoint(address, port, family)
            if family in accepted and endpoint not in self._listens:
                self._listens.add(endpoint)
                listens.append(endpoint)
        if listens or interface:
            self.internal.append(
                Internal(text.host.text, tuple(listens), text.host.where, interface, port, accepted)
            )
        self._check_families(text.host, "internal", interface, addresses)

    def _check_families(
        self, host: Token, side: str, interface: str, addresses: Sequence[tuple[str, Family]]
    ) -> None:
        """Note an interface that has addresses, but none of a family that counts."""
        accepted = self.families(side)
        if interface and addresses and accepted.isdisjoint(family for _, family in addresses):
            lacks = " or ".join(sorted(_FAMILY_NAMES[family] for family in accepted))
            self.context.missing.add(host, side, f"no {lacks} address")

    def _port(self, text: AddressText) -> int:
        if text.port is None:
            return self.machine.service_port("socks", "tcp") or SOCKS_PORT
        port = first_port(text.port, self.machine)
        if port == 0:
            raise ConfigError(
                text.port.first,
                f"addinternal(): address {text.host.text}.0 does not specify a portnumber to bind",
                "a port from 1 to 65535",
            )
        if text.port.operator not in ("=", "eq", ":"):
            self.report.advice(
                text.port.first, f"one port is listened on, {port}, whatever the operator says"
            )
        return port

    def _addresses(self, statement: Statement) -> tuple[str, Sequence[tuple[str, Family]]]:
        """
        What an ``internal`` or ``external`` names.

        :returns: the interface, or an empty text; numeric addresses with their families.
        """
        text = _address(statement)
        found = single(text)
        if found is not None:
            family, address, scope = found
            canonical = socket.inet_ntop(AF_OF[family], address)
            if scope:
                canonical += f"%{scope}"
            if statement.name == "internal" and canonical not in _WILDCARDS:
                self._check_own(text.host, canonical)
            return "", [(canonical, family)]
        host = text.host
        interface = host.text
        names = self.machine.addresses_of(interface)
        missing = not names and (interface in self.machine.interfaces or is_usual(interface))
        if not names and not missing:
            # An alias label is no host name; nor does a resolver know usual interfaces, and where
            # the network is not up yet, it would take its time.
            interface, names = "", self.machine.resolve(host.text)
            missing = not names and may_be_interface(host.text)
        if not names:
            error = ConfigError(
                host,
                f'could not resolve hostname "{host.text}"',
                "an address, an interface that has one, or a host name",
            )
            if not missing:
                raise error
            interface = host.text
            lacks = "no address" if interface in self.machine.interfaces else ""
            self.context.missing.add(host, statement.name, lacks, error)
        return interface, [
            (name, Family.IPV4 if packed(name, Family.IPV4) else Family.IPV6) for name in names
        ]

    def _check_own(self, host: Token, address: str) -> None:
        """Report an internal address that this machine does not have."""
        if self.machine.has_address(address):
            return
        doubt = f"addinternal(): could not find address {address} on any network interface"
        if self.machine.can_bind(address):
            self.report.warning(host, doubt)
        else:
            self.context.missing.add(host, "internal", warning=doubt)

    def add_external(self, statement: Statement) -> None:
        """``external``.  :raises ConfigError: there is no such address, interface or name."""
        text = _address(statement)
        host = text.host
        accepted = self.families("external")
        interface, named = self._addresses(statement)
        addresses = [a for a, family in named if family in accepted]
        # Nothing but the link itself can be reached from a link-local address.
        addresses.sort(key=lambda address: "%" in address)
        for address in addresses:
            if address in _WILDCARDS:
                bits = 32 if address == "0.0.0.0" else 128
                raise ConfigError(
                    host,
                    f"external address ({address}/{bits}) to connect out from cannot be a wildcard "
                    "address",
                    "an address or an interface of this machine",
                )
            if not interface and not self.machine.can_bind(address):
                error = ConfigError(
                    host,
                    f"checkconfig(): cannot bind external address: {address}",
                    "an address of this machine",
                )
                if single(text) is None:
                    raise error  # a host name, whose address is another machine's
                self.context.missing.add(host, "external", error=error)
        if addresses or interface:
            self.external.append(External(host.text, interface, tuple(addresses), host.where))
        self._check_families(host, "external", interface, named)

    def add_families(self, statement: Statement) -> None:
        """``SIDE.protocol``.  :raises ConfigError: there are addresses of the side already."""
        side = statement.name.partition(".")[0]
        if self.internal if side == "internal" else self.external:
            raise ConfigError(statement.written, _LATE_FAMILY.format(_SIDES[side]))
        named = {FAMILY_WORDS[word] for word in statement.words if word in FAMILY_WORDS}
        self._families[side] = self._families.get(side, frozenset()) | named

    def set_rotation(self, statement: Statement) -> None:
        """``external.rotation``."""
        self.rotation = ROTATIONS[statement.token.text]

    def set_missing(self, statement: Statement) -> None:
        """``interface.missing``."""
        self.context.missing.waits = statement.token.text != "fail"

    def check(self) -> None:
        """Report what is missing or does not fit, as Dante does."""
        report = self.report
        if not self.internal and "internal" not in report.attempted:
            report.error(
                None,
                "checkconfig(): no internal address given for server to listen for clients on",
                '"internal: ADDRESS port = 1080"',
            )
        if not self.external and "external" not in report.attempted:
            report.error(
                None,
                "checkconfig(): no external address specified for server to use when forwarding "
                "data on behalf of clients",
                '"external: ADDRESS" or "external: INTERFACE"',
            )
        if len(self.external) > 1 and self.rotation is Rotation.NONE:
            report.advice_at(
                self.external[1].where,
                "more than one external address has been specified, but as long as "
                'external.rotation has the default value "none" only the first address specified '
                "will be used",
            )
        if len(self.external) == 1 and self.rotation is Rotation.SAME_SAME:
            report.warning(
                None,
                "checkconfig(): rotation for external addresses is set to same-same, but the "
                "number of external addresses is only one, so this does not make sense",
            )


def _address(statement: Statement) -> AddressText:
    text = statement.values.address
    assert text is not None
    return text


KEYWORDS: Final[tuple[Keyword, ...]] = (
    Keyword(
        "internal",
        GLOBAL,
        AddressArgument(mask=False),
        "address, interface or name to listen on; 0.0.0.0 and :: are all addresses",
        "required; port 1080",
        Repeat.ADD,
        setting=EdgesDraft.add_internal,
    ),
    Keyword(
        "internal.protocol",
        GLOBAL,
        Words(FAMILY_WORDS, "address family"),
        "address families to listen on; before any internal",
        "ipv4 ipv6",
        Repeat.ADD,
        setting=EdgesDraft.add_families,
    ),
    Keyword(
        "external",
        GLOBAL,
        AddressArgument(mask=False, ports=False),
        "address, interface or name to go out from",
        "required",
        Repeat.ADD,
        setting=EdgesDraft.add_external,
    ),
    Keyword(
        "external.protocol",
        GLOBAL,
        Words(FAMILY_WORDS, "address family"),
        "address families to go out with; before any external",
        "ipv4 ipv6",
        Repeat.ADD,
        setting=EdgesDraft.add_families,
    ),
    Keyword(
        "external.rotation",
        GLOBAL,
        Words(ROTATIONS, "rotation", many=False, owns_line=False),
        "how the outgoing address is chosen",
        "none",
        setting=EdgesDraft.set_rotation,
    ),
    Keyword(
        "interface.missing",
        GLOBAL,
        Words(("wait", "fail"), "word", many=False),
        "fail: do not start where an interface or address is missing, as Dante (dantetw's own)",
        "wait",
        setting=EdgesDraft.set_missing,
    ),
)
