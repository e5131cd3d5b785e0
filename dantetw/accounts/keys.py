"""
What identifies an account: its kind and a name that is unique within the kind.

A rule's name is the fingerprint of its text (:attr:`~dantetw.policy.Rule.fingerprint`), so that its
counts survive a reload, also one that moves the rule within the file.  Users and client addresses
are named by themselves.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from dantetw.values import AccountKind, value

#: The longest name, in bytes of UTF-8.
NAME_BYTES: Final = 320
# A text of so many characters is never longer than that.
_SHORT: Final = NAME_BYTES // 4
_DIGEST_BYTES: Final = 16


@value
class AccountKey:
    """
    The key of an account.

    :ivar kind: what it counts sessions by.
    :ivar name: which of this kind, as :func:`account_name` returns it; None: the account "other",
        which counts what has no account of its own.  The server's only account is of that name.
    """

    kind: AccountKind
    name: str | None = None


def account_name(text: str) -> str:
    """
    The name of an account, from a text of any length.

    A text that is longer than :data:`NAME_BYTES` is cut, and a hash of the whole is appended, so
    that different texts have different names.
    """
    if len(text) <= _SHORT:
        return text
    data = encoded(text)
    if len(data) <= NAME_BYTES:
        return text
    digest = blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
    begin = data[: NAME_BYTES - len(digest) - 1].decode("utf-8", "ignore")
    return f"{begin}~{digest}"


def encoded(name: str) -> bytes:
    """A name as it is stored.  Bytes that were not UTF-8 stay what they were (:pep:`383`)."""
    return name.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """The reverse of :func:`encoded`."""
    return data.decode("utf-8", "surrogateescape")
