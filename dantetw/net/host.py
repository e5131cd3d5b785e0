"""
The facts about this machine that a configuration refers to.

Implements :class:`dantetw.config.system.System`.  Every question is asked anew: interfaces come and
go, and a reload should see them as they are.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pwd
import socket
from collections.abc import Iterator, Sequence
from typing import ClassVar

from dantetw.config.system import Transport

_AF_INET = int(socket.AF_INET)
_AF_INET6 = int(socket.AF_INET6)
_NO_SCOPE = 0  # of addresses that are the same on every link


class _SockAddr(ctypes.Structure):
    """``struct sockaddr``: only what tells the family."""

    _fields_: ClassVar = [("family", ctypes.c_ushort)]


class _SockAddrIn(ctypes.Structure):
    """``struct sockaddr_in`` (Linux)."""

    _fields_: ClassVar = [
        ("family", ctypes.c_ushort),
        ("port", ctypes.c_ushort),
        ("address", ctypes.c_ubyte * 4),
    ]


class _SockAddrIn6(ctypes.Structure):
    """``struct sockaddr_in6`` (Linux)."""

    _fields_: ClassVar = [
        ("family", ctypes.c_ushort),
        ("port", ctypes.c_ushort),
        ("flow", ctypes.c_uint32),
        ("address", ctypes.c_ubyte * 16),
        ("scope", ctypes.c_uint32),
    ]


class _IfAddrs(ctypes.Structure):
    """``struct ifaddrs`` (``getifaddrs(3)``, Linux)."""


_IfAddrs._fields_ = [
    ("next", ctypes.POINTER(_IfAddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_SockAddr)),
    ("netmask", ctypes.c_void_p),
    ("broadcast", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]


def interface_addresses() -> list[tuple[str, str]]:
    """
    Interface names and their numeric addresses, in the kernel's order.

    Link-local IPv6 addresses come with their ``%scope``.

    :raises OSError: the kernel does not tell.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getifaddrs.argtypes = [ctypes.POINTER(ctypes.POINTER(_IfAddrs))]
    libc.getifaddrs.restype = ctypes.c_int
    libc.freeifaddrs.argtypes = [ctypes.POINTER(_IfAddrs)]
    libc.freeifaddrs.restype = None
    first = ctypes.POINTER(_IfAddrs)()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        # All of it is copied before the list is freed.
        return list(_entries(first))
    finally:
        libc.freeifaddrs(first)


def _entries(entry: ctypes._Pointer[_IfAddrs]) -> Iterator[tuple[str, str]]:
    while entry:
        item = entry.contents
        name = os.fsdecode(item.name) if item.name else ""
        address = _numeric(item.address, name)
        if name and address:
            yield name, address
        entry = item.next


def _numeric(pointer: ctypes._Pointer[_SockAddr], interface: str) -> str:
    """The address as text; empty for families other than IP's, and for none at all."""
    if not pointer:
        return ""
    family = pointer.contents.family
    if family == _AF_INET:
        four = ctypes.cast(pointer, ctypes.POINTER(_SockAddrIn)).contents
        return socket.inet_ntop(socket.AF_INET, bytes(four.address))
    if family == _AF_INET6:
        six = ctypes.cast(pointer, ctypes.POINTER(_SockAddrIn6)).contents
        text = socket.inet_ntop(socket.AF_INET6, bytes(six.address))
        return f"{text}%{interface}" if six.scope != _NO_SCOPE else text
    return ""


class Host:
    """This machine."""

    @property
    def effective_root(self) -> bool:
        """Whether the process has root's rights now."""
        return os.geteuid() == 0

    def addresses_of(self, interface: str) -> Sequence[str]:
        """Addresses of an interface; none if it has none, or does not exist."""
        return [address for name, address in self._interfaces() if name == interface]

    def all_addresses(self) -> Sequence[str]:
        """Addresses of all interfaces."""
        return [address for _, address in self._interfaces()]

    def can_bind(self, address: str) -> bool:
        """Whether a UDP socket can be bound to ``address``; it is closed again."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                # getaddrinfo turns a scope's name into its number.
                found = socket.getaddrinfo(
                    address, 0, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST
                )
                probe.bind(found[0][4])
        except (OSError, ValueError):  # gaierror is an OSError
            return False
        return True

    def service_port(self, name: str, protocol: Transport) -> int | None:
        """Port of a service by ``getservbyname(3)``."""
        for transport in (protocol,) if protocol else ("tcp", "udp"):
            try:
                return socket.getservbyname(name, transport)
            except (OSError, ValueError):
                continue
        return None

    def user_exists(self, name: str) -> bool:
        """Whether the password database knows ``name``."""
        try:
            pwd.getpwnam(name)
        except (KeyError, ValueError):
            return False
        return True

    def has_pam(self) -> bool:
        """Whether pamela is installed and finds ``libpam``."""
        try:
            # It raises whatever ctypes does where there is no libpam.
            importlib.import_module("pamela")
        except (ImportError, OSError, AttributeError):
            return False
        return True

    def resolve(self, name: str) -> Sequence[str]:
        """
        Addresses of a host name by ``getaddrinfo(3)``, each once.

        Blocks until the resolver has answered; a configuration is read before anybody is served.
        """
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError):
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def _interfaces(self) -> list[tuple[str, str]]:
        try:
            return interface_addresses()
        except OSError:
            return []
