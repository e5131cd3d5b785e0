"""
Sockets for datagrams: bound where they must be, with the kernel's errors and time stamps.

The kernel keeps errors about datagrams that were sent earlier (ICMP) in a queue of the socket's,
each with the address it is about (``IP_RECVERR``, ``ip(7)``).  Python has no names for most of
this; the numbers are Linux's.  Elsewhere errors come without an address, and there are no stamps.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import EADDRINUSE
from typing import Final

from dantetw.net.sockopts import LowBinder, bind_wished, set_options
from dantetw.net.zones import endpoint_of, sockaddr_of
from dantetw.policy import Edge, SocketOption
from dantetw.values import AF_OF, Endpoint, Family

_LINUX: Final = sys.platform == "linux"
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_RECVERR: Final = {
    Family.IPV4: (socket.IPPROTO_IP, _IP_RECVERR),
    Family.IPV6: (socket.IPPROTO_IPV6, _IPV6_RECVERR),
}
_ERRORS: Final = frozenset(_RECVERR.values())
# ``struct sock_extended_err``: its first fields are the errno and whose error it is.
_EXTENDED: Final = struct.Struct("=IBBBBII")
# Our own, which the failed call has reported already.
_LOCAL: Final = 1
_ANCILLARY: Final = 512
_SO_MEMINFO: Final = 55
# The place of ``SK_MEMINFO_DROPS`` (``linux/sock_diag.h``), and how many fields there are.
_DROPS, _MEMINFO = 8, struct.Struct("9I")

#: Ports of ``udp.portrange`` that are tried at random before all are tried in turn: Dante's number.
RANDOM_TRIES: Final = 10


def bind_internal(
    host: str, family: Family, ports: tuple[int, int] | None, options: Sequence[SocketOption]
) -> tuple[socket.socket, list[tuple[SocketOption, int]]]:
    """
    A socket that a client can send its datagrams to.

    :param host: the local address.
    :param ports: first and last port that will do (``udp.portrange``); None: any.
    :param options: socket options, of which the ``internal`` ones are set.
    :returns: the socket, and the options that the system refused.
    :raises OSError: if none can be had.
    """
    sock, refused = _make(family, options, Edge.INTERNAL)
    with _kept(sock):
        if ports is None:
            sock.bind(sockaddr_of(host, 0))
        else:
            _bind_within(sock, host, *ports)
    return sock, refused


def bind_external(
    host: str,
    family: Family,
    port: int,
    options: Sequence[SocketOption],
    low: LowBinder | None = None,
) -> tuple[socket.socket, list[tuple[SocketOption, int]]]:
    """
    A socket to send from.

    :param port: the preferred port; another, if that is in use.
    :param low: how to get one below 1024; None: not at all.
    :param options: socket options, of which the ``external`` ones are set.
    :returns: the socket, and the options that the system refused.
    :raises OSError: if none can be had.
    """
    sock, refused = _make(family, options, Edge.EXTERNAL)
    with _kept(sock):
        if not bind_wished(sock, host, port, low):
            sock.bind(sockaddr_of(host, 0))
    return sock, refused


def bind_beside(
    sock: socket.socket, family: Family, options: Sequence[SocketOption]
) -> socket.socket:
    """
    Another socket on the same address and port.

    ``sock`` is connected, so the kernel gives it what its peer sends, and the new one the rest.
    The port is shared only while the new one is bound: others could take clients' datagrams.

    :raises OSError: if it cannot be had.
    """
    beside, _ = _make(family, options, Edge.EXTERNAL)
    with _kept(beside):
        try:
            _share(True, sock, beside)
            beside.bind(sock.getsockname())
        finally:
            _share(False, sock, beside)
    return beside


def _share(sharing: bool, *socks: socket.socket) -> None:
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sharing)


def errors_of(sock: socket.socket) -> Iterator[tuple[int, Endpoint | None]]:
    """
    The errors of datagrams that were sent earlier, and their destinations.

    The destination is None where the system does not report it.
    """
    if not _LINUX:
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            yield number, None
        return
    while True:
        try:
            _, ancillary, _, address = sock.recvmsg(0, _ANCILLARY, socket.MSG_ERRQUEUE)
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) in _ERRORS and len(data) >= _EXTENDED.size:
                number, origin, *_ = _EXTENDED.unpack_from(data)
                if origin != _LOCAL:
                    yield number, endpoint_of(address) if address else None


def drops_of(sock: socket.socket) -> int:
    """How many datagrams the kernel dropped because they were not read in time."""
    try:
        information = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(information)[_DROPS])
    except (OSError, struct.error):
        return 0


def _make(
    family: Family, options: Sequence[SocketOption], edge: Edge
) -> tuple[socket.socket, list[tuple[SocketOption, int]]]:
    sock = socket.socket(AF_OF[family], socket.SOCK_DGRAM)
    with _kept(sock):
        sock.setblocking(False)
        if family is Family.IPV6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if _LINUX:
            sock.setsockopt(*_RECVERR[family], 1)
        # The other protocol's are not meant for this one.
        meant = [option for option in options if option.level != socket.IPPROTO_TCP]
        return sock, set_options(sock, meant, edge)


@contextmanager
def _kept(sock: socket.socket) -> Iterator[None]:
    """Close a socket whose setup has failed."""
    try:
        yield
    except OSError:
        sock.close()
        raise


def _bind_within(sock: socket.socket, host: str, low: int, high: int) -> None:
    tries = [random.randint(low, high) for _ in range(RANDOM_TRIES)]
    for port in (*tries, *range(low, high + 1)):
        try:
            sock.bind(sockaddr_of(host, port))
            return
        except OSError as failed:
            if failed.errno != EADDRINUSE:
                raise
    raise OSError(EADDRINUSE, "no free port in udp.portrange")
