"""
Dialects: the protocols in which clients can talk to the server, recognised by their first byte.

A *dialect* reads what a client sends up to and including its request, and writes the replies to
it.  There is one object per dialect, without state; what one client has sent so far is kept in a
:class:`Negotiation`, which the dialect makes.  All dialects are listed in
:data:`dantetw.catalogue.DIALECTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from zope.interface import Attribute, Interface

from dantetw.values import METHOD_NONE, Command, Endpoint, Method, ProxyProtocol, ReplyCode, value
from dantetw.wire.messages import Credentials, ProtocolError, Reply

#: Most bytes that a client may have sent ahead while its credentials are being checked.  A caller
#: that stops reading meanwhile holds at most one read's worth, which is 64 KiB in Twisted.
EARLY_LIMIT: Final = 65536


class IDialect(Interface):
    """A protocol in which clients ask for something."""

    proxy_protocol = Attribute("The :class:`~dantetw.values.ProxyProtocol` of its requests.")
    first_bytes = Attribute("Bytes, each of which as the first from a client says it is this.")
    families = Attribute("The address families that its replies can express, a frozenset.")

    def negotiate(methods: tuple[Method, ...]) -> Negotiation:  # noqa: N805 - zope's way
        """
        Begin to read what a client sends.

        :param methods: the authentication methods to accept, in the server's order of preference.
        """

    def reply(code: ReplyCode, bound: Endpoint) -> bytes:  # noqa: N805 - zope's way
        """
        The bytes of a reply to a request; never fails.

        :param bound: our end of the connection to the target, or of what we listen on; in failures,
            whatever address the reply is about.  What the dialect cannot express is left out.
        """


@value
class Request:
    """
    What a client asks for: the end of its negotiation.

    :ivar command: one of ``CONNECT``, ``BIND``, ``UDPASSOCIATE``.
    :ivar target: as the client named it; port 0 and unspecified addresses are let through.
    :ivar dialect: how the client asks, and is to be answered.
    :ivar method: the authentication method the client got through with.
    :ivar user_id: SOCKS 4: who the client says it is, unchecked; else empty.
    """

    command: Command
    target: Endpoint
    dialect: IDialect
    method: Method = METHOD_NONE
    user_id: str = ""

    @property
    def proxy_protocol(self) -> ProxyProtocol:
        """The protocol of the request, by the name that rules and logs use."""
        protocol: ProxyProtocol = self.dialect.proxy_protocol
        return protocol


#: What feeding bytes leads to; None: more bytes are needed.
Step = Reply | Credentials | Request | None

#: What reads the bytes of one state of a negotiation.  It returns a step, what reads the bytes
#: behind it, and where those begin; None if the message is not complete yet.
Reader = Callable[[Any, bytes], "tuple[Step, Reader, int] | None"]


class Negotiation:
    """
    One client's negotiation in one dialect, from the first byte to the request.

    :meth:`feed` it bytes.  After a :class:`~dantetw.wire.messages.Reply` send its data and feed
    ``b""``: the client may have sent more already.  After
    :class:`~dantetw.wire.messages.Credentials` stop reading, have them checked, send what
    :meth:`accepted` returns and feed ``b""``, or send what :meth:`refused` returns and close.
    After a :class:`Request` it is over; :attr:`leftover` holds what the client sent behind it.
    Feeding it then, or after an error, is a bug of the caller and raises :exc:`RuntimeError`.

    What it waits for is the function that reads it.

    :ivar methods: the authentication methods to accept, in the server's order of preference.
    :ivar method: the one with which the client gets through.
    :ivar offered: the method codes that the client has offered.
    :ivar leftover: bytes received that are not used yet.

    :param reader: reads the first message.
    """

    __slots__ = ("_consumed", "_reader", "leftover", "method", "methods", "offered")

    def __init__(self, methods: tuple[Method, ...], reader: Reader) -> None:
        self.methods = methods
        self.method = METHOD_NONE
        self._reader = reader
        self._consumed = 0
        self.leftover = self.offered = b""

    @property
    def read(self) -> int:
        """
        Bytes of the negotiation received so far, for Dante's "error after reading N bytes".

        After an error: up to and with the byte that made it one.  Bytes that a client sends ahead
        of an answer do not count.
        """
        if self._reader in (read_ahead, over):
            return self._consumed
        return self._consumed + len(self.leftover)

    def feed(self, data: bytes) -> Step:
        """
        Take in what the client sent, ``b""`` to go on with what is left over.

        :return: what to do next; None: wait for more.
        :raises ProtocolError: if the client sent what it should not have; then it is over.
        """
        if self.leftover:
            data = self.leftover + data
        try:
            found = self._reader(self, data)
        except ProtocolError as error:
            self._consumed += error.at
            self.leftover = b""
            self._reader = over
            raise
        if found is None:
            self.leftover = data
            return None
        step, self._reader, end = found
        self._consumed += end
        self.leftover = data[end:]
        return step

    def accepted(self) -> bytes:
        """The credentials are good: the bytes that say so."""
        raise RuntimeError("no credentials are being checked")

    def refused(self) -> bytes:
        """The credentials are not good: the bytes that say so, to be sent before closing."""
        raise RuntimeError("no credentials are being checked")

    def decide(self, reader: Reader) -> None:
        """
        Credentials have been checked.

        :param reader: reads what comes next.
        :raises RuntimeError: if none were being checked.
        """
        if self._reader is not read_ahead:
            raise RuntimeError("no credentials are being checked")
        self._reader = reader


def read_ahead(negotiation: Negotiation, data: bytes) -> None:
    """
    Keep what comes while credentials are checked: the state that follows them in each dialect.

    :raises ProtocolError: if it is too much.
    """
    if len(data) > EARLY_LIMIT:
        raise ProtocolError("client sent too much data ahead of the reply to its login")


def over(negotiation: Negotiation, data: bytes) -> None:
    """Read no more: the last state in each dialect."""
    raise RuntimeError("the negotiation is over")


def _read_unknown(negotiation: Negotiation, data: bytes) -> None:
    if data:
        raise ProtocolError(f"unknown SOCKS version {data[0]} in client request", at=1)


class Dialects:
    """
    The dialects that a server talks.

    :raises ValueError: if two have a first byte in common.
    """

    def __init__(self, dialects: Iterable[IDialect]) -> None:
        self._by_first_byte: dict[int, IDialect] = {}
        for dialect in dialects:
            for byte in dialect.first_bytes:
                if self._by_first_byte.setdefault(byte, dialect) is not dialect:
                    raise ValueError(f"two dialects begin with byte {byte}")

    def negotiate(self, first: int, methods: tuple[Method, ...]) -> Negotiation:
        """
        Begin a negotiation in the dialect of a client.

        :param first: the first byte that it has sent.  One that belongs to no dialect is the
            :exc:`~dantetw.wire.messages.ProtocolError` of the first
            :meth:`~Negotiation.feed`.
        :param methods: see :meth:`IDialect.negotiate`.
        """
        dialect = self._by_first_byte.get(first)
        if dialect is None:
            return Negotiation(methods, _read_unknown)
        return dialect.negotiate(methods)
