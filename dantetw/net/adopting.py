"""
Sockets that others have too: made by another process, or shared with one.
"""

from __future__ import annotations

import os
import socket
from typing import Final, TypeVar

_Socket = TypeVar("_Socket", bound=socket.socket)

_NO_WAIT: Final = socket.SOCK_NONBLOCK


def adopt(descriptor: int, kind: type[_Socket]) -> _Socket:
    """
    A socket of a descriptor, which belongs to it from now on.

    Whether calls wait is not changed, not for an instant: all processes that have the socket share
    that (``O_NONBLOCK``), and one may be accepting.  ``socket(fileno=…)`` keeps that promise on
    CPython; on PyPy it makes the socket one that waits.

    :param kind: the class.
    :raises OSError: if it is not a socket's; it is still the caller's then.
    """
    if os.get_blocking(descriptor):
        return kind(fileno=descriptor)
    # A wrong family and type do no harm as long as it is only asked for the right ones.
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | _NO_WAIT, 0, descriptor)
    try:
        family = asked.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
        type_ = asked.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    finally:
        asked.detach()
    return kind(family, type_ | _NO_WAIT, 0, descriptor)
