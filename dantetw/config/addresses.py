"""
What addresses mean (``sockd.conf(5)``, "ADDRESSES").
"""

from __future__ import annotations

import re
import socket
from typing import Final

from dantetw.config.interfaces import is_alias, is_usual, may_be_interface
from dantetw.config.keyword import AddressText, PortText
from dantetw.config.lexer import Token
from dantetw.config.machine import Machine, Snapshot, Transport
from dantetw.config.reader import number_of
from dantetw.config.report import ConfigError
from dantetw.policy import ALL_PORTS, Address, HostKind, PortSet
from dantetw.values import AF_OF, Family

_BITS: Final = {Family.IPV4: 32, Family.IPV6: 128}
_FAMILY_NAMES: Final = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}
_DIGITS_AND_DOTS: Final = re.compile(r"(?a)[0-9.]+")

#: Words that people write for "every address"; Dante takes them for host names.
_EVERYTHING: Final = frozenset(("any", "all", "everyone", "everything"))

_NEEDS_MASK: Final = (
    "No netmask has been specified for this {} address, but a netmask must be specified in this "
    'context.  You can specify a netmask using the standard "/ <netmask bits>" syntax'
)
_NO_MASK: Final = (
    "A netmask has been specified for this {} address, but no netmask should be specified in this "
    "context"
)


def packed(text: str, family: Family) -> bytes | None:
    """The bytes of a numeric address without scope, or None if it is not one."""
    try:
        return socket.inet_pton(AF_OF[family], text)
    except (OSError, ValueError):  # ValueError: characters that no address has
        return None


def numeric(host: Token) -> tuple[Family, bytes, str] | None:
    """
    Family, bytes and IPv6 scope of a numeric address, or None: a name.

    :raises ConfigError: it can only be meant as an address, but is not one.
    """
    text = host.text
    four = packed(text, Family.IPV4)
    if four is not None:
        return Family.IPV4, four, ""
    if ":" not in text:
        return None
    if text.startswith("["):
        bare = text.strip("[]")
        raise ConfigError(
            host, f'"{text}" is not an address', "IPv6 addresses without brackets", bare
        )
    bare, _, scope = text.partition("%")
    six = packed(bare, Family.IPV6)
    if six is None and is_alias(text):
        return None
    if six is None:
        raise ConfigError(host, f'"{text}" is not an address', "an IPv4 or IPv6 address, or a name")
    if six[:12] == bytes(10) + b"\xff\xff":
        raise ConfigError(
            host,
            "we do not use IPv4-mapped IPv6 addresses.  Please specify a regular IPv4 address "
            "instead if you want use IPv4",
        )
    return Family.IPV6, six, scope


def single(text: AddressText) -> tuple[Family, bytes, str] | None:
    """
    The same for a keyword that names one address, or None: an interface or a host name.

    :raises ConfigError: there is a mask, or it is no address.
    """
    found = numeric(text.host)
    if text.mask is not None:
        name = _FAMILY_NAMES[found[0]] if found is not None else "<IPvAny>"
        raise ConfigError(text.mask, _NO_MASK.format(name), "an address without a netmask")
    if found is None and len(text.host.text) < 2:
        raise ConfigError(
            text.host, f'"{text.host.text}" is not an address', "an address or a name"
        )
    return found


def condition(
    text: AddressText, machine: Snapshot, protocol: Transport, waits: bool = True
) -> Address:
    """
    An address of a rule.

    :param protocol: the one the rule is known to be about, for service names.
    :param waits: an interface may be named that is not there yet (``interface.missing: wait``).
    :raises ConfigError: it is not one.
    """
    host = text.host
    ports = ports_of(text.port, machine, protocol)
    if host.text == "0":
        return _any(text, ports)
    found = numeric(host)
    if found is not None:
        family, address, scope = found
        if text.mask is None:
            raise ConfigError(
                host,
                _NEEDS_MASK.format(_FAMILY_NAMES[family]),
                f'"{host.text}/{_BITS[family]}" for this address alone',
            )
        if scope and scope not in machine.interfaces and not (waits and may_be_interface(scope)):
            raise ConfigError(host, f'no interface "{scope}"', "an interface's name after %")
        mask = _mask(text.mask, family)
        network = int.from_bytes(address, "big") & mask
        written = f"{host.text}/{text.mask.text}"
        return Address(HostKind.NET, written, host.where, family, network, mask, "", ports, scope)
    if text.mask is not None:
        raise _mask_on_name(host, text.mask)
    if host.text.startswith("."):
        return Address(
            HostKind.DOMAIN, host.text, host.where, name=host.text[1:].lower(), ports=ports
        )
    if len(host.text) < 2:
        raise ConfigError(host, f'"{host.text}" is not an address', "an address or a name")
    if machine.addresses_of(host.text) or (
        waits and (host.text in machine.interfaces or is_usual(host.text))
    ):
        return Address(HostKind.INTERFACE, host.text, host.where, name=host.text, ports=ports)
    interface = host.text if waits and may_be_interface(host.text) else ""
    return Address(
        HostKind.NAME,
        host.text,
        host.where,
        name=host.text.lower(),
        ports=ports,
        interface=interface,
    )


