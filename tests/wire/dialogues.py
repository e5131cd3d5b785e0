"""
Whole dialogues of clients with the server, and what comes of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from dantetw.catalogue import DIALECTS
from dantetw.values import Cause, Command, Endpoint, Family, Method
from dantetw.wire import socks4, socks5, userpass
from dantetw.wire.dialects import Dialects, IDialect, Request
from dantetw.wire.messages import Credentials, ProtocolError, Reply

NONE = (Method.NONE,)
USERNAME = (Method.USERNAME,)
BOTH = (Method.NONE, Method.USERNAME)

HERE = Endpoint("127.0.0.1", 80, Family.IPV4)
NAMED = Endpoint("example.org", 443, Family.NAME)
LONG = Endpoint("h" * 255, 1, Family.NAME)

CONNECT = socks5.build_request(Command.CONNECT, HERE)
LOGIN = userpass.build_login(b"joe", b"secret")
LONGEST_LOGIN = userpass.build_login(b"u" * 255, b"p" * 255)


@dataclass(frozen=True)
class Outcome:
    """All that a whole dialogue led to."""

    sent: bytes = b""
    credentials: Credentials | None = None
    request: Request | None = None
    error: tuple[str, bytes, Cause] | None = None
    read: int = 0
    leftover: bytes = b""


def converse(
    pieces: Iterable[bytes],
    methods: tuple[Method, ...] = NONE,
    good: bool = True,
) -> Outcome:
    """Hold a dialogue with a client whose bytes arrive in ``pieces``; ``good`` credentials pass."""
    sent = b""
    credentials: Credentials | None = None
    rest = iter(pieces)
    first = next((piece for piece in rest if piece), b"")
    if not first:
        return Outcome()
    negotiation = Dialects(DIALECTS).negotiate(first[0], methods)
    for piece in chain([first], rest):
        try:
            step = negotiation.feed(piece)
            while step is not None:
                if isinstance(step, Reply):
                    sent += step.data
                elif isinstance(step, Credentials):
                    credentials = step
                    if not good:
                        sent += negotiation.refused()
                        return Outcome(sent, credentials, read=negotiation.read)
                    sent += negotiation.accepted()
                else:
                    leftover = negotiation.leftover + b"".join(rest)
                    return Outcome(
                        sent, credentials, step, read=negotiation.read, leftover=leftover
                    )
                step = negotiation.feed(b"")
        except ProtocolError as wrong:
            assert negotiation.leftover == b""
            error = (wrong.text, wrong.reply, wrong.cause)
            return Outcome(sent, credentials, error=error, read=negotiation.read)
    return Outcome(sent, credentials, read=negotiation.read, leftover=negotiation.leftover)


def asked(
    target: Endpoint,
    command: Command = Command.CONNECT,
    method: Method = Method.NONE,
    dialect: IDialect = socks5.DIALECT,
    user_id: str = "",
) -> Request:
    """A request with the usual fields."""
    return Request(command, target, dialect, method, user_id)


def zeros(code: int) -> bytes:
    """A SOCKS 5 reply without an address."""
    return bytes((5, code, 0, 1)) + bytes(6)


@dataclass(frozen=True)
class Dialogue:
    """What a client sends, what the server is set to, and what comes of it."""

    name: str
    data: bytes
    outcome: Outcome
    methods: tuple[Method, ...] = NONE
    good: bool = True

    def run(self, pieces: Iterable[bytes]) -> Outcome:
        """The outcome if the client's bytes arrive in ``pieces``."""
        return converse(pieces, self.methods, self.good)


