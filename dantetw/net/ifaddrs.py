"""
The addresses of this machine's network interfaces, by ``getifaddrs(3)``.

An address with a label (``ip address add … label eth0:1``) is listed under its label, which is how
Dante knows aliases, and not under the interface's own name.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator, Sequence
from typing import ClassVar

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


def interfaces() -> dict[str, Sequence[str]]:
    """
    All interfaces and labels, each with its numeric addresses; an interface may have none.

    Nothing if the kernel does not tell.
    """
    found: dict[str, list[str]] = {}
    try:
        found = {name: [] for _, name in socket.if_nameindex()}
        for name, address in interface_addresses():
            found.setdefault(name, []).append(address)
    except OSError:
        pass
    return {name: tuple(addresses) for name, addresses in found.items()}
