"""
What comes out of the parsers: plain values, and one exception for all that a peer does wrong.
"""

from __future__ import annotations

from dataclasses import field

from dantetw.values import Cause, value


class ProtocolError(Exception):
    """
    The peer sent what is not SOCKS, or not acceptable SOCKS.

    :ivar text: what was wrong, in Dante's words where it has some; never holds bytes of the peer,
        hence is safe to log.
    :ivar reply: what to send before closing; empty for nothing.
    :ivar cause: for the session's :class:`~dantetw.values.Ending`.
    :ivar at: how many bytes of the message had to be read to know.
    """

    def __init__(
        self, text: str, reply: bytes = b"", cause: Cause = Cause.PROTOCOL, at: int = 0
    ) -> None:
        super().__init__(text)
        self.text = text
        self.reply = reply
        self.cause = cause
        self.at = at


@value
class Reply:
    """
    Bytes to send; the negotiation goes on.

    :ivar data: the bytes.
    """

    data: bytes


@value
class Credentials:
    """
    A user name and a password to check.  Drop the object when that is done.

    :ivar name: 0-255 bytes as received, decoded by :func:`user_text`, hence hostile: escape it in
        logs.
    :ivar password: 0-255 bytes as received; not shown by ``repr``.
    """

    name: str
    password: bytes = field(repr=False)


def user_text(raw: bytes) -> str:
    """
    A user name as text; never fails.

    :rfc:`1929` names no encoding.  This is the one in which the system's own user data base is
    read, so that equal names compare equal; ``encode("utf-8", "surrogateescape")`` gives back the
    bytes, whatever they were.
    """
    return raw.decode("utf-8", "surrogateescape")
