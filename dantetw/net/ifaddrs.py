"""
The addresses of this machine's network interfaces, by ``getifaddrs(3)``.

An address with a label (``ip address add … label eth0:1``) is listed under its label, which is how
Dante knows aliases, and not under the interface's own name.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import ClassVar

_AF_INET = int(socket.AF_INET)
_AF_INET6 = int(socket.AF_INET6)
_NO_SCOPE = 0  # of addresses that are the same on every link


class _IfAddrs(ctypes.Structure):
    """``struct ifaddrs`` (``getifaddrs(3)``, Linux); pointers are numbers."""

    _fields_: ClassVar = [
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("address", ctypes.c_void_p),
        ("netmask", ctypes.c_void_p),
        ("broadcast", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
    ]


# ``struct sockaddr_in`` and ``sockaddr_in6`` (Linux): family, port, and what comes between them and
# after.
_SOCKADDR = struct.Struct("=HH")
_IN = struct.Struct("=HH4s")
_IN6 = struct.Struct("=HHI16sI")


def interface_addresses() -> list[tuple[str, str]]:
    """
    Interface names and their numeric addresses, in the kernel's order.

    Link-local IPv6 addresses come with their ``%scope``.

    :raises OSError: if the kernel does not answer.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getifaddrs.argtypes = [ctypes.POINTER(ctypes.c_void_p)]
    libc.getifaddrs.restype = ctypes.c_int
    libc.freeifaddrs.argtypes = [ctypes.c_void_p]
    libc.freeifaddrs.restype = None
    first = ctypes.c_void_p()
    if libc.getifaddrs(ctypes.byref(first)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        # All of it is copied before the list is freed.
        return list(_entries(first.value))
    finally:
        libc.freeifaddrs(first)


def _entries(entry: int | None) -> Iterator[tuple[str, str]]:
    # By numbers: objects of pointers would keep all before them, and thousands take seconds.
    while entry:
        item = _IfAddrs.from_address(entry)
        name = os.fsdecode(item.name) if item.name else ""
        address = _numeric(item.address, name)
        if name and address:
            yield name, address
        entry = item.next


def _numeric(pointer: int | None, interface: str) -> str:
    """The address as text; empty for families other than IP's, and for none at all."""
    if not pointer:
        return ""
    family, _ = _SOCKADDR.unpack(ctypes.string_at(pointer, _SOCKADDR.size))
    if family == _AF_INET:
        four = _IN.unpack(ctypes.string_at(pointer, _IN.size))
        return socket.inet_ntop(socket.AF_INET, four[2])
    if family == _AF_INET6:
        six = _IN6.unpack(ctypes.string_at(pointer, _IN6.size))
        text = socket.inet_ntop(socket.AF_INET6, six[3])
        return f"{text}%{interface}" if six[4] != _NO_SCOPE else text
    return ""


def interfaces() -> dict[str, Sequence[str]]:
    """
    All interfaces and labels, each with its numeric addresses; an interface may have none.

    Empty if the kernel does not answer.
    """
    found: dict[str, list[str]] = {}
    try:
        found = {name: [] for _, name in socket.if_nameindex()}
        for name, address in interface_addresses():
            found.setdefault(name, []).append(address)
    except OSError:
        pass
    return {name: tuple(addresses) for name, addresses in found.items()}