def doubt(address: Address) -> str:
    """Why a host name in a rule is probably not meant as one; empty if it may well be."""
    if address.kind is not HostKind.NAME:
        return ""
    name = address.name
    if name in _EVERYTHING:
        return f'"{address.text}" is taken as a host name; every address is "0/0"'
    if name.startswith("*."):
        return f'"{address.text}" is taken as a host name; all of a domain is "{address.text[1:]}"'
    if _DIGITS_AND_DOTS.fullmatch(name):
        return f'"{address.text}" is not an address, and is taken as a host name'
    return ""


def _any(text: AddressText, ports: PortSet) -> Address:
    if text.mask is None:
        raise ConfigError(text.host, '"0" is not an address', '"0/0" for every address')
    if "." in text.mask.text or number_of(text.mask):
        raise ConfigError(
            text.mask,
            f"bad <IPvAny> address netmask: {text.mask.text}.  Only legal value is 0",
        )
    return Address(HostKind.ANY, f"0/{text.mask.text}", text.host.where, ports=ports)


def _mask_on_name(host: Token, mask: Token) -> ConfigError:
    numbers = host.text.split(".")
    if _DIGITS_AND_DOTS.fullmatch(host.text) and len(numbers) < 4 and all(numbers):
        whole = ".".join(numbers + ["0"] * (4 - len(numbers)))
        return ConfigError(
            host, f'"{host.text}" is not an address', "all four numbers", f"{whole}/{mask.text}"
        )
    if _DIGITS_AND_DOTS.fullmatch(host.text):
        return ConfigError(host, f'"{host.text}" is not an address', "four numbers from 0 to 255")
    return ConfigError(
        mask, f'netmask on the name "{host.text}"', "netmasks only after numeric addresses"
    )


def _mask(token: Token, family: Family) -> int:
    bits = _BITS[family]
    if "." in token.text:
        dotted = packed(token.text, Family.IPV4) if family is Family.IPV4 else None
        value = int.from_bytes(dotted, "big") if dotted is not None else 1
        hosts = value ^ 0xFFFFFFFF
        if hosts & (hosts + 1):  # ones must come before zeros
            raise ConfigError(token, f"bad netmask: {token.text}", "ones followed by zeros")
        return value
    length = number_of(token)
    if length > bits:
        raise ConfigError(
            token,
            f"bad {_FAMILY_NAMES[family]} address netmask: {length}.  Legal range is 0 - {bits}",
        )
    return ((1 << bits) - 1) ^ ((1 << (bits - length)) - 1)


def ports_of(text: PortText | None, machine: Machine, protocol: Transport) -> PortSet:
    """
    The ports that a port condition lets through.

    :raises ConfigError: it names a service that does not exist.
    """
    if text is None:
        return ALL_PORTS
    first = _port(text.first, machine, protocol)
    match text.operator:
        case "-":
            assert text.last is not None
            return PortSet(first, number_of(text.last), text=text.text)
        case "ne" | "!=":
            return PortSet(first, first, outside=True, text=text.text)
        case "ge" | ">=":
            return PortSet(first, 65535, text=text.text)
        case "gt" | ">":
            return PortSet(first + 1, 65535, text=text.text)
        case "le" | "<=":
            return PortSet(0, first, text=text.text)
        case "lt" | "<":
            return PortSet(0, first - 1, text=text.text)
        case _:
            return PortSet(first, first, text=text.text)


def first_port(text: PortText, machine: Machine) -> int:
    """The port to listen on: of a range, the first.  :raises ConfigError: no such service."""
    return _port(text.first, machine, "tcp")


def _port(token: Token, machine: Machine, protocol: Transport) -> int:
    if token.text[0].isdigit():
        return number_of(token)
    port = machine.service_port(token.text, protocol)
    if port is None:
        raise ConfigError(
            token,
            f"unknown {protocol or 'tcp/udp'} protocol: {token.text}",
            "a number or the name of a service",
        )
    return port
