"""
The server's side of a negotiation, from the first byte to the request.

Everything that affects the state or changes it lives in this file: what is read in each state
stands in :data:`READERS`, what follows from it in :data:`TRANSITIONS`.  The rest of the package
knows formats and no order.

::

    greeting --(no login)--------------------------> request --> over
        |  \\---(login)--> login --> verdict --(accepted)--^
        |                              \\---(refused)--> over
        \\-- a SOCKS 4 request --> over
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from dantetw.values import Cause, Method
from dantetw.wire import socks4, socks5, userpass
from dantetw.wire.messages import Credentials, ProtocolError, Reply, Request

__all__ = ["Credentials", "Negotiation", "ProtocolError", "Reply", "Request", "Step"]

#: What feeding bytes leads to; None: more bytes are needed.
Step = Reply | Credentials | Request | None

#: Most bytes that a client may have sent ahead while its credentials are being checked.  A caller
#: that stops reading meanwhile holds at most one read's worth, which is 64 KiB in Twisted.
EARLY_LIMIT: Final = 65536


class State(IntEnum):
    """What we wait for.  (An ``IntEnum`` because its hash costs a seventh of an ``Enum``'s.)"""

    AWAIT_GREETING = 0
    AWAIT_LOGIN = 1
    AWAIT_VERDICT = 2
    AWAIT_REQUEST = 3
    OVER = 4


class Heard(IntEnum):
    """What we learned, from the client or from whoever checks its credentials."""

    NO_LOGIN = 0  # a greeting, and the method chosen wants no login
    LOGIN = 1  # a greeting, and the method chosen wants one
    CREDENTIALS = 2
    ACCEPTED = 3
    REFUSED = 4
    REQUEST = 5
    NONSENSE = 6  # a ProtocolError


#: State, and what was learned in it: the next state.  What does not stand here cannot happen.
TRANSITIONS: Final[dict[State, dict[Heard, State]]] = {
    State.AWAIT_GREETING: {
        Heard.NO_LOGIN: State.AWAIT_REQUEST,
        Heard.LOGIN: State.AWAIT_LOGIN,
        Heard.REQUEST: State.OVER,  # SOCKS 4
        Heard.NONSENSE: State.OVER,
    },
    State.AWAIT_LOGIN: {
        Heard.CREDENTIALS: State.AWAIT_VERDICT,
        Heard.NONSENSE: State.OVER,
    },
    State.AWAIT_VERDICT: {
        Heard.ACCEPTED: State.AWAIT_REQUEST,
        Heard.REFUSED: State.OVER,
        Heard.NONSENSE: State.OVER,
    },
    State.AWAIT_REQUEST: {
        Heard.REQUEST: State.OVER,
        Heard.NONSENSE: State.OVER,
    },
    State.OVER: {},
}

# The two answers to a greeting that the server knows, by method code, with what they stand for.
_CHOICES: Final = {
    socks5.NO_LOGIN: (Reply(socks5.build_choice(socks5.NO_LOGIN)), Heard.NO_LOGIN),
    socks5.LOGIN: (Reply(socks5.build_choice(socks5.LOGIN)), Heard.LOGIN),
}
# Looked up once: in Python 3.11 finding a member of an Enum takes 0.2 us, and each session does.
_NONE: Final = Method.NONE
_REQUEST: Final = Heard.REQUEST
_AWAIT_GREETING: Final = State.AWAIT_GREETING

#: A step, what was learned, and how many bytes that took; None: more bytes are needed.
_Found = tuple[Step, Heard, int] | None


class Negotiation:
    """
    One client's negotiation.

    :meth:`feed` it bytes.  After a :class:`Reply` send its data and feed ``b""``: the client may
    have sent more already.  After :class:`Credentials` stop reading, have them checked, send what
    :meth:`accepted` returns and feed ``b""``, or send what :meth:`refused` returns and close.
    After a :class:`Request` it is over; :attr:`leftover` holds what the client sent behind it.
    Feeding it then, or after an error, is a mistake of the caller's and raises :exc:`KeyError`.

    An incomplete message never holds more than its format's limit: 257 bytes of a greeting, 513 of
    a login, 262 of a request, 1647 of a SOCKS 4 request.

    :ivar leftover: bytes received that are not used yet.
    :ivar offered: the method codes of the client's greeting.
    """

    __slots__ = ("_consumed", "_method", "_methods", "_state", "_v4_refusal", "leftover", "offered")

    def __init__(
        self, methods: tuple[Method, ...], v4_allowed: bool = True, v4_refusal: str = ""
    ) -> None:
        """
        :param methods: what to accept, in the server's order of preference.
        :param v4_allowed: whether SOCKS 4 is served.  It has no authentication, so a server whose
            methods do not begin with ``none`` should not (CVE-2024-54662; Dante 1.4.4 does not).
        :param v4_refusal: the text of the error in that case.
        """
        self._methods = methods
        self._v4_refusal = None if v4_allowed else v4_refusal
        self._method = _NONE
        self._state = _AWAIT_GREETING
        self._consumed = 0
        self.leftover = self.offered = b""

    @property
    def read(self) -> int:
        """
        Bytes of the negotiation received so far, for Dante's "error after reading N bytes".

        After an error: up to and with the byte that made it one.  Bytes that a client sends ahead
        of an answer do not count.
        """
        if self._state in _COUNTED:
            return self._consumed + len(self.leftover)
        return self._consumed

    def feed(self, data: bytes) -> Step:
        """
        Take in what the client sent, ``b""`` to go on with what is left over.

        :return: what to do next; None: wait for more.
        :raises ProtocolError: if the client sent what it should not have; then it is over.
        """
        if self.leftover:
            data = self.leftover + data
        try:
            found = READERS[self._state](self, data)
        except ProtocolError as error:
            self._consumed += error.at
            self.leftover = b""
            self._advance(Heard.NONSENSE)
            raise
        if found is None:
            self.leftover = data
            return None
        step, heard, end = found
        self._consumed += end
        self.leftover = data[end:]
        self._advance(heard)
        return step

    def accepted(self) -> bytes:
        """The credentials are good: the bytes that say so."""
        self._advance(Heard.ACCEPTED)
        return userpass.ACCEPTED

    def refused(self) -> bytes:
        """The credentials are not good: the bytes that say so, to be sent before closing."""
        self._advance(Heard.REFUSED)
        return userpass.REFUSED

    def _advance(self, heard: Heard) -> None:
        self._state = TRANSITIONS[self._state][heard]

    def _read_greeting(self, data: bytes) -> _Found:
        if data[:1] == b"\x04":
            return self._read_v4_request(data)
        found = socks5.parse_greeting(data)
        if found is None:
            return None
        self.offered, end = found
        chosen = socks5.choose(self._methods, self.offered)
        if chosen is None:
            raise ProtocolError(
                "client offered no acceptable authentication method",
                socks5.build_choice(socks5.NO_ACCEPTABLE),
                at=end,
            )
        self._method, code = chosen
        return *_CHOICES[code], end

    def _read_v4_request(self, data: bytes) -> _Found:
        if self._v4_refusal is not None:
            raise ProtocolError(self._v4_refusal, socks4.REFUSAL, Cause.BLOCKED, 1)
        found = socks4.parse_request(data)
        return None if found is None else (found[0], _REQUEST, found[1])

    def _read_login(self, data: bytes) -> _Found:
        found = userpass.parse_login(data)
        return None if found is None else (found[0], Heard.CREDENTIALS, found[1])

    def _read_ahead(self, data: bytes) -> _Found:
        if len(data) > EARLY_LIMIT:
            raise ProtocolError("client sent too much data ahead of the reply to its login")
        return None

    def _read_request(self, data: bytes) -> _Found:
        found = socks5.parse_request(data, self._method)
        return None if found is None else (found[0], _REQUEST, found[1])


#: How the client's bytes are read in each state.  Once it is over they are no concern of ours.
READERS: Final[dict[State, Callable[[Negotiation, bytes], _Found]]] = {
    _AWAIT_GREETING: Negotiation._read_greeting,
    State.AWAIT_LOGIN: Negotiation._read_login,
    State.AWAIT_VERDICT: Negotiation._read_ahead,
    State.AWAIT_REQUEST: Negotiation._read_request,
}

# The states in which bytes received are part of the message waited for.
_COUNTED: Final = frozenset((_AWAIT_GREETING, State.AWAIT_LOGIN, State.AWAIT_REQUEST))
