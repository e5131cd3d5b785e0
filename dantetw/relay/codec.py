"""
Converts the bytes of a client's connection, such as a layer that encrypts them.
"""

from __future__ import annotations

from typing import Protocol


class CodecError(Exception):
    """The client's bytes cannot be decoded, or the target's not be encoded, now or ever."""


class EncodedEnd(Exception):  # noqa: N818 - not an error
    """
    The client has ended its stream within the encoded one, whose connection may still be open.

    :ivar rest: decoded bytes before the end.
    """

    def __init__(self, rest: bytes = b"") -> None:
        super().__init__(rest)
        self.rest = rest


class Codec(Protocol):
    """
    Converts the bytes between a client and this server.

    The output may be longer or shorter than the input; a codec may keep bytes until more arrive.
    An answer that decoding produces is returned by the next call of :meth:`encode`.
    """

    def decode(self, data: bytes) -> bytes:
        """
        Bytes for the target, from bytes of the client.

        The first call is made when the relay begins, with the bytes that came behind the request,
        perhaps none.

        :raises EncodedEnd: if the client's stream ends here.
        :raises CodecError: if ``data`` makes no sense.  The relay ends.
        """

    def decode_end(self) -> bytes:
        """
        The last bytes for the target: the connection of the client has ended.

        :raises CodecError: if it should not have ended here.  The relay ends with a reset.
        """

    def encode(self, data: bytes) -> bytes:
        """
        Bytes for the client, from bytes of the target.

        :raises CodecError: if there can be none.  The relay ends.
        """

    def encode_end(self) -> bytes:
        """The last bytes for the client: the target's stream has ended."""
