"""
Sockets that another process has made, or shares.
"""

from __future__ import annotations

import os
import socket
from typing import Final, TypeVar

_Socket = TypeVar("_Socket", bound=socket.socket)

_NO_WAIT: Final = socket.SOCK_NONBLOCK


def adopt(descriptor: int, kind: type[_Socket]) -> _Socket:
    """
    A socket object for a descriptor, which it owns from now on.

    ``O_NONBLOCK`` is not changed, not for an instant: all processes that have the socket share it,
    and one may be accepting.  ``socket(fileno=…)`` leaves it alone on CPython; on PyPy it clears
    it.

    :param kind: the class.
    :raises OSError: if it is not a socket's; the caller still owns it then.
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
