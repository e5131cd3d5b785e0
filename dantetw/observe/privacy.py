"""
Privacy: events without clients, users or targets, or with pseudonyms for them.

Values are replaced in the event, before a format makes text of it.  Texts that an event holds
(reasons, debug steps) come with the values that may stand in them, and these are replaced there.

A pseudonym is the first 16 hexadecimal digits of an HMAC-SHA-256 over the field's name and value,
so addresses cannot be tried without the key until one fits, and a client is not recognised among
the targets.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, Final

from zope.interface import implementer

from dantetw.escaping import escape
from dantetw.observe.events import (
    Ended,
    Event,
    Named,
    Parted,
    Repeated,
    Transferred,
)
from dantetw.observe.interfaces import IFormat
from dantetw.policy import Edge, Form
from dantetw.values import NOWHERE, Command, Endpoint, Path, Severity, User

#: Hexadecimal digits of a pseudonym.
DIGITS: Final = 16

#: Stands in texts for what is left out.
_LEFT_OUT: Final = "-"

# Our own ends of connections.
_OURS: Final = frozenset(("local", "source"))


def _without_zone(value: str) -> tuple[str, ...]:
    return (value.partition("%")[0],) if ":" in value and "%" in value else ()


@implementer(IFormat)
class Private:
    """
    Another format, with parts of its events redacted.

    What is relayed (``log: data``) may hold anything, so nothing of it is shown.

    :param format: makes lines of what is left.
    :param key: of the pseudonyms.
    """

    def __init__(self, format: IFormat, form: Form, key: bytes) -> None:
        self._format = format
        self._omit = form.omit
        self._fields = form.omit | form.hash
        self._key = key

    def lines(self, event: Event) -> tuple[tuple[Severity, str], ...]:
        """See :meth:`IFormat.lines`."""
        lines: tuple[tuple[Severity, str], ...] = self._format.lines(self.redacted(event))
        return lines

    def redacted(self, event: Any) -> Any:
        """The event without, or with pseudonyms for, what must not be shown."""
        if isinstance(event, Repeated):
            return replace(event, event=self.redacted(event.event))
        named: Named = getattr(event, "named", ())
        edge = getattr(event, "edge", None)
        # What an association asks for is where its client will send from.
        associates = getattr(event, "command", None) is Command.UDPASSOCIATE
        changes: dict[str, Any] = {}
        for field in fields(event):
            name, value = field.name, getattr(event, field.name)
            if isinstance(value, Path):
                changes[name] = self._path(value)
            elif isinstance(value, Endpoint) and name not in _OURS:
                clients = name == "client" or edge is Edge.INTERNAL or associates
                changes[name] = self._endpoint("client" if clients else "target", value)
            elif name == "traffic":
                changes[name] = tuple(replace(each, path=self._path(each.path)) for each in value)
            elif name == "attempts":
                changes[name] = tuple(
                    replace(each, target=self._endpoint("target", each.target)) for each in value
                )
            elif isinstance(value, User):
                changes[name] = self._user(value)
        if named:
            cover = self._cover(named)
            for name in ("text", "reason"):
                if hasattr(event, name):
                    changes[name] = cover(getattr(event, name))
            changes["named"] = ()
            if isinstance(event, (Ended, Parted)):
                changes["ending"] = replace(event.ending, text=cover(event.ending.text))
            if isinstance(event, Ended):
                changes["tried"] = tuple(map(cover, event.tried))
        if isinstance(event, Ended):
            changes["claimed"] = self._value("user", event.claimed, "")
            kind = "client" if associates else "target"
            shown = (self._value(kind, address, "") for address in event.addresses)
            changes["addresses"] = tuple(filter(None, shown))
        elif isinstance(event, Transferred):
            changes["data"] = None
        elif edge is not None and hasattr(event, "name"):
            kind = "client" if edge is Edge.INTERNAL else "target"
            changes["name"] = self._value(kind, event.name, _LEFT_OUT)
        return replace(event, **changes) if changes else event

    def _value(self, field: str, value: str, left_out: str) -> str:
        if not value or field not in self._fields:
            return value
        if field in self._omit:
            return left_out
        message = f"{field}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:DIGITS]

    def _endpoint(self, field: str, endpoint: Endpoint | None) -> Endpoint | None:
        if endpoint is None or field not in self._fields:
            return endpoint
        if field in self._omit:
            return Endpoint(NOWHERE.host, NOWHERE.port, endpoint.family)
        return Endpoint(self._value(field, endpoint.host, ""), endpoint.port, endpoint.family)

    def _user(self, user: User | None) -> User | None:
        if user is None or "user" not in self._fields:
            return user
        return User(user.method, self._value("user", user.name, ""))

    def _path(self, path: Path) -> Path:
        client = self._endpoint("client", path.client)
        assert client is not None
        return Path(
            client,
            path.local,
            self._user(path.user),
            path.source,
            self._endpoint("target", path.target),
            self._user(path.client_user),
        )

    def _cover(self, named: Iterable[tuple[str, str]]) -> Callable[[str], str]:
        """What replaces these values in a text, however they are spelt in it."""
        stand_ins: dict[str, str] = {}
        for field, value in named:
            if value and field == "data":
                stand_ins[value] = _LEFT_OUT
            elif value and field in self._fields:
                # A link-local address stands in texts without its zone.
                for spelling in (value, escape(value), *_without_zone(value)):
                    stand_ins.setdefault(spelling, self._value(field, value, _LEFT_OUT))
        if not stand_ins:
            return str
        longest_first = sorted(stand_ins, key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        # Not within a longer name or address; but Dante's notation has a port behind a dot.
        pattern = re.compile(rf"(?<![\w.-])(?:{words})(?![\w-])")
        return lambda text: pattern.sub(lambda match: stand_ins[match[0]], text)
