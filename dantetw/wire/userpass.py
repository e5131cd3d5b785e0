"""
User name and password (:rfc:`1929`): the negotiation inside the negotiation.
"""

from __future__ import annotations

from typing import Final

from dantetw.wire.messages import Credentials, ProtocolError, user_text

#: Version of the sub-negotiation, which is not that of SOCKS.
VERSION: Final = 1

#: Longest login in bytes: version, and two fields of at most 255 behind their lengths.
LOGIN_LIMIT: Final = 1 + 1 + 255 + 1 + 255

#: The server's answers.  Any status but 0 is a failure.
ACCEPTED: Final = b"\x01\x00"
REFUSED: Final = b"\x01\x01"


def parse_login(data: bytes) -> tuple[Credentials, int] | None:
    """
    A client's user name and password, and where its message ends; None: not complete yet.

    Empty fields pass, although :rfc:`1929` wants 1 to 255 bytes: clients send empty passwords, and
    whether "" is a user's name is for the check of the credentials to decide.

    :raises ProtocolError: if the version is another, or a field has a NUL, where C code would cut
        it (Dante does) and take the beginning for the whole.
    """
    if not data:
        return None
    if data[0] != VERSION:
        # Dante's words, with the name of its function: log watchers match them.
        raise ProtocolError(
            f"recv_unamever(): unknown socks_v5 version on username packet from client: {data[0]}",
            at=1,
        )
    size = len(data)
    if size < 2:
        return None
    name_end = 2 + data[1]
    if size <= name_end:
        return None
    end = name_end + 1 + data[name_end]
    if size < end:
        return None
    name = data[2:name_end]
    password = data[name_end + 1 : end]
    if 0 in name or 0 in password:
        raise ProtocolError("NUL byte in user name or password", REFUSED, at=end)
    return Credentials(user_text(name), password), end


def build_login(name: bytes, password: bytes) -> bytes:
    """
    A login.

    :raises ValueError: if a field is longer than 255 bytes.
    """
    if max(len(name), len(password)) > 255:
        raise ValueError("a user name or password on the wire has at most 255 bytes")
    return bytes((VERSION, len(name))) + name + bytes((len(password),)) + password


def parse_status(data: bytes) -> tuple[bool, int] | None:
    """
    Whether the server accepted a login, and where its message ends; None: not complete yet.

    The version byte is not looked at: servers in use answer with 5 there, and it decides nothing.
    """
    return (data[1] == 0, 2) if len(data) > 1 else None
