"""
How addresses and ports are read (``sockd.conf(5)``, "ADDRESSES"); what they mean is settled in
:mod:`dantetw.config.addresses`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dantetw.config.arguments import HOST
from dantetw.config.lexer import Token
from dantetw.config.reader import Reader
from dantetw.config.report import Mistake
from dantetw.config.tree import AddressText, PortText, Values

_URL: Final = re.compile(r"(?a)(?:http|ftp)://[^\s{}]+")
_PORT: Final = re.compile(r"(?a)port(?:(?![A-Za-z_.-])|(?=eq|ne|ge|gt|le|lt))")
_OPERATOR: Final = re.compile(r"(?a)!=|>=|<=|=|<|>|eq|ne|ge|gt|le|lt")
#: What other languages have; "neq" is in the manual.
_NOT_OPERATOR: Final = re.compile(r"(?a)==|=>|=<|<>|neq\b")
_SERVICE: Final = re.compile(r"(?a)[A-Za-z][\w.+-]*")
_REST_OF_WORD: Final = re.compile(r"(?a)[^\s#{}]+")
_SLASH: Final = re.compile("/")
_COLON: Final = re.compile(":")
_DASH: Final = re.compile("-")
_DOTTED: Final = re.compile(r"(?a)[0-9]+(?:\.[0-9]+){3}(?![\w.])")

_LARGEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class AddressArgument:
    """
    An address.

    :ivar mask: nets are meant, so that numeric addresses need a mask; otherwise none may have one.
    :ivar ports: ``True``: a port may follow in any form; ``False``: none.
    :ivar gateway: the forms of ``via``: a url, and only ``port OP N``.
    """

    mask: bool
    ports: bool = True
    gateway: bool = False

    @property
    def form(self) -> str:
        if self.gateway:
            return "ADDRESS [port = N] | direct"
        return ("NET" if self.mask else "ADDRESS") + (" [port …]" if self.ports else "")

    def read(self, reader: Reader) -> Values:
        lexer = reader.lexer
        lexer.blanks()
        host = lexer.take(_URL) if self.gateway else None
        if host is not None:
            return Values((host,), address=AddressText(host))
        host = reader.expect(HOST, "an address")
        if reader.keyword_follows(host):
            raise Mistake(host, "no value", "an address")
        if lexer.peek() == "{" or (lexer.peek() == "}" and not reader.in_rule):
            raise Mistake(
                lexer.token(host.offset, lexer.position + 1),
                f'brace in the name "{host.text}{lexer.peek()}"',
                "an address",
            )
        # A brace behind a name is part of it in Dante; behind a numeric address it is not.
        glued = lexer.peek() == "}" and not host.text.replace(".", "").isdigit()
        if len(host.text) > 255:
            raise Mistake(
                host, f"host name has {len(host.text)} characters", "at most 255 characters"
            )
        mask = self._mask(reader, host)
        reader.swallowed = glued and mask is None and ":" not in host.text
        reader.lexer.blanks()
        port = None
        at = lexer.position
        word = lexer.take(_PORT)
        if word is not None:
            if not self.ports:
                raise Mistake(word, "no port can be given here", "an address without a port")
            port = self._port(reader, at)
        return Values((host,), address=AddressText(host, mask, port))

    def _mask(self, reader: Reader, host: Token) -> Token | None:
        lexer = reader.lexer
        at = lexer.position
        lexer.blanks()
        if lexer.take(_SLASH) is None:
            lexer.position = at
            return None
        lexer.blanks()
        if not lexer.peek().isdigit():
            written = lexer.take(_REST_OF_WORD)
            text = host.text + "/" + (written.text if written is not None else "")
            raise Mistake(
                lexer.token(host.offset, lexer.position),
                f'"{text}" is not an address',
                "a netmask after /, such as /24 or /255.255.255.0",
            )
        dotted = lexer.take(_DOTTED)
        if dotted is not None:
            return dotted
        return reader.number("a netmask, such as /24 or /255.255.255.0")[0]

    def _port(self, reader: Reader, start: int) -> PortText:
        lexer = reader.lexer
        lexer.blanks()
        last: Token | None = None
        if not self.gateway and lexer.take(_COLON) is not None:
            operator = ":"
            first, value = reader.number("a port number")
            _check_port(first, value)
        else:
            unknown = lexer.take(_NOT_OPERATOR)
            if unknown is not None:
                raise Mistake(
                    unknown,
                    f'unknown operator "{unknown.text}"',
                    "one of: eq = ne != ge >= gt > le <= lt <",
                )
            operator_token = lexer.take(_OPERATOR)
            if operator_token is not None:
                operator = operator_token.text
                lexer.blanks()
                service = lexer.take(_SERVICE)
                if service is None:
                    first, value = reader.number("a port number or a service name")
                    _check_port(first, value)
                else:
                    first = service
            else:
                operator = "-"
                first, value = reader.number("an operator such as =, or a range of ports")
                _check_port(first, value)
                lexer.blanks()
                if self.gateway or lexer.take(_DASH) is None:
                    raise Mistake(
                        first, "no operator before the port", f'"port = {first.text}" or a range'
                    )
                last, end = reader.number("a port number")
                _check_port(last, end)
                if end < value:
                    raise Mistake(
                        last, f"end port ({end}) can not be less than start port ({value})"
                    )
        lexer.blanks()
        if lexer.peek() in "-,":
            raise Mistake(
                lexer.unexpected(),
                f'unexpected "{lexer.peek()}" after the port',
                'a range as in "port 80 - 90"; lists of ports do not exist',
            )
        text = lexer.source.text[start : (last or first).end]
        return PortText(operator, first, last, " ".join(text.replace("\\\n", " ").split()))


def _check_port(token: Token, value: int) -> None:
    if value > _LARGEST_PORT:
        raise Mistake(token, f"number {value} is too large", f"a port, 0-{_LARGEST_PORT}")
