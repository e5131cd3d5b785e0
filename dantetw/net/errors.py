"""
Failures of the network and their names: symbol, words, and the reply to a SOCKS client.

This is the only place that does so: no other code parses the text of an error.  An errno is named
by its symbol (``ECONNREFUSED``), a resolver's failure by its own (``EAI_AGAIN``); by these the
operator's filters find them (``SIDE.log.LEVEL.error``).  Pure, so that formats can use it too.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

from dantetw.values import Operation, ReplyCode

_REPLIES: Final = {
    errno.ENETUNREACH: ReplyCode.NETWORK_UNREACHABLE,
    errno.ENETDOWN: ReplyCode.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: ReplyCode.HOST_UNREACHABLE,
    errno.EHOSTDOWN: ReplyCode.HOST_UNREACHABLE,
    errno.ECONNREFUSED: ReplyCode.REFUSED,
    errno.ETIMEDOUT: ReplyCode.TTL_EXPIRED,
    errno.EAFNOSUPPORT: ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
}

#: The reply for a name without an address: Dante's choice, :rfc:`1928` has none for it.
UNRESOLVED_REPLY: Final = ReplyCode.HOST_UNREACHABLE

# Dante's words for each operation, but for the reads, which it does not log.
_WORDS: Final = {
    Operation.ACCEPT: "accept of client on {} failed: {}",
    Operation.CONNECT: "connect to host {} failed: {}",
    Operation.SEND: "send to host {} failed: {}",
    Operation.RECEIVE: "receive from host {} failed: {}",
}
# Logged as this instead.  ``ETIMEDOUT`` belongs to the symbol ``no-route`` too, but has the other
# text.
_UNROUTED: Final = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN))
_NO_ROUTE: Final = "no route to {}: {}"

# Dante writes "<nonsense address>" in place of the address.
_LOOKUP: Final = 'could not DNS-resolve "{}": {}'
_REVERSE_LOOKUP: Final = "could not DNS reversemap address {}: {}"

_EAI_SYMBOLS: Final = {
    getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")
}

#: ``gai_strerror``'s words for resolver's failures that we find ourselves.
EAI_WORDS: Final = {
    "EAI_NONAME": "Name or service not known",
    "EAI_AGAIN": "Temporary failure in name resolution",
    "EAI_NODATA": "No address associated with hostname",
    "EAI_ADDRFAMILY": "Address family for hostname not supported",
    "EAI_FAIL": "Non-recoverable failure in name resolution",
}


def symbol_of(number: int) -> str:
    """The ``errno`` name of an error number, such as ``ECONNREFUSED``."""
    return errno.errorcode.get(number, f"errno {number}")


def eai_symbol_of(number: int) -> str:
    """The name of a resolver's error number, such as ``EAI_AGAIN``."""
    return _EAI_SYMBOLS.get(number, f"EAI {number}")


def words_of(number: int) -> str:
    """The system's text for an error number, such as ``Connection refused``."""
    return os.strerror(number)


def words_of_error(error: OSError) -> str:
    """The text of an error: its own, or the system's for its number."""
    return error.strerror or os.strerror(error.errno or 0)


def failure_text(operation: Operation, place: str, number: int) -> str:
    """
    A failure in Dante's words, such as ``connect to host 10.0.0.1.80 failed: Connection refused``.

    :param place: the far end; of ``ACCEPT`` our own.
    :param number: the ``errno``.
    """
    unrouted = number in _UNROUTED and operation is not Operation.ACCEPT
    form = _NO_ROUTE if unrouted else _WORDS[operation]
    return form.format(place, words_of(number))


def lookup_text(name: str, reason: str, reverse: bool) -> str:
    """
    A look-up's failure in Dante's words.

    :param name: escaped; an address if the look-up was ``reverse``.
    """
    return (_REVERSE_LOOKUP if reverse else _LOOKUP).format(name, reason)


def reply_of(number: int) -> ReplyCode:
    """
    The reply for a connection attempt that failed with this error (:rfc:`1928` section 6).

    As in Dante, a connection attempt that times out is answered 6, "TTL expired".
    """
    return _REPLIES.get(number, ReplyCode.FAILURE)