DIALOGUES = [
    Dialogue("silence", b"", Outcome()),
    Dialogue("half a greeting", b"\x05\x01", Outcome(read=2, leftover=b"\x05\x01")),
    Dialogue(
        "none",
        b"\x05\x01\x00" + CONNECT,
        Outcome(b"\x05\x00", request=asked(HERE), read=13),
    ),
    Dialogue(
        "none, data ahead",
        b"\x05\x01\x00" + CONNECT + b"GET / HTTP/1.0\r\n\r\n",
        Outcome(b"\x05\x00", request=asked(HERE), read=13, leftover=b"GET / HTTP/1.0\r\n\r\n"),
    ),
    Dialogue(
        "data ahead that looks like SOCKS",
        b"\x05\x01\x00" + CONNECT + b"\x05\x01\x00" + CONNECT,
        Outcome(b"\x05\x00", request=asked(HERE), read=13, leftover=b"\x05\x01\x00" + CONNECT),
    ),
    Dialogue(
        "half a request",
        b"\x05\x01\x00" + CONNECT[:7],
        Outcome(b"\x05\x00", read=10, leftover=CONNECT[:7]),
    ),
    Dialogue(
        "bind to a name",
        b"\x05\x01\x00" + socks5.build_request(Command.BIND, NAMED),
        Outcome(b"\x05\x00", request=asked(NAMED, Command.BIND), read=21),
    ),
    Dialogue(
        "associate",
        b"\x05\x01\x00\x05\x03\x00\x01" + bytes(6),
        Outcome(
            b"\x05\x00",
            request=asked(Endpoint("0.0.0.0", 0, Family.IPV4), Command.UDPASSOCIATE),
            read=13,
        ),
    ),
    Dialogue(
        "longest greeting and name",
        b"\x05\xff\x00" + b"\xfe" * 254 + socks5.build_request(Command.CONNECT, LONG),
        Outcome(b"\x05\x00", request=asked(LONG), read=257 + 262),
    ),
    Dialogue(
        "login",
        b"\x05\x02\x00\x02" + LOGIN + CONNECT + b"data",
        Outcome(
            b"\x05\x02\x01\x00",
            Credentials("joe", b"secret"),
            asked(HERE, method=Method.USERNAME),
            read=4 + len(LOGIN) + 10,
            leftover=b"data",
        ),
        USERNAME,
    ),
    Dialogue(
        "longest login",
        b"\x05\x01\x02" + LONGEST_LOGIN + CONNECT,
        Outcome(
            b"\x05\x02\x01\x00",
            Credentials("u" * 255, b"p" * 255),
            asked(HERE, method=Method.USERNAME),
            read=3 + 513 + 10,
        ),
        USERNAME,
    ),
    Dialogue(
        "bad login, request ahead",
        b"\x05\x01\x02" + LOGIN + CONNECT,
        Outcome(b"\x05\x02\x01\x01", Credentials("joe", b"secret"), read=3 + len(LOGIN)),
        USERNAME,
        good=False,
    ),
    Dialogue(
        "server's order",
        b"\x05\x02\x02\x00" + CONNECT,
        Outcome(b"\x05\x00", request=asked(HERE), read=14),
        BOTH,
    ),
    Dialogue(
        "no common method",
        b"\x05\x01\x01" + CONNECT,
        Outcome(
            error=(
                "client offered no acceptable authentication method",
                b"\x05\xff",
                Cause.PROTOCOL,
            ),
            read=3,
        ),
    ),
    Dialogue(
        "no methods",
        b"\x05\x00" + CONNECT,
        Outcome(
            error=(
                "client offered no acceptable authentication method",
                b"\x05\xff",
                Cause.PROTOCOL,
            ),
            read=2,
        ),
        BOTH,
    ),
    Dialogue(
        "HTTP",
        b"GET / HTTP/1.1\r\n\r\n",
        Outcome(error=("unknown SOCKS version 71 in client request", b"", Cause.PROTOCOL), read=1),
    ),
    Dialogue(
        "unknown command",
        b"\x05\x01\x00\x05\x09\x00\x01" + bytes(6),
        Outcome(
            b"\x05\x00",
            error=("unknown socks_v5 command: 9", zeros(7), Cause.UNSUPPORTED),
            read=5,
        ),
    ),
    Dialogue(
        "unknown address type",
        b"\x05\x01\x00\x05\x01\x00\x07\x7f\x00\x00\x01",
        Outcome(
            b"\x05\x00",
            error=("unknown socks_v5 address type: 7", zeros(8), Cause.UNSUPPORTED),
            read=7,
        ),
    ),
    Dialogue(
        "SOCKS 4 within SOCKS 5",
        b"\x05\x01\x00\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        Outcome(b"\x05\x00", error=("local client protocol error", b"", Cause.PROTOCOL), read=4),
    ),
    Dialogue(
        "SOCKS 5 for a login",
        b"\x05\x01\x02" + CONNECT,
        Outcome(
            b"\x05\x02",
            error=(
                "recv_unamever(): unknown socks_v5 version on username packet from client: 5",
                b"",
                Cause.PROTOCOL,
            ),
            read=4,
        ),
        USERNAME,
    ),
    Dialogue(
        "NUL in a password",
        b"\x05\x01\x02" + userpass.build_login(b"joe", b"a\x00b") + CONNECT,
        Outcome(
            b"\x05\x02",
            error=("NUL byte in user name or password", b"\x01\x01", Cause.PROTOCOL),
            read=3 + 9,
        ),
        USERNAME,
    ),
    Dialogue(
        "SOCKS 4",
        socks4.build_request(Command.CONNECT, HERE, b"joe") + b"data",
        Outcome(
            request=asked(HERE, dialect=socks4.DIALECT, user_id="joe"),
            read=12,
            leftover=b"data",
        ),
    ),
    Dialogue(
        "SOCKS 4a, and no method that allows it",
        socks4.build_request(Command.BIND, LONG, b"u" * 1382) + b"\x00",
        Outcome(
            request=asked(LONG, Command.BIND, dialect=socks4.DIALECT, user_id="u" * 1382),
            read=1647,
            leftover=b"\x00",
        ),
        USERNAME,
    ),
    Dialogue(
        "SOCKS 4, unknown command",
        b"\x04\x09\x00\x50\x7f\x00\x00\x01\x00",
        Outcome(error=("unknown socks_v4 command: 9", socks4.REFUSAL, Cause.UNSUPPORTED), read=2),
    ),
    Dialogue(
        "SOCKS 4, endless user id",
        b"\x04\x01\x00\x50\x7f\x00\x00\x01" + b"u" * 5000,
        Outcome(
            error=(
                "socks_v4 username received from client is too long.  Max length is 1382",
                socks4.REFUSAL,
                Cause.PROTOCOL,
            ),
            read=1391,
        ),
    ),
]
