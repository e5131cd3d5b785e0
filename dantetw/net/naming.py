"""
Errors and their names: symbol, words, and the reply that tells a SOCKS client.

The one place that knows.  Nobody looks into the text of an error.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from dantetw.wire.replies import ReplyCode

_REPLIES: Final = {
    errno.ENETUNREACH: ReplyCode.NETWORK_UNREACHABLE,
    errno.ENETDOWN: ReplyCode.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: ReplyCode.HOST_UNREACHABLE,
    errno.EHOSTDOWN: ReplyCode.HOST_UNREACHABLE,
    errno.ECONNREFUSED: ReplyCode.REFUSED,
    errno.ETIMEDOUT: ReplyCode.TTL_EXPIRED,
    errno.EAFNOSUPPORT: ReplyCode.ADDRESS_TYPE_NOT_SUPPORTED,
}


def symbol_of(number: int) -> str:
    """The ``errno`` name of an error number, such as ``ECONNREFUSED``."""
    return errno.errorcode.get(number, f"errno {number}")


def words_of(number: int) -> str:
    """What the system says of an error number, such as ``Connection refused``."""
    return os.strerror(number)


def reply_of(number: int) -> ReplyCode:
    """
    The reply for a connection attempt that failed with this error (:rfc:`1928` section 6).

    Dante answers 6, "TTL expired", when a connection attempt times out; so do we.
    """
    return _REPLIES.get(number, ReplyCode.FAILURE)
